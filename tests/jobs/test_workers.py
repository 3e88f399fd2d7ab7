"""Several workers of a backend, each with a receiver of its own behind one address."""

import httpx
import pytest
from attrs import define, field

from tests.helpers import urls
from ximilar_ocr_async import Delivery, Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService

URL = "https://me.example/hook"
SECRET = {"X-Webhook-Secret": "open-sesame"}


@define
class Workers(httpx.AsyncBaseTransport):
    """Hands each delivery to the next worker, as a balancer does; notes what came of it."""

    receivers: list[WebhookReceiver]
    handled: list[tuple[int, str]] = field(factory=list)
    statuses: list[int] = field(factory=list)
    seen: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Deliver to the next worker."""
        place = self.seen % len(self.receivers)
        self.seen += 1

        async def handle(delivery: Delivery) -> None:
            self.handled.append((place, delivery.id))

        inner = httpx.ASGITransport(self.receivers[place].app(handle))
        response = await inner.handle_async_request(request)
        self.statuses.append(response.status_code)
        return response


@pytest.mark.anyio
async def test_workers_with_one_secret_take_each_others_deliveries() -> None:
    """Each delivery is taken, and a job finds by polling what another worker was told."""
    workers = Workers([WebhookReceiver(Webhook(URL, SECRET)) for _ in range(2)])
    service = InProcessService(receiver=workers, latency=1.0)
    async with service.session() as session:
        job = await session.submit(urls(40), webhook=workers.receivers[0])
        outcomes = await job.wait(deadline=600)
        assert [outcome.unwrap().text for outcome in outcomes] == urls(40)
    assert set(workers.statuses) == {204}
    assert {place for place, _ in workers.handled} == {0, 1}
    assert sorted(request_id for _, request_id in workers.handled) == sorted(job.ids)
    assert service.billed == 40


@pytest.mark.anyio
async def test_workers_with_secrets_of_their_own_refuse_each_others_deliveries() -> None:
    """With a secret for each process 9 of 12 deliveries to four workers are refused."""
    workers = Workers([WebhookReceiver(Webhook(URL)) for _ in range(4)])
    service = InProcessService(receiver=workers, latency=1.0)
    async with service.session() as session:
        job = await session.submit(urls(120), webhook=workers.receivers[0])
        outcomes = await job.wait(deadline=600)
    assert all(outcome.ok for outcome in outcomes)
    assert workers.statuses[:12].count(401) == 9

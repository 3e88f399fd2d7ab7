"""What the tests of jobs share: the way to a receiver, slow sources, scripted submissions."""

import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import anyio
import httpx
from attrs import define, field

from ximilar_ocr_async import Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService, Script, ScriptedReply, SeenRequest


@define
class Lossy(httpx.AsyncBaseTransport):
    """The way to a receiver, on which deliveries are lost, come twice, or come late."""

    receiver: WebhookReceiver
    lost: float = 0.0
    times: int = 1
    delay: float = 0.0
    seen: int = 0
    dropped: int = 0
    chance: random.Random = field(factory=lambda: random.Random(5))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Deliver, or do not."""
        self.seen += 1
        if self.chance.random() < self.lost:
            self.dropped += 1
            return httpx.Response(500)
        await anyio.sleep(self.delay)
        inner = httpx.ASGITransport(self.receiver.app())
        for _ in range(self.times):
            response = await inner.handle_async_request(request)
        return response


def receiving(**options: Any) -> tuple[WebhookReceiver, InProcessService]:
    """Make a receiver and a service that delivers to it."""
    receiver = WebhookReceiver(Webhook("https://me.example/hook"))
    way = Lossy(
        receiver, **{k: options.pop(k) for k in ("lost", "times", "delay") & options.keys()}
    )
    return receiver, InProcessService(receiver=way, **options)


async def asynchronously(images: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield images as a slow source does."""
    for image in images:
        await anyio.sleep(0.001)
        yield image


def taking(*ids: str, then: ScriptedReply) -> Script:
    """Return a script that takes one submission for each of *ids*, and answers all else *then*."""
    left = iter(ids)

    def answer(seen: SeenRequest) -> ScriptedReply:
        return httpx.Response(201, json={"id": next(left)}) if seen.method == "POST" else then

    return answer

"""Deliveries wake a job, and each outcome comes once, whatever becomes of them."""

import gc
from collections import Counter
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import texts, urls
from tests.jobs.receiving import Lossy, asynchronously, receiving
from ximilar_ocr_async import Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("lost", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("delay", [0.0, 7.0])
async def test_each_outcome_comes_once(lost: float, times: int, delay: float) -> None:
    """Delivered, lost, late or twice: every image has one outcome, the right one."""
    receiver, there = receiving(lost=lost, times=times, delay=delay, latency=2)
    async with there.session() as session:
        job = await session.submit(urls(200), webhook=receiver)
        outcomes = [outcome async for outcome in job.outcomes()]
    assert Counter(outcome.index for outcome in outcomes) == Counter(range(200))
    assert all(o.record.text == o.image.source for o in outcomes if o.ok)
    assert set(there.bills.values()) == {1}


async def test_what_is_delivered_is_not_asked_for() -> None:
    """Deliveries alone bring all, with hardly a question."""
    receiver, there = receiving(latency=2)
    async with there.session() as session:
        job = await session.submit(urls(300), webhook=receiver)
        await job.wait()
    assert there.requests <= 30 + 6


async def test_deliveries_may_come_before_the_ids_do() -> None:
    """What is done while others are still being submitted is kept for the job."""
    receiver, there = receiving()
    async with there.session() as session:
        job = await session.submit(asynchronously(urls(100)), webhook=receiver)
        await anyio.sleep(10)
        requests = there.requests
        assert texts(await job.wait()) == urls(100)
        assert there.requests == requests


@pytest.mark.parametrize("seconds", [0.1, 1.0, 6.0])
async def test_lost_deliveries_cost_a_question_each(seconds: float) -> None:
    """Of a hundred requests in order, a third of the news lost, hardly more is asked than lost."""
    receiver, there = receiving(lost=0.3, latency=seconds)
    async with there.session() as session:
        job = await session.submit(urls(1000), webhook=receiver)
        assert texts(await job.wait()) == urls(1000)
    way = there._receiver
    assert isinstance(way, Lossy)
    assert way.dropped > 20
    assert there.requests <= 1.2 * (100 + way.dropped)


async def test_a_job_taken_up_is_woken_too() -> None:
    """A program that was restarted receives what its predecessor submitted."""
    receiver, there = receiving(latency=50)
    async with there.session() as session:
        ids = (await session.submit(urls(20), webhook=receiver)).ids
        outcomes = await session.job(ids, webhook=receiver).wait()
        assert anyio.current_time() < 100.1
    assert texts(outcomes) == urls(20)
    assert [outcome.image.source for outcome in outcomes] == urls(20)


async def test_what_is_not_believed_is_fetched() -> None:
    """With ``refetch``, a delivery only says when to ask; a forged one costs a question."""
    receiver = WebhookReceiver(Webhook("https://me.example/hook"), verify="refetch")
    there = InProcessService(latency=50, receiver=httpx.ASGITransport(receiver.app()))
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver)
        await anyio.sleep(1)
        forged = b'{"id": "%s", "status": "DONE", "response": {"records": []}}'
        receiver.receive(receiver.webhook.headers, forged % job.ids[0].encode())
        assert texts(await job.wait()) == urls(20)
        assert anyio.current_time() < 170


async def test_a_delivery_that_fits_no_image_is_looked_into() -> None:
    """What is told without names is asked for, so that no image gets another's text."""
    receiver, there = receiving(lost=1.0, latency=30)
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver)
        await anyio.sleep(100)
        told = b'{"id": "%s", "status": "DONE", "response": {"records": [{}, {}]}}'
        receiver.receive(receiver.webhook.headers, told % job.ids[1].encode())
        assert texts(await job.wait()) == urls(20)


async def test_deliveries_are_kept_as_long_as_there_is_a_job() -> None:
    """A job that nobody holds any more leaves nothing behind."""
    receiver, there = receiving(latency=50)
    async with there.session() as session:
        ids = (await session.submit(urls(20), webhook=receiver)).ids
        await anyio.sleep(1)
        gc.collect()
        await anyio.sleep(200)
    assert receiver.take(ids) == []


async def test_one_receiver_serves_several_sessions() -> None:
    """Each job takes what is its own, whichever session it is of."""
    receiver, there = receiving(latency=5)
    async with there.session() as one, there.session() as other:
        jobs = [await s.submit(urls(30), webhook=receiver) for s in (one, other)]
        for job in jobs:
            assert texts(await job.wait()) == urls(30)


async def test_the_program_may_handle_deliveries_itself() -> None:
    """A webhook elsewhere is a webhook, too: the job is polled, and told nothing."""
    receiver, there = receiving()
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver.webhook)
        assert texts(await job.wait()) == urls(20)
    assert receiver.take(job.ids) == []


async def test_two_jobs_and_a_stream_share_a_session() -> None:
    """Each gets its own, from one receiver, in the slots that there are."""
    receiver, there = receiving(lost=0.3, latency=1)
    ends: list[Any] = []

    async with there.session() as session:

        async def submit(start: int) -> None:
            mine = [f"https://x.example/{start}/{number}" for number in range(50)]
            job = await session.submit(mine, webhook=receiver)
            ends.append(texts(await job.wait()) == mine)

        async with anyio.create_task_group() as group:
            group.start_soon(submit, 1)
            group.start_soon(submit, 2)
            async with session.stream(urls(200), ordered=True) as stream:
                read = [outcome.unwrap().text async for outcome in stream]
    assert ends == [True, True]
    assert read == urls(200)
    assert set(there.bills.values()) == {1}

"""Requests without images: made as often as makes sense, in slots that are shared with batches."""

import asyncio
import logging
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import DONE, Stray, error_of, texts, times, urls
from ximilar_ocr_async import (
    AuthError,
    DeadlineExceeded,
    OCRError,
    RateLimited,
    ReplyError,
    RetryPolicy,
    ServiceUnavailable,
    SessionClosed,
    Webhook,
    WebhookReceiver,
)
from ximilar_ocr_async.testing import (
    FaultPlan,
    InProcessService,
    ScriptedReply,
    SeenRequest,
    in_turn,
)

pytestmark = pytest.mark.anyio

ASYNCIO = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)


# ---- attempts


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500),
        httpx.Response(503),
        httpx.Response(504),
        httpx.Response(429),
        httpx.Response(200, html="<h1>Bad Gateway</h1>"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("gone"),
    ],
    ids=str,
)
@pytest.mark.parametrize("policy", [RetryPolicy(), RetryPolicy(resend_maybe_billed=0)], ids=str)
async def test_what_is_free_is_asked_again(failure: Any, policy: RetryPolicy) -> None:
    """A lost or failed answer about a job is asked for again, whatever may be resent otherwise."""
    there = InProcessService(reply=in_turn(failure, failure, then=DONE))
    async with there.session(retry=policy) as session:
        [outcome] = await session.job("r1").wait()
    assert outcome.unwrap().text == "tea"
    assert there.requests == 3


async def test_asking_again_ends_with_the_policy() -> None:
    """After as many attempts as any image gets, the last error is told."""
    there = InProcessService(reply=lambda _: httpx.Response(500))
    async with there.session(retry=RetryPolicy(attempts=4)) as session:
        with pytest.raises(ServiceUnavailable):
            await session.account()
    assert there.requests == 4


async def test_what_is_refused_is_not_asked_again() -> None:
    """A wrong token gets no better."""
    refusal = httpx.Response(401, json={"detail": "Invalid token."})
    there = InProcessService(reply=lambda _: refusal)
    async with there.session() as session:
        with pytest.raises(AuthError, match="Invalid token"):
            await session.job(["r1", "r2"]).wait()
        with pytest.raises(AuthError):
            await anext(session.jobs())
    assert there.requests == 2


async def test_a_job_waits_through_an_outage() -> None:
    """Five minutes out of reach end well, for a probe in five seconds: a person may wait."""
    there = InProcessService(reply=lambda seen: DONE if seen.at > 300 else httpx.Response(503))
    async with there.session() as session:
        assert len(await session.job("r1").wait()) == 1
    assert anyio.current_time() < 340
    assert 40 < there.requests < 80


async def test_a_job_despairs_when_its_patience_ends() -> None:
    """The last error is told, and how long it was so."""
    there = InProcessService(reply=lambda _: httpx.ConnectError("refused"))
    async with there.session(outage_timeout=100) as session:
        with pytest.raises(OCRError, match="refused; the service was out of reach for"):
            await session.job("r1").wait()
        assert 80 < anyio.current_time() <= 100


async def test_a_hold_up_is_honoured() -> None:
    """Where the service asks to wait, nothing is asked before."""
    busy = httpx.Response(429, headers={"Retry-After": "20"})
    there = InProcessService(reply=in_turn(busy, then={}))
    async with there.session() as session:
        await session.account()
    assert times(there)[1] - times(there)[0] >= 20
    async with InProcessService(reply=lambda _: httpx.Response(429)).session() as session:
        with pytest.raises(RateLimited):
            await session.account()


async def test_an_answer_about_the_account_says_nothing_of_images() -> None:
    """Each endpoint has an outage of its own, and while one is away the others are asked."""

    def answer(seen: SeenRequest) -> ScriptedReply:
        return httpx.Response(503) if seen.records else {}

    there = InProcessService(reply=answer)
    async with there.session() as session:
        [outcome] = await session.read_all(urls(1), outage_timeout=5)
        assert isinstance(error_of(outcome), ServiceUnavailable)
        await session.account()
        assert session.stats.outage
        there.reply = lambda _: {"records": [{"_ocr": {"full_text": "x"}}]}
        assert texts(await session.read_all(urls(1))) == ["x"]
        assert not session.stats.outage


async def test_an_errand_waits_no_longer_than_it_has_patience() -> None:
    """Without a slot it is an error that says so; the slot stays with whom it belongs to."""
    there = InProcessService(latency=100)
    async with there.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(1))
        await anyio.sleep(1)
        with pytest.raises(DeadlineExceeded, match="was not answered within 30 s"):
            await session.account(deadline=30)
        assert session.stats.in_flight == 1
    assert there.billed == 1


async def test_too_long_an_answer_is_given_up() -> None:
    """A request that hangs is cancelled with its errand, and its slot is free again."""
    there = InProcessService(latency=1e6, reply=lambda _: {})
    async with there.session(max_concurrency=1) as session:
        with pytest.raises(DeadlineExceeded, match="was not answered within 30 s"):
            await session.account(deadline=30)
        assert anyio.current_time() == 30
        assert session.stats.in_flight == 0
        assert there.in_flight == 0
        there.latency = 0
        await session.account()


# ---- slots


@pytest.mark.parametrize("slots", [1, 3])
async def test_never_more_is_in_flight_than_there_are_slots(slots: int) -> None:
    """Twenty jobs are waited for beside a bulk stream, each request in a slot; all end well."""
    # Not so slow beside submissions that it seems to stall before its first answer.
    service = InProcessService(latency=1.5)
    # Requests without images take their time, too.
    way = InProcessService(reply=lambda _: {}, latency=0.1)

    class Distant(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await way.handle_async_request(request)
            return await service.handle_async_request(request)

    client = httpx.AsyncClient(transport=Distant())
    ends: list[Any] = []
    async with service.session(http_client=client, max_concurrency=slots) as session:

        async def wait_for(place: int) -> None:
            job = await session.submit(urls(place))
            ends.append(len(await job.wait()) == place)

        async with anyio.create_task_group() as group:
            for place in range(1, 21):
                group.start_soon(wait_for, place)
            outcomes = await session.read_all(urls(300))
    assert ends == [True] * 20
    assert texts(outcomes) == urls(300)
    assert way.peak == slots
    assert service.peak <= slots
    assert service.billed == 300 + sum(range(1, 21))


async def test_errands_keep_the_pace() -> None:
    """Where requests are to be spaced evenly, those without images are too."""
    there = InProcessService(reply=lambda _: {})
    async with there.session(max_requests_per_second=0.5) as session:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(session.account)
    assert times(there) == pytest.approx([0, 2, 4, 6])


async def test_a_read_beside_many_questions_waits_for_few_of_them() -> None:
    """Items and questions take turns at the slots, however many questions there are."""
    read = {"records": [{"_ocr": {"full_text": "tea"}}]}
    there = InProcessService(reply=lambda seen: read if seen.records else {}, latency=1)
    async with there.session() as session, anyio.create_task_group() as group:

        async def ask() -> None:
            while True:
                await session.account()

        for _ in range(50):
            group.start_soon(ask)
        await anyio.sleep(10)
        for _ in range(5):
            await session.read(urls(1)[0])
        assert anyio.current_time() <= 10 + 5 * 3
        group.cancel_scope.cancel()


# ---- ends


async def test_a_caller_that_is_cancelled_leaves_the_slot() -> None:
    """A scope ends the errand, and the session goes on."""
    there = InProcessService(latency=100, reply=lambda _: {})
    async with there.session(max_concurrency=1) as session:
        with anyio.move_on_after(1) as scope:
            await session.account()
        assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
        assert there.in_flight == 0
        there.latency = 1
        await session.account()


@ASYNCIO
async def test_a_caller_that_is_cancelled_natively_leaves_the_slot() -> None:
    """asyncio's own cancellation and timeouts end the errand, and only it."""
    there = InProcessService(latency=0.05, reply=lambda _: {})
    async with there.session(max_concurrency=1) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.account()
        task = asyncio.create_task(session.account())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await session.account()
        assert session.stats.in_flight == 0


@pytest.mark.parametrize("latency", [1e6, 0], ids=["asking", "pausing"])
@pytest.mark.parametrize("receiver", [None, WebhookReceiver(Webhook("https://me.example/"))])
async def test_who_waits_hears_that_the_session_closed(
    latency: float, receiver: WebhookReceiver | None
) -> None:
    """Whether it asks or pauses before it does, a job that is waited for ends at once."""
    there = InProcessService(latency=latency, reply=lambda _: {"status": "PROCESSING"})
    heard: list[float] = []

    async def wait() -> None:
        with pytest.raises(SessionClosed):
            await job.wait()
        heard.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        async with there.session() as session:
            job = session.job("r1", webhook=receiver)
            group.start_soon(wait)
            await anyio.sleep(100)
    assert heard == [pytest.approx(100)]
    with pytest.raises(SessionClosed):
        await job.wait()


async def test_a_bug_is_an_error_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A transport that raises what it should not fails its errand, and the session lives on."""

    class Buggy(RetryPolicy):
        def pause(self, *_: Any, **__: Any) -> float:
            raise ZeroDivisionError

    there = InProcessService(reply=in_turn(httpx.Response(500), then={}))
    async with there.session(retry=Buggy()) as session:
        with caplog.at_level(logging.ERROR), pytest.raises(OCRError, match="ZeroDivisionError"):
            await session.account()
        await session.account()
        assert session.stats.in_flight == 0
    assert "a request without images raised" in caplog.text


@ASYNCIO
async def test_a_stray_cancellation_is_a_bug_like_another() -> None:
    """A transport that awaits a cancelled task fails its errand, not the program in silence."""
    async with Stray().session() as session:
        with pytest.raises(OCRError, match="internal error: CancelledError"):
            await session.account()
        assert session.stats.in_flight == 0
        await session.account()


async def test_a_service_with_all_faults_is_asked_until_it_answers() -> None:
    """Through every fault that a plan knows, jobs are had to the last image."""
    plan = FaultPlan(seed=4, unavailable=0.1, throttled=0.1, garbled=0.1)
    there = InProcessService(plan)
    async with there.session() as session:
        outcomes = await (await session.submit(urls(200))).wait()
    assert [outcome.index for outcome in outcomes] == list(range(200))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert all(isinstance(o.error, ReplyError) and o.maybe_billed for o in failed)
    assert set(there.bills.values()) == {1}
    assert len(there.bills) == 200

"""Callers who leave: outages end all the same, slots stay honest, and endings are quick."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import anyio
import httpx
import pytest
from attrs import define

from tests.helpers import failing, refused, urls
from tests.session.test_overload import LONG, ONE, Paced, read_many, result_of
from ximilar_ocr_async import AuthError, OCRError, OCRSession, Record, ServiceUnavailable
from ximilar_ocr_async.testing import InProcessService, SeenRequest

pytestmark = pytest.mark.anyio


@define
class Visit:
    """A read that was made at *at* [s], and what came of it."""

    at: float
    result: Record | OCRError | None = None

    async def make(self, session: OCRSession, **options: Any) -> None:
        """Read."""
        self.result = await result_of(session.read(ONE, **options))


async def visit(session: OCRSession, *, each: float, seconds: float, **options: Any) -> list[Visit]:
    """Make a read *each* so many seconds, for so many *seconds*."""
    visits: list[Visit] = []
    end = anyio.current_time() + seconds
    async with anyio.create_task_group() as group:
        while anyio.current_time() < end:
            visits.append(Visit(anyio.current_time()))
            group.start_soon(partial(visits[-1].make, session, **options))
            await anyio.sleep(each)
    return visits


def away(end: float, said: Any = None) -> Callable[[SeenRequest], Any]:
    """Return a script that refuses all until *end* [s]."""
    return lambda seen: (said or refused()) if seen.at < end else None


# ---- outages end


@pytest.mark.parametrize("deadline", [6.0, 60.0, None])
@pytest.mark.parametrize("said", [refused(), failing(503), failing(504)], ids=["-", "503", "504"])
@pytest.mark.parametrize("end", [10.0, 60.0])
async def test_an_outage_ends_whoever_leaves(deadline: float | None, said: Any, end: float) -> None:
    """Once the service is back, whoever comes is read within two service times more."""
    service = Paced(lambda seen: 0.05 if seen.at < end else 5.0, reply=away(end, said))
    async with service.session(max_concurrency=16) as session:
        visits = await visit(session, each=0.5, seconds=end + 30.0, deadline=deadline)
    late = [v.result for v in visits if v.at >= end + 10.0]
    assert len(late) >= 20
    assert all(isinstance(result, Record) for result in late)


@pytest.mark.parametrize("leave", [True, False])
async def test_the_answer_to_a_probe_closes_the_circuit_whoever_hears_it(*, leave: bool) -> None:
    """A probe that was sent is not withdrawn with its caller, however long it takes."""
    service = Paced(lambda seen: 0.05 if seen.at < 5 else 15.0, reply=away(5.0))
    async with service.session() as session:
        with anyio.move_on_after(5.0):
            await session.read(ONE, outage_timeout=100.0)
        assert session.stats.outage
        sent = service.requests
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(partial(session.read, ONE, outage_timeout=100.0))
                # A probe comes within 1.3 s while a person waits, and its answer after 15 s more.
                await anyio.sleep(2.0)
                assert service.requests == sent + 1
                if leave:
                    scope.cancel()
        await anyio.sleep(15.0)
        assert not session.stats.outage
        assert session.stats.in_flight == 0
        assert session.stats.records_billed == 1
        assert service.requests == sent + 1


async def test_a_probe_that_is_worked_on_lets_others_follow() -> None:
    """Whoever waits need not wait for its whole answer."""
    service = Paced(lambda seen: 0.05 if seen.at < 20 else 5.0, reply=away(20.0))
    async with service.session(max_concurrency=4) as session:
        await read_many(session, 20, deadline=60.0)
    first, *others = [seen.at for seen in service.log if seen.at >= 20]
    assert others
    assert max(others) < first + 1.0
    assert service.billed == 20


async def test_on_trial_one_more_failure_stops_all_again() -> None:
    """A service that only takes longer to fail gets no more than a few requests."""
    service = Paced(lambda seen: 0.05 if seen.at < 10 else 2.0, reply=away(LONG))
    async with service.session(max_concurrency=4) as session:
        await read_many(session, 50, outage_timeout=60.0)
    assert len([seen for seen in service.log if seen.at >= 10]) < 60 / 5 + 10


# ---- up, and of no use


@pytest.mark.parametrize(
    "said",
    [failing(504), failing(500), httpx.ReadError("reset"), failing(503)],
    ids=["504", "500", "cut", "503"],
)
async def test_a_service_that_fails_all_is_asked_seldom(said: Any) -> None:
    """Fifty reads a second cost it a probe every few seconds, and little may have been billed."""
    service = Paced(lambda _: 0.2, reply=lambda _: said)
    async with service.session(max_concurrency=8) as session:
        visits = await visit(session, each=0.02, seconds=20.0, outage_timeout=5.0)
        assert session.stats.records_maybe_billed <= 30
    assert not any(isinstance(v.result, Record) for v in visits)
    assert service.requests <= 30


@pytest.mark.parametrize(
    "said", [failing(401), failing(402), failing(429, "credit limits reached")], ids=str
)
async def test_an_account_that_is_refused_is_asked_seldom(said: Any) -> None:
    """Fifty reads a second cost it a request every few seconds, and all fail with its word."""
    service = Paced(lambda _: 0.2, reply=lambda _: said)
    async with service.session(max_concurrency=8) as session:
        visits = await visit(session, each=0.02, seconds=20.0)
        assert not session.stats.outage
    assert len(visits) >= 900
    assert all(isinstance(v.result, AuthError) for v in visits)
    assert service.requests <= 20


async def test_an_account_that_is_let_in_again_reads_within_seconds() -> None:
    """Somebody finds out, and all that come after it are read."""
    service = Paced(lambda _: 0.2, reply=away(20.0, failing(402)))
    async with service.session(max_concurrency=8) as session:
        visits = await visit(session, each=0.1, seconds=30.0)
    assert all(isinstance(v.result, Record) for v in visits if v.at >= 26.0)


async def test_an_image_that_breaks_the_service_is_no_outage(service: InProcessService) -> None:
    """Failing again on the same record tells nothing of the others."""
    service.reply = lambda seen: failing(500) if ONE in str(seen.records) else None
    async with service.session() as session:
        assert isinstance(await result_of(session.read(ONE)), ServiceUnavailable)
        assert not session.stats.outage
        assert all(outcome.ok for outcome in await session.read_all(urls(10)))


# ---- abandoned requests


async def test_a_request_that_nobody_waits_for_keeps_its_slot() -> None:
    """The service works on it all the same; once it ended, its slot is the next one's."""
    service = Paced(lambda _: 1.0)
    async with service.session(max_concurrency=1) as session:
        await session.read(ONE)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(session.read, ONE)
                await anyio.sleep(0.3)
                scope.cancel()
        assert session.stats.in_flight == 1
        assert session.stats.records_maybe_billed == 1
        await session.read(ONE)
        assert session.stats.records_maybe_billed == 0
        assert session.stats.records_billed == 3
    assert [seen.at for seen in service.log] == pytest.approx([0.0, 1.0, 2.0])
    assert service.peak == 1


@pytest.mark.parametrize("answers, grace", [(1, 2.0), (0, 10.0)])
async def test_a_request_that_nobody_waits_for_is_given_up_in_time(
    answers: int, grace: float
) -> None:
    """After twice what an answer takes, or ten seconds while that is not known."""
    service = Paced(lambda _: LONG if service.requests > answers else 1.0)
    async with service.session(max_concurrency=1) as session:
        for _ in range(answers):
            await session.read(ONE)
        began = anyio.current_time()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(session.read, ONE)
                await anyio.sleep(0.3)
                scope.cancel()
        await anyio.sleep_until(began + grace - 0.1)
        assert session.stats.in_flight == 1
        await anyio.sleep_until(began + grace + 0.1)
        assert session.stats.in_flight == 0
        assert session.stats.records_maybe_billed == 1


async def cancel_after(scope: anyio.CancelScope, seconds: float) -> None:
    """Cancel a scope some time [s] from now."""
    await anyio.sleep(seconds)
    scope.cancel()


async def test_what_others_wait_for_is_not_given_up(service: InProcessService) -> None:
    """A request is abandoned when the last of its callers has left."""
    service.latency = 30.0
    async with service.session(max_concurrency=1) as session:
        async with anyio.create_task_group() as group:
            # While it is read, the others wait for the one slot, and then share it.
            group.start_soon(partial(session.read, "https://x.example/0.jpg"))
            await anyio.sleep(1.0)
            group.start_soon(session.read_all, urls(3))
            # It leaves unforeseen: what is known to come too late would not be sent.
            with anyio.CancelScope() as scope:
                group.start_soon(cancel_after, scope, 35.0)
                await session.read(ONE)
        assert session.stats.records_billed == 5
    assert service.requests == 2


# ---- bytes


def png(size: int) -> bytes:
    """Return what looks like an image of *size* bytes."""
    return b"\x89PNG\r\n\x1a\n" + bytes(size - 8)


async def test_images_are_weighed_before_a_slot_is_taken() -> None:
    """What does not fit into one request has a slot of its own at the same moment."""
    service = InProcessService(texts="read", latency=1.0)
    async with service.session(max_batch_bytes=1200, max_concurrency=8) as session:
        outcomes = await session.read_all([png(400)] * 10)
    assert all(outcome.ok for outcome in outcomes)
    assert service.sizes == [2] * 5
    assert {seen.at for seen in service.log} == {0.0}


class Meeting(InProcessService):
    """Answers when two requests are there at the same time."""

    def __init__(self) -> None:
        super().__init__(texts="read")
        self.met = anyio.Event()

    async def _answer(self, seen: SeenRequest, request: httpx.Request) -> httpx.Response:
        if self.in_flight == 2:
            self.met.set()
        await self.met.wait()
        return await super()._answer(seen, request)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_files_that_do_not_fit_go_back_at_once(tmp_path: Any) -> None:
    """They do not wait for the request that they turned out to be too much for."""
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(900))
    service = Meeting()
    with anyio.fail_after(60):
        async with service.session(max_batch_bytes=2400) as session:
            outcomes = await session.read_all(sorted(tmp_path.iterdir()))
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(service.sizes) == [2, 2]


# ---- endings


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the lines of this package's scheduling that are run in the block."""
    lines = [0]

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            lines[0] += 1
        name = frame.f_code.co_filename
        return trace if "/_scheduling/" in name or "/_session/" in name else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


async def end_by_close(session: OCRSession, _: InProcessService, count: int) -> None:
    """Have reads wait for a slot, and close the session."""
    async with anyio.create_task_group() as group:
        async with session:
            group.start_soon(partial(read_many, session, count))
            await anyio.sleep(0.5)


async def end_by_scope(session: OCRSession, _: InProcessService, count: int) -> None:
    """Have reads wait for a slot, and cancel them all."""
    async with session:
        with anyio.move_on_after(0.5):
            await read_many(session, count)


async def end_by_deadline(session: OCRSession, _: InProcessService, count: int) -> None:
    """Have reads wait for a slot until their deadline."""
    async with session:
        await read_many(session, count, deadline=0.5)


async def end_by_refusal(session: OCRSession, service: InProcessService, count: int) -> None:
    """Have reads wait for a slot until the account is refused."""
    service.reply = lambda _: failing(401)
    async with session:
        await read_many(session, count)


async def end_by_outage(session: OCRSession, service: InProcessService, count: int) -> None:
    """Have reads wait through an outage for as long as they do."""
    service.reply = lambda _: refused()
    async with session:
        await read_many(session, count, outage_timeout=5.0)


async def end_by_hold(session: OCRSession, service: InProcessService, count: int) -> None:
    """Have reads wait for a slot until the service asks to be left alone."""
    service.reply = lambda _: failing(429, headers={"Retry-After": "60"})
    async with session:
        await read_many(session, count, outage_timeout=5.0)


async def end_by_answers(session: OCRSession, _: InProcessService, count: int) -> None:
    """Have all reads answered."""
    async with session:
        await read_many(session, count)


@pytest.mark.parametrize(
    "end",
    [
        end_by_answers,
        end_by_close,
        end_by_deadline,
        end_by_hold,
        end_by_outage,
        end_by_refusal,
        end_by_scope,
    ],
)
async def test_thousands_of_reads_end_in_linear_work(end: Callable[..., Any]) -> None:
    """Four times as many cost about four times as much, however they end."""
    lines = []
    for count in (200, 800):
        service = InProcessService(latency=1.0)
        session = service.session(max_concurrency=8)
        with counted() as found:
            await end(session, service, count)
        lines.append(found[0])
    assert lines[0] > 200 * 20
    assert lines[1] <= 5 * lines[0]

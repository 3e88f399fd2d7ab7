"""More work than slots, endpoints in trouble, and callers who leave: who waits, fails, is sent."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import error_of, failing, refused, urls
from ximilar_ocr_async import (
    DeadlineExceeded,
    OCRError,
    OCRSession,
    OptionError,
    Overloaded,
    Record,
    RetryPolicy,
)
from ximilar_ocr_async.testing import InProcessService, SeenRequest

pytestmark = pytest.mark.anyio

ONE = "https://x.example/1.jpg"
LONG = 1e6
"""[s] that a service takes which hangs."""


class Paced(InProcessService):
    """Takes as long for each request as *seconds* says [s]."""

    def __init__(self, seconds: Callable[[SeenRequest], float], **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds

    async def _answer(self, seen: SeenRequest, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(self.seconds(seen))
        return await super()._answer(seen, request)


async def result_of(reading: Awaitable[Record]) -> Record | OCRError:
    """Return what a read brings, or its error."""
    try:
        return await reading
    except OCRError as error:
        return error


async def read_many(
    session: OCRSession, count: int, *, name: str = "r", **options: Any
) -> list[Record | OCRError]:
    """Return what as many reads at once bring, in the order in which they end."""
    results: list[Record | OCRError] = []

    async def read(number: int) -> None:
        url = f"https://x.example/{name}{number}.jpg"
        results.append(await result_of(session.read(url, **options)))

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(read, number)
    return results


def endless() -> Iterator[str]:
    """Yield images without end."""
    while True:
        yield from urls(100)


async def consume(session: OCRSession, counts: Counter[str], name: str, **options: Any) -> None:
    """Count what is read of an endless source."""
    async with session.stream(endless(), **options) as outcomes:
        async for outcome in outcomes:
            counts[name] += outcome.ok


async def during(seconds: float, *works: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Do all of these for so many seconds."""
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(work)


# ---- admission


async def test_a_read_too_many_fails_at_once(service: InProcessService) -> None:
    """Above max_queue it is told so, with the time after which it may be worth to come again."""
    async with service.session(max_concurrency=1, max_queue=5) as session:
        await session.read(ONE)
        async with anyio.create_task_group() as group:
            group.start_soon(session.read, ONE)
            await anyio.sleep(0.1)
            results = await read_many(session, 8)
            errors = [result for result in results if isinstance(result, OCRError)]
            assert anyio.current_time() == pytest.approx(3.0)
    assert [type(error) for error in errors] == [Overloaded] * 3
    assert errors == results[:3], "they were told first"
    assert {error.retry_after for error in errors} == {1.0}
    assert str(errors[0]) == "max_queue is 5, and as many images wait for a slot"
    assert service.billed == 7


async def test_bulk_calls_are_not_counted(service: InProcessService) -> None:
    """They pull images as they are needed, neither fill the queue nor fail for it."""
    async with service.session(max_concurrency=1, max_queue=2) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(100))
            group.start_soon(partial(read_many, session, 20, priority="bulk"))
            await anyio.sleep(0.5)
            group.start_soon(read_many, session, 2)
            await anyio.sleep(0.1)
            assert isinstance(await result_of(session.read(ONE)), Overloaded)
            outcomes = await session.read_all(urls(3))
    assert all(outcome.ok for outcome in outcomes)
    assert service.billed == 100 + 20 + 2 + 3


@pytest.mark.parametrize("max_queue", [-1, 0.5, "many", True])
async def test_a_queue_is_a_number_of_images(service: InProcessService, max_queue: Any) -> None:
    """Anything else is refused when the session is made."""
    with pytest.raises(OptionError, match="max_queue is"):
        service.session(max_queue=max_queue)


# ---- a service that asks to be left alone


def held_until(service: InProcessService, end: float) -> None:
    """Have the service refuse all until *end* [s], and say so."""
    service.reply = lambda seen: (
        failing(429, headers={"Retry-After": str(end - seen.at)}) if seen.at < end else None
    )


@pytest.mark.parametrize(
    "options",
    [{"deadline": 20.0}, {"outage_timeout": 20.0}, {"deadline": 50.0, "priority": "bulk"}],
)
async def test_who_cannot_wait_for_a_hold_is_told_at_once(
    service: InProcessService, options: dict[str, Any]
) -> None:
    """The error is no 429 but an overload, names the time, and nothing more is sent."""
    held_until(service, 60.0)
    service.latency = 0.0
    async with service.session(retry=RetryPolicy(attempts=99)) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(session.read, ONE, outage_timeout=100.0))
            await anyio.sleep(5)
            error = await result_of(session.read(ONE, **options))
            assert anyio.current_time() == 5.0
            assert isinstance(error, Overloaded)
            assert error.retry_after == pytest.approx(55.0)
            assert error.status == 429
            assert service.requests == 1
    assert anyio.current_time() == pytest.approx(60.0)
    assert service.billed == 1


async def test_whoever_waits_when_a_hold_begins_is_told(service: InProcessService) -> None:
    """Not only who comes after it; patient calls go on waiting, and are read."""
    held_until(service, 60.0)
    async with service.session(max_concurrency=1, retry=RetryPolicy(attempts=99)) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(10))
            await anyio.sleep(0.5)
            results = await read_many(session, 5, deadline=30.0)
            assert anyio.current_time() < 2.0
    assert {type(result) for result in results} == {Overloaded}
    assert service.billed == 10


async def test_a_stream_without_patience_hears_of_a_hold(service: InProcessService) -> None:
    """Its images fail as an overload, those that were refused themselves among them, unbilled."""
    held_until(service, 60.0)
    async with service.session() as session:
        outcomes = await session.read_all(urls(30), outage_timeout=10.0)
    assert anyio.current_time() < 15.0
    assert {type(error_of(outcome)) for outcome in outcomes} == {Overloaded}
    assert service.billed == 0


# ---- one endpoint beside another


@pytest.mark.parametrize(
    "trouble",
    [failing(503), failing(429), failing(500), refused(), None],
    ids=["503", "429", "500", "refused", "hangs"],
)
async def test_an_endpoint_in_trouble_takes_nothing_from_another(trouble: Any) -> None:
    """Beside it a healthy one reads as much as it does alone."""
    counts: Counter[str] = Counter()
    seconds = 0.05 if trouble else LONG
    for beside in ("alone", "beside"):
        service = Paced(lambda seen: seconds if "gpt" in seen.path else 0.5)
        service.reply = lambda seen: trouble if "gpt" in seen.path else None
        async with service.session(max_concurrency=2, timeout=30.0) as session:
            works = [partial(consume, session, counts, beside)]
            if beside == "beside":
                works.append(partial(consume, session, counts, "trouble", prompt="What is it?"))
            start = anyio.current_time()
            await during(60.0, *works)
            assert anyio.current_time() - start == pytest.approx(60.0)
    assert counts["trouble"] == 0
    assert counts["beside"] >= 0.95 * counts["alone"] > 2_000


async def test_an_endpoint_that_stalls_lends_its_slots_once() -> None:
    """While one hangs, twice as many requests as the ceiling may be open, and never more."""
    service = Paced(lambda seen: LONG if "gpt" in seen.path else 0.2)
    counts: Counter[str] = Counter()
    async with service.session(max_concurrency=4, adaptive=False) as session:
        await during(
            30.0,
            partial(consume, session, counts, "healthy"),
            partial(consume, session, counts, "hangs", prompt="What is it?"),
        )
        assert service.peak <= 2 * 4


async def test_an_outage_of_one_endpoint_is_seen_in_its_stats(service: InProcessService) -> None:
    """The other one is well, and what waits for which is told."""
    service.reply = lambda seen: failing(503) if "gpt" in seen.path else None
    async with service.session(max_concurrency=2) as session:
        assert session.stats.endpoints == {}
        counts: Counter[str] = Counter()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(consume, session, counts, "well"))
            group.start_soon(partial(consume, session, counts, "ill", prompt="What is it?"))
            await anyio.sleep(20)
            stats = session.stats
            group.cancel_scope.cancel()
    well, ill = stats.endpoints["read"], stats.endpoints["read_gpt"]
    assert stats.outage
    assert well.outage is None
    assert well.round_trip == pytest.approx(1.0)
    assert "503" in str(ill.outage)
    assert ill.outage_seconds > 15
    assert ill.next_probe is not None
    assert ill.queued > 0
    assert ill.oldest_wait > 10
    assert stats.queued == well.queued + ill.queued


# ---- one language beside another


async def test_a_slow_language_gets_half_of_the_slots() -> None:
    """And not nearly all of them, because its requests take so long."""
    service = Paced(lambda seen: 10.0 if seen.lang == "ko" else 0.5)
    counts: Counter[str] = Counter()
    async with service.session(max_concurrency=4, adaptive=False) as session:
        await during(
            120.0,
            partial(consume, session, counts, "ko", lang="ko"),
            partial(consume, session, counts, "en", lang="en"),
        )
    assert counts["en"] >= 0.9 * (120 / 0.5 * 2 * 10)
    assert counts["ko"] >= 0.8 * (120 / 10 * 2 * 10)


# ---- people and programs


async def test_a_read_behind_many_bulk_calls_waits_for_one_slot(service: InProcessService) -> None:
    """However many there are: it is in the next batch."""
    counts: Counter[str] = Counter()
    waits: list[float] = []
    async with service.session(max_concurrency=4) as session:

        async def read() -> None:
            await anyio.sleep(5.3)
            for _ in range(5):
                began = anyio.current_time()
                await session.read(ONE)
                waits.append(anyio.current_time() - began - 1.0)

        await during(20.0, read, *[partial(consume, session, counts, "bulk")] * 100)
    assert len(waits) == 5
    assert max(waits) <= 1.0 + 1e-9


async def test_reads_leave_two_places_of_a_batch_to_bulk(service: InProcessService) -> None:
    """However many people wait, a nightly run goes on."""
    counts: Counter[str] = Counter()
    async with service.session(max_concurrency=1) as session:

        async def people() -> None:
            while True:
                await session.read(ONE)

        await during(20.5, partial(consume, session, counts, "bulk"), *[people] * 50)
        assert service.billed > 0.9 * 200
    assert 0.15 <= counts["bulk"] / service.billed <= 0.3


async def test_a_priority_is_what_the_call_says(service: InProcessService) -> None:
    """A read for a program waits behind people, and a bulk call for a person does not."""
    ends: list[str] = []

    async def call(name: str, work: Awaitable[object]) -> None:
        await work
        ends.append(name)

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read, ONE)
        await anyio.sleep(0.5)
        # Nine places: two of the first batch are bulk's.
        group.start_soon(call, "program", session.read_all(urls(3)))
        for _ in range(8):
            group.start_soon(call, "read as bulk", session.read(ONE, priority="bulk"))
        await anyio.sleep(0.1)
        group.start_soon(call, "person", session.read_all(urls(8), priority="interactive"))
    assert ends.index("person") < ends.index("program")
    assert ends[-1] != "person"
    assert len(ends) == 10


async def test_calls_for_one_tenant_take_turns_as_one(service: InProcessService) -> None:
    """Whoever calls more often gets no more."""
    counts: Counter[str] = Counter()
    async with service.session(max_concurrency=2) as session:
        await during(
            60.5,
            *[partial(consume, session, counts, "many", fair_by="many")] * 9,
            partial(consume, session, counts, "one", fair_by="one"),
        )
    assert counts.total() > 1000
    assert 0.45 <= counts["one"] / counts.total() <= 0.55


@pytest.mark.parametrize("option", [{"priority": "urgent"}, {"priority": 1}, {"fair_by": []}])
async def test_how_a_call_waits_is_checked(
    service: InProcessService, option: dict[str, Any]
) -> None:
    """The error names the option, for every kind of call, and nothing is sent."""
    async with service.session() as session:
        (name,) = option
        with pytest.raises(OptionError, match=f"{name} is "):
            await session.read(ONE, **option)
        with pytest.raises(OptionError, match=f"{name} is "):
            await session.read_all(urls(3), **option)
        with pytest.raises(OptionError, match=f"{name} is "):
            session.stream(urls(3), **option)
    assert service.requests == 0


# ---- deadlines


async def test_a_scope_around_a_read_is_its_deadline(service: InProcessService) -> None:
    """What cannot be read before it ends is not sent; the scope cancels as any scope does."""
    async with service.session(max_concurrency=1) as session:
        await session.read(ONE)
        assert service.requests == 1
        with anyio.move_on_after(0.5) as scope:
            await session.read(ONE)
        assert scope.cancelled_caught
        assert anyio.current_time() == 1.5
        assert service.requests == 1, "an answer takes a second"
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.9):
                await session.read(ONE)
        assert service.requests == 1
        with anyio.fail_after(1.1):
            assert (await session.read(ONE)).text == ONE
    assert service.billed == 2


async def test_a_scope_whose_end_is_moved_still_ends_the_read(service: InProcessService) -> None:
    """The read that was not sent for it is told why, as soon as the scope goes on."""
    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        await session.read(ONE)
        errors: list[Any] = []

        async def read(scope: anyio.CancelScope) -> None:
            with scope:
                errors.append(await result_of(session.read(ONE)))

        scope = anyio.CancelScope(deadline=anyio.current_time() + 0.5)
        group.start_soon(read, scope)
        await anyio.sleep(0.25)
        scope.deadline += 100
        await anyio.sleep(1)
        assert [type(error) for error in errors] == [DeadlineExceeded]
        assert not scope.cancel_called


async def test_a_deadline_that_is_too_near_says_so(service: InProcessService) -> None:
    """The error names what is left and what an answer takes, at once and free."""
    async with service.session(max_concurrency=1) as session:
        await session.read(ONE)
        with pytest.raises(DeadlineExceeded, match=r"0\.8 s are left, an answer takes 1\.0 s"):
            await session.read(ONE, deadline=0.8)
        assert anyio.current_time() == 1.0
        assert service.requests == 1


async def test_nothing_is_sent_that_ends_too_late(service: InProcessService) -> None:
    """Five times what can be done is offered: as much is read, and next to nothing in vain."""
    async with service.session(max_concurrency=2, adaptive=False) as session:
        results: list[Record | OCRError] = []

        async def read() -> None:
            results.append(await result_of(session.read(ONE, deadline=5.0)))

        async with anyio.create_task_group() as group:
            for _ in range(600):
                group.start_soon(read)
                await anyio.sleep(0.1 / 10)
            for _ in range(3000):
                group.start_soon(read)
                await anyio.sleep(1 / 100)
    good = sum(isinstance(result, Record) for result in results)
    assert good >= 0.9 * 20 * 36
    assert service.billed - good <= 0.02 * service.billed
    assert {type(r) for r in results if isinstance(r, OCRError)} == {DeadlineExceeded}

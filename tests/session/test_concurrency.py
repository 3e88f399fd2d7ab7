"""One session carries bulk runs and single reads at once, in virtual time on asyncio and trio."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.helpers import error_of, failing, texts, times, urls
from ximilar_ocr_async import DeadlineExceeded, Image, OptionError, RetryPolicy, ServiceUnavailable
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


def png(size: int) -> bytes:
    """Return what looks like an image of *size* bytes."""
    return b"\x89PNG\r\n\x1a\n" + bytes(size - 8)


# ---- batches


async def test_many_readers_share_few_requests(service: InProcessService) -> None:
    """Two hundred single reads are twenty requests, without a timer."""
    async with service.session(max_concurrency=8) as session, anyio.create_task_group() as group:
        for url in urls(200):
            group.start_soon(session.read, url)
    assert service.sizes == [10] * 20
    assert anyio.current_time() == pytest.approx(3)


async def test_a_lone_read_goes_out_at_once(service: InProcessService) -> None:
    """Without other work nothing is waited for."""
    async with service.session() as session:
        await session.read("https://x.example/1")
    assert times(service) == [0]


async def test_a_single_read_waits_for_one_slot_not_for_the_stream(
    service: InProcessService,
) -> None:
    """While a long stream runs, a read begins within one service time."""
    waits: list[float] = []
    async with service.session(max_concurrency=3) as session:
        async with session.stream(urls(2000)) as outcomes, anyio.create_task_group() as group:

            async def read() -> None:
                await anyio.sleep(3.3)
                for number in range(20):
                    start = anyio.current_time()
                    await session.read(f"https://single.example/{number}")
                    waits.append(anyio.current_time() - start - 1)

            group.start_soon(read)
            assert len([outcome async for outcome in outcomes]) == 2000
    assert len(waits) == 20
    assert max(waits) <= 1.0 + 1e-9


async def test_two_streams_get_equal_shares(service: InProcessService) -> None:
    """Callers take turns by records, whoever came first."""
    seen: list[tuple[str, float]] = []

    async def consume(name: str, count: int) -> None:
        async with session.stream(urls(count)) as outcomes:
            async for _ in outcomes:
                seen.append((name, anyio.current_time()))  # noqa: PERF401 - one by one

    async with service.session(max_concurrency=2) as session, anyio.create_task_group() as group:
        group.start_soon(consume, "first", 300)
        await anyio.sleep(0.5)
        group.start_soon(consume, "second", 300)
    half = [name for name, time in seen if 2 < time <= 12]
    assert abs(half.count("first") - half.count("second")) <= 20


async def test_a_request_is_bounded_by_bytes() -> None:
    """Images that would make a request too large go in the next; a larger one goes alone."""
    sizes = [400, 400, 400, 5000, 400, 400]
    service = InProcessService(texts="read")
    async with service.session(max_batch_bytes=1200, max_concurrency=1) as session:
        outcomes = await session.read_all([png(size) for size in sizes])
    assert texts(outcomes) == ["read"] * 6
    assert [outcome.attempts for outcome in outcomes] == [1] * 6
    assert service.sizes == [2, 1, 1, 2]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_files_are_bounded_by_bytes_before_they_are_read(tmp_path: Path) -> None:
    """A file's size is known without loading it; one that is missing fails as ever."""
    service = InProcessService(texts="read")
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(png(900))
    names = [*(f"{number}.png" for number in range(4)), "missing.png", "\0"]
    images = [tmp_path / name for name in names]
    async with service.session(max_batch_bytes=2400) as session:
        outcomes = await session.read_all(images)
    assert [outcome.ok for outcome in outcomes] == [True] * 4 + [False] * 2
    assert sorted(service.sizes) == [2, 2]


# ---- how much at once


async def test_the_limit_finds_an_unknown_capacity(service: InProcessService) -> None:
    """Where the service refuses above 20 in flight, most of it is used and few are refused."""
    service.capacity = 20
    async with service.session(max_concurrency=64, retry=RetryPolicy(attempts=99)) as session:
        outcomes = await session.read_all(urls(6_000))
        assert session.stats.limit <= 22
    assert all(outcome.ok for outcome in outcomes)
    requests = len(service.sizes)
    best = 6_000 / 10 / 20
    assert best / anyio.current_time() >= 0.8
    assert service.refused / requests < 0.1


async def test_limit_changes_are_logged(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """Each change of the limit is told at info, each request at debug."""
    service.reply = in_turn(failing(503))
    with caplog.at_level(logging.DEBUG, "ximilar_ocr_async"):
        async with service.session(max_concurrency=4) as session:
            await session.read_all(urls(10))
    told = [(record.levelname, record.message) for record in caplog.records]
    assert ("INFO", "limit 4 -> 3") in told
    assert [vars(r)["after"] for r in caplog.records if r.message == "limit 4 -> 3"] == [3]
    assert [level for level, text in told if text.startswith("read en, 10 records")] == [
        "DEBUG"
    ] * 2


async def test_the_limit_can_be_fixed(service: InProcessService) -> None:
    """Without adapting, overload changes nothing."""
    service.reply = in_turn(*[failing(503)] * 4)
    async with service.session(max_concurrency=4, adaptive=False) as session:
        await session.read_all(urls(100))
        assert session.stats.limit == 4


async def test_requests_are_spaced_as_asked(service: InProcessService) -> None:
    """A rate spaces the beginnings of requests evenly."""
    async with service.session(max_concurrency=9, max_requests_per_second=4) as session:
        await session.read_all(urls(50))
    assert times(service) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


async def test_jobs_withdrawn_while_the_pace_is_kept_send_nothing(
    service: InProcessService,
) -> None:
    """Who gives up before the next request may begin, sends none."""
    async with service.session(max_requests_per_second=0.1) as session:
        await session.read("https://x.example/1")
        with anyio.move_on_after(2):
            await session.read("https://x.example/2")
        await anyio.sleep(20)
        await session.read("https://x.example/3")
    assert service.sizes == [1, 1]


# ---- deadlines


async def test_a_deadline_ends_what_is_not_finished(service: InProcessService) -> None:
    """What is finished stays finished; the rest fails by the deadline and says where time went."""
    service.latency = 5.0
    async with service.session(max_concurrency=2) as session:
        outcomes = await session.read_all(urls(60), deadline=2.5)
        assert anyio.current_time() == pytest.approx(2.5)
        assert not any(outcome.ok for outcome in outcomes)
        errors = [error_of(outcome) for outcome in outcomes]
        assert {type(error) for error in errors} == {DeadlineExceeded}
        assert "2.5 s since it was pulled, 0.0 s of them queued, 2.5 s in 1 attempt" in str(
            errors[0]
        )
        # What was under way may be billed, what waited cannot be.
        assert [outcome.maybe_billed for outcome in outcomes] == [True] * 20 + [False] * 40
        service.latency = 1.0
        assert (await session.read("https://x.example/1")).text
    assert session._runtime is None


async def test_what_cannot_be_read_in_time_is_not_sent(service: InProcessService) -> None:
    """Once it is known how long an answer takes, what has less time left fails at once and free."""
    async with service.session(max_concurrency=2) as session:
        outcomes = await session.read_all(urls(100), deadline=2.5)
        assert anyio.current_time() == pytest.approx(2.0)
        assert [outcome.ok for outcome in outcomes] == [True] * 40 + [False] * 60
        assert not any(outcome.maybe_billed for outcome in outcomes)
        assert "0.5 s are left, an answer takes 1.0 s" in str(error_of(outcomes[-1]))
        with pytest.raises(DeadlineExceeded, match=r"0\.9 s are left"):
            await session.read("https://x.example/1", deadline=0.9)
        assert anyio.current_time() == pytest.approx(2.0)
    assert service.sizes == [10] * 4


async def test_waiting_for_company_counts_as_time_since_it_was_pulled(
    service: InProcessService,
) -> None:
    """An image that lingered before it was queued says so when its deadline passes."""

    async def slow() -> AsyncIterator[str]:
        yield "https://x.example/1"
        await anyio.sleep(20)

    async with service.session(linger=5) as session:
        (outcome,) = await session.read_all(slow(), deadline=5.5)
    told = "5.5 s since it was pulled, 5.0 s of them queued, 0.5 s in 1 attempt"
    assert told in str(error_of(outcome))


async def test_an_attempt_that_cannot_begin_in_time_is_not_waited_for(
    service: InProcessService,
) -> None:
    """When the pause would outlast the deadline, the image fails at once, with both reasons."""
    service.reply = in_turn(failing(503, "down", headers={"Retry-After": "60"}))
    async with service.session() as session:
        with pytest.raises(DeadlineExceeded, match="503: down") as caught:
            await session.read("https://x.example/1", deadline=30)
        assert anyio.current_time() == pytest.approx(1)
    assert "1.0 s in 1 attempt" in str(caught.value)


async def test_a_session_may_have_a_deadline_for_all_its_calls(service: InProcessService) -> None:
    """A call's own deadline goes before the session's."""
    service.latency = 5
    async with service.session(deadline=1) as session:
        with pytest.raises(DeadlineExceeded):
            await session.read("https://x.example/1")
        assert (await session.read("https://x.example/1", deadline=10)).text


async def test_a_pause_that_the_deadline_cuts_is_not_resumed(service: InProcessService) -> None:
    """An image that waits for its next attempt when another's deadline passes is left alone."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "10"}))
    async with service.session() as session, anyio.create_task_group() as group:
        kept: list[Any] = []

        async def keep() -> None:
            kept.append(await session.read("https://x.example/kept"))

        group.start_soon(keep)
        with pytest.raises(DeadlineExceeded):
            await session.read("https://x.example/late", deadline=5)
    assert [record.text for record in kept] == ["https://x.example/kept"]
    assert service.sizes == [2, 1]


async def test_a_shared_request_outlives_one_callers_deadline(service: InProcessService) -> None:
    """The answer still comes for the other caller."""
    service.latency = 5
    async with service.session() as session, anyio.create_task_group() as group:
        kept: list[Any] = []

        async def keep() -> None:
            kept.append(await session.read("https://x.example/kept"))

        group.start_soon(keep)
        with pytest.raises(DeadlineExceeded):
            await session.read("https://x.example/late", deadline=2)
        assert service.in_flight == 1
    assert len(kept) == 1


async def test_a_source_is_pulled_to_its_end_after_the_deadline(service: InProcessService) -> None:
    """Images that come late fail without being sent: each still has its outcome."""
    async with service.session(max_concurrency=1) as session:
        outcomes = await session.read_all(iter(urls(500)), deadline=1.5)
    assert len(outcomes) == 500
    assert sum(outcome.ok for outcome in outcomes) == 10
    assert len(service.sizes) == 1


@pytest.mark.parametrize("deadline", [-1, float("nan"), "1"])
async def test_a_deadline_is_a_number_of_seconds(service: InProcessService, deadline: Any) -> None:
    """Anything else is an error at once."""
    async with service.session() as session:
        with pytest.raises(OptionError, match="deadline is"):
            await session.read("https://x.example/1", deadline=deadline)


# ---- numbers


async def test_stats_add_up(service: InProcessService) -> None:
    """What was sent, read, sent again and given up is counted."""
    service.reply = in_turn(failing(503), failing(404, "bad"))
    async with service.session(max_concurrency=1) as session:
        before = session.stats
        outcomes = await session.read_all([*urls(20), "not a url"])
        after = session.stats
    assert (before.requests, before.limit, before.in_flight, before.queued) == (0, 1, 0, 0)
    failed = sum(not outcome.ok for outcome in outcomes)
    assert after.records_billed + failed == 21
    assert after.records_failed == failed - 1
    assert after.requests == 3
    assert after.records_sent == 30
    assert after.records_retried == 10
    assert after.records_maybe_billed == 0
    assert after.bytes_sent > 1000


async def test_stats_show_what_is_under_way(service: InProcessService) -> None:
    """While a bulk call runs, its slots and its queue show, in stats and in repr."""
    async with service.session(max_concurrency=2) as session:
        async with session.stream([Image(url) for url in urls(100)]) as outcomes:
            await anyio.sleep(0.5)
            assert (session.stats.in_flight, session.stats.queued) == (2, 10)
            assert "2 of 2 slots in use, 10 queued" in repr(session)
            await anext(outcomes)


async def test_the_last_error_is_what_is_told_when_a_close_cuts_retries(
    service: InProcessService,
) -> None:
    """An attempt that fails while the session closes is not tried again."""
    service.reply = in_turn(failing(503))
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(5)))

    async with anyio.create_task_group() as group:
        async with service.session() as session:
            group.start_soon(read_all)
            await anyio.sleep(0.5)
    assert {type(error_of(outcome)) for outcome in outcomes} == {ServiceUnavailable}

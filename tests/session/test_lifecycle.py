"""A session begins and ends as the block around it does, and leaves nothing behind."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.helpers import error_of, failing, texts, urls
from ximilar_ocr_async import OCRSession, RetryPolicy, SessionClosed, SessionStateError
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


async def test_a_session_is_used_inside_its_block_only(service: InProcessService) -> None:
    """Before entering, after leaving and on entering again there is a clear error."""
    session = service.session()
    with pytest.raises(SessionStateError, match="not entered"):
        await session.read("https://x.example/1")
    async with session:
        stream = session.stream([])
    with pytest.raises(SessionStateError, match="closed"):
        await session.read("https://x.example/1")
    with pytest.raises(SessionStateError, match="once"):
        await session.__aenter__()
    with pytest.raises(SessionClosed):
        await stream.__aenter__()


async def test_closing_fails_what_is_not_done(service: InProcessService) -> None:
    """Calls of other tasks end with the session, each image that was pulled with an outcome."""
    service.reply = in_turn(failing(500))
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(29)))

    async with anyio.create_task_group() as group:
        retry = RetryPolicy(base=1e6, cap=1e6)
        async with service.session(max_concurrency=2, drain=0, retry=retry) as session:
            group.start_soon(read_all)
            await anyio.sleep(1.5)
    errors = [outcome.error for outcome in outcomes if not outcome.ok]
    assert all(isinstance(error, SessionClosed) for error in errors)
    # Of the first two batches one pauses and one is read; the third is in flight, maybe billed.
    assert len(outcomes) == 29
    assert sum(outcome.ok for outcome in outcomes[:20]) == 10
    assert [o.maybe_billed for o in outcomes] == [False] * 20 + [True] * 9


async def test_closing_lets_what_is_under_way_finish(service: InProcessService) -> None:
    """Requests in flight end well within the drain, the rest fails, and every image has its say."""
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(100)))

    async with anyio.create_task_group() as group:
        async with service.session(max_concurrency=2) as session:
            group.start_soon(read_all)
            await anyio.sleep(0.5)
        assert anyio.current_time() == pytest.approx(1)
    assert [outcome.ok for outcome in outcomes] == [True] * 20 + [False] * 80
    assert {type(error_of(outcome)) for outcome in outcomes[20:]} == {SessionClosed}
    assert not any(outcome.maybe_billed for outcome in outcomes)


async def test_a_drain_that_takes_too_long_ends(service: InProcessService) -> None:
    """Requests that do not finish in time fail, and may be billed."""
    service.latency = 100
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(10)))

    async with anyio.create_task_group() as group:
        async with service.session(drain=3) as session:
            group.start_soon(read_all)
            await anyio.sleep(1)
        assert anyio.current_time() == pytest.approx(4)
    assert all(outcome.maybe_billed and not outcome.ok for outcome in outcomes)


async def test_a_drain_can_be_cancelled(service: InProcessService) -> None:
    """A scope around the session cuts its drain short, and nothing stays behind."""
    service.latency = 100
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(3) as scope:
            async with service.session(drain=60) as session:
                group.start_soon(session.read_all, urls(10))
                await anyio.sleep(1)
        assert scope.cancelled_caught
        assert anyio.current_time() == pytest.approx(3)
    assert service.in_flight == 0


@pytest.fixture
async def session_of_a_fixture(service: InProcessService) -> AsyncIterator[OCRSession]:
    """Hold a session around a test, as users' fixtures do."""
    async with service.session() as session:
        yield session


async def test_a_session_may_live_in_a_fixture(session_of_a_fixture: OCRSession) -> None:
    """What pytest enters and leaves around a test is as good as a block."""
    assert (await session_of_a_fixture.read("https://x.example/1")).text


async def test_leaving_twice_is_fine(service: InProcessService) -> None:
    """Closing by hand inside the block leaves nothing to do at its end."""
    async with service.session() as session:
        await session.read("https://x.example/1")
        await session.aclose()
        assert "closed" in repr(session)
        await session.aclose()
    assert service.in_flight == 0


async def test_forgetting_to_leave_warns(service: InProcessService) -> None:
    """A session that is dropped while it is open says so."""
    session = await service.session().__aenter__()
    running = session._runtime
    assert running is not None
    with pytest.warns(ResourceWarning, match="was never closed"):  # noqa: PT031 - two steps
        del session
        gc.collect()
    await running.leave(None)


def test_a_misspelt_option_is_pythons_own_error() -> None:
    """A session that could not be made is collected in silence: it was never open."""
    options: dict[str, Any] = {"concurrency": 3}
    with pytest.raises(TypeError, match="concurrency"):
        OCRSession("token-of-a-test", **options)
    gc.collect()


async def test_callers_elsewhere_end_when_the_sessions_scope_is_cancelled(
    service: InProcessService,
) -> None:
    """A scope around the session that is cancelled leaves nobody waiting in another task."""
    service.reply = in_turn(failing(500))
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(35)))

    session = service.session(max_concurrency=3)
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with session, anyio.create_task_group() as inner:
                group.start_soon(read_all)
                inner.start_soon(anyio.sleep_forever)
                await anyio.sleep(1.5)
                scope.cancel()
    assert len(outcomes) == 35
    errors = {type(error_of(outcome)) for outcome in outcomes if not outcome.ok}
    assert errors == {SessionClosed}


async def test_closing_tells_of_images_that_were_not_pulled(service: InProcessService) -> None:
    """A stream whose session closes ends in an error, not as if there had been no more images."""
    outcomes: list[Any] = []

    async def consume() -> None:
        async with session.stream(urls(100)) as stream:
            with pytest.raises(SessionClosed, match="before its images ended"):
                async for outcome in stream:
                    outcomes.append(outcome)  # noqa: PERF401 - kept although the loop raises

    async with anyio.create_task_group() as group:
        retry = RetryPolicy(base=1e6, cap=1e6)
        async with service.session(max_concurrency=2, drain=0, retry=retry) as session:
            group.start_soon(consume)
            await anyio.sleep(0.5)
    assert sorted(outcome.index for outcome in outcomes) == list(range(30))


async def test_the_bodys_own_error_comes_out_as_it_is(service: InProcessService) -> None:
    """An error of the program's own in the block is raised alone, in no group."""
    with pytest.raises(ZeroDivisionError) as caught:
        async with service.session() as session, session.stream(urls(100)) as outcomes:
            await anext(outcomes)
            raise ZeroDivisionError
    assert not isinstance(caught.value, BaseExceptionGroup)
    assert service.in_flight == 0


async def test_a_cancelled_block_ends_in_time(service: InProcessService) -> None:
    """A scope around the session cancels it cleanly, with requests in flight."""
    with anyio.move_on_after(0.5) as scope:
        async with service.session() as session:
            await session.read_all(urls(100))
    assert scope.cancelled_caught
    assert anyio.current_time() == pytest.approx(0.5)
    assert service.in_flight == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_native_timeouts_and_cancels_leave_the_session_good(
    service: InProcessService,
) -> None:
    """asyncio's own timeout, wait_for and task.cancel end the call, and only the call."""
    service.latency = 0.05
    async with service.session() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.read_all(urls(100))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.read("https://x.example/1"), 0.01)
        task = asyncio.create_task(session.read("https://x.example/2"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert texts(await session.read_all(urls(40))) == urls(40)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_a_native_cancel_of_the_sessions_task_ends_it(service: InProcessService) -> None:
    """The task that holds the session can be cancelled; the cancellation is not swallowed."""

    async def hold() -> None:
        async with service.session() as session:
            await session.read_all(urls(100))

    task = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert service.in_flight == 0


# ---- where it is used


async def test_a_session_stays_in_its_event_loop(service: InProcessService) -> None:
    """Use from another loop or thread is an error before anything is sent."""
    async with service.session() as session:
        for function in (_read_in_another_loop, _stream_without_a_loop):
            with pytest.raises(SessionStateError, match="event loop"):
                await anyio.to_thread.run_sync(function, session)
        assert session.stats.requests == 0
    assert service.sizes == []


def _read_in_another_loop(session: Any) -> None:
    anyio.run(session.read, "https://x.example/1")


def _stream_without_a_loop(session: Any) -> None:
    session.stream(["https://x.example/1"])


DOORS: dict[str, Any] = {
    "a session is left": lambda session, _: session.aclose(),
    "a stream is entered": lambda _, stream: stream.__aenter__(),
    "a stream is left": lambda _, stream: stream.__aexit__(None, None, None),
    "a stream is iterated over": lambda _, stream: stream.__anext__(),
}


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("door", DOORS)
async def test_nothing_is_entered_or_left_in_another_event_loop(
    service: InProcessService, door: str, library: str
) -> None:
    """What waits there would wait for ever: it is an error, and the session goes on."""
    is_over = anyio.Event()

    async def source() -> AsyncIterator[str]:
        await is_over.wait()
        yield "https://x.example/1"

    async with service.session() as session:
        async with session.stream(source()) as stream:
            there = session.stream([]) if "entered" in door else stream

            async def use() -> None:
                await DOORS[door](session, there)

            def run() -> None:
                anyio.run(use, backend=library)

            with pytest.raises(SessionStateError, match="event loop"):
                await anyio.to_thread.run_sync(run)
            is_over.set()
            assert [outcome.ok async for outcome in stream] == [True]


async def test_a_session_that_was_left_may_be_left_again_anywhere(
    service: InProcessService,
) -> None:
    """What programs do at their end harms nothing."""
    async with service.session() as session:
        pass
    await session.aclose()
    await anyio.to_thread.run_sync(anyio.run, session.aclose)

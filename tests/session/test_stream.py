"""Streams are bounded at both ends and lose nothing, in virtual time on asyncio and trio."""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import error_of, failing, texts, times, urls
from ximilar_ocr_async import Image, OCRSession, Outcome, SessionStateError
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


class Source:
    """Images one by one, counting what was taken; async, with a pause before each."""

    def __init__(self, count: int, *, pause: float = 0.0) -> None:
        self.count = count
        self.pause = pause
        self.pulled = 0
        self.closed = False

    def __iter__(self) -> Iterator[str]:
        for number in range(self.count):
            self.pulled += 1
            yield f"https://images.example/{number}.jpg"

    async def each(self) -> AsyncIterator[str]:
        """Yield the images asynchronously."""
        try:
            for image in self:
                await anyio.sleep(self.pause)
                yield image
        finally:
            self.closed = True


# ---- order


async def test_outcomes_come_as_they_finish(service: InProcessService) -> None:
    """A batch that has to be sent again does not hold up the others."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "9"}))
    async with service.session() as session, session.stream(urls(30)) as outcomes:
        indexes = [outcome.index async for outcome in outcomes]
    late = indexes[20:]
    assert late == list(range(late[0], late[0] + 10))
    assert sorted(indexes) == list(range(30))
    assert times(service)[-1] == pytest.approx(1 + 9)


async def test_ordered_outcomes_come_in_the_order_of_the_images(service: InProcessService) -> None:
    """With ordered=True, outcomes wait for those before them."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "9"}))
    async with service.session() as session, session.stream(urls(70), ordered=True) as outcomes:
        assert texts([outcome async for outcome in outcomes]) == urls(70)


@settings(max_examples=60)
@given(
    langs=st.lists(st.sampled_from(["en", "ja", "ru"]), max_size=120),
    limit=st.integers(1, 6),
    ordered=st.booleans(),
    troubles=st.lists(st.sampled_from([None, 429, 500, 503]), max_size=12),
)
async def test_every_image_gets_exactly_one_outcome(
    langs: list[str], limit: int, ordered: bool, troubles: list[int | None]
) -> None:
    """Whatever the mix, the limit and the trouble: one outcome each, bounded requests, own text."""
    service = InProcessService(latency=1.0)
    service.reply = in_turn(*(failing(code) if code else None for code in troubles))
    images = [Image(url, lang=lang) for url, lang in zip(urls(len(langs)), langs, strict=True)]
    async with service.session(max_concurrency=limit) as session:
        async with session.stream(images, ordered=ordered) as stream:
            outcomes = [outcome async for outcome in stream]
    if not ordered:
        outcomes.sort(key=lambda outcome: outcome.index)
    assert [outcome.index for outcome in outcomes] == list(range(len(images)))
    assert [outcome.image for outcome in outcomes] == images
    assert all(o.unwrap().text == o.image.source for o in outcomes if o.ok)
    # Four of five troubles in a row are needed: two for the batch, and three for its singles.
    assert all(outcome.attempts >= 2 for outcome in outcomes if not outcome.ok)
    assert service.peak <= limit
    assert all(1 <= size <= 10 for size in service.sizes)
    assert service.billed == sum(outcome.ok for outcome in outcomes)


@settings(max_examples=40)
@given(count=st.integers(0, 200), limit=st.integers(1, 6))
async def test_batches_are_as_few_as_can_be(count: int, limit: int) -> None:
    """Images of one language go in full batches, but for the last."""
    service = InProcessService(latency=1.0)
    async with service.session(max_concurrency=limit) as session:
        await session.read_all(iter(urls(count)))
    assert sorted(service.sizes) == [count % 10] * (count % 10 > 0) + [10] * (count // 10)


# ---- bounds


@settings(max_examples=40)
@given(limit=st.integers(1, 5), taken=st.integers(0, 80), is_async=st.booleans())
async def test_the_source_is_pulled_only_as_far_as_there_is_room(
    limit: int, taken: int, is_async: bool
) -> None:
    """A consumer that stops taking stops the pulling, one batch beyond what can be in flight."""
    service = InProcessService(latency=1.0)
    source = Source(1_000_000)
    images: Any = source.each() if is_async else source
    async with service.session(max_concurrency=limit) as session:
        async with session.stream(images) as outcomes:
            for _ in range(taken):
                await anext(outcomes)
            await anyio.sleep(100)
            assert source.pulled <= taken + (limit + 1) * 10
            assert service.billed >= taken


async def test_a_slow_source_does_not_keep_a_ready_image_waiting(service: InProcessService) -> None:
    """An image waits 20 ms for company, not for the next image."""
    source = Source(3, pause=10)
    async with service.session() as session:
        await session.read_all(source.each())
    assert service.sizes == [1, 1, 1]
    assert times(service) == pytest.approx([10.02, 20.02, 30])


async def test_how_long_an_image_waits_for_company_can_be_set(service: InProcessService) -> None:
    """With a longer linger, images that come further apart share a request."""
    source = Source(3, pause=1)
    async with service.session(linger=5) as session:
        await session.read_all(source.each())
    assert service.sizes == [3]


async def test_images_that_come_close_together_share_a_request(service: InProcessService) -> None:
    """What comes within 20 ms goes together."""
    source = Source(8, pause=0.006)
    async with service.session() as session:
        await session.read_all(source.each())
    assert service.sizes == [4, 4]


@pytest.mark.parametrize("work, least", [(0.0, 10), (0.002, 90)], ids=["at once", "slowly"])
async def test_other_tasks_get_their_turn_while_a_source_is_pulled(
    service: InProcessService, work: float, least: int
) -> None:
    """A source that is always ready, at once or after some work, does not hold the event loop."""
    turns = 0

    def source() -> Iterator[str]:
        for url in urls(100):
            time.sleep(work)
            yield url

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with service.session(max_concurrency=9) as session, anyio.create_task_group() as group:
        group.start_soon(take_turns)
        async with session.stream(source()) as outcomes:
            while not service.sizes:
                await anyio.lowlevel.checkpoint()
            assert turns >= least
            # While it takes turns there is always something to do, so the clock stands still.
            group.cancel_scope.cancel()
            assert len([outcome async for outcome in outcomes]) == 100


# ---- sources that go wrong


async def test_a_source_that_raises_is_heard_after_its_outcomes(service: InProcessService) -> None:
    """What was pulled before the error gets its outcome; then the error comes out as it is."""

    async def broken() -> AsyncIterator[str]:
        for url in urls(15):
            yield url
        raise LookupError("the bucket is gone")

    outcomes = []
    async with service.session() as session, session.stream(broken()) as stream:
        with pytest.raises(LookupError, match="bucket"):
            async for outcome in stream:
                outcomes.append(outcome)  # noqa: PERF401 - kept although the loop raises
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
    assert texts(sorted(outcomes, key=lambda outcome: outcome.index)) == urls(15)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
async def test_whatever_a_source_raises_is_the_consumers(
    service: InProcessService, error: type[BaseException]
) -> None:
    """Not even what is no Exception kills the session: it comes out at the consumer, as it is."""

    def broken() -> Iterator[str]:
        yield "https://x.example/1"
        raise error("of the source")

    async with service.session() as session:
        with pytest.raises(error, match="of the source"):
            await session.read_all(broken())
        assert (await session.read("https://x.example/2")).text


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_a_stray_cancellation_in_a_source_is_its_own_error(service: InProcessService) -> None:
    """A source that awaits a cancelled task ends its call, with that error, and nothing else."""

    async def stray() -> AsyncIterator[str]:
        yield "https://x.example/1"
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    async with service.session() as session:
        with pytest.raises(asyncio.CancelledError):
            await session.read_all(stray())
        assert (await session.read("https://x.example/2")).text


async def test_a_source_may_clean_up_when_it_is_left_early(service: InProcessService) -> None:
    """An async generator's finally may await, as a database connection's does."""
    cleaned = []

    async def source() -> AsyncIterator[str]:
        try:
            for url in urls(1000):
                yield url
        finally:
            await anyio.sleep(1)
            cleaned.append(True)

    async with service.session() as session, session.stream(source()) as outcomes:
        await anext(outcomes)
    assert cleaned == [True]


async def test_an_error_in_one_images_own_class_fails_that_image(service: InProcessService) -> None:
    """A path of the caller's own class that raises takes no other image with it."""

    class Odd(os.PathLike[str]):
        def __fspath__(self) -> str:
            raise LookupError("no such path")

    images: list[Any] = [*urls(3), Odd()]
    async with service.session() as session:
        outcomes = await session.read_all(images)
    assert [outcome.ok for outcome in outcomes] == [True] * 3 + [False]
    assert "no such path" in str(error_of(outcomes[3]))


async def test_a_source_may_be_any_async_iterable(service: InProcessService) -> None:
    """An object with __anext__ and nothing else is enough."""

    class Bare:
        left = 3

        def __aiter__(self) -> "Bare":
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return "https://x.example/1"

    async with service.session() as session:
        assert len(await session.read_all(Bare())) == 3


# ---- leaving early


async def test_leaving_early_withdraws_what_was_not_sent(service: InProcessService) -> None:
    """After a break nothing more is sent, what was in flight is cut, and the session works on."""
    source = Source(1000)
    async with service.session() as session:
        async with session.stream(source.each()) as outcomes:
            async for _ in outcomes:
                break
        sent = len(service.sizes)
        await anyio.sleep(0.01)
        assert service.in_flight == 0
        await anyio.sleep(100)
        assert len(service.sizes) == sent
        assert source.closed
        assert texts(await session.read_all(urls(40))) == urls(40)


async def test_a_batch_in_its_pause_is_dropped_when_its_call_left(
    service: InProcessService,
) -> None:
    """An abandoned batch is not sent again."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "30"}))
    async with service.session() as session:
        with anyio.move_on_after(5):
            await session.read_all(urls(1))
        await anyio.sleep(100)
    assert service.sizes == [1]


async def test_a_request_shared_with_another_call_goes_on(service: InProcessService) -> None:
    """Cancelling one of two calls whose images ride together leaves the other its answer."""
    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read, "https://x.example/0")
        await anyio.sleep(0.5)
        kept: list[Any] = []

        async def keep() -> None:
            kept.append(await session.read("https://x.example/kept"))

        group.start_soon(keep)
        async with anyio.create_task_group() as dropped:
            dropped.start_soon(session.read, "https://x.example/dropped")
            await anyio.sleep(1)
            dropped.cancel_scope.cancel()
    assert service.sizes == [1, 2]
    assert [record.text for record in kept] == ["https://x.example/kept"]


async def test_a_request_that_nobody_waits_for_keeps_its_slot(service: InProcessService) -> None:
    """The service works on it all the same: the next request waits for its answer."""
    async with service.session(max_concurrency=1) as session:
        with anyio.move_on_after(0.25):
            await session.read("https://x.example/1")
        assert session.stats.records_maybe_billed == 1
        await session.read("https://x.example/2")
        assert session.stats.records_maybe_billed == 0
        assert session.stats.records_billed == 2
    assert times(service) == pytest.approx([0, 1.0])


@pytest.mark.parametrize("known, seconds", [(False, 10.0), (True, 2.0)])
async def test_a_request_that_nobody_waits_for_ends(
    service: InProcessService, known: bool, seconds: float
) -> None:
    """It gets twice the time of an answer, or 10 s while that is not known."""
    async with service.session(max_concurrency=1) as session:
        if known:
            await session.read("https://x.example/1")
        service.latency = 1000
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(session.read, "https://x.example/2")
            await anyio.sleep(0.25)
            group.cancel_scope.cancel()
        service.latency = 1
        await session.read("https://x.example/3")
        assert anyio.current_time() - began == pytest.approx(seconds + 1)
        assert session.stats.records_maybe_billed == 1


async def test_a_timed_out_wait_for_an_outcome_loses_none(service: InProcessService) -> None:
    """Giving up on one `anext` leaves the outcome for the next."""
    outcomes: list[Outcome] = []
    async with service.session() as session, session.stream(urls(20)) as stream:
        while len(outcomes) < 20:
            with anyio.move_on_after(0.3):
                outcomes.append(await anext(stream))
    assert sorted(texts(outcomes)) == sorted(urls(20))


async def test_a_consumer_elsewhere_ends_with_the_block(service: InProcessService) -> None:
    """Another task that waits for an outcome when the block is left does not wait for ever."""
    ended: list[bool] = []

    async def consume() -> None:
        with pytest.raises(SessionStateError, match="inside"):
            await anext(stream)
        ended.append(True)

    async with service.session() as session, anyio.create_task_group() as group:
        async with session.stream(urls(5)) as stream:
            group.start_soon(consume)
            await anyio.sleep(0.5)
    assert ended == [True]


async def test_what_is_left_early_keeps_no_image_alive() -> None:
    """Neither a batch in its pause nor the stream holds images once their call is gone."""

    class Picture(bytes):
        __slots__ = ()
        alive = 0

        def __new__(cls) -> Self:
            cls.alive += 1
            return super().__new__(cls, b"\x89PNG\r\n\x1a\n")

        def __del__(self) -> None:
            Picture.alive -= 1

    service = InProcessService(texts="read")
    service.reply = in_turn(failing(500, headers={"Retry-After": "100"}))
    async with service.session() as session:
        with anyio.move_on_after(5):
            await session.read(Picture())
        await anyio.sleep(0.1)
        gc.collect()
        assert Picture.alive == 0
        assert (await session.read(Picture(), outage_timeout=1000)).text == "read"
        # On Python 3.13, trio holds on to a task that ended for one more turn of its loop.
        await anyio.sleep(0.1)
        gc.collect()
        assert Picture.alive == 0


async def test_repr_is_short_whatever_it_holds(service: InProcessService) -> None:
    """What stands in the frames of a traceback prints neither images nor items."""
    async with service.session() as session:
        images: list[Any] = [bytes(1_000_000)] * 5 + [*urls(500)]
        async with session.stream(images) as stream:
            await anyio.sleep(0.5)
            assert repr(stream) == "<Stream, 40 images pulled, 40 of them not handed out>"
            running = session._runtime
            assert running is not None
            assert len(repr(running.scheduler)) < 100


async def test_several_consumers_share_a_stream(service: InProcessService) -> None:
    """Each outcome goes to one of them, and all of them end."""
    outcomes: list[Any] = []

    async def consume() -> None:
        async for outcome in stream:
            outcomes.append(outcome)
            await anyio.sleep(0.01)

    async with service.session() as session, session.stream(urls(100)) as stream:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(consume)
    assert sorted(texts(outcomes)) == sorted(urls(100))


async def test_a_stream_is_used_inside_its_block_only(service: InProcessService) -> None:
    """Before, after and a second time there is a clear error instead of waiting for ever."""
    async with service.session() as session:
        stream = session.stream(urls(5))
        with pytest.raises(SessionStateError, match="inside"):
            await anext(stream)
        async with stream:
            assert (await anext(stream)).ok
        with pytest.raises(SessionStateError, match="inside"):
            await anext(stream)
        with pytest.raises(SessionStateError, match="once"):
            await stream.__aenter__()


async def test_a_million_images_are_never_held(service: InProcessService) -> None:
    """A long run keeps no more items than its window, whatever came before."""
    held = 0
    async with service.session(max_concurrency=4) as session:
        async with session.stream(Source(3000)) as outcomes:
            async for _ in outcomes:
                held = max(held, _held(session))
    assert held <= 50


def _held(session: OCRSession) -> int:
    slots = session._runtime.scheduler.slots  # type: ignore[union-attr]
    batches = [*slots.in_flight, *slots.pausing]
    return sum(len(batch.items) for batch in batches) + len(slots.queue)

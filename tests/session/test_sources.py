"""A source may hold scopes and task groups open over its yields; they harm nobody else's work."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any, Self

import anyio
import pytest

from tests.helpers import texts, urls
from ximilar_ocr_async import OCRSession, SessionClosed
from ximilar_ocr_async.testing import InProcessService, virtual_time

pytestmark = pytest.mark.anyio

MANY = 1000


async def in_fail_after() -> AsyncIterator[str]:
    """Yield under a timeout."""
    with anyio.fail_after(600):
        for url in urls(MANY):
            yield url


async def in_move_on_after() -> AsyncIterator[str]:
    """Yield under a scope that ends quietly."""
    with anyio.move_on_after(600):
        for url in urls(MANY):
            yield url


async def in_a_task_group() -> AsyncIterator[str]:
    """Yield while tasks of the source's own run."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        for url in urls(MANY):
            yield url
        group.cancel_scope.cancel()


async def in_a_shield() -> AsyncIterator[str]:
    """Yield under a shield, with a cleanup that waits."""
    with anyio.CancelScope(shield=True):
        try:
            for url in urls(MANY):
                yield url
        finally:
            await anyio.sleep(1)


async def nested() -> AsyncIterator[str]:
    """Yield what a generator inside yields, and close it."""
    with anyio.fail_after(600):
        async with aclosing(in_a_task_group()) as inner:  # type: ignore[type-var]
            async for url in inner:
                yield url


def in_a_plain_generator() -> Iterator[str]:
    """Yield under a timeout, synchronously."""
    with anyio.fail_after(600):  # noqa: ASYNC100 - others wait meanwhile
        yield from urls(MANY)


class Container:
    """Makes a new generator each time that it is iterated over."""

    def __aiter__(self) -> AsyncIterator[str]:
        return in_fail_after()


class Wrapped:
    """Passes on what a generator yields, and ends it when it is closed; no generator itself."""

    def __init__(self) -> None:
        self._inner = in_fail_after()

    def __aiter__(self) -> "WrappedIterator":
        return WrappedIterator(self._inner)


class WrappedIterator:
    """The iterator that such a wrapper makes."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        image: str = await anext(self._inner)
        return image

    async def aclose(self) -> None:
        """Close what it wraps."""
        await self._inner.aclose()


SOURCES: list[Callable[[], Any]] = [
    in_fail_after,
    in_move_on_after,
    in_a_task_group,
    in_a_shield,
    nested,
    in_a_plain_generator,
    Container,
    Wrapped,
]


async def by_break(session: OCRSession, source: Any) -> None:
    """Leave the stream after an outcome."""
    async with session.stream(source) as outcomes:
        async for _ in outcomes:
            break


async def by_an_error(session: OCRSession, source: Any) -> None:
    """Leave the stream with an exception."""
    with pytest.raises(ZeroDivisionError):
        async with session.stream(source) as outcomes:
            await anext(outcomes)
            raise ZeroDivisionError


async def by_a_scope(session: OCRSession, source: Any) -> None:
    """Cancel a call of many images."""
    with anyio.move_on_after(2.5) as scope:
        await session.read_all(source)
    assert scope.cancelled_caught


async def by_an_error_while_submitting(session: OCRSession, source: Any) -> None:
    """Have a submission end when the first id is known."""

    def fail(_: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await session.submit(source, on_id=fail)


async def before_the_first(session: OCRSession, source: Any) -> None:
    """Leave the stream at once."""
    async with session.stream(source):
        pass


async def by_native_cancel(session: OCRSession, source: Any) -> None:
    """Cancel the task that calls, as asyncio does it."""
    task = asyncio.ensure_future(session.read_all(source))
    await asyncio.sleep(2.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_native_timeout(session: OCRSession, source: Any) -> None:
    """End the call by asyncio's own timeout."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.5):
            await session.read_all(source)


async def check_left(service: InProcessService, leave: Any, source: Callable[[], Any]) -> None:
    """Check that *leave* harms neither another task's read nor the session."""
    records: list[Any] = []

    async def read() -> None:
        records.append(await session.read("https://x.example/other"))

    async with service.session() as session, anyio.create_task_group() as group:
        group.start_soon(read)
        await leave(session, source())
        assert texts(await session.read_all(urls(5))) == urls(5)
    assert [record.text for record in records] == ["https://x.example/other"]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
@pytest.mark.parametrize(
    "leave",
    [by_break, by_an_error, by_a_scope, by_an_error_while_submitting, before_the_first],
    ids=lambda leave: leave.__name__,
)
async def test_a_source_with_a_scope_may_be_left_early(
    service: InProcessService,
    leave: Any,
    source: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However it is left, other calls go on, the session stays good, and nothing is logged."""
    await check_left(service, leave, source)
    assert caplog.records == []


@pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], indirect=False)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
@pytest.mark.parametrize(
    "leave", [by_native_cancel, by_native_timeout], ids=lambda leave: leave.__name__
)
async def test_a_source_with_a_scope_may_be_cancelled_natively(
    service: InProcessService, leave: Any, source: Callable[[], Any]
) -> None:
    """So it is with asyncio's own ways to cancel."""
    await check_left(service, leave, source)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.__name__)
async def test_a_source_with_a_scope_ends_with_its_session(
    service: InProcessService, source: Callable[[], Any]
) -> None:
    """A session that closes meanwhile tells the caller, and nobody hangs."""
    errors: list[BaseException] = []

    async def read_all() -> None:
        try:
            await session.read_all(source())
        except SessionClosed as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        async with service.session(drain=0) as session:
            group.start_soon(read_all)
            await anyio.sleep(2.5)
    assert len(errors) == 1
    assert sum(outcome.ok for outcome in errors[0].outcomes) == 60  # type: ignore[attr-defined]


# ---- scopes of the source that end by themselves


def pull_within(seconds: float) -> AsyncIterator[str]:
    """Make a source that may take so many seconds, as users write it."""

    async def source() -> AsyncIterator[str]:
        with anyio.fail_after(seconds):
            for url in urls(MANY):
                yield url

    return source()


def pull_plainly_within(seconds: float) -> Iterator[str]:
    """Make the same, synchronously."""
    with anyio.fail_after(seconds):  # noqa: ASYNC100 - others wait meanwhile
        yield from urls(MANY)


@pytest.mark.parametrize("source", [pull_within, pull_plainly_within])
async def test_a_sources_timeout_is_its_own_error(
    service: InProcessService, source: Callable[[float], Any]
) -> None:
    """A fail_after that ends while there is no room is a TimeoutError, with what was read on it."""
    async with service.session() as session:
        with pytest.raises(TimeoutError) as caught:
            await session.read_all(source(2.5))
        assert len(caught.value.outcomes) == 100  # type: ignore[attr-defined]
        assert all(outcome.ok for outcome in caught.value.outcomes)  # type: ignore[attr-defined]
        assert (await session.read("https://x.example/1")).text


async def test_a_sources_quiet_scope_ends_it(service: InProcessService) -> None:
    """A move_on_after that ends while there is no room ends the source, and not the call."""

    async def source() -> AsyncIterator[str]:
        with anyio.move_on_after(2.5):
            for url in urls(MANY):
                yield url

    def plain_source() -> Iterator[str]:
        with anyio.move_on_after(2.5):  # noqa: ASYNC100 - others wait meanwhile
            yield from urls(MANY)

    async with service.session() as session:
        assert len(await session.read_all(source())) == 100
        assert len(await session.read_all(plain_source())) == 100


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_source_goes_on_after_a_quiet_scope(
    service: InProcessService, is_async: bool
) -> None:
    """What it yields behind a scope that ended is read like the rest."""

    async def source() -> AsyncIterator[str]:
        for image in plain():
            yield image

    def plain() -> Iterator[str]:
        with anyio.move_on_after(0.5):  # noqa: ASYNC100 - others wait meanwhile
            yield from urls(MANY)
        yield "https://x.example/last"

    async def direct() -> AsyncIterator[str]:
        with anyio.move_on_after(0.5):
            for url in urls(MANY):
                yield url
        yield "https://x.example/last"

    async with service.session() as session:
        outcomes = await session.read_all(direct() if is_async else plain())
    assert texts(outcomes) == [*urls(40), "https://x.example/last"]


async def test_a_failure_in_a_sources_task_group_is_its_own_error(
    service: InProcessService,
) -> None:
    """A task of the source that fails while there is no room ends the call with its group."""

    async def fail() -> None:
        await anyio.sleep(2.5)
        raise LookupError("the listing is gone")

    async def source() -> AsyncIterator[str]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            for url in urls(MANY):
                yield url

    async with service.session() as session:
        with pytest.raises(ExceptionGroup) as caught:
            await session.read_all(source())
        assert caught.group_contains(LookupError, match="listing")
        assert len(caught.value.outcomes) == 100  # type: ignore[attr-defined]
        assert (await session.read("https://x.example/1")).text


async def test_a_scope_around_an_iterator_of_another_kind_ends_its_call(
    service: InProcessService,
) -> None:
    """What cannot be told of its scope's end ends in a TimeoutError, too."""

    class Odd:
        left = MANY

        def __aiter__(self) -> Self:
            self.scope = anyio.move_on_after(2.5)
            self.scope.__enter__()
            return self

        async def __anext__(self) -> str:
            self.left -= 1
            return f"https://x.example/{self.left}"

    async with service.session() as session:
        with pytest.raises(TimeoutError, match="scope"):
            await session.read_all(Odd())
        assert (await session.read("https://x.example/1")).text


async def test_a_source_that_lets_its_cancellation_out_ends_its_call(
    service: InProcessService,
) -> None:
    """A scope that is never left cancels nobody but the source."""

    async def source() -> AsyncIterator[str]:
        scope = anyio.CancelScope()
        scope.__enter__()
        yield "https://x.example/1"
        scope.cancel()
        await anyio.sleep(1)

    async with service.session() as session:
        with pytest.raises(TimeoutError, match="scope"):
            await session.read_all(source())
        assert (await session.read("https://x.example/1")).text


# ---- cleanups


class Log(list[str]):
    """What a source did when it was left."""


def catches(log: Log) -> AsyncIterator[str]:
    """Make a source that takes its closing for the end of its work."""

    async def source() -> AsyncIterator[str]:
        with anyio.fail_after(600):
            try:
                for url in urls(MANY):
                    yield url
            except GeneratorExit:
                log.append("caught")

    return source()


def waits(log: Log) -> AsyncIterator[str]:
    """Make a source whose cleanup takes a second, in scopes of its own."""

    async def source() -> AsyncIterator[str]:
        async with anyio.create_task_group():
            try:
                for url in urls(MANY):
                    yield url
            finally:
                with anyio.fail_after(3):
                    await anyio.sleep(1)
                log.append("cleaned")

    return source()


@pytest.mark.parametrize("make, said", [(catches, "caught"), (waits, "cleaned")])
async def test_a_source_cleans_up_within_its_own_scopes(
    service: InProcessService, make: Callable[[Log], Any], said: str
) -> None:
    """It may catch its closing, and may wait."""
    log = Log()
    async with service.session() as session:
        await by_break(session, make(log))
        assert log == [said]


async def test_a_plain_generator_is_closed_when_it_is_left(service: InProcessService) -> None:
    """Its cleanup comes before the stream is left, and not when it is collected."""
    log = Log()

    def source() -> Iterator[str]:
        try:
            yield from urls(MANY)
        finally:
            log.append("cleaned")

    kept = source()
    async with service.session() as session:
        await by_break(session, kept)
        assert log == ["cleaned"]


async def test_an_iterator_that_was_given_is_not_closed(service: InProcessService) -> None:
    """Who made an iterator may go on with it, such as the end of a memory stream."""
    send, receive = anyio.create_memory_object_stream[str](MANY)
    with send, receive:
        for url in urls(100):
            send.send_nowait(url)
        async with service.session() as session:
            await by_break(session, receive)
        assert (await receive.receive()).startswith("https://")


async def test_a_cleanup_that_takes_too_long_is_cancelled(service: InProcessService) -> None:
    """It gets five seconds; then the stream is left all the same."""
    log = Log()

    async def source() -> AsyncIterator[str]:
        try:
            for url in urls(MANY):
                yield url
        finally:
            try:
                await anyio.sleep(60)
            finally:
                log.append("cancelled")

    async with service.session() as session:
        await by_break(session, source())
        assert log == ["cancelled"]
        assert anyio.current_time() == pytest.approx(1 + 5)
        assert (await session.read("https://x.example/1")).text


async def raises() -> AsyncIterator[str]:
    """Yield images; fail when closed."""
    try:
        for url in urls(MANY):
            yield url
    finally:
        raise ValueError("the cursor is gone")


async def goes_on() -> AsyncIterator[str]:
    """Yield another image when closed."""
    try:
        for url in urls(MANY):
            yield url
    finally:
        yield "https://x.example/more"


async def ends_oddly() -> AsyncIterator[str]:
    """Raise what is no Exception when closed."""
    try:
        for url in urls(MANY):
            yield url
    finally:
        raise BaseException("odd")  # noqa: TRY002 - as said


async def leaves_one_open() -> AsyncIterator[str]:
    """Yield what a generator inside yields, and forget to close it."""
    with anyio.fail_after(600):
        async for url in in_fail_after():
            yield url


@pytest.mark.parametrize("source", [raises, goes_on, ends_oddly])
async def test_a_source_that_goes_wrong_when_it_is_left_harms_nobody(
    service: InProcessService, source: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and the session goes on."""
    with caplog.at_level(logging.WARNING, "ximilar_ocr_async"):
        await check_left(service, by_break, source)
    assert "a source of images" in caplog.text


@pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], indirect=False)
async def test_a_stray_cancellation_after_leaving_is_no_ones(service: InProcessService) -> None:
    """A source that awaits a cancelled task in its cleanup ends nothing but itself."""

    async def source() -> AsyncIterator[str]:
        try:
            for url in urls(MANY):
                yield url
        finally:
            task = asyncio.ensure_future(asyncio.sleep(10))
            task.cancel()
            await task

    await check_left(service, by_break, source)


async def test_a_source_that_is_cancelled_while_the_session_ends_says_nothing_new(
    service: InProcessService,
) -> None:
    """The end of the session is why the call ends, and carries what was paid for."""
    service.latency = 2.0
    caught: list[SessionClosed] = []

    async def source() -> AsyncIterator[str]:
        yield next(iter(urls(1)))
        await anyio.sleep(1.0)
        raise GeneratorExit

    async def read() -> None:
        try:
            await session.read_all(source())
        except SessionClosed as error:
            caught.append(error)

    async with anyio.create_task_group() as group:
        async with service.session() as session:
            group.start_soon(read)
            await anyio.sleep(0.5)
    [error] = caught
    assert [outcome.ok for outcome in error.outcomes] == [True]

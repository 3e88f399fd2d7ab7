"""What is done for a call runs in its caller's context, which is let go when the call ends."""

import gc
import logging
import weakref
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from contextvars import ContextVar
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import failing, refused, urls
from ximilar_ocr_async import OCRSession
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


class Trace:
    """What a program keeps in its context, such as a request and all that belongs to it."""

    def __init__(self, name: str) -> None:
        self.name = name


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


def name_here() -> str | None:
    """Return whose context this is."""
    trace = TRACE.get()
    return trace.name if trace else None


class Watched(InProcessService):
    """Notes in whose context each request is made, as a hook of httpx would."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.names: list[str | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.names.append(name_here())
        return await super().handle_async_request(request)


async def call(session: OCRSession, kind: str) -> None:
    """Make a call of that kind."""
    match kind:
        case "read":
            await session.read("https://x.example/1")
        case "read_all":
            await session.read_all(urls(25))
        case "stream":
            async with session.stream(urls(25)) as outcomes:
                assert len([outcome async for outcome in outcomes]) == 25
        case "job":
            job = await session.submit(urls(25))
            assert len(await job.wait()) == 25
        case "account":
            await session.account()


KINDS = ["read", "read_all", "stream", "job", "account"]


@pytest.mark.parametrize("kind", KINDS)
async def test_requests_run_in_the_callers_context(kind: str) -> None:
    """Not in that of whoever entered the session, or made the call before; resends neither."""
    service = Watched(latency=1.0)
    TRACE.set(Trace("enterer"))
    async with service.session() as session:
        for name in ("first", "second"):
            service.names.clear()
            service.reply = in_turn(refused(), failing(500))
            TRACE.set(Trace(name))
            await call(session, kind)
            assert len(service.names) >= 3
            assert set(service.names) == {name}


async def test_a_shared_request_runs_in_the_context_of_its_first_caller() -> None:
    """Calls that share a request have one of them in its context."""
    service = Watched(latency=1.0)

    async def read(name: str) -> None:
        TRACE.set(Trace(name))
        await session.read(f"https://x.example/{name}")

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(read, "first")
        await anyio.sleep(0.5)
        for name in ("second", "third"):
            group.start_soon(read, name)
            await anyio.sleep(0.1)
    assert service.names == ["first", "second"]
    assert service.sizes == [1, 2]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_source_is_pulled_in_the_callers_context(
    service: InProcessService, is_async: bool
) -> None:
    """What was set before the call is seen by the generator, and so it is when it is closed."""
    names: list[str | None] = []

    def plain() -> Generator[str]:
        try:
            for url in urls(100):
                names.append(name_here())
                yield url
        finally:
            names.append(name_here())

    async def source() -> AsyncIterator[str]:
        with closing(plain()) as images:
            for image in images:
                yield image

    async with service.session() as session:
        TRACE.set(Trace("caller"))
        await session.read_all(source() if is_async else plain())
        async with session.stream(source() if is_async else plain()) as outcomes:
            await anext(outcomes)
    assert set(names) == {"caller"}


async def test_log_records_are_made_in_the_callers_context(service: InProcessService) -> None:
    """A filter that adds the id of a request to log records finds it."""
    names: list[str | None] = []

    class Noting(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            names.append(name_here())

    logger, handler = logging.getLogger("ximilar_ocr_async"), Noting()
    logger.addHandler(handler)
    try:
        async with service.session() as session:
            session._runtime.scheduler.attempt = Broken(session)  # type: ignore[union-attr]
            TRACE.set(Trace("caller"))
            await session.read_all(urls(3))
    finally:
        logger.removeHandler(handler)
    assert names
    assert set(names) == {"caller"}


class Broken:
    """Attempts nothing: it has a bug."""

    def __init__(self, session: Any) -> None:
        self.max_bytes = session._runtime.scheduler.attempt.max_bytes

    async def __call__(self, *_: Any) -> Any:
        """Fail."""
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_the_context_is_let_go_when_the_call_ends(kind: str, is_cancelled: bool) -> None:
    """Nothing of the session keeps what the caller had in it."""
    service = Watched(latency=1.0)
    kept: list[Any] = []

    async def make() -> None:
        trace = Trace("caller")
        TRACE.set(trace)
        kept.append(weakref.ref(trace))
        with anyio.move_on_after(0.5 if is_cancelled else 1000):
            await call(session, kind)

    async with service.session() as session:
        async with anyio.create_task_group() as group:
            group.start_soon(make)
        # A request that nobody waits for is let finish, and asyncio keeps the context of a timer
        # that was cancelled until its time may have come.
        await anyio.sleep(1000)
        gc.collect()
        assert kept[0]() is None
        await session.read("https://x.example/1")

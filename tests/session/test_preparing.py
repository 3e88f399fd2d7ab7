"""A user's class in a session: what it does is its own call's affair."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from time import sleep
from typing import Any

import anyio
import anyio.to_thread
import pytest
from attrs import frozen

from ximilar_ocr_async import (
    DeadlineExceeded,
    ExtractionError,
    Failure,
    OCRSession,
    Success,
)
from ximilar_ocr_async._concurrency import run_aside
from ximilar_ocr_async.testing import InProcessService, ScriptedGPT

pytestmark = pytest.mark.anyio

IMAGES = [f"https://scans.example/{number}.jpg" for number in range(10)]
LONG = "x" * 5_000
"""A word that makes a completion too long for the event loop."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: threads do not know of another."""
    return request.param


def service(word: str = LONG) -> InProcessService:
    """Make a service whose language model always answers with this *word*."""
    return InProcessService(gpt=ScriptedGPT(lambda _, __: f'{{"word": "{word}"}}'))


@frozen
class Quick:
    """A class like most."""

    word: str


async def test_a_class_that_takes_long_holds_up_no_other_call() -> None:
    """Whoever shares a batch with it has an instance while that class is still at work."""
    is_over = threading.Event()

    @frozen
    class Slow:
        word: str

        def __attrs_post_init__(self) -> None:
            assert is_over.wait(30.0)

    there = service()
    made: list[Any] = []

    async def extract(cls: type[Any], image: str) -> None:
        made.append(type(await session.extract(image, cls)))

    async with there.session(max_concurrency=1) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(extract, Slow, IMAGES[0])
            group.start_soon(extract, Quick, IMAGES[1])
            with anyio.fail_after(20.0):
                while not made:  # noqa: ASYNC110 - nothing tells
                    await anyio.sleep(0.01)
            # Neither does its slot wait: a request is answered meanwhile.
            assert (await session.read(IMAGES[2])).text
            is_over.set()
    assert made == [Quick, Slow]
    assert len(there.log) == 2


class OwnError(BaseException):
    """Of a program that knows better."""


@pytest.mark.parametrize("word", ["x", LONG], ids=["on the loop", "in a thread"])
@pytest.mark.parametrize(
    "make",
    [
        asyncio.CancelledError,
        GeneratorExit,
        SystemExit,
        OwnError,
        RecursionError,
        lambda: BaseExceptionGroup("two", [OwnError(), ValueError()]),
    ],
)
async def test_whatever_a_class_raises_fails_its_image_alone(
    make: Callable[[], BaseException], word: str
) -> None:
    """Neighbours in the batch, of the same call and of others, are read and paid once."""
    raised: list[str] = []

    @frozen
    class Odd:
        word: str

        def __attrs_post_init__(self) -> None:
            if not raised:
                raised.append(self.word)
                raise make()

    there = service(word)
    async with there.session(max_concurrency=1) as session:
        found: list[Any] = []

        async def read() -> None:
            found.append(await session.extract(IMAGES[9], Quick))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            outcomes = await session.extract_all(IMAGES[:9], Odd)
        assert session.stats.records_billed == 10
        assert session.stats.records_maybe_billed == 0
    [failure] = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert isinstance(failure.error, ExtractionError)
    assert len(found) == 1


async def test_an_interrupt_that_a_class_raises_in_a_thread_is_its_own() -> None:
    """Ctrl-C comes to the main thread alone."""

    @frozen
    class Odd:
        word: str

        def __attrs_post_init__(self) -> None:
            raise KeyboardInterrupt

    async with service().session() as session:
        with pytest.raises(ExtractionError, match="KeyboardInterrupt"):
            await session.extract(IMAGES[0], Odd)
        assert (await session.extract(IMAGES[1], Quick)).word == LONG


async def test_a_class_that_hangs_ends_with_its_deadline_and_is_marked() -> None:
    """The image was billed and brought nothing: so it is marked. Leaving waits for nothing."""
    is_over = threading.Event()

    @frozen
    class Hanging:
        word: str

        def __attrs_post_init__(self) -> None:
            is_over.wait(30.0)

    try:
        with anyio.fail_after(20.0):
            async with service().session(drain=0.0) as session:
                [outcome] = await session.extract_all(IMAGES[:1], Hanging, deadline=0.5)
                assert isinstance(outcome, Failure)
                assert isinstance(outcome.error, DeadlineExceeded)
                assert outcome.maybe_billed
                assert session.stats.records_billed == 1
    finally:
        is_over.set()


async def test_leaving_waits_for_instances_of_what_was_paid_for() -> None:
    """What is being made when the session is left is handed out, as what is in flight is."""
    has_begun, is_over = threading.Event(), threading.Event()

    @frozen
    class Slow:
        word: str

        def __attrs_post_init__(self) -> None:
            has_begun.set()
            is_over.wait(30.0)

    outcomes: list[Any] = []
    session = service().session()

    async def extract() -> None:
        outcomes.extend(await session.extract_all(IMAGES[:1], Slow))

    async with anyio.create_task_group() as group:
        async with session:
            group.start_soon(extract)
            while not has_begun.is_set():  # noqa: ASYNC110 - of a thread
                await anyio.sleep(0.01)
            threading.Timer(0.1, is_over.set).start()
    [outcome] = outcomes
    assert isinstance(outcome, Success)


@pytest.mark.parametrize("are_single", [False, True], ids=["one call", "ten calls"])
async def test_a_class_that_held_up_the_loop_once_goes_to_threads(are_single: bool) -> None:
    """A short completion is tried at once; a validator that takes long is not tried there again."""
    threads: list[threading.Thread] = []

    @frozen
    class Slow:
        word: str

        def __attrs_post_init__(self) -> None:
            threads.append(threading.current_thread())
            sleep(0.02)

    async with service("x").session(max_concurrency=1) as session:
        if are_single:
            # Calls of their own, which share a batch.
            async with anyio.create_task_group() as group:
                for image in IMAGES:
                    group.start_soon(session.extract, image, Slow)
        else:
            outcomes = await session.extract_all(IMAGES, Slow)
            assert all(isinstance(outcome, Success) for outcome in outcomes)
    here = threading.current_thread()
    assert [thread is here for thread in threads] == [True] + [False] * 9


async def test_instances_see_the_context_of_their_call() -> None:
    """A class that asks for a context variable gets what its own caller set."""
    who: ContextVar[str] = ContextVar("who", default="nobody")

    @frozen
    class Asking:
        word: str

        def __attrs_post_init__(self) -> None:
            seen.add(who.get())

    for word in ("x", LONG):
        seen: set[str] = set()

        async def extract(name: str, session: OCRSession) -> None:
            who.set(name)
            await session.extract(IMAGES[0], Asking)

        async with service(word).session(max_concurrency=1) as session:
            async with anyio.create_task_group() as group:
                for name in ("Ada", "Bob"):
                    group.start_soon(extract, name, session)
        assert seen == {"Ada", "Bob"}


async def test_work_is_done_here_where_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without threads to spare costs time, and nothing that was paid for."""

    async def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(anyio.to_thread, "run_sync", refuse)
    assert await run_aside(lambda: 7) == 7


async def test_an_error_of_the_work_itself_is_raised() -> None:
    """Work that raises what a missing thread raises is not done twice."""
    times: list[int] = []

    def work() -> None:
        times.append(1)
        raise RuntimeError("its own")

    with pytest.raises(RuntimeError, match="its own"):
        await run_aside(work)
    assert times == [1]

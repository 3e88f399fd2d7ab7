"""Signals: what their handlers raise, in whatever task it lands, ends the program and no money."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, get_args

import anyio
import httpx
import pytest

from ximilar_ocr_async import OCRSession
from ximilar_ocr_async._concurrency import has_signal
from ximilar_ocr_async.events import AttemptEnded, Event, OutcomeReady
from ximilar_ocr_async.testing import InProcessService, in_turn, virtual_time

# A loop that ends in the middle of it all leaves coroutines behind that never began.
pytestmark = pytest.mark.filterwarnings(
    "ignore::RuntimeWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

URLS = [f"https://images.example/{number}.jpg" for number in range(25)]

SIGNALS = [KeyboardInterrupt(), SystemExit(3)]
"""What handlers raise: Python's own for SIGINT, and those that exit for SIGTERM."""


@pytest.fixture(autouse=True)
def _leave_nothing_to_others() -> Iterator[None]:
    """Collect what is left here, and not in another test."""
    yield
    gc.collect()


def session_of(service: InProcessService) -> OCRSession:
    """Return a session that reads from *service*."""
    return OCRSession("t", base_url="https://ocr.example", http_client=service.client())


def run(main: Callable[[], Awaitable[object]], library: str) -> None:
    """Run *main* as programs do."""
    backend, options = virtual_time(library)
    anyio.run(main, backend=backend, backend_options=options)


def interrupting(service: InProcessService, error: BaseException, at: int) -> None:
    """Let *error* be raised in the attempt that makes request number *at*, after it was billed."""
    answer = service.handle_async_request

    async def interrupt(request: Any) -> Any:
        response = await answer(request)
        if len(service.log) == at:
            raise error
        return response

    service.handle_async_request = interrupt  # type: ignore[method-assign]


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("error", SIGNALS, ids=lambda error: type(error).__name__)
def test_a_signal_that_lands_in_an_attempt_ends_the_program(
    library: str, error: BaseException
) -> None:
    """It is no internal error of one batch, and what was on its way is marked."""
    service = InProcessService(latency=1.0)
    interrupting(service, error, 3)
    books: list[Any] = []

    async def main() -> None:
        async with session_of(service) as session:
            books.append(session._open().tenant.accounting)
            await session.read_all(URLS)

    with pytest.raises(type(error)):
        run(main, library)
    billed = sum(len(seen.records) for seen in service.log)
    assert books[0].billed + books[0].maybe_billed == billed == 25


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("error", SIGNALS, ids=lambda error: type(error).__name__)
def test_a_signal_that_lands_in_a_request_without_images_ends_the_program(
    library: str, error: BaseException
) -> None:
    """The account's request is no better a place to lose it in."""
    service = InProcessService()
    interrupting(service, error, 1)

    async def main() -> None:
        async with session_of(service) as session:
            await session.account()

    with pytest.raises(type(error)):
        run(main, library)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("error", SIGNALS, ids=lambda error: type(error).__name__)
def test_a_signal_that_lands_in_the_source_ends_the_program(
    library: str, error: BaseException
) -> None:
    """An iterable is pulled in a task of the session, which does not keep it either."""
    service = InProcessService()

    async def source() -> Any:
        yield URLS[0]
        raise error

    async def main() -> None:
        async with session_of(service) as session:
            await session.read_all(source())

    with pytest.raises(type(error)):
        run(main, library)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize("error", SIGNALS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", [*get_args(Event)], ids=lambda kind: kind.__name__)
def test_a_signal_that_lands_in_a_listener_ends_the_program(
    library: str, error: BaseException, kind: type
) -> None:
    """Whatever it was told of; and what the session was doing then is done to its end."""
    service = InProcessService(latency=1.0)
    hold = httpx.Response(503, headers={"Retry-After": "2"})
    service.reply = in_turn(hold, *[httpx.Response(503)] * 5)
    heard: list[Event] = []
    books: list[Any] = []

    def listen(event: Event) -> None:
        heard.append(event)
        if isinstance(event, kind):
            raise error

    async def main() -> None:
        session = OCRSession(
            "t", base_url="https://ocr.example", http_client=service.client(), on_event=listen
        )
        async with session:
            books.append(session._open().tenant.accounting)
            await session.read_all(URLS)
            await anyio.sleep(100)

    with pytest.raises(type(error)):
        run(main, library)
    told = [event for event in heard if isinstance(event, AttemptEnded)]
    assert sum(event.billed for event in told) == books[0].billed
    ready = {event.index for event in heard if isinstance(event, OutcomeReady) and event.ok}
    # All that came with a response has its outcome, behind the one that was interrupted, too.
    assert len(ready) == books[0].billed


def test_a_signal_is_found_in_the_sum_of_a_task_group() -> None:
    """Whoever has raised it already does so once."""
    assert has_signal(KeyboardInterrupt())
    assert has_signal(BaseExceptionGroup("two", [ValueError(), SystemExit(1)]))
    assert not has_signal(ExceptionGroup("one", [ValueError()]))
    assert not has_signal(ValueError())

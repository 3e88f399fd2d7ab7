"""A source that holds up the event loop is told of, once, and costs no image."""

import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from attrs import define

from tests.helpers import urls
from ximilar_ocr_async import OCRSession, Outcome
from ximilar_ocr_async._session.slow_source import LONG, MINUTE, TIMES, SlowSource
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

REMEDY = "pass an async iterable, and fetch what takes long with anyio.to_thread.run_sync"


def slowly(count: int = TIMES + 2) -> Iterator[str]:
    """Yield images as a synchronous client of a database does."""
    for url in urls(count):
        time.sleep(LONG + 0.01)
        yield url


@define
class Tea:
    """A class to fill in."""

    name: str


class Rows:
    """A cursor that knows what it holds, and does not want it told."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self.rows)

    def __init__(self) -> None:
        self.rows = slowly()

    def __repr__(self) -> str:
        return "<Rows of secret>"


class Pages:
    """What can be asked for its items by number, each time with a request."""

    def __len__(self) -> int:
        return TIMES

    def __getitem__(self, index: int) -> str:
        time.sleep(LONG + 0.01)
        return urls(TIMES)[index]

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


async def read(service: InProcessService, images: Any) -> list[Outcome]:
    """Read *images* as a stream."""
    async with service.session() as session, session.stream(images) as outcomes:
        return [outcome async for outcome in outcomes]


@pytest.mark.parametrize(
    "make, name",
    [
        (slowly, "the generator slowly (test_slow_source.py, line "),
        (lambda: (url for url in slowly()), "the generator "),
        (Rows, "a Rows, "),
        (Pages, "a Pages, "),
        (lambda: map(str, slowly()), "a map, "),
    ],
    ids=["generator", "expression", "iterator", "by number", "map"],
)
async def test_a_source_that_blocks_is_named_once(
    service: InProcessService, make: Any, name: str
) -> None:
    """One warning names the source and what to do, and nothing that it holds."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcomes = await read(service, make())
    assert all(outcome.ok for outcome in outcomes)
    [told] = [str(one.message) for one in caught if one.category is RuntimeWarning]
    assert told.startswith(f"images come from {name}")
    assert told.endswith(REMEDY)
    assert "secret" not in told


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.read_all(slowly()),
        lambda session: session.extract_all(slowly(), Tea),
        lambda session: session.submit(slowly()),
    ],
    ids=["read_all", "extract_all", "submit"],
)
async def test_every_call_of_many_warns(
    service: InProcessService, call: Callable[[OCRSession], Awaitable[object]]
) -> None:
    """All calls pull alike."""
    async with service.session() as session:
        with pytest.warns(RuntimeWarning, match="holds up the event loop") as caught:
            await call(session)
    assert len(caught) == 1


@pytest.mark.parametrize("hook", [None, ZeroDivisionError], ids=["error", "hook"])
async def test_a_warning_that_is_an_error_loses_nothing(
    service: InProcessService,
    hook: type[Exception] | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `-W error`, or a hook that raises, the log gets it, and each image its outcome."""

    def show(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with warnings.catch_warnings():
        warnings.simplefilter("always" if hook else "error")
        if hook:
            monkeypatch.setattr(warnings, "showwarning", show)
        outcomes = await read(service, slowly())
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == service.billed == TIMES + 2
    assert [record.name for record in caplog.records] == ["ximilar_ocr_async"]
    assert caplog.messages[0].endswith(REMEDY)


@pytest.mark.filterwarnings("error")
async def test_other_sources_are_not_complained_about(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that is slow now and then, nor the time that the session itself takes."""

    async def each() -> Any:
        for url in urls(30):
            yield url

    def hiccup() -> Iterator[str]:
        for index, url in enumerate(urls(30)):
            time.sleep(LONG + 0.01 if index in {0, 20} else 0.0)
            yield url

    sources: list[Any] = [each(), hiccup(), urls(30), iter(urls(30)), set(urls(30))]
    for source in sources:
        assert len(await read(service, source)) == 30
    assert caplog.records == []


def pull(source: Iterable[Any], *times: float) -> list[str]:
    """Return the warnings about pulls that were made then [s], and each took too long."""
    slow = SlowSource(source)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for began in times:
            slow.count(began, began + 2 * LONG)
    return [str(one.message) for one in caught]


def test_now_and_then_is_no_habit() -> None:
    """Pulls that take long are told of when several come within a minute."""
    assert len(pull(iter([]), 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)) == 1
    assert pull(iter([]), 1.0, 2.0, 3.0 + MINUTE, 4.0 + MINUTE) == []
    assert len(pull(iter([]), 1.0, 2.0, 3.0 + MINUTE, 4.0 + MINUTE, 5.0 + MINUTE)) == 1


@pytest.mark.parametrize("source", [[], ()], ids=["list", "tuple"])
def test_what_is_there_already_is_not_at_fault(source: Any) -> None:
    """A machine that is busy may hold up a list as well, for which nobody can do anything."""
    assert pull(source, 1.0, 2.0, 3.0, 4.0) == []

"""A bulk call that ends early hands over what was paid for."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
from attrs import frozen

from tests.helpers import error_of, failing, texts, urls
from ximilar_ocr_async import (
    AuthError,
    BudgetExceeded,
    DeadlineExceeded,
    OCRError,
    OptionError,
    SessionClosed,
)
from ximilar_ocr_async.testing import InProcessService, ScriptedGPT, SeenRequest, virtual_time

pytestmark = pytest.mark.anyio


@frozen
class Note:
    """What is asked for."""

    text: str


class Stiff(Exception):
    """An error that takes no attributes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


async def break_off(error: BaseException) -> AsyncIterator[str]:
    """Yield 200 images, and raise."""
    for url in urls(200):
        yield url
    raise error


def break_off_plainly(error: BaseException) -> Iterator[str]:
    """Do the same, synchronously."""
    yield from urls(200)
    raise error


# ---- a source that raises


@pytest.mark.parametrize("source", [break_off, break_off_plainly])
@pytest.mark.parametrize(
    "error",
    [ValueError("bad row"), OptionError("bad option"), KeyboardInterrupt(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_source_raises_carries_what_was_read(
    service: InProcessService, source: Callable[..., Any], error: BaseException
) -> None:
    """The very exception comes out, with the outcomes of all images before it, in their order."""
    async with service.session() as session:
        with pytest.raises(type(error)) as caught:
            await session.read_all(source(error))
    assert caught.value is error
    outcomes = caught.value.outcomes  # type: ignore[attr-defined]
    done = [outcome.index for outcome in outcomes]
    assert done == sorted(done)
    if isinstance(error, Exception):
        assert texts(outcomes) == urls(200)
        assert "200 images" in error.__notes__[0]
    assert sum(outcome.ok for outcome in outcomes) <= service.billed


async def test_an_error_that_takes_no_attributes_comes_out_all_the_same(
    service: InProcessService,
) -> None:
    """What cannot carry anything is raised as it is."""
    async with service.session() as session:
        with pytest.raises(Stiff):
            await session.read_all(break_off(Stiff()))


@pytest.mark.parametrize("anyio_backend", [("asyncio", {}), ("trio", {})], indirect=False)
async def test_extract_all_hands_over_its_instances() -> None:
    """Typed answers are as good as text."""
    service = InProcessService(gpt=ScriptedGPT('{"text": "tea"}'))
    async with service.session() as session:
        with pytest.raises(LookupError) as caught:
            await session.extract_all(break_off(LookupError()), Note)
    outcomes = caught.value.outcomes  # type: ignore[attr-defined]
    assert [outcome.value for outcome in outcomes] == [Note("tea")] * 200


async def test_a_submission_hands_over_what_failed(service: InProcessService) -> None:
    """What was submitted is in the notes, as it was; images that could not be are on the error."""

    def source() -> Iterator[Any]:
        yield from urls(10)
        yield "no URL"
        raise LookupError

    async with service.session() as session:
        with pytest.raises(LookupError) as caught:
            await session.submit(source())
    outcomes = caught.value.outcomes  # type: ignore[attr-defined]
    assert [outcome.index for outcome in outcomes] == [10]
    assert "submitted before" in " ".join(caught.value.__notes__)


async def test_waiting_for_a_job_hands_over_what_was_done(service: InProcessService) -> None:
    """A deadline that comes first has the outcomes of those requests that are done."""
    async with service.session() as session:
        job = await session.submit(urls(100))
        with pytest.raises(DeadlineExceeded) as caught:
            await job.wait(deadline=5)
        done = len(caught.value.outcomes)
        assert 0 < done < 100
        assert len(await job.wait()) == 100


async def test_a_session_that_closes_hands_over_what_was_read(service: InProcessService) -> None:
    """A call whose images were not pulled ends with SessionClosed and the outcomes so far."""
    errors: list[SessionClosed] = []

    async def endless() -> AsyncIterator[str]:
        for url in urls(30):
            yield url
        await anyio.sleep_forever()

    async def read_all() -> None:
        try:
            await session.read_all(endless())
        except SessionClosed as error:
            errors.append(error)

    async with anyio.create_task_group() as group:
        async with service.session() as session:
            group.start_soon(read_all)
            await anyio.sleep(10)
    assert texts(errors[0].outcomes) == urls(30)


async def test_a_cancelled_call_hands_over_what_was_read(service: InProcessService) -> None:
    """The cancellation carries it, for whoever catches and raises it again."""
    outcomes: list[Any] = []
    async with service.session() as session:
        with anyio.move_on_after(1.5):
            try:
                await session.read_all(urls(100))
            except anyio.get_cancelled_exc_class() as error:
                outcomes += getattr(error, "outcomes", ())
                raise
    assert len(outcomes) == 30


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_signal_in_a_cleanup_ends_the_program(error: type[BaseException]) -> None:
    """What a signal raises while a source that was left cleans up is not logged away."""

    async def source() -> AsyncIterator[str]:
        try:
            for url in urls(1000):
                yield url
        finally:
            raise error

    async def main() -> None:
        async with InProcessService().session() as session:
            async with session.stream(source()) as outcomes:
                await anext(outcomes)

    backend, options = virtual_time("trio")
    with pytest.raises(error):
        anyio.run(main, backend=backend, backend_options=options)


# ---- nothing more can be sent


class Million:
    """Many images, counted as they are pulled."""

    pulled = 0

    def __iter__(self) -> Iterator[str]:
        for number in range(1_000_000):
            self.pulled += 1
            yield f"https://images.example/{number}.jpg"


def refuse_after(count: int, code: int = 401) -> Callable[[SeenRequest], httpx.Response | None]:
    """Return a script of an account that may make so many requests."""
    left = count

    def reply(_: SeenRequest) -> httpx.Response | None:
        nonlocal left
        left -= 1
        return failing(code) if left < 0 else None

    return reply


@pytest.mark.parametrize("code", [401, 402, 403])
@pytest.mark.parametrize("paid", [0, 1, 20])
async def test_a_call_may_stop_when_nothing_more_can_be_sent(
    service: InProcessService, code: int, paid: int
) -> None:
    """It raises the cause, with what was read, and pulls no more."""
    service.reply, images = refuse_after(paid, code), Million()
    async with service.session() as session:
        with pytest.raises(AuthError, match="on_fatal") as caught:
            await session.read_all(images, on_fatal="stop")
        outcomes = caught.value.outcomes
        assert sum(outcome.ok for outcome in outcomes) == paid * 10 == service.billed
        assert len(outcomes) == images.pulled <= paid * 10 + 80
        assert all(isinstance(error_of(o), AuthError) for o in outcomes if not o.ok)
        service.reply = None
        assert (await session.read("https://x.example/1")).text


async def test_the_cap_stops_a_call(service: InProcessService) -> None:
    """So do max_records."""
    images = Million()
    async with service.session(max_records=105) as session:
        with pytest.raises(BudgetExceeded) as caught:
            await session.read_all(images, on_fatal="stop")
    assert sum(outcome.ok for outcome in caught.value.outcomes) == 105
    assert images.pulled < 300


async def test_a_stream_that_stops_hands_out_what_is_ready_first(
    service: InProcessService,
) -> None:
    """What was in flight is waited for; then iteration raises the cause, once."""
    service.reply, images, outcomes = refuse_after(2), Million(), []
    async with service.session() as session:
        async with session.stream(images, on_fatal="stop") as stream:
            with pytest.raises(AuthError):
                async for outcome in stream:
                    outcomes.append(outcome)  # noqa: PERF401 - kept although the loop raises
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
    assert sum(outcome.ok for outcome in outcomes) == 20
    assert len(outcomes) == images.pulled < 100


async def test_a_short_call_stops_as_well(service: InProcessService) -> None:
    """Even if its images were all pulled before."""
    service.reply = refuse_after(0)
    async with service.session() as session:
        with pytest.raises(AuthError) as caught:
            await session.read_all(urls(3), on_fatal="stop")
        assert len(caught.value.outcomes) == 3
        with pytest.raises(AuthError):
            await session.submit(urls(3), on_fatal="stop")


# In real time: instances are made in a thread.
@pytest.mark.parametrize("anyio_backend", [("asyncio", {}), ("trio", {})], indirect=False)
async def test_typed_answers_stop_as_well() -> None:
    """What was filled in before comes with the cause."""
    service = InProcessService(gpt=ScriptedGPT('{"text": "tea"}'))
    service.reply, images = refuse_after(3), Million()
    async with service.session() as session:
        with pytest.raises(AuthError) as caught:
            await session.extract_all(images, Note, on_fatal="stop")
    done = [outcome.value for outcome in caught.value.outcomes if outcome.ok]
    assert done == [Note("tea")] * 30
    assert images.pulled < 200


async def test_a_source_is_closed_when_its_call_stops(service: InProcessService) -> None:
    """It may hold scopes, and may wait in its cleanup."""
    said: list[str] = []

    async def source() -> AsyncIterator[str]:
        with anyio.fail_after(600):
            try:
                for url in urls(1000):
                    yield url
            finally:
                await anyio.sleep(1)
                said.append("cleaned")

    service.reply = refuse_after(1)
    async with service.session() as session:
        with pytest.raises(AuthError):
            await session.read_all(source(), on_fatal="stop")
    assert said == ["cleaned"]


async def test_by_default_each_image_has_its_outcome(service: InProcessService) -> None:
    """A call goes on, and raises nothing."""
    service.reply = refuse_after(1)
    async with service.session() as session:
        assert len(await session.read_all(urls(200))) == 200
        assert len(await session.read_all(urls(200), on_fatal="continue")) == 200


async def test_what_fails_for_itself_stops_nothing(service: InProcessService) -> None:
    """An image that is no image is no reason to stop."""
    images: list[Any] = [b"", *urls(20), "no URL"]
    async with service.session() as session:
        outcomes = await session.read_all(images, on_fatal="stop")
    assert sum(outcome.ok for outcome in outcomes) == 20


async def test_on_fatal_is_checked(service: InProcessService) -> None:
    """Another word is an error, and so it is with a call of one image."""
    wrong: Any = {"on_fatal": "panic"}
    async with service.session() as session:
        with pytest.raises(OptionError, match="continue, stop"):
            await session.read_all([], **wrong)
        with pytest.raises(TypeError, match="on_fatal"):
            await session.read("https://x.example/1", **wrong)


# ---- leaving with requests under way


async def test_leaving_waits_for_what_takes_as_long_as_the_service(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """By default an answer of 7 s is waited for, and the log says so."""
    service.latency = 7.0
    records: list[Any] = []

    async def read() -> None:
        records.extend(await session.read_all(urls(25)))

    with caplog.at_level(logging.INFO, "ximilar_ocr_async"):
        async with anyio.create_task_group() as group:
            async with service.session() as session:
                group.start_soon(read)
                await anyio.sleep(0.5)
    assert all(outcome.ok for outcome in records)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "leaving the session waits up to 30 s; requests under way: 3, with images: 25"
    ]


async def test_leaving_with_nothing_under_way_says_and_waits_for_nothing(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """A call whose source is silent has five seconds, as before, and not thirty."""

    async def silent() -> AsyncIterator[str]:
        yield "https://x.example/1"
        await anyio.sleep_forever()

    async def read() -> None:
        with pytest.raises(SessionClosed):
            await session.read_all(silent())

    with caplog.at_level(logging.INFO, "ximilar_ocr_async"):
        async with anyio.create_task_group() as group:
            async with service.session() as session:
                group.start_soon(read)
                await anyio.sleep(10)
            assert anyio.current_time() == pytest.approx(15)
    assert caplog.records == []


def test_an_error_of_ours_has_no_outcomes_by_default() -> None:
    """Whoever asks for them finds none."""
    assert OCRError("x").outcomes == ()

"""What a session tells its listener while it works, and what a listener may do."""

import asyncio
import functools
import inspect
import logging
import queue
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import anyio
import attrs
import httpx
import pytest
from attrs import define, field

from tests.helpers import PNG, failing, refused, urls
from ximilar_ocr_async import (
    Image,
    OCRError,
    OCRSession,
    OptionError,
    RetryPolicy,
)
from ximilar_ocr_async.events import (
    AttemptEnded,
    BatchSent,
    CallEnded,
    CallOpened,
    Event,
    HoldBegan,
    LimitChanged,
    OutageBegan,
    OutageEnded,
    OutcomeReady,
    ProbeFailed,
    RetryScheduled,
)
from ximilar_ocr_async.testing import FaultPlan, InProcessService, ScriptedGPT, in_turn

pytestmark = pytest.mark.anyio

E = TypeVar("E")


@define
class Ear:
    """A listener that keeps what it hears, with the time [s] and the task's context."""

    heard: list[Event] = field(factory=list)
    times: list[float] = field(factory=list)

    def __call__(self, event: Event) -> None:
        """Keep *event*."""
        self.heard.append(event)
        self.times.append(anyio.current_time())

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.heard if isinstance(event, kind)]

    def kinds(self) -> list[str]:
        """Return the names of all events in their order, but for those of limits."""
        return [type(e).__name__ for e in self.heard if not isinstance(e, LimitChanged)]

    def check(self, service: InProcessService) -> None:
        """Assert what is always so: what begins ends once, and money is told as it was billed."""
        opened = [event.call_id for event in self.of(CallOpened)]
        assert len(set(opened)) == len(opened)
        assert Counter(opened) == Counter(event.call_id for event in self.of(CallEnded))
        sent = {event.attempt_id: event for event in self.of(BatchSent)}
        ended = {event.attempt_id: event for event in self.of(AttemptEnded)}
        assert len(sent) == len(self.of(BatchSent))
        assert sent.keys() == ended.keys()
        assert len(ended) == len(self.of(AttemptEnded))
        for number, begun in sent.items():
            assert begun.call_ids == ended[number].call_ids
            assert set(begun.call_ids) <= set(opened)
            assert begun.records == ended[number].records
            assert self.heard.index(begun) < self.heard.index(ended[number])
        outcomes = [(event.call_id, event.index) for event in self.of(OutcomeReady)]
        assert len(set(outcomes)) == len(outcomes)
        billed = sum(event.billed for event in ended.values())
        lost = sum(event.maybe_billed for event in ended.values())
        assert billed <= service.billed <= billed + lost


@pytest.fixture
def ear() -> Ear:
    """A listener that keeps what it hears."""
    return Ear()


# ---- what is told


async def test_a_read_is_told_from_its_beginning_to_its_end(
    service: InProcessService, ear: Ear
) -> None:
    """A call, its attempt and its outcome are told in order, each when it happens."""
    async with service.session(on_event=ear) as session:
        record = await session.read(urls(1)[0], lang="ja")
    assert ear.kinds() == ["CallOpened", "BatchSent", "AttemptEnded", "OutcomeReady", "CallEnded"]
    opened, start, sent, ended, outcome, left = ear.heard
    assert isinstance(opened, CallOpened)
    assert opened == CallOpened(
        call_id=opened.call_id, kind="read", lang="ja", priority="interactive", account=None
    )
    assert start == LimitChanged(endpoint="read", before=0, after=3, why="start")
    assert isinstance(sent, BatchSent)
    assert sent == BatchSent(
        attempt_id=sent.attempt_id,
        call_ids=(opened.call_id,),
        endpoint="read",
        lang="ja",
        records=1,
        attempt=1,
        queue_wait=0.0,
        is_probe=False,
        account=None,
    )
    assert ended == AttemptEnded(
        attempt_id=sent.attempt_id,
        call_ids=(opened.call_id,),
        endpoint="read",
        lang="ja",
        records=1,
        duration=1.0,
        status=200,
        error=None,
        request_id=record.status.request_id,
        billed=1,
        maybe_billed=0,
        credits=5,
        is_given_up=False,
        account=None,
    )
    assert outcome == OutcomeReady(
        call_id=opened.call_id,
        index=0,
        ok=True,
        error=None,
        attempts=1,
        maybe_billed=False,
        endpoint="read",
        lang="ja",
        account=None,
    )
    assert left == CallEnded(call_id=opened.call_id, duration=1.0, unfinished=0, account=None)
    assert ear.times == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    ear.check(service)


CALLS: dict[str, tuple[str, str, int, Callable[[OCRSession], Any]]] = {
    "read": ("read", "read", 1, lambda s: s.read(PNG)),
    "read with a prompt": ("read", "read_gpt", 1, lambda s: s.read(PNG, prompt="what?")),
    "read_all": ("read", "read", 25, lambda s: s.read_all(urls(25))),
    "extract": ("extract", "read_gpt", 1, lambda s: s.extract(PNG, Tea)),
    "extract_all": ("extract", "read_gpt", 25, lambda s: s.extract_all(urls(25), Tea)),
    "submit": ("submit", "asynchronous read", 25, lambda s: s.submit(urls(25))),
}


@define
class Tea:
    """A class to fill in."""

    name: str


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_is_told(name: str, ear: Ear) -> None:
    """Each kind of call has its word, its endpoint and its price."""
    kind, endpoint, count, call = CALLS[name]
    service = InProcessService(gpt=ScriptedGPT(lambda *_: '{"name": "oolong"}'))
    async with service.session(on_event=ear) as session:
        await call(session)
    [opened] = ear.of(CallOpened)
    assert opened.kind == kind
    assert opened.priority == ("interactive" if count == 1 else "bulk")
    assert {event.endpoint for event in ear.of(BatchSent)} == {endpoint}
    assert sorted(event.index for event in ear.of(OutcomeReady)) == list(range(count))
    assert all(event.ok for event in ear.of(OutcomeReady))
    price = 15 if endpoint == "read_gpt" else 5
    assert sum(event.credits for event in ear.of(AttemptEnded)) == count * price
    if kind == "submit":
        # Its jobs, which are worked off later, cost nothing more.
        assert service.requests == 3
    else:
        ear.check(service)


async def test_an_attempt_names_all_calls_in_it(service: InProcessService, ear: Ear) -> None:
    """Reads that share a request are its callers, the first of them first; their waits are told."""
    async with service.session(on_event=ear, max_concurrency=1) as session:
        async with anyio.create_task_group() as group:
            for url in urls(12):
                group.start_soon(session.read, url)
    calls = [event.call_id for event in ear.of(CallOpened)]
    first, second = ear.of(BatchSent)
    assert first.call_ids + second.call_ids == tuple(calls)
    assert (first.records, second.records) == (10, 2)
    assert (first.queue_wait, second.queue_wait) == (0.0, 1.0)
    ear.check(service)


TROUBLES: dict[str, tuple[Any, dict[str, Any]]] = {
    "503": (failing(503), {"status": 503, "error": "ServiceUnavailable", "maybe_billed": 0}),
    "429": (failing(429), {"status": 429, "error": "RateLimited", "maybe_billed": 0}),
    "504": (failing(504), {"status": 504, "error": "ReplyLost", "maybe_billed": 10}),
    "refused": (refused(), {"status": None, "error": "ConnectionFailed", "maybe_billed": 0}),
    "lost": (
        httpx.ReadError("gone"),
        {"status": None, "error": "ReplyLost", "maybe_billed": 10},
    ),
    "no pool": (
        httpx.PoolTimeout("full"),
        {"status": None, "error": "PoolExhausted", "maybe_billed": 0},
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
async def test_a_failed_attempt_says_how(name: str, service: InProcessService, ear: Ear) -> None:
    """Status and class of the error are told, what may have been billed, and the attempt after."""
    trouble, facts = TROUBLES[name]
    service.reply = in_turn(trouble)
    async with service.session(on_event=ear) as session:
        assert all(outcome.ok for outcome in await session.read_all(urls(10)))
    first, second = ear.of(AttemptEnded)
    assert {key: getattr(first, key) for key in facts} == facts
    assert (first.billed, first.credits, second.billed, second.error) == (0, 0, 10, None)
    [retry] = ear.of(RetryScheduled)
    assert (retry.attempt_id, retry.records, retry.error) == (first.attempt_id, 10, facts["error"])
    assert ear.times[ear.heard.index(retry)] + retry.pause == pytest.approx(
        ear.times[ear.heard.index(ear.of(BatchSent)[1])], abs=1.0
    )
    attempts = [event.attempt for event in ear.of(BatchSent)]
    assert attempts == ([1, 1] if name == "no pool" else [1, 2])
    assert {event.maybe_billed for event in ear.of(OutcomeReady)} == {facts["maybe_billed"] > 0}
    ear.check(service)


async def test_failures_are_told_by_their_class(ear: Ear) -> None:
    """Images that are refused, cannot be sent or no longer may be sent have outcomes as well."""
    service = InProcessService(FaultPlan(poison=1.0))
    async with service.session(on_event=ear, max_records=30) as session:
        await session.read_all([*urls(2), "no url", Path("missing.png")])
        with pytest.raises(OCRError):
            await session.read("nothing")
        await session.for_token("other", max_records=0).read_all(urls(1))
    told = Counter(event.error for event in ear.of(OutcomeReady))
    assert told == {"RequestRejected": 2, "ImageError": 2, "BudgetExceeded": 1}
    assert not any(event.ok for event in ear.of(OutcomeReady))
    ear.check(service)


async def test_asking_again_is_one_outcome(ear: Ear) -> None:
    """A completion that does not fit is paid for and asked about again, and is no outcome yet."""
    answers = iter(["no tea", '{"name": "oolong"}', "none", "none"])
    service = InProcessService(gpt=ScriptedGPT(lambda *_: next(answers)))
    async with service.session(on_event=ear) as session:
        await session.extract(PNG, Tea, max_reasks=1)
        await session.extract_all([PNG], Tea, max_reasks=1)
    assert [event.error for event in ear.of(OutcomeReady)] == [None, "ExtractionError"]
    assert [event.attempts for event in ear.of(OutcomeReady)] == [2, 2]
    assert sum(event.credits for event in ear.of(AttemptEnded)) == 60
    ear.check(service)


@pytest.mark.parametrize("faults", [{"lost_replies": 0.3}, {"unavailable": 0.3}, {"crashed": 0.3}])
async def test_money_is_told_as_the_books_have_it(faults: dict[str, Any], ear: Ear) -> None:
    """The sums over attempts are those of the statistics, whatever goes wrong."""
    service = InProcessService(FaultPlan(seed=4, record_errors=0.1, **faults))
    async with service.session(on_event=ear, retry=RetryPolicy(attempts=3)) as session:
        await session.read_all(urls(200))
        stats = session.stats
    ended = ear.of(AttemptEnded)
    assert sum(event.billed for event in ended) == stats.records_billed
    assert sum(event.maybe_billed for event in ended) == stats.records_maybe_billed
    assert sum(not event.ok for event in ear.of(OutcomeReady)) == stats.records_failed
    assert sum(event.credits for event in ended) == 5 * stats.records_billed
    ear.check(service)


async def test_an_outage_is_told(service: InProcessService, ear: Ear) -> None:
    """Its beginning, its probes and its end, once each, with the endpoint and how long it was."""
    service.reply = lambda seen: failing(503) if seen.at < 30 else None
    async with service.session(on_event=ear) as session:
        await session.read_all(urls(100))
    [began], [ended] = ear.of(OutageBegan), ear.of(OutageEnded)
    assert (began.endpoint, began.error) == ("read", "ServiceUnavailable")
    assert began.why.startswith("503")
    assert 29.0 <= ended.duration < 45.0
    probes = ear.of(ProbeFailed)
    lasted = [event.duration for event in probes]
    assert 1 < len(probes) < 16
    assert lasted == sorted(lasted)
    asked = [event for event in ear.of(BatchSent) if event.is_probe]
    assert len(asked) == len(probes) + 1
    ear.check(service)


async def test_a_hold_is_told_when_it_begins(service: InProcessService, ear: Ear) -> None:
    """However many requests are told to wait, it is one hold."""
    service.reply = in_turn(*[failing(429, headers={"Retry-After": "9"})] * 3)
    async with service.session(on_event=ear) as session:
        await session.read_all(urls(60))
    assert ear.of(HoldBegan) == [
        HoldBegan(endpoint="read", duration=9.0, error="RateLimited", status=429)
    ]


async def test_limits_are_told_from_the_start(service: InProcessService, ear: Ear) -> None:
    """From the first number on, each change follows the one before, with its reason."""
    service.capacity = 12
    async with service.session(on_event=ear, max_concurrency=32) as session:
        await session.read_all(urls(2000))
        limit = session.stats.endpoints["read"].limit
    changes = ear.of(LimitChanged)
    assert (changes[0].before, changes[0].after, changes[0].why) == (0, 8, "start")
    assert [one.after for one in changes[:-1]] == [one.before for one in changes[1:]]
    assert changes[-1].after == limit
    assert {one.why for one in changes} == {"start", "answers", "overload"}
    assert all((one.after < one.before) == (one.why == "overload") for one in changes)


async def test_an_outage_gives_back_what_its_beginning_took(ear: Ear) -> None:
    """A limit that shrank for a service that is down is as it was, and says why."""
    service = InProcessService(latency=1.0)
    service.reply = in_turn(failing(503), failing(503))
    async with service.session(on_event=ear, max_concurrency=8) as session:
        await session.read_all(urls(20))
    changes = [(one.before, one.after, one.why) for one in ear.of(LimitChanged)]
    assert changes[:3] == [(0, 8, "start"), (8, 7, "overload"), (7, 8, "outage")]
    assert len(ear.of(OutageBegan)) == len(ear.of(OutageEnded)) == 1
    assert ear.of(ProbeFailed) == []


async def test_a_call_that_is_left_says_so(service: InProcessService, ear: Ear) -> None:
    """What was unfinished is counted; the attempt ends when it ends, with what it cost."""
    async with service.session(on_event=ear) as session:
        with anyio.move_on_after(0.5):
            await session.read(PNG)
        async with session.stream(urls(100)) as outcomes:
            async for _ in outcomes:
                break
        await anyio.sleep(5)
    single, many = ear.of(CallEnded)
    assert (single.unfinished, single.duration) == (1, 0.5)
    assert many.unfinished > 0
    assert not any(event.is_given_up for event in ear.of(AttemptEnded))
    assert sum(event.billed for event in ear.of(AttemptEnded)) == service.billed
    ear.check(service)


@pytest.mark.parametrize("drain", [0.0, 0.5])
async def test_what_a_closing_session_cuts_off_ends_too(
    service: InProcessService, ear: Ear, drain: float
) -> None:
    """An attempt that is cut by the end of the session is told as given up, and maybe billed."""
    async with anyio.create_task_group() as group:
        async with service.session(on_event=ear, drain=drain) as session:
            group.start_soon(session.read_all, urls(10))
            await anyio.sleep(0.1)
    [ended] = ear.of(AttemptEnded)
    assert (ended.is_given_up, ended.maybe_billed, ended.billed) == (True, 10, 0)
    assert (ended.status, ended.error) == (None, None)
    assert {event.error for event in ear.of(OutcomeReady)} == {"SessionClosed"}
    ear.check(service)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_a_file_that_goes_away_ends_its_attempt(ear: Ear, tmp_path: Path) -> None:
    """A request whose body cannot be made to its end is told with the error of the image."""
    path = tmp_path / "a.png"
    path.write_bytes(PNG * 100)

    def listen(event: Event) -> None:
        ear(event)
        if isinstance(event, BatchSent):
            path.unlink(missing_ok=True)

    async with InProcessService().session(on_event=listen) as session:
        await session.read_all([path, *urls(2)])
    first, second = ear.of(AttemptEnded)
    assert (first.error, first.records, first.billed) == ("ImageError", 3, 0)
    assert (second.error, second.records, second.billed) == (None, 2, 2)
    [retry] = ear.of(RetryScheduled)
    assert (retry.records, retry.error) == (2, "ImageError")


async def test_accounts_have_the_names_that_they_were_given(
    service: InProcessService, ear: Ear
) -> None:
    """A listener hears of all accounts of a session, by their names and by no token."""
    async with service.session(on_event=ear) as session:
        await session.read(PNG)
        await session.for_token("s3cret-token", name="acme").read(PNG)
        await session.for_token("s3cret-token-2").read(PNG)
    kinds: list[type[Any]] = [CallOpened, BatchSent, AttemptEnded, OutcomeReady, CallEnded]
    for kind in kinds:
        assert [event.account for event in ear.of(kind)] == [None, "acme", None]
    assert "s3cret" not in repr(ear.heard)


@pytest.mark.parametrize(
    "name, fault",
    [(7, "name is a int"), ("my s3cret", "name holds the token"), ("s3cret", "name holds")],
)
async def test_names_of_accounts_are_checked(
    service: InProcessService, name: Any, fault: str
) -> None:
    """A name is a word, and never the token."""
    async with service.session() as session:
        with pytest.raises(OptionError, match=fault) as caught:
            session.for_token(" s3cret ", name=name)
    assert "s3cret" not in str(caught.value)


async def test_events_hold_neither_content_nor_secrets(ear: Ear) -> None:
    """Not the token, an image, its name or URL, a prompt, a text or an answer."""
    service = InProcessService(
        texts="s3cret text", token="s3cret-token", gpt=ScriptedGPT(lambda *_: "s3cret answer")
    )
    service.reply = in_turn(refused(), failing(503), failing(429))
    images: list[Any] = [
        "https://x.example/s3cret.jpg?sig=s3cret",
        Path("s3cret.png"),
        Image(b"s3cret", id="s3cret", extra={"key": "s3cret"}),
    ]
    async with service.session(on_event=ear) as session:
        await session.read_all(images, prompt="s3cret?")
        await session.submit(images)
    assert "s3cret" not in repr(ear.heard)
    assert len(ear.of(OutcomeReady)) == 6


async def test_events_are_values() -> None:
    """They are frozen, have slots and docstrings, and hold words and numbers alone."""
    kinds = Event.__args__
    assert len(kinds) == 11
    for kind in kinds:
        assert not hasattr(kind, "__dict__") or "__slots__" in vars(kind)
        told = inspect.getdoc(kind) or ""
        for one in attrs.fields(kind):
            assert f"\n    {one.name}: " in told, (kind, one.name)
            assert one.kw_only
    event = OutageEnded(endpoint="read", duration=1.0)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.duration = 2.0  # type: ignore[misc]


# ---- what a listener may do


@pytest.mark.parametrize(
    "error",
    [ValueError, OCRError, GeneratorExit, asyncio.CancelledError, StopIteration],
)
async def test_what_a_listener_raises_is_logged_and_harms_nothing(
    service: InProcessService, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Each image has its outcome, and each kind is logged once, not each of many."""
    heard = Counter[str]()

    def listen(event: Event) -> None:
        heard[type(event).__name__] += 1
        if error is asyncio.CancelledError:
            own = anyio.get_cancelled_exc_class()
            raise own.__new__(own)
        raise error

    service.reply = in_turn(failing(503))
    async with service.session(on_event=listen) as session:
        outcomes = await session.read_all(urls(200))
        assert (await session.read(PNG)).text
        stats = session.stats
    assert all(outcome.ok for outcome in outcomes)
    assert service.billed == stats.records_billed == 201
    assert stats.in_flight == stats.queued == 0
    assert heard["OutcomeReady"] == 201
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert {record.name for record in told} == {"ximilar_ocr_async"}
    assert len(told) == len(heard)
    assert "test_events.py" in told[0].getMessage()


async def test_another_kind_of_error_is_another_line(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """What is logged once is a class of error for a class of event."""
    errors = iter([ValueError, KeyError, ValueError, *[KeyError] * 30])

    def listen(event: Event) -> None:
        if isinstance(event, OutcomeReady):
            raise next(errors)

    async with service.session(on_event=listen) as session:
        await session.read_all(urls(20))
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2


async def test_a_listener_that_returns_a_coroutine_is_told_of(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """What only looks like a plain function is found when it is called, and nothing is left."""

    async def write(event: Event) -> None:
        raise AssertionError(event)

    async with service.session(on_event=lambda event: write(event)) as session:  # noqa: PLW0108
        assert (await session.read(PNG)).text
    assert len(caplog.records) == 6
    assert "on_event returned a coroutine, which is not awaited" in caplog.messages[0]


async def test_a_listener_may_look_at_the_session(service: InProcessService) -> None:
    """Statistics are those of the moment: money is counted before an outcome is told."""
    seen: list[tuple[str, int, int]] = []

    def listen(event: Event) -> None:
        stats = session.stats
        assert repr(session)
        seen.append((type(event).__name__, stats.in_flight, stats.records_billed))

    session = service.session(on_event=listen)
    async with session:
        await session.read(PNG)
    assert ("BatchSent", 1, 0) in seen
    assert ("AttemptEnded", 0, 0) in seen
    assert ("OutcomeReady", 0, 1) in seen


async def test_a_listener_may_cancel_and_start(service: InProcessService) -> None:
    """It may cancel the call that it hears of, and start others; the session is as good as new."""
    texts: list[str] = []

    async def read(url: str) -> None:
        texts.append((await session.read(url)).text)

    def listen(event: Event) -> None:
        if isinstance(event, AttemptEnded) and not texts and not scope.cancel_called:
            scope.cancel()
            group.start_soon(read, "https://x.example/more")

    async with service.session(on_event=listen) as session, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            await session.read_all(urls(40))
        assert scope.cancelled_caught
        await read("https://x.example/next")
    assert sorted(texts) == ["https://x.example/more", "https://x.example/next"]
    assert service.in_flight == 0


class Async:
    """A listener whose call is a coroutine."""

    async def __call__(self, event: Event) -> None:
        """Hear."""

    async def hear(self, event: Event) -> None:
        """Hear."""


async def hear(event: Event) -> None:
    """Hear, as nobody can."""


async def hear_each(event: Event) -> Any:
    """Hear, as an async generator."""
    yield event


def hear_lazily(event: Event) -> Any:
    """Hear, as a generator that nobody iterates over."""
    yield event


@pytest.mark.parametrize(
    "listener, fault",
    [
        (hear, "async"),
        (hear_each, "async"),
        (functools.partial(hear), "async"),
        (functools.partial(functools.partial(hear)), "async"),
        (Async(), "async"),
        (Async().hear, "async"),
        (mock.AsyncMock(), "async"),
        (hear_lazily, "async or a generator"),
        (Ear, "the class Ear"),
        ("print", "a str"),
        (7, "a int"),
        ([print], "a list"),
        (False, "a bool"),
        (logging, "a module"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_what_cannot_hear_is_refused(listener: Any, fault: str) -> None:
    """A listener is a plain function, which is said before anything is sent."""
    with pytest.raises(OptionError, match=f"on_event is {fault}.*; expected a plain function"):
        OCRSession("t", on_event=listener)


@pytest.mark.parametrize(
    "listener",
    [print, [].append, queue.SimpleQueue().put, Ear(), functools.partial(print), mock.Mock(), None],
    ids=lambda given: type(given).__name__,
)
async def test_whatever_can_be_called_hears(service: InProcessService, listener: Any) -> None:
    """Functions of C, bound methods, partials and objects with a call are listeners."""
    async with service.session(on_event=listener) as session:
        assert (await session.read(PNG)).text


async def test_without_a_listener_no_event_is_made(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens often is not even put together where nobody hears it."""
    made: list[str] = []
    for kind in (CallOpened, CallEnded, BatchSent, AttemptEnded, OutcomeReady, RetryScheduled):
        told = functools.partialmethod(lambda self, **_: made.append(type(self).__name__))
        monkeypatch.setattr(kind, "__init__", told)
    service.reply = in_turn(httpx.ReadError("gone"))
    async with service.session() as session:
        assert all(outcome.ok for outcome in await session.read_all(urls(30)))
    assert made == []


async def test_retries_and_holds_are_logged(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """The log is made from events, whether or not anybody else hears them."""
    service.reply = in_turn(failing(429, headers={"Retry-After": "9"}))
    with caplog.at_level(logging.DEBUG, "ximilar_ocr_async"):
        async with service.session() as session:
            await session.read_all(urls(10))
    told = [(record.levelname, record.message) for record in caplog.records]
    assert ("INFO", "the service asks to be left alone for 9.0 s: RateLimited") in told
    [retry] = [vars(r) for r in caplog.records if "are sent again after" in r.message]
    assert (retry["levelname"], retry["records"], retry["endpoint"]) == ("DEBUG", 10, "read")
    assert retry["error"] == "RateLimited"


class Strange(BaseException):
    """No `Exception`, and no signal either, such as what pytest fails with."""


async def test_what_is_no_exception_goes_on_up(service: InProcessService) -> None:
    """A listener may fail a test: what it raises then ends the session, as from any other task."""

    def listen(event: Event) -> None:
        if isinstance(event, OutcomeReady):
            raise Strange

    with pytest.raises(BaseExceptionGroup) as caught:
        async with service.session(on_event=listen) as session:
            await session.read_all(urls(100))
    assert caught.value.split(Strange)[1] is None


async def test_what_is_raised_after_the_end_is_raised_at_once(service: InProcessService) -> None:
    """A call that is left when its session has ended has nobody else to tell."""

    def listen(event: Event) -> None:
        if isinstance(event, CallEnded):
            raise Strange

    async with service.session(on_event=listen) as session:
        stream = session.stream(urls(1))
        await stream.__aenter__()
        assert (await anext(stream)).ok
    with pytest.raises(Strange):
        await stream.__aexit__(None, None, None)

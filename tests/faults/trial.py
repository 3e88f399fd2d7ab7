"""One case on one backend with one HTTP library: the session runs, and its promises are checked."""

import asyncio
import logging
import pickle
import traceback
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from types import ModuleType
from typing import Any, TypeAlias
from unittest.mock import patch

import anyio
import certifi
import httpx
import httpx2
import trio
import trustme
from attrs import define, field, frozen

from tests.faults.server import Behaviour, FaultyServer, Way, faulty_server
from tests.faults.steps import well
from ximilar_ocr_async import Image, OCRError, OCRSession, Outcome, RetryPolicy, Stats

LIBRARIES: Mapping[str, ModuleType | None] = {"own": None, "httpx": httpx, "httpx2": httpx2}
"""Whose client sends: the session's own, or one that is injected."""

BACKENDS = ("asyncio", "trio")

TOKEN = "6f1-token-of-the-matrix-9c2"
SLOTS = 3
RETRY = RetryPolicy(base=0.01, cap=0.05)
"""As by default, but soon."""

HANG = 5.0
"""[s] after which a case hangs: the only time that is held against anything."""


def pictures(count: int, size: int = 0) -> list[Image]:
    """Return images by URL, or of *size* [bytes]; each brings its name to the service."""
    png = b"\x89PNG\r\n\x1a\n" + bytes(size)
    return [
        Image(png if size else f"https://images.example/{n}.jpg", extra={"name": f"image-{n}"})
        for n in range(count)
    ]


def name_of(image: Image) -> str:
    """Return the name under which the server bills an image."""
    return str(image.extra["name"])


@frozen
class Expect:
    """How an image is to end.

    Attributes:
        error: Its class, exactly; None when the image is to be read.
        attempts: Of them; None for any number.
        maybe_billed: Whether it says so; None for either.
        says: Words in the error's message.
    """

    error: type[OCRError] | None
    attempts: int | None
    maybe_billed: bool | None
    says: str

    def complain(self, outcome: Outcome) -> Iterator[str]:
        """Yield what is not as expected."""
        error = None if outcome.ok else outcome.error
        if type(error) is not (self.error or type(None)):
            yield f"ended with {error!r}"
        if self.attempts not in {None, outcome.attempts}:
            yield f"took {outcome.attempts} attempts"
        if self.maybe_billed not in {None, outcome.maybe_billed}:
            yield f"maybe_billed is {outcome.maybe_billed}"
        if self.says not in str(error):
            yield f"does not say {self.says!r}: {error}"


def reads(*, attempts: int | None = 1, maybe_billed: bool | None = False) -> Expect:
    """Expect an image to be read."""
    return Expect(None, attempts, maybe_billed, "")


def fails(
    error: type[OCRError],
    *,
    attempts: int | None = 1,
    maybe_billed: bool | None = False,
    says: str = "",
) -> Expect:
    """Expect an image not to be read."""
    return Expect(error, attempts, maybe_billed, says)


# ---- TLS


OURS, ANOTHER = "ours", "another"


@cache
def authority(name: str) -> trustme.CA:
    """Return an authority for certificates."""
    return trustme.CA(organization_name=name)


@cache
def trust(name: str) -> SSLContext:
    """Return what trusts this authority, and no other."""
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    authority(name).configure_trust(context)
    return context


# ---- cases and trials of them


@define(eq=False, repr=False)
class Trial:
    """A case under way."""

    case: "Case"
    library: str
    server: FaultyServer
    session: OCRSession
    client: Any
    outcomes: list[Outcome] = field(factory=list)
    complaints: list[str] = field(factory=list)
    stats: Stats | None = None
    raised: BaseException | None = None

    async def read_all(self, images: Sequence[Image] | None = None, **options: Any) -> None:
        """Read images, the case's own by default."""
        given = self.case.images if images is None else images
        self.outcomes += await self.session.read_all(given, **options)

    def make_session(self, **options: Any) -> OCRSession:
        """Make another session to the same server."""
        return _make_session(self.case, self.server, self.client, options)

    def complain(self, what: str) -> None:
        """Note what does not hold."""
        self.complaints.append(what)


Call: TypeAlias = Callable[[Trial], Awaitable[None]]
Check: TypeAlias = Callable[[Trial], Iterator[str]]


@frozen(kw_only=True)
class Case:
    """One fault, and what is promised in it.

    Attributes:
        id: Row of the fault matrix, and a counter where it has several cases.
        fault: What goes wrong, in a few words.
        expected: What is promised, in a few words.
        behave: What a connection of the server's does.
        expect: How each image ends; nothing is asked when None.
        but: By place, the images that end in another way.
        requests: Whole requests that reach the server, at most.
        also: What else is checked.
        call: What is asked of the session.
        images: That are read.
        options: Of the session.
        url: Where the session sends to; `port` and `base` are the server's.
        way: What becomes of those who connect, until the server is healed.
        window: [bytes] that the kernel receives ahead of the server, about.
        tls: What the server identifies itself with.
        trusts: Name of the authority whom the client trusts.
        client: Options of the client, which then is injected with either library.
        backend: The only one on which this can be done.
        library: The only one with which it can be done.
        is_partial: Whether the caller leaves before each image has its outcome.
        recovers: Whether the session is to work again once the server is healed.
        memory: [bytes] that may be held at once, beyond those before.
        hang: [s] after which the case hangs.
    """

    id: str
    fault: str
    expected: str
    behave: Behaviour = well
    expect: Expect | None = None
    but: Mapping[int, Expect] = field(factory=dict)
    requests: int | None = None
    also: Check | None = None
    call: Call = Trial.read_all
    images: Sequence[Image] = field(factory=lambda: pictures(SLOTS))
    options: Mapping[str, Any] = field(factory=dict)
    url: str = "{base}"
    way: Way = "open"
    window: int | None = None
    tls: Callable[[], SSLContext] | None = None
    trusts: str = OURS
    client: Callable[[ModuleType, FaultyServer], Mapping[str, Any]] | None = None
    backend: str | None = None
    library: str | None = None
    is_partial: bool = False
    recovers: bool = True
    memory: int | None = None
    hang: float = HANG

    def runs_on(self, backend: str, library: str) -> bool:
        """Whether this can be done there."""
        is_possible = self.client is None or LIBRARIES[library] is not None
        return is_possible and self.backend in {None, backend} and self.library in {None, library}

    @property
    def slots(self) -> int:
        """Requests that the session may have in flight."""
        return int(self.options.get("max_concurrency", SLOTS))


# ---- running


@contextmanager
def _trusting(name: str) -> Iterator[None]:
    """Have clients that sessions make trust this authority, and no other."""
    with authority(name).cert_pem.tempfile() as path, patch.object(certifi, "where", lambda: path):
        yield


async def hold(case: Case, library: str) -> list[str]:
    """Run a case on the present backend; return what did not hold."""
    before = await _census()
    async with faulty_server(
        case.behave, tls=case.tls and case.tls(), way=case.way, window=case.window
    ) as server:
        async with _client(case, library, server) as client:
            session = _make_session(case, server, client, {})
            trial = Trial(case, library, server, session, client)
            with _trusting(case.trusts), _listening(trial), _weighing(trial):
                await _run(trial)
    for check in (_check_outcomes, _check_bills, _check_slots, _check_secrecy, _check_end):
        trial.complaints += check(trial)
    after = await _census(before)
    if any(left > there for left, there in zip(after, before, strict=True)):
        trial.complain(f"I4: (tasks, sockets) were {before}, are {after}")
    return trial.complaints


@asynccontextmanager
async def _client(case: Case, library: str, server: FaultyServer) -> AsyncIterator[Any]:
    """Give a client to inject; None where the session is to make its own."""
    module = LIBRARIES[library]
    if module is None:
        yield None
        return
    limits = module.Limits(max_connections=case.slots, max_keepalive_connections=case.slots)
    options = {"limits": limits, "trust_env": False, "verify": trust(case.trusts)}
    if case.client is not None:
        options |= case.client(module, server)
    async with module.AsyncClient(**options) as client:
        yield client


def _make_session(
    case: Case, server: FaultyServer, client: Any, options: Mapping[str, Any]
) -> OCRSession:
    port = server.url.rpartition(":")[2]
    defaults = {
        "base_url": case.url.format(base=server.url, port=port),
        "max_concurrency": SLOTS,
        "adaptive": False,
        "retry": RETRY,
        "outage_timeout": 1.0,
        "timeout": HANG,
        "drain": 1.0,
        # A list is submitted when it ends; a busy machine must not submit half of it sooner.
        "linger": HANG,
        "http_client": client,
    }
    return OCRSession(TOKEN, **defaults | dict(case.options) | dict(options))


async def _run(trial: Trial) -> None:
    case = trial.case
    try:
        with anyio.fail_after(case.hang):
            async with trial.session:
                await case.call(trial)
                if case.requests is not None and trial.server.requests > case.requests:
                    trial.complain(f"I9: {trial.server.requests} requests, {case.requests} at most")
                if case.recovers:
                    await _recover(trial)
                trial.stats = trial.session.stats
                # An error leaves the session's block as itself.
                for outcome in trial.outcomes:
                    outcome.unwrap()
    except TimeoutError:
        trial.complain(f"I6: hangs, {trial.session!r}")
    except BaseException as error:  # noqa: BLE001 - what it may be is what is asked
        trial.raised = error


async def _recover(trial: Trial) -> None:
    """Use every slot at once, against a server that is well again."""
    trial.server.heal()
    await trial.session.read_all(
        _others(1), outage_timeout=HANG
    )  # if need be, the end of the outage
    slots = trial.session.stats.limit
    trial.server.gather(slots)
    outcomes = await trial.session.read_all(_others(slots * 10), outage_timeout=HANG)
    bad = [outcome for outcome in outcomes if not outcome.ok]
    if bad:
        trial.complain(f"I4: {len(bad)} of {len(outcomes)} failed afterwards: {bad[0]}")
    if trial.session.stats.in_flight or trial.session.stats.queued:
        trial.complain(f"I4: not idle afterwards: {trial.session!r}")


def _others(count: int) -> list[Image]:
    return [Image(f"https://after.example/{n}", extra={"name": "after"}) for n in range(count)]


# ---- what is watched meanwhile


@contextmanager
def _listening(trial: Trial) -> Iterator[None]:
    """Look for the token in all that is logged."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            extra = repr(record.__dict__) if record.name.startswith("ximilar") else ""
            if TOKEN in self.format(record) + extra:
                trial.complain(f"I5: the token is in the log of {record.name}")

    root, listener = logging.getLogger(), Listener()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(listener)
    try:
        yield
    finally:
        root.removeHandler(listener)
        root.setLevel(level)


@contextmanager
def _weighing(trial: Trial) -> Iterator[None]:
    """Hold the memory against its cap, if the case has one."""
    if trial.case.memory is None:
        yield
        return
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > trial.case.memory:
        trial.complain(f"I7: {peak:,} bytes at once, {trial.case.memory:,} at most")


async def _census(wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """Count tasks and sockets; give those that are about to go some time."""
    with anyio.move_on_after(1):
        while wanted is not None and _count() != wanted:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.005)
    return _count()


def _count() -> tuple[int, int]:
    if trio.lowlevel.in_trio_run():
        tasks = trio.lowlevel.current_statistics().tasks_living
    else:
        tasks = len(asyncio.all_tasks())
    sockets = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            sockets += descriptor.readlink().name.startswith("socket:")
        except FileNotFoundError:
            continue
    return tasks, sockets


# ---- the invariants


def _check_outcomes(trial: Trial) -> Iterator[str]:
    """I1: each image has one outcome, and the right one."""
    case = trial.case
    places = {name_of(image): place for place, image in enumerate(case.images)}
    ended = Counter(name_of(outcome.image) for outcome in trial.outcomes)
    if any(count > 1 for count in ended.values()):
        yield f"I1: outcomes came twice: {ended.most_common(3)}"
    if not case.is_partial and ended.keys() != places.keys():
        yield f"I1: {len(ended)} outcomes for {len(places)} images; raised: {trial.raised!r}"
    for outcome in trial.outcomes:
        name = name_of(outcome.image)
        expect = case.but.get(places[name], case.expect)
        yield from (f"{name} {what}" for what in (expect.complain(outcome) if expect else ()))
        if outcome.ok and outcome.record.text != name:
            yield f"I1: {name} got the text of {outcome.record.text!r}"
    if case.also is not None:
        yield from case.also(trial)


def _check_bills(trial: Trial) -> Iterator[str]:
    """I2: nothing is paid for twice in silence; I9: nor ever more often than is allowed."""
    bills, retry = trial.server.bills, trial.case.options.get("retry", RETRY)
    for outcome in trial.outcomes:
        name = name_of(outcome.image)
        if bills[name] > outcome.ok and not outcome.maybe_billed:
            yield f"I2: {name} was billed {bills[name]} times in silence, ok is {outcome.ok}"
        if bills[name] > 1 + retry.resend_maybe_billed:
            yield f"I9: {name} was billed {bills[name]} times"
    stats = trial.stats
    if stats and stats.records_billed + stats.records_maybe_billed < bills.total():
        yield f"I2: {bills.total()} bills, {stats}"


def _check_slots(trial: Trial) -> Iterator[str]:
    """I3: no more at once than there are slots."""
    server, slots = trial.server, trial.case.slots
    if server.most_in_flight > slots:
        yield f"I3: {server.most_in_flight} requests in flight, {slots} at most"
    if server.most_open > slots:
        yield f"I3: {server.most_open} connections, {slots} at most"


def _check_secrecy(trial: Trial) -> Iterator[str]:
    """I5: the token is nowhere to be seen."""
    told = [repr(trial.session), repr(trial.stats)]
    errors: list[BaseException] = [o.error for o in trial.outcomes if not o.ok]
    for error in [*errors, *([trial.raised] if trial.raised else [])]:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
        told += [repr(error), str(error), *lines]
    for outcome in trial.outcomes:
        told.append(repr(outcome))
        thing: object = outcome.record if outcome.ok else outcome.error
        told.append(pickle.dumps(thing).decode("latin-1"))
    if any(TOKEN in text for text in told):
        yield "I5: the token shows"


def _check_end(trial: Trial) -> Iterator[str]:
    """I10: what the session raises is one of our errors, and the very one."""
    failures = [outcome.error for outcome in trial.outcomes if not outcome.ok]
    expected = type(failures[0]) if failures else type(None)
    if type(trial.raised) is not expected:
        yield f"I10: raised {trial.raised!r}, expected {expected.__name__}"

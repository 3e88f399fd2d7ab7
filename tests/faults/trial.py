"""One case on one backend with one HTTP library: the session runs, and its promises are checked."""

import asyncio
import logging
import os
import pickle
import traceback
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import trio

from tests.faults.case import HANG, LIBRARIES, RETRY, TOKEN, Case, Trial
from tests.faults.certificates import authority, trust
from tests.faults.expect import name_of
from tests.faults.server import FaultyServer, faulty_server
from ximilar_ocr_async import Image


@contextmanager
def _trusting(name: str) -> Iterator[None]:
    """Have clients that sessions make trust this authority, and no other."""
    with authority(name).cert_pem.tempfile() as path:
        with patch.dict(os.environ, {"SSL_CERT_FILE": path}):
            yield


async def hold(case: Case, library: str) -> list[str]:
    """Run a case on the present backend; return what did not hold."""
    before = await _census()
    async with faulty_server(
        case.behave, tls=case.tls and case.tls(), way=case.way, window=case.window
    ) as server:
        async with _client(case, library, server) as client:
            trial = Trial(case, library, server, client)
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
    if case.proxy:
        url = case.proxy.format(port=server.url.rpartition(":")[2])
        tls = trust(case.trusts) if url.startswith("https") else None
        options["proxy"] = module.Proxy(url, ssl_context=tls)
    if case.client is not None:
        options |= case.client(module, server)
    async with module.AsyncClient(**options) as client:
        yield client


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
    with anyio.move_on_after(5):
        # What nobody waits for any more is let finish, for as long as answers take.
        while trial.session.stats.in_flight:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.01)
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

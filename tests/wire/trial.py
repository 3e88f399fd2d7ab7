"""One case on the present event loop: all is started, the session runs, and the case is judged."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from attrs import frozen

from tests.faults.case import LIBRARIES
from tests.faults.certificates import OURS, authority, identity
from tests.faults.expect import name_of
from tests.wire.backend import serving
from tests.wire.case import HANG, RETRY, TOKEN, Case, Trial
from tests.wire.connections import connections_to
from tests.wire.programs import running
from tests.wire.relay import Relay, overhearing
from ximilar_ocr_async import OCRSession, Outcome


@frozen
class Result:
    """What came of a case.

    Attributes:
        ends: In what way how many images ended.
        doubled: Images that were paid for more than once.
        untold: Images that were paid for more often than they were read, and are not marked.
        for_nothing: Images that are marked, although nobody lost an answer of theirs.
        requests: Requests that the session made.
        seconds: [s] that it took.
        complaints: What did not hold.
    """

    ends: Counter[str]
    doubled: int
    untold: int
    for_nothing: int
    requests: int
    seconds: float
    complaints: tuple[str, ...]


async def hold(case: Case, folder: Path, *, is_large: bool = False) -> Result:
    """Try a case on the present event loop, with its files in *folder*; return what came of it."""
    async with _begin(case, folder, is_large=is_large) as trial:
        began = anyio.current_time()
        with anyio.move_on_after(HANG) as scope:
            await _run(trial)
        trial.seconds = anyio.current_time() - began
        if scope.cancelled_caught:
            trial.complain(f"hangs, {trial.session!r}")
        # Those of an injected client are closed by whoever made it.
        if case.library == "own" and (left := connections_to(trial.port)):
            trial.complain(f"{left.total()} connections are left")
    for check in (_check_outcomes, _check_bills, *case.checks):
        trial.complaints += check(trial)
    return Result(
        ends=Counter(map(_end_of, trial.outcomes)),
        doubled=trial.doubled,
        untold=len(trial.untold),
        for_nothing=len(trial.marked_for_nothing),
        requests=trial.stats.requests if trial.stats else 0,
        seconds=trial.seconds,
        complaints=tuple(trial.complaints),
    )


@asynccontextmanager
async def _begin(case: Case, folder: Path, *, is_large: bool) -> AsyncIterator[Trial]:
    """Start all that is on the way of the session."""
    images = case.images(folder, is_large)
    program = relay = None
    async with AsyncExitStack() as stack:
        tls = identity() if case.tls else None
        backend = await stack.enter_async_context(serving(case.behave, tls=tls))
        if case.program:
            values = {"service": backend.port, "identity": _write_identity(folder)}
            runs = running(case.program, folder / case.program.name, **values)
            program = await stack.enter_async_context(runs)
        if program and case.through:
            relay = await stack.enter_async_context(overhearing(program.port))
        port = program.port if program and case.behind else backend.port
        base = f"http{'s' if case.speaks_tls else ''}://127.0.0.1:{port}"
        session = OCRSession(
            TOKEN,
            base_url=case.url.format(base=base, port=port),
            max_concurrency=case.slots,
            adaptive=False,
            retry=RETRY,
            **await _client_options(case, relay, stack),
        )
        meets = relay.port if relay else port
        yield Trial(case, images, backend, program, relay, meets, session)


def _write_identity(folder: Path) -> Path:
    path = folder / "identity.pem"
    pem = authority(OURS).issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    pem.write_to_path(str(path))
    return path


async def _client_options(case: Case, relay: Relay | None, stack: AsyncExitStack) -> dict[str, Any]:
    """Return the options of a session with which it goes the way of the case."""
    proxy = relay and f"http://127.0.0.1:{relay.port}"
    module = LIBRARIES[case.library]
    if module is None:
        ways = {"proxy": proxy, "ssl_context": case.trusts() if case.speaks_tls else None}
        return {name: value for name, value in ways.items() if value is not None}
    limits = module.Limits(max_connections=case.slots, max_keepalive_connections=case.slots)
    client = module.AsyncClient(limits=limits, proxy=proxy, verify=case.trusts(), trust_env=False)
    return {"http_client": await stack.enter_async_context(client)}


async def _run(trial: Trial) -> None:
    try:
        async with trial.session:
            async with anyio.create_task_group() as group:
                group.start_soon(trial.case.meanwhile, trial)
                await trial.case.call(trial)
                group.cancel_scope.cancel()
            trial.stats = trial.session.stats
    except Exception as error:  # noqa: BLE001 - what it may be is what is asked
        trial.complain(f"raised {error!r}")


def _end_of(outcome: Outcome) -> str:
    if outcome.ok:
        return "read"
    return " ".join([type(outcome.error).__name__, str(outcome.error.status or "")]).strip()


def _check_outcomes(trial: Trial) -> Iterator[str]:
    """Each image has one outcome, and its own text."""
    if len(trial.outcomes) != len(trial.images):
        yield f"{len(trial.outcomes)} outcomes for {len(trial.images)} images"
    for outcome in trial.outcomes:
        if outcome.ok and outcome.record.text != name_of(outcome.image):
            yield f"{name_of(outcome.image)} got the text of {outcome.record.text!r}"


def _check_bills(trial: Trial) -> Iterator[str]:
    """No image is paid for more often than the policy allows."""
    most = 1 + RETRY.resend_maybe_billed
    if too_many := [name for name, bills in trial.backend.bills.items() if bills > most]:
        yield f"{len(too_many)} images were paid for more than {most} times"

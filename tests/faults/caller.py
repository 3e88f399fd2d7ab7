"""F63 to F66: the service is well, and the caller is slow, gone, or in the wrong place."""

import asyncio
import os
import random
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, field

from tests.faults.case import SLOTS, Call, Case, Trial
from tests.faults.expect import fails, pictures, reads
from tests.faults.steps import always, reads_in
from ximilar_ocr_async import DeadlineExceeded, Image, SessionStateError

WINDOW = (SLOTS + 1) * 10
"""Images pulled ahead of a consumer, at most."""

LONG_ENOUGH = 0.06
"""[s] for a session to make a client and to send."""

slowly = always(reads_in(0.03))


class Mishap(Exception):
    """What goes wrong in the caller's own code."""


# ---- slow


async def never_take(trial: Trial) -> None:
    """Open a stream, and take nothing from it until it rests."""
    async with trial.session.stream(pictures(1000)):
        await at_rest(trial)


async def take_slowly(trial: Trial) -> None:
    """Take outcomes one by one, each when all is at rest."""
    async with trial.session.stream(trial.case.images) as outcomes:
        async for outcome in outcomes:
            trial.outcomes.append(outcome)
            if len(trial.outcomes) % 20 == 0:
                await at_rest(trial)


async def at_rest(trial: Trial) -> None:
    """Wait until nothing is under way."""
    requests = -1
    while requests != trial.server.requests:
        requests = trial.server.requests
        await anyio.sleep(0.05)


def paid_within_window(trial: Trial) -> Iterator[str]:
    """Check that no more was paid for than is pulled ahead."""
    paid = trial.server.bills.total() - trial.server.bills["after"]
    if not 0 < paid <= WINDOW:
        yield f"{paid} images were paid for, {WINDOW} at most"


# ---- gone


async def leave_by_break(trial: Trial) -> None:
    """Leave after the first outcome."""
    async with trial.session.stream(trial.case.images) as outcomes:
        async for outcome in outcomes:
            trial.outcomes.append(outcome)
            break


async def leave_by_error(trial: Trial) -> None:
    """Raise after the first outcome."""
    with suppress(Mishap):
        async with trial.session.stream(trial.case.images) as outcomes:
            async for outcome in outcomes:
                trial.outcomes.append(outcome)
                raise Mishap


async def source_fails(trial: Trial) -> None:
    """Raise in the source of the images."""

    def source() -> Iterator[Image]:
        yield from trial.case.images
        raise Mishap

    with suppress(Mishap):
        async with trial.session.stream(source()) as outcomes:
            async for outcome in outcomes:
                trial.outcomes.append(outcome)


async def generator_is_left(trial: Trial) -> None:
    """Leave an async generator of the caller's own that holds the stream."""

    async def texts() -> AsyncGenerator[str]:
        async with trial.session.stream(trial.case.images) as outcomes:
            async for outcome in outcomes:
                trial.outcomes.append(outcome)
                yield outcome.unwrap().text

    async with aclosing(texts()) as generator:
        await anext(generator)


async def sibling_fails(trial: Trial) -> None:
    """Let another task of the caller's group fail; the group then has that error only."""

    async def fail() -> None:
        await anyio.sleep(0.02)
        raise Mishap

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(trial.read_all)
            group.start_soon(fail)
    except* Mishap:
        pass


async def scope_ends(trial: Trial) -> None:
    """Give up by anyio's scope."""
    with anyio.move_on_after(0.02):
        await trial.read_all()


async def session_is_cancelled(trial: Trial) -> None:
    """Give up on a session of its own, as a whole, by anyio's scope."""
    with anyio.move_on_after(LONG_ENOUGH):
        async with trial.make_session() as session:
            await session.read_all(trial.case.images)
    trial.server.bills.clear()  # the other books are gone


async def task_is_cancelled(trial: Trial) -> None:
    """Cancel the task that calls."""
    task = asyncio.ensure_future(trial.session.read_all(trial.case.images))
    await asyncio.sleep(0.02)
    task.cancel()
    await cancelled(task, trial)


async def task_is_cancelled_twice(trial: Trial) -> None:
    """Cancel the task that calls, and again while it cleans up."""
    task = asyncio.ensure_future(trial.session.read_all(trial.case.images))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await cancelled(task, trial)


async def session_task_is_cancelled(trial: Trial) -> None:
    """Cancel the task that holds a session of its own."""

    async def use() -> None:
        async with trial.make_session() as session:
            await session.read_all(trial.case.images)

    task = asyncio.ensure_future(use())
    await asyncio.sleep(LONG_ENOUGH)
    task.cancel()
    await cancelled(task, trial)
    trial.server.bills.clear()  # as above


async def cancelled(task: asyncio.Future[Any], trial: Trial) -> None:
    """Check that *task* ends as a cancelled one does."""
    end: object = (await asyncio.gather(task, return_exceptions=True))[0]
    if not isinstance(end, asyncio.CancelledError):
        trial.complain(f"I10: a cancelled task ended with {end!r}")


async def time_runs_out(trial: Trial) -> None:
    """Give up by asyncio's own timeout."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.02):
            await trial.read_all()


async def each_is_waited_for(trial: Trial) -> None:
    """Wait for each outcome by asyncio's ``wait_for``, which cancels; none may be lost."""
    async with trial.session.stream(trial.case.images) as outcomes:
        while True:
            try:
                trial.outcomes.append(await asyncio.wait_for(anext(outcomes), 0.004))
            except TimeoutError:
                continue
            except StopAsyncIteration:
                return


@define(eq=False)
class Gate(os.PathLike[str]):
    """A path that is not known before the gate is opened."""

    path: str
    opened: threading.Event = field(factory=threading.Event)

    def __fspath__(self) -> str:
        self.opened.wait(1)
        return self.path


async def neighbour_leaves(trial: Trial) -> None:
    """Leave a shared batch before it is sent; the other caller leaves after it was."""
    early, late = anyio.CancelScope(), anyio.CancelScope()
    async with shared_batch(
        trial,
        lambda image: within_scope(early, partial(trial.session.read, image)),
        lambda image: within_scope(late, partial(trial.session.read, image)),
    ) as gate:
        early.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
        while not trial.server.requests:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)
        late.cancel()


async def neighbour_is_late(trial: Trial) -> None:
    """Miss a deadline before the batch that is shared with another caller is sent."""
    async with shared_batch(
        trial,
        lambda image: trial.read_all([image], deadline=0.05),
        lambda image: trial.read_all([image]),
    ) as gate:
        while not trial.outcomes:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)
        gate.opened.set()


@asynccontextmanager
async def shared_batch(
    trial: Trial, *calls: Callable[[Image], Coroutine[Any, Any, None]]
) -> AsyncIterator[Gate]:
    """Have *calls* share a batch, which is not sent before the gate is opened."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.flush()
        gate = Gate(file.name)
        async with anyio.create_task_group() as group:
            for call, image in zip(calls, trial.case.images, strict=True):
                group.start_soon(call, Image(gate, extra=image.extra))
            while not trial.session.stats.in_flight:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.002)
            yield gate


async def within_scope(scope: anyio.CancelScope, call: Callable[[], Awaitable[object]]) -> None:
    """Call in a *scope*."""
    with scope:
        await call()


def first_is_unsent(trial: Trial) -> Iterator[str]:
    """Check that nobody pays for an image that nobody waited for when it was sent."""
    if trial.server.bills["image-0"]:
        yield "an image was sent after its caller had left"


# ---- many who come and go

Cancel: TypeAlias = Callable[[Callable[[], Awaitable[object]], float], Awaitable[None]]


async def by_scope(call: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Cancel by anyio's scope."""
    with anyio.move_on_after(seconds):
        await call()


async def by_task(call: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Cancel the task that calls."""
    task = asyncio.ensure_future(call())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def churn(cancel: Cancel, callers: int) -> Call:
    """Let many call and give up at random, 25 times each."""

    async def call(trial: Trial) -> None:
        rng = random.Random(7)

        async def caller() -> None:
            for _ in range(25):
                image = pictures(1)[0]
                await cancel(partial(trial.session.read, image), rng.uniform(0, 0.02))

        async with anyio.create_task_group() as group:
            for _ in range(callers):
                group.start_soon(caller)

    return call


# ---- in the wrong place


async def use_after_close(trial: Trial) -> None:
    """Use a session that was left."""
    async with trial.make_session() as session:
        pass
    await refused(trial, lambda: session.read(trial.case.images[0]))


async def use_in_another_loop(trial: Trial) -> None:
    """Use the session in an event loop of another thread."""

    async def use() -> None:
        with anyio.fail_after(1):
            await trial.session.read(trial.case.images[0])

    await refused(trial, lambda: anyio.to_thread.run_sync(anyio.run, use))


async def use_in_a_fork(trial: Trial) -> None:
    """Use the session in a forked process."""
    child = os.fork()
    if not child:
        code = 1
        try:
            trial.session.stream(trial.case.images)
        except SessionStateError:
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:  # noqa: ASYNC222 - it ends at once
        trial.complain("a forked process may use the session")


async def refused(trial: Trial, use: Callable[[], Awaitable[object]]) -> None:
    """Check that a use is refused, in clear words and before a byte."""
    before = trial.server.connections
    try:
        await use()
    except SessionStateError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
        trial.complain(f"raised {error!r}")
    else:
        trial.complain("the session was used")
    if trial.server.connections != before:
        trial.complain("a connection was made")


def gone(
    id_: str,
    fault: str,
    call: Call,
    *,
    is_partial: bool = True,
) -> Case:
    """Say what happens when the caller leaves."""
    left, stayed = "slots free, all paid for is counted", "no outcome lost, each image paid once"
    return (
        Case(id_, fault)
        .promises(left if is_partial else stayed)
        .given(slowly)
        .when(call, images=pictures(120))
        .then(reads(), is_partial=is_partial)
    )


def churned(id_: str, fault: str, cancel: Cancel, callers: int) -> Case:
    """Say what happens when many come and go."""
    return (
        Case(id_, fault)
        .promises("every slot usable afterwards")
        .given(always(reads_in(0.01)))
        .when(churn(cancel, callers), images=())
    )


def misplaced(id_: str, fault: str, call: Call) -> Case:
    """Say what happens when the session is used where it cannot work."""
    return (
        Case(id_, fault)
        .promises("SessionStateError before any byte")
        .when(call)
        .then(requests=0, is_partial=True)
    )


CALLER = [
    Case("F63.1", "nobody takes the outcomes")
    .promises("no more paid for than the window")
    .when(never_take)
    .then(also=paid_within_window, is_partial=True),
    Case("F63.2", "outcomes are taken slowly")
    .promises("all read, in the end")
    .when(take_slowly, images=pictures(100))
    .then(reads()),
    gone("F64.1", "break out of a stream", leave_by_break),
    gone("F64.2", "error in the body of a stream", leave_by_error),
    gone("F64.3", "error in the source of a stream", source_fails, is_partial=False),
    gone("F64.4", "generator around a stream left early", generator_is_left),
    gone("F64.5", "sibling task fails", sibling_fails),
    gone("F64.6", "anyio scope cancelled", scope_ends),
    gone("F64.7", "anyio scope around the session cancelled", session_is_cancelled),
    gone("F64.8", "task.cancel()", task_is_cancelled).only("asyncio"),
    gone("F64.9", "task.cancel(), twice", task_is_cancelled_twice).only("asyncio"),
    gone("F64.10", "task.cancel() of the session's task", session_task_is_cancelled).only(
        "asyncio"
    ),
    gone("F64.11", "asyncio.timeout", time_runs_out).only("asyncio"),
    gone("F64.12", "asyncio.wait_for(anext())", each_is_waited_for, is_partial=False).only(
        "asyncio"
    ),
    Case("F64.13", "one of two callers leaves before their batch is sent")
    .promises("its image is not sent; all paid for is counted")
    .given(slowly)
    .when(neighbour_leaves, images=pictures(2))
    .then(also=first_is_unsent, is_partial=True),
    Case("F64.14", "one of two deadlines passes before the batch is sent")
    .promises("its image is not sent, and says so")
    .given(slowly)
    .when(neighbour_is_late, images=pictures(2))
    .then(reads(), but={0: fails(DeadlineExceeded, attempts=0)}, also=first_is_unsent),
    churned("F65.1", "cancellations, a caller for each slot", by_scope, SLOTS),
    churned("F65.2", "cancellations, two callers for each slot", by_scope, SLOTS * 2),
    churned("F65.3", "task.cancel(), a caller for each slot", by_task, SLOTS).only("asyncio"),
    churned("F65.4", "task.cancel(), four callers for each slot", by_task, SLOTS * 4).only(
        "asyncio"
    ),
    misplaced("F66.1", "session used after its close", use_after_close),
    misplaced("F66.2", "session used in another event loop", use_in_another_loop),
    misplaced("F66.3", "session used in a forked process", use_in_a_fork),
]

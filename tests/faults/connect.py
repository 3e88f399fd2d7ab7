"""F01 to F07: the service is not reached, or there is nothing left to reach it with."""

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import anyio

from tests.faults.case import SLOTS, Call, Case, Trial
from tests.faults.expect import fails, pictures, reads
from tests.faults.steps import always, reads_and_closes, reads_in
from ximilar_ocr_async import AddressError, ConnectionFailed, RetryPolicy
from ximilar_ocr_async._http import evidence, sender

NOWHERE = "127.0.0.2"
"""Nobody listens on this address of the loopback."""

BY_NAME = "http://localhost:{port}"


# ---- what else is wrong


def within(world: Callable[[], AbstractContextManager[None]], call: Call = Trial.read_all) -> Call:
    """Call in a *world* where something else is wrong, too."""

    async def in_world(trial: Trial) -> None:
        with world():
            await call(trial)

    return in_world


def names(*answers: str | int, seconds: float = 0.0) -> Callable[[], AbstractContextManager[None]]:
    """Let names be resolved to the *answers* in turn, the last of them for ever.

    Each is an address, or the number of an error, and takes so many *seconds* [s]: the one way to
    have a resolver fail at will.
    """

    @contextmanager
    def world() -> Iterator[None]:
        left, really = list(answers), socket.getaddrinfo

        def resolve(host: Any, port: Any, *options: int, **more: int) -> Any:
            # trio asks first whether it is a name at all.
            if (options[3:] or [more.get("flags", 0)])[0] & socket.AI_NUMERICHOST:
                return really(host, port, *options, **more)
            time.sleep(seconds)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, int):
                raise socket.gaierror(answer, "as the test has it")
            return really(answer, port, *options, **more)

        with patch.object(socket, "getaddrinfo", resolve):
            yield

    return world


async def without_descriptors(trial: Trial) -> None:
    """Have no file descriptor left until two requests have missed one."""
    await anyio.wait_all_tasks_blocked()  # the server accepts, which takes a free descriptor
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    async with anyio.create_task_group() as group:
        group.start_soon(trial.read_all)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
            await requests_begun(trial, 3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def until_mended(trial: Trial) -> None:
    """Open the way once two requests have failed on it."""
    async with anyio.create_task_group() as group:
        group.start_soon(trial.read_all)
        await requests_begun(trial, 3)
        trial.server.heal()


async def requests_begun(trial: Trial, count: int) -> None:
    """Wait until so many requests have begun."""
    while trial.session.stats.requests < count:  # noqa: ASYNC110 - nothing tells
        await anyio.sleep(0.002)


def soon_late_to_connect() -> AbstractContextManager[Any]:
    """Have connections, and waiting for a free one, time out soon."""
    return patch.object(sender, "CONNECT_TIMEOUT", 0.1)


def busy() -> AbstractContextManager[Any]:
    """Have gateways take longer to say at once that nobody is there, as on a busy machine."""
    return patch.object(evidence, "UNTIMED", 0.5)


async def watch_limit(trial: Trial) -> None:
    """Read all, and see that fewer requests were in flight for a while."""
    limits = []

    async def watch() -> None:
        while True:
            limits.append(trial.session.stats.limit)
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await trial.read_all()
        group.cancel_scope.cancel()
    if min(limits) == trial.case.slots:
        trial.complain("the limit did not fall")


async def in_turn(trial: Trial) -> None:
    """Read the first image, then the others."""
    await trial.read_all(trial.case.images[:1])
    await trial.read_all(trial.case.images[1:])


async def one_by_one(trial: Trial) -> None:
    """Read each image alone, when all is said about the one before."""
    for image in trial.case.images:
        await trial.read_all([image])
        while trial.server.in_flight:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)


def only_a_probe_is_marked(trial: Trial) -> Iterator[str]:
    """Check that nothing may have been billed, but for a probe that nobody waited for any more."""
    marked = sum(outcome.maybe_billed for outcome in trial.outcomes)
    if marked > 1:
        yield f"{marked} images may have been billed"


def one_request(trial: Trial) -> Iterator[str]:
    """Check that nothing was tried again."""
    if trial.stats and trial.stats.requests != 1:
        yield f"{trial.stats.requests} requests were begun"


CONNECT = [
    Case("F01.1", "connection refused, for ever")
    .promises("tried until the outage timeout; not billed")
    .given(way="refused")
    .when(outage_timeout=0.1)
    .then(
        fails(ConnectionFailed, attempts=None, maybe_billed=None, says="out of reach"),
        also=only_a_probe_is_marked,
    ),
    Case("F01.2", "connection refused, one attempt allowed")
    .promises("failed at once; not billed")
    .given(way="refused")
    .when(retry=RetryPolicy(attempts=1, base=0.01, cap=0.05))
    .then(fails(ConnectionFailed, says="Connection refused")),
    Case("F02.1", "no such host name")
    .promises("AddressError, one request")
    .when(url="https://nothing.invalid")
    .then(fails(AddressError), also=one_request, recovers=False),
    Case("F02.2", "no such host name, after a good answer")
    .promises("an outage of the resolver: tried again")
    .given(always(reads_and_closes))
    .when(
        within(names("127.0.0.1", socket.EAI_NONAME, socket.EAI_NONAME, "127.0.0.1"), in_turn),
        url=BY_NAME,
    )
    .then(reads(attempts=3), but={0: reads()}),
    Case("F03", "resolver fails twice for now (EAI_AGAIN)")
    .promises("read at the third attempt")
    .when(within(names(socket.EAI_AGAIN, socket.EAI_AGAIN, "127.0.0.1")), url=BY_NAME)
    .then(reads(attempts=3)),
    Case("F04", "packets to the port are dropped")
    .promises("ConnectionFailed after the timeout, tried again; not billed")
    .given(way="blackhole")
    .when(timeout=0.1, outage_timeout=0.1)
    .then(fails(ConnectionFailed, attempts=None)),  # two, or three where the machine is busy
    Case("F05.1", "refused twice, then well")
    .promises("read at the third attempt, billed once")
    .when(within(names(NOWHERE, NOWHERE, "127.0.0.1")), url=BY_NAME)
    .then(reads(attempts=3), requests=2),  # a probe carries one record
    Case("F05.2", "refused, until the service comes up")
    .promises("found again by a probe, billed once")
    .given(way="refused")
    .when(until_mended)
    .then(reads(attempts=None), requests=2),  # a probe carries one record
    Case("F06.1", "injected client has fewer connections than slots")
    .promises("all read in turn, no deadlock")
    .given(always(reads_in(0.01)))
    .when(
        images=pictures(60), client=lambda module, _: {"limits": module.Limits(max_connections=1)}
    )
    .then(reads(attempts=None), recovers=False),  # its client never does as much side by side
    Case("F06.2", "and the connection is free just before the timeout")
    .promises("sent again once, maybe billed; nothing billed in silence")
    .given(always(reads_in(0.285)))
    .when(
        images=pictures(20),
        client=lambda module, _: {"limits": module.Limits(max_connections=1)},
        timeout=0.3,
        max_concurrency=2,
    )
    .then(recovers=False),  # its client never does as much side by side
    Case("F06.3", "and none of its connections is free before a request gives up waiting for one")
    .promises("costs no attempt, and the limit falls")
    .given(always(reads_in(0.12)))
    .when(
        within(soon_late_to_connect, watch_limit),
        images=pictures(SLOTS * 10),
        client=lambda module, _: {"limits": module.Limits(max_connections=1)},
        adaptive=True,
    )
    .then(reads(), recovers=False),  # its client never does as much side by side
    Case("F07", "no file descriptors left, twice")
    .promises("tried again; not billed, no crash")
    .when(without_descriptors)
    .then(reads(attempts=None), requests=2),  # a probe carries one record
]

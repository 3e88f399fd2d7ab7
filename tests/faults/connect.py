"""F01 to F13: the service is not reached, or is not who it should be."""

import os
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import anyio

from tests.faults.server import Connection
from tests.faults.steps import first, reads_and_closes, reads_in, replies, well
from tests.faults.trial import (
    ANOTHER,
    OURS,
    Call,
    Case,
    Trial,
    authority,
    fails,
    pictures,
    reads,
)
from ximilar_ocr_async import AddressError, ConnectionFailed, RetryPolicy
from ximilar_ocr_async._http import transport

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


async def in_turn(trial: Trial) -> None:
    """Read the first image, then the others."""
    await trial.read_all(trial.case.images[:1])
    await trial.read_all(trial.case.images[1:])


def soon_late_to_connect() -> AbstractContextManager[Any]:
    """Have connections time out soon."""
    return patch.object(transport, "CONNECT_TIMEOUT", 0.15)


async def leave_in_handshake(trial: Trial) -> None:
    """Leave as soon as the server was connected to."""
    async with anyio.create_task_group() as group:
        group.start_soon(trial.read_all)
        while not trial.server.connections:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()


def one_request(trial: Trial) -> Iterator[str]:
    """Check that nothing was tried again."""
    if trial.stats and trial.stats.requests != 1:
        yield f"{trial.stats.requests} requests were begun"


# ---- faults


async def refuse_tunnel(connection: Connection) -> None:
    """Be a proxy that asks for a password."""
    await connection.stream.receive()
    head = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    await connection.stream.send(head)
    await connection.stall()


async def tunnel(connection: Connection) -> None:
    """Be a proxy, and beyond it the service; the first tunnel breaks before anything passed."""
    await connection.raw.receive()
    await connection.raw.send(b"HTTP/1.1 200 OK\r\n\r\n")
    if connection.number > 1:
        await well(connection)


async def answer_in_plain(connection: Connection) -> None:
    """Be a server of plain HTTP that is spoken to in TLS."""
    await connection.stream.receive()
    await connection.stream.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def drop_mid_body(connection: Connection) -> None:
    """Break off without TLS's own goodbye, soon after the body began."""
    await connection.secure()
    await connection.read_head()
    await connection.close()


REACH = [
    Case(
        id="F01.1",
        fault="connection refused, for ever",
        expected="tried until patience ends; not billed",
        way="refused",
        options={"outage_timeout": 0.1},
        expect=fails(ConnectionFailed, attempts=None, says="out of reach"),
    ),
    Case(
        id="F01.2",
        fault="connection refused, one attempt allowed",
        expected="failed at once; not billed",
        way="refused",
        options={"retry": RetryPolicy(attempts=1, base=0.01, cap=0.05)},
        expect=fails(ConnectionFailed),
    ),
    Case(
        id="F02.1",
        fault="no such host name",
        expected="AddressError, one request",
        url="https://nothing.invalid",
        expect=fails(AddressError),
        also=one_request,
        recovers=False,
    ),
    Case(
        id="F02.2",
        fault="no such host name, after a good answer",
        expected="an outage of the resolver: tried again",
        url=BY_NAME,
        behave=replies(then=reads_and_closes),
        call=within(names("127.0.0.1", socket.EAI_NONAME, socket.EAI_NONAME, "127.0.0.1"), in_turn),
        expect=reads(attempts=3),
        but={0: reads()},
    ),
    Case(
        id="F03",
        fault="resolver fails twice for now (EAI_AGAIN)",
        expected="read at the third attempt",
        url=BY_NAME,
        call=within(names(socket.EAI_AGAIN, socket.EAI_AGAIN, "127.0.0.1")),
        expect=reads(attempts=3),
    ),
    Case(
        id="F04",
        fault="packets to the port are dropped",
        expected="ConnectionFailed after the timeout, tried again; not billed",
        way="blackhole",
        options={"timeout": 0.1, "outage_timeout": 0.1},
        # Two, or three where the machine is busy.
        expect=fails(ConnectionFailed, attempts=None),
    ),
    Case(
        id="F05.1",
        fault="refused twice, then well",
        expected="read at the third attempt, billed once",
        url=BY_NAME,
        call=within(names(NOWHERE, NOWHERE, "127.0.0.1")),
        expect=reads(attempts=3),
        requests=2,  # a probe carries one record
    ),
    Case(
        id="F05.2",
        fault="refused, until the service comes up",
        expected="found again by a probe, billed once",
        way="refused",
        call=until_mended,
        expect=reads(attempts=None),
        requests=2,  # a probe carries one record
    ),
    Case(
        id="F06.1",
        fault="injected client has fewer connections than slots",
        expected="all read in turn, no deadlock",
        behave=replies(then=reads_in(0.01)),
        images=pictures(60),
        client=lambda module, _: {"limits": module.Limits(max_connections=1)},
        expect=reads(attempts=None),
        recovers=False,  # its client never does as much side by side
    ),
    Case(
        id="F06.2",
        fault="and the connection is free just before the timeout",
        expected="sent again once, maybe billed; nothing billed in silence",
        behave=replies(then=reads_in(0.285)),
        images=pictures(20),
        options={"timeout": 0.3, "max_concurrency": 2},
        client=lambda module, _: {"limits": module.Limits(max_connections=1)},
        recovers=False,  # its client never does as much side by side
    ),
    Case(
        id="F07",
        fault="no file descriptors left, twice",
        expected="tried again; not billed, no crash",
        call=without_descriptors,
        expect=reads(attempts=None),
        requests=2,  # a probe carries one record
    ),
    Case(
        id="F08.1",
        fault="proxy refuses the tunnel with 407",
        expected="AddressError, one request",
        url="https://ocr.example",
        behave=refuse_tunnel,
        client=lambda _, server: {"proxy": server.url},
        expect=fails(AddressError, says="407"),
        also=one_request,
        recovers=False,
    ),
]


# ---- TLS


@cache
def identity(name: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
    """Return what a server of this *name* identifies itself with."""
    now = datetime.now(UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = now - timedelta(days=1) if expired else None
    certificate = authority(OURS).issue_cert(
        name, not_before=now - timedelta(days=9), not_after=until
    )
    certificate.configure_cert(context)
    return context


TLS = [
    Case(
        id="F08.2",
        fault="proxy's tunnel breaks before TLS, once",
        expected="ConnectionFailed, tried again; billed once",
        url="https://ocr.example",
        behave=tunnel,
        tls=lambda: identity("ocr.example"),
        client=lambda _, server: {"proxy": server.url.replace("https", "http")},
        expect=reads(attempts=2),
        requests=1,
        recovers=False,  # its server is a proxy first
    ),
    Case(
        id="F09",
        fault="certificate of an unknown authority",
        expected="AddressError that names the cause, one request",
        tls=identity,
        trusts=ANOTHER,
        expect=fails(AddressError, says="certificate verify failed"),
        also=one_request,
        recovers=False,
    ),
    Case(
        id="F10.1",
        fault="certificate of another host",
        expected="AddressError that names the cause, one request",
        tls=lambda: identity("other.example"),
        expect=fails(AddressError, says="certificate is not valid for '127.0.0.1'"),
        also=one_request,
        recovers=False,
    ),
    Case(
        id="F10.2",
        fault="certificate has expired",
        expected="AddressError that names the cause, one request",
        tls=lambda: identity(expired=True),
        expect=fails(AddressError, says="certificate has expired"),
        also=one_request,
        recovers=False,
    ),
    Case(
        id="F11.1",
        fault="TLS handshake stalls, once",
        expected="ConnectionFailed after its timeout, tried again; billed once",
        behave=first(1, Connection.stall),
        tls=identity,
        call=within(soon_late_to_connect),
        expect=reads(attempts=2),
        requests=1,
    ),
    Case(
        id="F11.2",
        fault="caller leaves while the TLS handshake stalls",
        expected="its socket is closed, its slot free; not billed",
        behave=first(1, Connection.stall),
        tls=identity,
        call=leave_in_handshake,
        is_partial=True,
        requests=0,
    ),
    Case(
        id="F12",
        fault="plain HTTP on a TLS port",
        expected="AddressError, one request",
        url="https://127.0.0.1:{port}",
        behave=answer_in_plain,
        expect=fails(AddressError),
        also=one_request,
        recovers=False,
    ),
    Case(
        id="F13",
        fault="TLS breaks off without a goodbye within a large body, once",
        expected="UploadCut, tried again; billed once",
        behave=first(1, drop_mid_body),
        tls=identity,
        images=pictures(1, size=4_000_000),
        expect=reads(attempts=2),
        requests=1,
    ),
]

CONNECT = [*REACH, *TLS]

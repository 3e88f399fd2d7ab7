"""F09 to F13: TLS is not spoken, or not well, or by somebody else."""

import ssl
from collections.abc import Callable

import anyio

from tests.faults.case import Case, Trial
from tests.faults.certificates import ANOTHER, demanding, identity, nameless
from tests.faults.connect import in_turn, one_request, soon_late_to_connect, within
from tests.faults.expect import fails, pictures, reads
from tests.faults.server import Behaviour, Connection
from tests.faults.steps import always, first, read, refuses, replies
from ximilar_ocr_async import AddressError


async def leave_in_handshake(trial: Trial) -> None:
    """Leave as soon as the server was connected to."""
    async with anyio.create_task_group() as group:
        group.start_soon(trial.read_all)
        while not trial.server.connections:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.002)
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()


# ---- faults


async def answer_in_plain(connection: Connection) -> None:
    """Be a server of plain HTTP that is spoken to in TLS."""
    await connection.stream.receive()
    await connection.stream.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def alerts(number: int) -> Behaviour:
    """Answer a client's hello in TLS with the alert of this *number* [RFC 8446, 6]."""

    async def behave(connection: Connection) -> None:
        await connection.raw.receive()
        await connection.raw.send(bytes([21, 3, 3, 0, 2, 2, number]))

    return behave


async def shake_hands(connection: Connection) -> None:
    """Shake hands in TLS; say in an alert what displeases the server."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = connection.server.tls
    assert context is not None
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while True:
        incoming.write(await connection.raw.receive())
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await connection.raw.send(outgoing.read())
        except ssl.SSLError:
            await connection.raw.send(outgoing.read())
            return


async def shake_hands_and_stay(connection: Connection) -> None:
    """Do the same, and do not close."""
    await shake_hands(connection)
    await connection.stall()


async def drop_mid_body(connection: Connection) -> None:
    """Break off without TLS's own goodbye, soon after the body began."""
    await connection.secure()
    await connection.read_head()
    await connection.close()


ALERTS = {
    "handshake failure": 40,
    "protocol version": 70,
    "unrecognized name": 112,
    "no application protocol": 120,
}

NO_TLS = b"<html><h1>400</h1>The plain HTTP request was sent to HTTPS port</html>"


def misaddressed(
    id_: str,
    fault: str,
    behave: Behaviour,
    *,
    tls: Callable[[], ssl.SSLContext] = identity,
) -> Case:
    """Say what happens where TLS will never be spoken."""
    return (
        Case(id_, fault)
        .promises("AddressError at once, one request")
        .given(behave, tls=tls)
        .then(fails(AddressError, says="SSL"), also=one_request, recovers=False, requests=0)
    )


HANDSHAKE = [
    Case("F09", "certificate of an unknown authority")
    .promises("AddressError that names the cause, one request")
    .given(tls=identity)
    .when(trusts=ANOTHER)
    .then(fails(AddressError, says="certificate verify failed"), also=one_request, recovers=False),
    Case("F10.1", "certificate of another host")
    .promises("AddressError that names the cause, one request")
    .given(tls=lambda: identity("other.example"))
    .then(
        fails(AddressError, says="certificate is not valid for '127.0.0.1'"),
        also=one_request,
        recovers=False,
    ),
    Case("F10.2", "certificate has expired")
    .promises("AddressError that names the cause, one request")
    .given(tls=lambda: identity(expired=True))
    .then(fails(AddressError, says="certificate has expired"), also=one_request, recovers=False),
    Case("F11.1", "TLS handshake stalls, once")
    .promises("ConnectionFailed after its timeout, tried again; billed once")
    .given(first(1, Connection.stall), tls=identity)
    .when(within(soon_late_to_connect))
    .then(reads(attempts=2), requests=1),
    Case("F11.2", "caller leaves while the TLS handshake stalls")
    .promises("its socket is closed, its slot free; not billed")
    .given(first(1, Connection.stall), tls=identity)
    .when(leave_in_handshake)
    .then(requests=0, is_partial=True),
    Case("F12", "plain HTTP on a TLS port")
    .promises("AddressError, one request")
    .given(answer_in_plain)
    .when(url="https://127.0.0.1:{port}")
    .then(fails(AddressError), also=one_request, recovers=False),
    *(
        misaddressed(f"F12.{n}", f"TLS alert: {what}", alerts(number))
        for n, (what, number) in enumerate(ALERTS.items(), 2)
    ),
    misaddressed(
        "F12.6", "TLS of a server that knows no such name", shake_hands, tls=nameless
    ).when(url="https://localhost:{port}"),
    misaddressed(
        "F12.7",
        "certificate wanted, after the handshake",
        shake_hands_and_stay,
        tls=demanding,
    ),
    # On trio, httpx reads nothing more once it could not write.
    misaddressed("F12.8", "the same, and closed at once", shake_hands, tls=demanding).only(
        library="own"
    ),
    Case("F12.9", "TLS alert: internal error, once")
    .promises("an outage: tried again, billed once")
    .given(first(1, alerts(80)), tls=identity)
    .then(reads(attempts=2), requests=1),
    Case("F12.10", "TLS wanted on a port of plain HTTP, which says so in HTML with 400")
    .promises("AddressError at once, nothing is sent alone")
    .given(always(refuses("400 Bad Request", NO_TLS)))
    .then(fails(AddressError, says="plain HTTP request"), requests=1),
    Case("F12.11", "the same, after a good answer")
    .promises("AddressError at once, nothing is sent alone")
    .given(replies(read, then=refuses("400 Bad Request", NO_TLS)))
    .when(in_turn, images=pictures(11))
    .then(fails(AddressError, says="plain HTTP request"), but={0: reads()}, requests=2),
    Case("F12.12", "scheme of base_url in capitals")
    .promises("TLS is spoken: read at once")
    .given(tls=identity)
    .when(url="HTTPS://127.0.0.1:{port}")
    .then(reads(), requests=1),
    Case("F13", "TLS breaks off without a goodbye within a large body, once")
    .promises("UploadCut, tried again; billed once")
    .given(first(1, drop_mid_body), tls=identity)
    .when(images=pictures(1, size=4_000_000))
    .then(reads(attempts=2), requests=1),
]

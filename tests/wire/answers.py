"""W5 to W8: answers that come early, twice or not at all, and connections that are left over."""

import json
from collections.abc import Iterator
from itertools import product

import anyio

from tests.faults.case import LIBRARIES
from tests.faults.server import Behaviour, Connection
from tests.faults.steps import reply_to
from tests.wire.backend import serves
from tests.wire.case import Case, Trial, encoded, files, links
from tests.wire.checks import (
    all_fail,
    all_read,
    none_doubled,
    none_untold,
    one_request_a_slot,
    within,
)
from tests.wire.configurations import haproxy, nginx
from tests.wire.connections import CLOSE_WAIT, connections_to
from tests.wire.programs import Program
from ximilar_ocr_async import AuthError, RequestRejected

MEGABYTE = 1_000_000
SLOTS = 3

# ---- answers before the body is out

SOURCES = {"bytes": encoded, "files": files}


def small_only(front: str, *, tls: bool) -> Program:
    """Return a front that answers 413 to a head that announces more than 4 MB."""
    if front == "nginx":
        return nginx("client_max_body_size 4m;", tls=tls)
    return haproxy(
        "http-request deny deny_status 413 if { req.hdr_val(content-length) gt 4000000 }", tls=tls
    )


def too_large() -> Iterator[Case]:
    """Announce more than a front takes."""
    ways = product(("nginx", "haproxy"), (False, True), SOURCES.items())
    for number, (front, tls, (source, make)) in enumerate(ways, start=1):
        way = f"{front}, {'TLS' if tls else 'plain'}, {source}"
        yield (
            Case(f"W5.{number}", f"413 while images of 6 MB are sent: {way}")
            .promises("the status is read 20 of 20 times")
            .given(behind=small_only(front, tls=tls))
            .when(Trial.read_in_turn, images=make(20, 6 * MEGABYTE))
            .then(all_fail(RequestRejected, 413))
        )
        yield (
            Case(f"W5.{number + 8}", f"413 while batches of 8 MB are sent: {way}")
            .promises("split until they are small enough, and read")
            .given(behind=small_only(front, tls=tls))
            .when(images=make(20, MEGABYTE), slots=SLOTS)
            .then(all_read)
        )


def unauthorized() -> Iterator[Case]:
    """Send images to a front that does not know the token."""
    ways = product((False, True), SOURCES.items())
    for number, (tls, (source, make)) in enumerate(ways, start=17):
        front = haproxy("http-request deny deny_status 401", tls=tls)
        way = f"haproxy, {'TLS' if tls else 'plain'}, {source}"
        yield (
            Case(f"W5.{number}", f"401 while images of 6 MB are sent: {way}")
            .promises("AuthError 20 of 20 times")
            .given(behind=front)
            .when(Trial.read_in_turn, images=make(20, 6 * MEGABYTE))
            .then(all_fail(AuthError, 401))
        )
        yield (
            Case(f"W5.{number + 4}", f"401 while 60 images of 3 MB are sent: {way}")
            .promises("AuthError at once, one request a slot")
            .given(behind=front)
            .when(images=make(60, 3 * MEGABYTE), slots=SLOTS)
            .then(all_fail(AuthError, 401), one_request_a_slot, within(5))
        )


async def refuse_and_stall(connection: Connection) -> None:
    """Answer 401 to the head of a request, and read nothing of its body."""
    await connection.secure()
    await connection.read_head()
    body = json.dumps({"detail": "Invalid token."}).encode()
    await connection.answer(body, status="401 Unauthorized")
    await connection.read_nothing()


# ---- a second answer

STRAY = {"records": [{"_ocr": {"full_text": "stray"}}], "status": {"code": 200, "text": "OK"}}
"""An answer that names no record, and so could be taken for any."""

READ_AT_ONCE = 64 * 1024
"""[bytes] that the session reads at once, behind which an answer waits unseen."""


def whole(document: object, size: int = 0) -> bytes:
    """Return an answer, blown up to *size* [bytes]."""
    head, body = b"HTTP/1.1 200 OK\r\nContent-Length: %5d\r\n\r\n", json.dumps(document).encode()
    body = body.ljust(size - len(head % 0))
    return head % len(body) + body


def answers_twice(size: int = 0) -> Behaviour:
    """Answer each request in *size* [bytes], or as many as it takes, and answer once more."""

    async def behave(connection: Connection) -> None:
        while True:
            rows = await connection.take()
            connection.bill(rows)
            connection.finish()
            await connection.stream.send(whole(reply_to(rows), size) + whole(STRAY))

    return behave


def second_answers() -> Iterator[Case]:
    """Have a second answer come in the flight of the first."""
    ways = product((False, True), (0, READ_AT_ONCE), LIBRARIES)
    for number, (tls, size, library) in enumerate(ways, start=1):
        way = f"{'TLS' if tls else 'plain'}, {library}"
        yield (
            Case(f"W8.{number}", f"second answer{' behind 64 KiB' if size else ''}: {way}")
            .promises("never taken for the next one's answer")
            .given(answers_twice(size), tls=tls)
            .when(Trial.read_in_turn, images=links(5), library=library)
            # Other libraries keep such a connection, and only the ids of the records tell.
            .then(all_read, none_doubled if library == "own" else none_untold)
        )


# ---- connections that are left over


async def read_and_rest(trial: Trial) -> None:
    """Read, and then ask for nothing until all connections should be closed."""
    await trial.read_all()
    if not connections_to(trial.port):
        trial.complain("no connection was kept")
    with anyio.move_on_after(5):
        while connections_to(trial.port):  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.05)
    if left := connections_to(trial.port):
        trial.complain(f"{left[CLOSE_WAIT]} of {left.total()} connections stay in CLOSE_WAIT")


ANSWERS = [
    *too_large(),
    *unauthorized(),
    *(
        Case(f"W6.{number}", f"401 to the head, then nothing is read: {'TLS' if tls else 'plain'}")
        .promises("AuthError within 2 s, one request a slot")
        .given(refuse_and_stall, tls=tls)
        .when(images=encoded(60, 3 * MEGABYTE), slots=SLOTS)
        .then(all_fail(AuthError, 401), one_request_a_slot, within(2))
        for number, tls in enumerate((False, True), start=1)
    ),
    Case("W7", "nginx closes idle connections after 1 s")
    .promises("none stays half closed, though nothing is asked")
    .given(serves(0.05), behind=nginx("keepalive_timeout 1s;"))
    .when(read_and_rest, images=links(320))
    .then(all_read),
    *second_answers(),
]

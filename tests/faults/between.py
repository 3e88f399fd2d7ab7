"""F71 and F72: what comes unasked, and what ends, on a connection between two requests.

The pools of httpx and of httpx2 do not look for what stands behind an answer, and look after idle
connections only with the next request. So most of this is promised for the session's own transport.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio

from tests.faults.case import SLOTS, Call, Case, Trial
from tests.faults.certificates import identity
from tests.faults.connect import one_by_one, within
from tests.faults.expect import pictures, reads
from tests.faults.server import Connection, Row
from tests.faults.steps import Step, always, read, reply_to
from ximilar_ocr_async._http import transport

PIECE = 64 * 1024
"""[bytes] that are read at once."""

CLOSE_WAIT = "08"
"""How Linux calls a connection that the other side alone has closed."""

STRANGER = "somebody else's"


# ---- faults


def answer_with(document: object, size: int = 0) -> bytes:
    """Return a whole answer of *size* [bytes] at least."""
    head, body = "HTTP/1.1 200 OK\r\nContent-Length: {:5}\r\n\r\n", json.dumps(document)
    body = body.ljust(size - len(head.format(0)))
    return (head.format(len(body)) + body).encode()


def answer_to(name: str, size: int = 0) -> bytes:
    """Return a good answer without ids, which is matched by its place alone."""
    return answer_with({"records": [{"_ocr": {"full_text": name}}]}, size)


def speaks_twice(size: int = 0) -> Step:
    """Answer with *size* [bytes] at least, and in the same breath answer somebody else."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        connection.finish()
        await connection.stream.send(answer_to(rows[0]["name"], size) + answer_to(STRANGER))

    return step


async def speak_later(connection: Connection, rows: list[Row]) -> None:
    """Answer, and a little later answer somebody else."""
    connection.bill(rows)
    await connection.stream.send(answer_to(rows[0]["name"]))
    await anyio.sleep(0.01)
    await connection.stream.send(answer_to(STRANGER))
    connection.finish()


async def echo_and_speak(connection: Connection, rows: list[Row]) -> None:
    """Answer with the ids that came, and in the same breath answer somebody else without."""
    connection.bill(rows)
    connection.finish()
    await connection.stream.send(answer_with(reply_to(rows)) + answer_to(STRANGER))


async def read_and_go(connection: Connection, rows: list[Row]) -> None:
    """Do what the service does, and close without a word about it."""
    await read(connection, rows)
    await connection.close()


# ---- calls


def soon_idle_for_long() -> AbstractContextManager[Any]:
    """Have connections idle for long after a short while."""
    return patch.object(transport, "KEEPALIVE_EXPIRY", 0.15)


def closed_ones(trial: Trial) -> int:
    """Return how many connections to the server it alone has closed."""
    port = int(trial.server.url.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == CLOSE_WAIT for row in rows)


def rest(is_closed: bool) -> Call:
    """Use every slot, then rest; in the end no connection is left, without another request.

    Args:
        is_closed: Whether the server closes its connections at once.
    """

    async def call(trial: Trial) -> None:
        trial.server.gather(SLOTS)
        await trial.read_all()
        if is_closed and not closed_ones(trial):
            trial.complain("the server closed nothing")
        with anyio.move_on_after(1) as scope:
            while trial.server.open or closed_ones(trial):  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.01)
        if scope.cancelled_caught:
            trial.complain(f"{trial.server.open} open, {closed_ones(trial)} closed by one side")

    return call


# ---- cases


def twice(id_: str, size: int, what: str) -> Iterator[Case]:
    """Yield what happens when two answers come in one flight."""
    for n, (how, tls) in enumerate([("", None), (", in TLS", identity)], 1):
        yield (
            Case(f"{id_}.{n}", f"a second answer in the same flight{what}{how}")
            .promises("never taken for the next one: each read at once, with its own text")
            .given(always(speaks_twice(size)), tls=tls)
            .when(one_by_one)
            .then(reads(), requests=SLOTS)
            .only(library="own")
        )


BETWEEN = [
    *twice("F71.1", 0, ""),
    *twice("F71.2", PIECE, ", behind 64 KiB"),
    *(
        Case(f"F71.3.{n}", f"an answer that nobody asked for, after a while{how}")
        .promises("never taken for the next one: each read at once, with its own text")
        .given(always(speak_later), tls=tls)
        .when(one_by_one)
        .then(reads(), requests=SLOTS)
        for n, (how, tls) in enumerate([("", None), (", in TLS", identity)], 1)
    ),
    Case("F71.4", "a second answer in the same flight, without the ids that the first one had")
    .promises("no image gets its text")
    .given(always(echo_and_speak))
    .when(one_by_one)
    .then(reads(attempts=None, maybe_billed=None)),
    Case("F72.1", "idle connections that the service closes")
    .promises("closed within KEEPALIVE_EXPIRY, without another request")
    .given(always(read_and_go))
    .when(within(soon_idle_for_long, rest(is_closed=True)), images=pictures(SLOTS * 10))
    .then(reads(), requests=SLOTS)
    .only(library="own"),
    Case("F72.2", "idle connections that the service keeps")
    .promises("closed within KEEPALIVE_EXPIRY, without another request")
    .when(within(soon_idle_for_long, rest(is_closed=False)), images=pictures(SLOTS * 10))
    .then(reads(), requests=SLOTS)
    .only(library="own"),
]

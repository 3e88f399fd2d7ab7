"""F14 to F23: the line breaks or stalls while the request is on its way."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import anyio
from attrs import evolve

from tests.faults.case import RETRY, SLOTS, Case, Trial
from tests.faults.certificates import identity
from tests.faults.connect import in_turn, names, within
from tests.faults.expect import fails, pictures, reads
from tests.faults.server import Behaviour, Connection, Row
from tests.faults.steps import always, first, read, second_request
from ximilar_ocr_async import BudgetExceeded, RetryPolicy, UploadCut
from ximilar_ocr_async._http import http1

LARGE = 6_000_000
"""[bytes] of an image, more than the kernel takes ahead of a server that does not read."""

WINDOW = 64 * 1024

SOON = 0.25
"""[s] after which a request is given up whose answer stalls."""


# ---- faults


async def close_mid_body(connection: Connection) -> None:
    """Close when the body has begun to come."""
    await connection.read_head()
    await connection.close()


async def reset_mid_body(connection: Connection) -> None:
    """Cut the line when the body has begun to come."""
    await connection.read_head()
    await connection.reset()


async def read_slowly(connection: Connection) -> None:
    """Read a little at a time."""
    size = await connection.read_head()
    while len(connection.received) < size:
        connection.received += await connection.receive()
        await anyio.sleep(0.001)
    await read(connection, json.loads(await connection.read_body(size))["records"])


async def read_and_cut(connection: Connection) -> None:
    """Bill a whole request, and cut the line at once."""
    connection.bill(await connection.take())
    await connection.reset()


async def read_and_close(connection: Connection) -> None:
    """Bill a whole request, work on it for a while, and close without an answer."""
    connection.bill(await connection.take())
    await connection.work(0.1)
    await connection.close()


async def read_and_close_soon(connection: Connection) -> None:
    """Bill a whole request, work on it for no longer than a round trip may take, and close."""
    connection.bill(await connection.take())
    await connection.work(0.01)
    await connection.close()


def says(said: bytes, end: Behaviour) -> Behaviour:
    """Bill a whole request, say something, and *end* the connection."""

    async def behave(connection: Connection) -> None:
        connection.bill(await connection.take())
        await connection.stream.send(said)
        await end(connection)

    return behave


async def lose_every_tenth(connection: Connection, rows: list[Row]) -> None:
    """Do what the service does; of every tenth batch the first answer does not come."""
    bills = connection.server.bills
    is_lost = any(row["name"].endswith("95") and not bills[row["name"]] for row in rows)
    if not is_lost:
        await read(connection, rows)
        return
    connection.bill(rows)
    await connection.work(0.01)
    await connection.close()


def refuses_over(most: int, end: Behaviour | None = None) -> Behaviour:
    """Say 413 to the head of a request of more than *most* [bytes]; then *end*, or read it all."""

    async def behave(connection: Connection) -> None:
        await connection.secure()
        while True:
            size = await connection.read_head()
            if size <= most or connection.server.is_healed:
                body = await connection.read_body(size)
                await read(connection, json.loads(body)["records"])
                continue
            head = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
            await connection.stream.send(head)
            await (end(connection) if end else connection.read_body(size))
            connection.finish()

    return behave


# ---- calls


async def side_by_side_in_turn(trial: Trial) -> None:
    """Use every slot, and then every slot again."""
    half = len(trial.case.images) // 2
    trial.server.gather(trial.case.slots)
    await trial.read_all(trial.case.images[:half])
    await trial.read_all(trial.case.images[half:])


def overlooked() -> AbstractContextManager[Any]:
    """Have the client use connections that were closed, as if it happened just now."""
    return patch.object(http1.Connection, "is_dead", new=False)


async def side_by_side_then_one(trial: Trial) -> None:
    """Use every slot, and then one of them again."""
    trial.server.gather(trial.case.slots)
    await trial.read_all(trial.case.images[:-1])
    await trial.read_all(trial.case.images[-1:])


def three_are_lost(trial: Trial) -> Iterator[str]:
    """Check that just the images of three requests may have been billed twice."""
    marked = sum(outcome.maybe_billed for outcome in trial.outcomes)
    if marked != 30:
        yield f"{marked} images may have been billed, expected 30"


# ---- cases


def malformed(id_: str, what: str, said: bytes, end: Behaviour) -> Case:
    """Say what happens when a reused connection brings an answer that is none."""
    options: dict[str, Any] = {"timeout": SOON} if end is Connection.stall else {}
    return (
        Case(id_, f"reused connection brings {what}")
        .promises("sent again once, maybe billed")
        .given(second_request(says(said, end)))
        .when(in_turn, **options)
        .then(reads(attempts=2, maybe_billed=True), but={0: reads()}, requests=3)
    )


OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = Connection.close
MALFORMED = [
    ("a header with a space in its name", OK + b"X : y\r\nContent-Length: 2\r\n\r\n{}", CLOSE),
    ("two lengths that differ", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", CLOSE),
    ("a length that is no number", OK + b"Content-Length: 2x\r\n\r\n{}", CLOSE),
    ("half a head, and closes", OK + b"Content-Le", CLOSE),
    ("half a head, and stalls", OK + b"Content-Le", Connection.stall),
    ("half a status line, and resets", b"HTTP/1.1 2", Connection.reset),
    ("garbage", b"\x00\x01\x02 what is this\r\n\r\n", CLOSE),
    ("garbage without end", b"\x00", Connection.stall),
]

SEND = [
    Case("F14.1", "closed before the request, once")
    .promises("sent again; may seem to have been sent")
    .given(first(1, Connection.close))
    .then(reads(attempts=2, maybe_billed=None), requests=1),
    Case("F14.2", "closed before a large request, once")
    .promises("sent again, billed once")
    .given(first(1, Connection.close))
    .when(images=pictures(1, size=LARGE))
    .then(reads(attempts=2), requests=1),
    Case("F15.1", "reset within a large body, once")
    .promises("UploadCut: sent again, billed once")
    .given(first(1, reset_mid_body), window=WINDOW)
    .when(images=pictures(1, size=LARGE))
    .then(reads(attempts=2), requests=1),
    Case("F15.2", "reset within a large body, for ever")
    .promises("UploadCut after all attempts, never billed")
    .given(first(1000, reset_mid_body), window=WINDOW)
    .when(images=pictures(1, size=LARGE), retry=RetryPolicy(attempts=3, base=0.01, cap=0.05))
    .then(fails(UploadCut, attempts=3), requests=0),
    Case("F16", "closed within a small body, which had left, once")
    .promises("sent again once, maybe billed")
    .given(first(1, close_mid_body))
    .then(reads(attempts=2, maybe_billed=True), requests=1),
    Case("F17", "server stops reading a large body, once")
    .promises("UploadCut after the timeout: sent again, billed once")
    .given(first(1, Connection.read_nothing), window=WINDOW)
    .when(images=pictures(1, size=LARGE), timeout=0.3)
    .then(reads(attempts=2), requests=1),
    Case("F18", "server reads nothing of a small body, once")
    .promises("RequestTimeout: sent again once, maybe billed")
    .given(first(1, Connection.read_nothing))
    .when(timeout=0.2)
    .then(reads(attempts=2, maybe_billed=True), requests=1),
    Case("F19", "server reads slowly")
    .promises("read, as slow is not dead")
    .given(first(1, read_slowly), window=WINDOW)
    .when(images=pictures(1, size=1_000_000))
    .then(reads(), requests=1),
    Case("F20", "413 before the body has come, which is then read")
    .promises("split, all read, billed once")
    .given(refuses_over(1_500_000))
    .when(images=pictures(4, size=500_000))
    .then(reads(attempts=2), requests=3),
    Case("F21", "413 before the body has come, and closed")
    .promises("smaller requests at once or after two cuts; billed once")
    .given(refuses_over(LARGE, Connection.close))
    .when(images=pictures(4, size=2_000_000))
    .then(reads(attempts=None), requests=4),
    Case("F22.1", "reused connection closed as the request comes")
    .promises("sent again once, maybe billed")
    .given(second_request(close_mid_body))
    .when(in_turn)
    .then(reads(attempts=2, maybe_billed=None), but={0: reads()}, requests=2),
    Case("F22.2", "reused connection reset as the request comes")
    .promises("sent again once, maybe billed")
    .given(second_request(reset_mid_body))
    .when(in_turn)
    .then(reads(attempts=2, maybe_billed=None), but={0: reads()}, requests=2),
    Case("F22.3", "every idle connection reset as its request comes")
    .promises("each sent again once, maybe billed, after a probe of one image")
    .given(second_request(reset_mid_body, connections=SLOTS))
    .when(side_by_side_in_turn, images=pictures(SLOTS * 20))
    .then(reads(attempts=None, maybe_billed=None), requests=SLOTS * 2 + 1),
    Case("F22.4", "reused connection closed while idle")
    .promises("not used, billed once")
    .given(second_request(Connection.close))
    .when(in_turn)
    .then(reads(), requests=2),
    Case("F22.5", "reused connection closed after work on the request")
    .promises("sent again once, maybe billed")
    .given(second_request(read_and_close))
    .when(in_turn)
    .then(reads(attempts=2, maybe_billed=True), but={0: reads()}, requests=3),
    Case("F22.6", "and the resolver had been slow")
    .promises("the same: its time is no round trip")
    .given(second_request(read_and_close), tls=lambda: identity("localhost"))
    .when(within(names("127.0.0.1", seconds=0.15), in_turn), url="https://localhost:{port}")
    .then(reads(attempts=2, maybe_billed=True), but={0: reads()}, requests=3),
    Case("F22.7", "reused connection closed while idle, which the client overlooks")
    .promises("proved not to have been taken: sent again, billed once")
    .given(second_request(Connection.close))
    .when(within(overlooked, in_turn))
    .then(reads(attempts=2), but={0: reads()}, requests=2)
    .only(library="own"),
    Case("F22.8", "the second request of every connection is billed and cut at once")
    .promises("no resend outside the books: each image is billed twice at most, and says so")
    .given(second_request(read_and_cut, connections=1000))
    .when(side_by_side_in_turn, images=pictures(SLOTS * 20))
    .then(recovers=False),
    Case("F22.9", "the same, and nothing may be sent again that may have been billed")
    .promises("ReplyLost: each image is billed once at most")
    .given(second_request(read_and_cut, connections=1000))
    .when(
        side_by_side_in_turn,
        images=pictures(SLOTS * 20),
        retry=evolve(RETRY, resend_maybe_billed=0),
    )
    .then(recovers=False),
    Case("F22.10", "the same, and it is one image more")
    .promises("billed twice at most, and says so")
    .given(second_request(read_and_cut, connections=1000))
    .when(side_by_side_then_one, images=pictures(SLOTS * 10 + 1))
    .then(recovers=False),
    Case("F22.11", "the same: after a lost reply the resend uses a new connection")
    .promises("read at the second attempt, maybe billed")
    .given(second_request(read_and_cut, connections=1000))
    .when(side_by_side_then_one, images=pictures(SLOTS * 10 + 1))
    .then(
        reads(),
        but={SLOTS * 10: reads(attempts=2, maybe_billed=True)},
        requests=SLOTS + 2,
        recovers=False,
    )
    .only(library="own"),
    Case("F22.12", "the same, and max_records is reached")
    .promises("never past max_records: BudgetExceeded, maybe billed")
    .given(second_request(read_and_cut, connections=1000))
    .when(
        side_by_side_then_one,
        images=pictures(SLOTS * 10 + 1),
        max_records=SLOTS * 10 + 1,
    )
    .then(
        reads(),
        but={SLOTS * 10: fails(BudgetExceeded, maybe_billed=True)},
        requests=SLOTS + 1,
        recovers=False,
    ),
    Case("F22.13", "reused connection closed after 10 ms of work on the request")
    .promises("sent again once, maybe billed")
    .given(second_request(read_and_close_soon))
    .when(in_turn)
    .then(reads(attempts=2, maybe_billed=True), but={0: reads()}, requests=3),
    Case("F22.14", "of every tenth batch the first reply is lost after 10 ms of work")
    .promises("all read, each lost one says so")
    .given(always(lose_every_tenth))
    .when(images=pictures(300))
    .then(reads(attempts=None, maybe_billed=None), requests=33, also=three_are_lost),
    *(malformed(f"F22.{n}", what, said, end) for n, (what, said, end) in enumerate(MALFORMED, 15)),
    Case("F23", "reused connection forgotten by a router")
    .promises("RequestTimeout: sent again once, maybe billed")
    .given(second_request(Connection.read_nothing))
    .when(in_turn, timeout=0.2)
    .then(reads(attempts=2, maybe_billed=True), but={0: reads()}, requests=2),
]

"""F14 to F23: the line breaks or stalls while the request is on its way."""

import json
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import anyio
from attrs import evolve

from tests.faults.connect import identity, in_turn, names, within
from tests.faults.server import Behaviour, Connection
from tests.faults.steps import first, read, second_request
from tests.faults.trial import RETRY, SLOTS, Case, Trial, fails, pictures, reads
from ximilar_ocr_async import RetryPolicy, UploadCut
from ximilar_ocr_async._http import http1

LARGE = 6_000_000
"""[bytes] of an image, more than the kernel takes ahead of a server that does not read."""

WINDOW = 64 * 1024


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


def refuses_over(most: int, end: Behaviour | None = None) -> Behaviour:
    """Say 413 to the head of a request of more than *most* [bytes]; then *end*, or read it all."""

    async def behave(connection: Connection) -> None:
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


SEND = [
    Case(
        id="F14.1",
        fault="closed before the request, once",
        expected="sent again; may seem to have been sent",
        behave=first(1, Connection.close),
        expect=reads(attempts=2, maybe_billed=None),
        requests=1,
    ),
    Case(
        id="F14.2",
        fault="closed before a large request, once",
        expected="sent again, billed once",
        behave=first(1, Connection.close),
        images=pictures(1, size=LARGE),
        expect=reads(attempts=2),
        requests=1,
    ),
    Case(
        id="F15.1",
        fault="reset within a large body, once",
        expected="UploadCut: sent again, billed once",
        behave=first(1, reset_mid_body),
        images=pictures(1, size=LARGE),
        window=WINDOW,
        expect=reads(attempts=2),
        requests=1,
    ),
    Case(
        id="F15.2",
        fault="reset within a large body, for ever",
        expected="UploadCut after all attempts, never billed",
        behave=first(1000, reset_mid_body),
        images=pictures(1, size=LARGE),
        window=WINDOW,
        options={"retry": RetryPolicy(attempts=3, base=0.01, cap=0.05)},
        expect=fails(UploadCut, attempts=3),
        requests=0,
    ),
    Case(
        id="F16",
        fault="closed within a small body, which had left, once",
        expected="sent again once, maybe billed",
        behave=first(1, close_mid_body),
        expect=reads(attempts=2, maybe_billed=True),
        requests=1,
    ),
    Case(
        id="F17",
        fault="server stops reading a large body, once",
        expected="UploadCut after the timeout: sent again, billed once",
        behave=first(1, Connection.read_nothing),
        images=pictures(1, size=LARGE),
        window=WINDOW,
        options={"timeout": 0.3},
        expect=reads(attempts=2),
        requests=1,
    ),
    Case(
        id="F18",
        fault="server reads nothing of a small body, once",
        expected="RequestTimeout: sent again once, maybe billed",
        behave=first(1, Connection.read_nothing),
        options={"timeout": 0.2},
        expect=reads(attempts=2, maybe_billed=True),
        requests=1,
    ),
    Case(
        id="F19",
        fault="server reads slowly",
        expected="read, as slow is not dead",
        behave=first(1, read_slowly),
        images=pictures(1, size=1_000_000),
        window=WINDOW,
        expect=reads(),
        requests=1,
    ),
    Case(
        id="F20",
        fault="413 before the body has come, which is then read",
        expected="split, all read, billed once",
        behave=refuses_over(1_500_000),
        images=pictures(4, size=500_000),
        expect=reads(attempts=2),
        requests=3,
    ),
    Case(
        id="F21",
        fault="413 before the body has come, and closed",
        expected="smaller requests at once or after two cuts; billed once",
        behave=refuses_over(LARGE, Connection.close),
        images=pictures(4, size=2_000_000),
        expect=reads(attempts=None),
        requests=4,
    ),
    Case(
        id="F22.1",
        fault="reused connection closed as the request comes",
        expected="sent again once, maybe billed",
        behave=second_request(close_mid_body),
        call=in_turn,
        expect=reads(attempts=2, maybe_billed=None),
        but={0: reads()},
        requests=2,
    ),
    Case(
        id="F22.2",
        fault="reused connection reset as the request comes",
        expected="sent again once, maybe billed",
        behave=second_request(reset_mid_body),
        call=in_turn,
        expect=reads(attempts=2, maybe_billed=None),
        but={0: reads()},
        requests=2,
    ),
    Case(
        id="F22.3",
        fault="every idle connection reset as its request comes",
        expected="each sent again once, maybe billed",
        behave=second_request(reset_mid_body, connections=SLOTS),
        call=side_by_side_in_turn,
        images=pictures(SLOTS * 20),
        expect=reads(attempts=None, maybe_billed=None),
        requests=SLOTS * 2,
    ),
    Case(
        id="F22.4",
        fault="reused connection closed while idle",
        expected="not used, billed once",
        behave=second_request(Connection.close),
        call=in_turn,
        expect=reads(),
        requests=2,
    ),
    Case(
        id="F22.5",
        fault="reused connection closed after work on the request",
        expected="sent again once, maybe billed",
        behave=second_request(read_and_close),
        call=in_turn,
        expect=reads(attempts=2, maybe_billed=True),
        but={0: reads()},
        requests=3,
    ),
    Case(
        id="F22.6",
        fault="and the resolver had been slow",
        expected="the same: its time is no round trip",
        behave=second_request(read_and_close),
        url="https://localhost:{port}",
        tls=lambda: identity("localhost"),
        call=within(names("127.0.0.1", seconds=0.15), in_turn),
        expect=reads(attempts=2, maybe_billed=True),
        but={0: reads()},
        requests=3,
    ),
    Case(
        id="F22.7",
        fault="reused connection closed while idle, which the client overlooks",
        expected="proved not to have been taken: sent again, billed once",
        behave=second_request(Connection.close),
        call=within(overlooked, in_turn),
        expect=reads(attempts=2),
        but={0: reads()},
        requests=2,
        library="own",
    ),
    Case(
        id="F22.8",
        fault="the second request of every connection is billed and cut at once",
        expected="no resend outside the books: each image is billed twice at most, and says so",
        behave=second_request(read_and_cut, connections=1000),
        call=side_by_side_in_turn,
        images=pictures(SLOTS * 20),
        recovers=False,
    ),
    Case(
        id="F22.9",
        fault="the same, and nothing may be sent again that may have been billed",
        expected="ReplyLost: each image is billed once at most",
        behave=second_request(read_and_cut, connections=1000),
        call=side_by_side_in_turn,
        images=pictures(SLOTS * 20),
        options={"retry": evolve(RETRY, resend_maybe_billed=0)},
        recovers=False,
    ),
    Case(
        id="F23",
        fault="reused connection forgotten by a router",
        expected="RequestTimeout: sent again once, maybe billed",
        behave=second_request(Connection.read_nothing),
        call=in_turn,
        options={"timeout": 0.2},
        expect=reads(attempts=2, maybe_billed=True),
        but={0: reads()},
        requests=2,
    ),
]

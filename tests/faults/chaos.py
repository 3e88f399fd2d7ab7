"""F75: faults of many kinds come in any order, and what was paid is known all the same."""

import json
import random

from attrs import evolve

from tests.faults.between import read_and_go
from tests.faults.case import RETRY, Case
from tests.faults.certificates import identity
from tests.faults.expect import pictures
from tests.faults.gateway import BAD, LATE, html
from tests.faults.server import Behaviour, Connection, Row
from tests.faults.steps import Step, after, answers, breaks, failing, read, refuses, reply_to

RNG = random.Random(7)

EARLY = [Connection.close, Connection.reset]
"""How a connection ends when the head of a request has come."""


async def cut_anywhere(connection: Connection, rows: list[Row]) -> None:
    """Bill, work on it for a while, and break off somewhere within the answer."""
    body = json.dumps(reply_to(rows)).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    said = answer[: RNG.randrange(len(answer))]
    end = RNG.choice([Connection.close, Connection.reset])
    await after(RNG.uniform(0.0, 0.02), breaks(said, end))(connection, rows)


FAULTS: list[Step] = [
    cut_anywhere,
    cut_anywhere,
    breaks(b"\x00 what is this?\r\n\r\n"),
    after(LATE, answers(html(BAD), status=BAD)),
    after(LATE, answers(b"", status="503 Service Unavailable", more="Retry-After: 0\r\n")),
    refuses(BAD, html(BAD)),
    refuses("429 Too Many Requests", failing(429, "slow down")),
    read_and_go,
]


def at_random(share: float) -> Behaviour:
    """Meet this *share* of requests with a fault."""

    async def behave(connection: Connection) -> None:
        await connection.secure()
        while True:
            size = await connection.read_head()
            is_well = connection.server.is_healed or RNG.random() > share
            if not is_well and RNG.random() < 0.2:
                await RNG.choice(EARLY)(connection)
            rows = json.loads(await connection.read_body(size))["records"]
            await (read if is_well else RNG.choice(FAULTS))(connection, rows)

    return behave


def chaos(id_: str, share: float, resends: int) -> Case:
    """Say what happens when a *share* of requests meets a fault."""
    return (
        Case(id_, f"faults of any kind in {share:.0%} of requests, {resends} resends")
        .promises("billed no more often than is allowed, and never twice in silence")
        .given(at_random(share))
        .when(
            images=pictures(100),
            retry=evolve(RETRY, resend_maybe_billed=resends),
            outage_timeout=0.2,
        )
    )


CHAOS = [
    chaos("F75.1", 0.2, 1),
    chaos("F75.2", 0.8, 1),
    chaos("F75.3", 0.5, 0),
    chaos("F75.4", 0.5, 3),
    Case("F75.5", "the same with large images, in TLS")
    .promises("billed no more often than is allowed, and never twice in silence")
    .given(at_random(0.5), tls=identity)
    .when(images=pictures(30, size=200_000), max_batch_bytes=1_000_000),
]

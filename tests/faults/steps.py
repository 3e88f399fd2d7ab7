"""What a faulty server does with a request that came whole, and with a connection."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tests.faults.server import Behaviour, Connection, Row

Step: TypeAlias = Callable[[Connection, list[Row]], Awaitable[None]]
"""What is done with a request, given its records."""

# ---- with a request


def reply_to(rows: list[Row]) -> dict[str, Any]:
    """Return the service's answer, in which the text of each image is its name."""
    status = {"code": 200, "text": "OK", "request_id": "r-1"}
    records = [{"_id": row["_id"], "_ocr": {"full_text": row["name"]}} for row in rows]
    return {"records": records, "status": status}


async def read(connection: Connection, rows: list[Row]) -> None:
    """Do what the service does."""
    connection.bill(rows)
    await connection.server.meet()
    await connection.answer(json.dumps(reply_to(rows)).encode())


async def reads_and_closes(connection: Connection, rows: list[Row]) -> None:
    """Do what the service does, and use the connection for nothing else."""
    connection.bill(rows)
    body = json.dumps(reply_to(rows)).encode()
    await connection.answer(body, more="Connection: close\r\n")
    await connection.close()


def reads_in(seconds: float) -> Step:
    """Do what the service does, in *seconds* [s]."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        await connection.work(seconds)
        await connection.answer(json.dumps(reply_to(rows)).encode())

    return step


def failing(code: int, text: str) -> dict[str, Any]:
    """Return what the service says when it fails."""
    return {"status": {"code": code, "text": text, "request_id": "r-2"}}


async def fail_all(connection: Connection, rows: list[Row]) -> None:
    """Fail every record for a fault of its own, and bill none."""
    records = [{"_id": row["_id"], "_status": {"code": 422, "text": "no image"}} for row in rows]
    body = {"records": records, "status": {"code": 200, "text": "OK"}}
    await connection.answer(json.dumps(body).encode())


def after(seconds: float, step: Step) -> Step:
    """Take a *step* after so many *seconds* [s] of work."""

    async def later(connection: Connection, rows: list[Row]) -> None:
        await connection.work(seconds)
        await step(connection, rows)

    return later


def refuses(status: str, body: object = b"", *, more: str = "") -> Step:
    """Answer with *status*, and bill nothing."""

    async def step(connection: Connection, _: list[Row]) -> None:
        await connection.answer(_encode(body), status=status, more=more)

    return step


def answers(body: object, *, status: str = "200 OK", more: str = "") -> Step:
    """Bill, and answer with *body*."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        await connection.answer(_encode(body), status=status, more=more)

    return step


def meddles(change: Callable[[dict[str, Any]], Any], *, status: str = "200 OK") -> Step:
    """Bill, and send a good answer after *change*, which returns it or changes it in place."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        document = reply_to(rows)
        changed = change(document)
        await connection.answer(_encode(document if changed is None else changed), status=status)

    return step


def breaks(said: bytes = b"", end: Behaviour = Connection.close) -> Step:
    """Bill, send what is *said*, and *end* the connection."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        if said:
            await connection.stream.send(said)
        await end(connection)

    return step


def drips(said: bytes, drop: bytes, *, seconds: float = 0.01) -> Step:
    """Bill, send what is *said*, and then a *drop* every so many *seconds* [s], for ever."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        connection.bill(rows)
        await connection.stream.send(said)
        while True:
            await connection.work(seconds)
            await connection.stream.send(drop)

    return step


def _encode(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


# ---- with a connection


def replies(*steps: Step, then: Step = read) -> Behaviour:
    """Take one of the *steps* with each of the first requests, and *then* with all others."""

    async def behave(connection: Connection) -> None:
        while True:
            rows = await connection.take()
            server = connection.server
            due = steps[server.requests - 1] if server.requests <= len(steps) else then
            await (read if server.is_healed else due)(connection, rows)

    return behave


def once(step: Step) -> Behaviour:
    """Take a *step* with the first request, and serve all others well."""
    return replies(step)


def always(step: Step) -> Behaviour:
    """Take a *step* with every request."""
    return replies(then=step)


well = replies()
"""Do all that is asked."""


def first(connections: int, fault: Behaviour) -> Behaviour:
    """Have the first *connections* meet a *fault*."""

    async def behave(connection: Connection) -> None:
        is_due = connection.number <= connections and not connection.server.is_healed
        await (fault if is_due else well)(connection)

    return behave


def second_request(fault: Behaviour, *, connections: int = 1) -> Behaviour:
    """Have the second request of each of the first *connections* meet a *fault*."""

    async def behave(connection: Connection) -> None:
        if connection.number <= connections and not connection.server.is_healed:
            await read(connection, await connection.take())
            await fault(connection)
        await well(connection)

    return behave

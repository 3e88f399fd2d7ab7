"""F70: a status comes and stands, whatever becomes of the rest of its answer."""

from collections.abc import Iterator
from typing import Any

from tests.faults.case import Case
from tests.faults.connect import busy, within
from tests.faults.expect import fails, pictures, reads
from tests.faults.server import Behaviour, Connection, Row
from tests.faults.steps import Step, always, once, read, refuses
from ximilar_ocr_async import AuthError, RequestRejected

POISON = "image-1"

SOON = 0.25
"""[s] after which a request is given up whose answer stalls."""


def says(status: str, end: Behaviour) -> Step:
    """Answer with *status* and the beginning of a body, bill nothing, and *end* the connection."""

    async def step(connection: Connection, _: list[Row]) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: 1000\r\nRetry-After: 0.02\r\n\r\n"
        await connection.stream.send(head.encode() + b'{"status": {"co')
        await end(connection)

    return step


def refuses_over(most: int, refusal: Step) -> Step:
    """Refuse requests of more than *most* records."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        await (refusal if len(rows) > most else read)(connection, rows)

    return step


def poisoned(refusal: Step) -> Step:
    """Refuse every request that has the poison in it."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        is_bad = any(row["name"] == POISON for row in rows)
        await (refusal if is_bad else read)(connection, rows)

    return step


def cut(id_: str, what: str, end: Behaviour) -> Iterator[Case]:
    """Yield what happens when each status comes and its body does not."""
    options: dict[str, Any] = {"timeout": SOON} if end is Connection.stall else {}
    for n, status in enumerate(("401 Unauthorized", "403 Forbidden"), 1):
        yield (
            Case(f"{id_}.{n}", f"{status}, {what}")
            .promises("AuthError, one request")
            .given(always(says(status, end)))
            .when(**options)
            .then(fails(AuthError, says=status[:3]), requests=1)
        )
    yield (
        Case(f"{id_}.3", f"413 to more than two images, {what}")
        .promises("split, all read, billed once")
        .given(always(refuses_over(2, says("413 Content Too Large", end))))
        .when(images=pictures(4), **options)
        .then(reads(attempts=2), requests=3)
    )
    yield (
        Case(f"{id_}.4", f"422 to every request with one bad image, {what}")
        .promises("the others are read, this one is rejected")
        .given(always(poisoned(says("422 Unprocessable Content", end))))
        .when(**options)
        .then(
            reads(attempts=2),
            but={1: fails(RequestRejected, attempts=2, says="422")},
            requests=4,
        )
    )
    again = ("429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable")
    for n, status in enumerate(again, 5):
        yield (
            Case(f"{id_}.{n}", f"{status}, {what}, once")
            .promises("sent again, billed once")
            .given(once(says(status, end)))
            .when(within(busy), **options)
            .then(reads(attempts=2), requests=2)
        )


CUT = [
    *cut("F70.1", "closed within the body", Connection.close),
    *cut("F70.2", "reset within the body", Connection.reset),
    *cut("F70.3", "stalled within the body", Connection.stall),
    Case("F70.4", "401 Unauthorized, in an encoding that nobody asked for")
    .promises("AuthError, one request")
    .given(always(refuses("401 Unauthorized", b"?", more="Content-Encoding: br\r\n")))
    .then(fails(AuthError, says="401"), requests=1),
    Case("F70.5", "500 Internal Server Error, longer than max_response_bytes, once")
    .promises("sent again, billed once")
    .given(once(refuses("500 Internal Server Error", bytes(2000))))
    .when(max_response_bytes=1000)
    .then(reads(attempts=2), requests=2),
]

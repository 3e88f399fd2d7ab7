"""F24 to F51: the request was sent, and what comes back is no answer, or no good one."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tests.faults.case import Case
from tests.faults.expect import fails, reads
from tests.faults.server import Connection, Row
from tests.faults.steps import (
    Step,
    always,
    answers,
    breaks,
    drips,
    meddles,
    once,
    refuses,
    reply_to,
)
from ximilar_ocr_async import (
    AddressError,
    OCRError,
    ReplyError,
    ReplyLost,
    RequestTimeout,
    RetryPolicy,
)

ONCE_ONLY = RetryPolicy(attempts=1)
NO_RESEND = RetryPolicy(base=0.01, cap=0.05, resend_maybe_billed=0)

MB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"
SOME = OK + b"Content-Length: 1000\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = "Content-Encoding: gzip\r\n"


def lost_once(
    id_: str,
    fault: str,
    step: Step,
    *,
    error: type[OCRError] = ReplyLost,
    memory: int | None = None,
    **options: Any,
) -> Case:
    """Say what happens when a reply is lost once."""
    return (
        Case(id_, f"{fault}, once")
        .promises("sent again once, maybe billed")
        .given(once(step))
        .when(**until_lost(error), **options)
        .then(reads(attempts=2, maybe_billed=True), requests=2, memory=memory)
    )


def lost(
    id_: str,
    fault: str,
    step: Step,
    *,
    error: type[OCRError] = ReplyLost,
    memory: int | None = None,
    **options: Any,
) -> Iterator[Case]:
    """Yield what happens when a reply is lost once, and what when every reply is lost."""
    yield lost_once(f"{id_}.1", fault, step, error=error, memory=memory, **options)
    yield (
        Case(f"{id_}.2", f"{fault}, for ever")
        .promises(f"{error.__name__} after two, maybe billed")
        .given(always(step))
        .when(**until_lost(error), **options)
        .then(fails(error, attempts=2, maybe_billed=True), requests=2, memory=memory)
    )


def until_lost(error: type[OCRError]) -> dict[str, Any]:
    """Return options with which a timeout, where it is one, comes soon."""
    return {"timeout": 0.15} if error is RequestTimeout else {}


def never_resent(id_: str, retry: RetryPolicy) -> Case:
    """Say what happens when a reply is lost and must not be asked for again."""
    return (
        Case(
            id_,
            f"closed after the whole body, {retry.attempts} attempts, "
            f"{retry.resend_maybe_billed} resends",
        )
        .promises("ReplyLost at once, maybe billed")
        .given(always(breaks()))
        .when(retry=retry)
        .then(fails(ReplyLost, maybe_billed=True), requests=1)
    )


HEADERS = [
    *lost("F24", "closed after the whole body", breaks()),
    never_resent("F24.3", ONCE_ONLY),
    never_resent("F24.4", NO_RESEND),
    *lost("F25", "reset after the whole body", breaks(end=Connection.reset)),
    *lost("F26", "no answer", breaks(end=Connection.stall), error=RequestTimeout),
    *lost("F27", "half a status line", breaks(b"HTTP/1.1 2")),
    *lost("F28.1", "garbage", breaks(b"\x00\x01\x02 what is this\r\n\r\n")),
    *lost("F28.2", "an answer of HTTP/0.9", breaks(b'{"records": []}\n')),
    *lost("F29.1", "150 kB of headers", breaks(OK + b"X-Filler: " + bytes(150_000))),
    lost_once(
        "F30.1",
        "interim answers (102) without end",
        drips(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        error=RequestTimeout,
    ),
]

COOKIE = (
    Case("F29.2", "a cookie that cannot be sent back, with a 500")
    .promises("forgotten: sent again, read")
    .given(once(refuses("500 Internal Server Error", more="Set-Cookie: ÿ=1\r\n")))
    .then(reads(attempts=2), requests=2)
    .only(library="own")  # the cookies of an injected client are its owner's
)


def redirected(id_: str, status: str, location: str) -> Case:
    """Say what happens to a request that is sent elsewhere."""
    return (
        Case(id_, f"{status} to {location}")
        .promises("AddressError, nothing sent elsewhere")
        .given(always(refuses(status, more=f"Location: {location}\r\n")))
        .then(fails(AddressError, says=status[:3]), requests=1)
    )


REDIRECTS = [
    redirected("F31.1", "302 Found", "/elsewhere"),
    redirected("F31.2", "307 Temporary Redirect", "https://elsewhere.example/"),
    redirected("F32", "302 Found", "https://[::1"),
]


# ---- bodies


@cache
def bomb() -> bytes:
    """Return 64 MB of nothing, compressed piece by piece."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(bytes(MB)) for _ in range(64)) + packer.flush()


async def say_too_much(connection: Connection, rows: list[Row]) -> None:
    """Send 64 MB."""
    connection.bill(rows)
    await connection.stream.send(OK + b"Content-Length: %d\r\n\r\n" % (64 * MB))
    for _ in range(64):
        await connection.stream.send(bytes(MB))


async def say_a_bomb(connection: Connection, rows: list[Row]) -> None:
    """Send 64 MB, compressed."""
    await answers(bomb(), more=GZIP)(connection, rows)


async def say_a_bomb_in_a_bomb(connection: Connection, rows: list[Row]) -> None:
    """Send 64 MB, compressed twice."""
    await answers(gzip.compress(bomb()), more="Content-Encoding: gzip, gzip\r\n")(connection, rows)


async def half_a_gzip(connection: Connection, rows: list[Row]) -> None:
    """Send the first half of a compressed answer, as if it were all of it."""
    whole = gzip.compress(json.dumps(reply_to(rows)).encode())
    await answers(whole[: len(whole) // 2], more=GZIP)(connection, rows)


async def encoded_well(connection: Connection, rows: list[Row]) -> None:
    """Send a compressed answer."""
    whole = gzip.compress(json.dumps(reply_to(rows)).encode())
    await answers(whole, more=GZIP)(connection, rows)


SMALL: dict[str, Any] = {"max_response_bytes": 4 * MB, "memory": 24 * MB}

BODIES = [
    *lost("F33", "body shorter than its Content-Length", breaks(SOME + b"{")),
    *lost("F34", "chunked body without its end", breaks(CHUNKED + b"1\r\n{\r\n")),
    *lost(
        "F35",
        "body that ends with the connection, halved",
        breaks(OK + b'\r\n{"records": [{"_id"'),
        error=ReplyError,
    ),
    *lost("F36", "half a gzip", half_a_gzip),
    lost_once("F37.1", "a byte now and then", drips(SOME, b" "), error=RequestTimeout),
    lost_once(
        "F38.1", "nothing after the headers", breaks(SOME, Connection.stall), error=RequestTimeout
    ),
    *lost("F39", "64 MB, 4 MB allowed", say_too_much, error=ReplyError, **SMALL),
    *lost("F40", "gzip bomb of 64 MB, 4 MB allowed", say_a_bomb, error=ReplyError, **SMALL),
    *lost("F41", "gzip bomb in a gzip", say_a_bomb_in_a_bomb, error=ReplyError, **SMALL),
    *lost(
        "F42.1",
        "unknown content encoding",
        answers(b"?", more="Content-Encoding: br\r\n"),
        error=ReplyError,
    ),
    *lost("F42.2", "gzip that is none", answers(b"no gzip", more=GZIP), error=ReplyError),
    *lost(
        "F42.3",
        "gzip that goes on after it",
        answers(gzip.compress(b"{}") + b"{}", more=GZIP),
        error=ReplyError,
    ),
    Case("F42.4", "gzip, as asked for").promises("read").given(always(encoded_well)).then(reads()),
]


# ---- JSON


JSON = [
    *lost("F43", "HTML with 200", answers(b"<html>It works!</html>"), error=ReplyError),
    *lost("F44", "nothing with 200", answers(b""), error=ReplyError),
    *lost("F45", "invalid UTF-8", answers(b'{"records": "\xff\xfe"}'), error=ReplyError),
    *lost("F46.1", "100,000 brackets", answers(b"[" * 100_000), error=ReplyError),
    *lost(
        "F46.2",
        "a number of 5,000 digits",
        answers(b'{"records": %s}' % (b"7" * 5000)),
        error=ReplyError,
    ),
]


def with_row(**more: Any) -> Callable[[dict[str, Any]], None]:
    """Add to the second record."""

    def change(document: dict[str, Any]) -> None:
        document["records"][1].update(more)

    return change


def with_status(status: object) -> Callable[[dict[str, Any]], Any]:
    """Put another thing in the status's place."""
    return lambda document: document | {"status": status}


def drop_second(document: dict[str, Any]) -> None:
    """Lose a record."""
    del document["records"][1]


def second_is_first(document: dict[str, Any]) -> None:
    """Give the second record the id of the first."""
    document["records"][1] = document["records"][0]


def second_is_unknown(document: dict[str, Any]) -> None:
    """Give the second record an id that was never sent."""
    document["records"][1]["_id"] = "nobody"


def one_more(document: dict[str, Any]) -> None:
    """Add a record that nobody asked for."""
    document["records"].append(document["records"][0] | {"_id": "nobody"})


def reorder(document: dict[str, Any]) -> None:
    """Turn the records round."""
    document["records"].reverse()


def without_ids(document: dict[str, Any]) -> None:
    """Leave out all ids."""
    for row in document["records"]:
        del row["_id"]


def tolerated(id_: str, fault: str, change: Callable[[dict[str, Any]], Any]) -> Case:
    """Say what happens to an answer that is odd, and good."""
    return (
        Case(id_, fault)
        .promises("read at once")
        .given(always(meddles(change)))
        .then(reads(), requests=1)
    )


def one_missing(id_: str, fault: str, change: Callable[[dict[str, Any]], Any]) -> Case:
    """Say what happens to an answer in which one record is not to be found."""
    return (
        Case(id_, f"{fault}, once")
        .promises("the others are read; this one is sent again once, maybe billed")
        .given(once(meddles(change)))
        .then(reads(), but={1: reads(attempts=2, maybe_billed=True)}, requests=2)
    )


NAN = {"full_text": "image-1", "texts": [{"text": "a", "prob": float("nan")}]}
STATUSES: dict[str, object] = {
    "a number": 200,
    "a number in quotes": "200",
    "a word": "OK",
    "null": None,
    "a list": [200],
    "true": True,
    "an object with a word for its code": {"code": "fine", "text": 7},
}

SCHEMA = [
    tolerated("F46.3", "NaN among the numbers", with_row(_ocr=NAN)),
    *(
        tolerated(f"F47.{n}", f"status is {what}", with_status(status))
        for n, (what, status) in enumerate(STATUSES.items(), 1)
    ),
    tolerated("F47.8", "status is missing", lambda document: {"records": document["records"]}),
    one_missing("F48", "a record is missing", drop_second),
    one_missing("F49", "a record comes twice, another not", second_is_first),
    one_missing("F50.1", "a record has an unknown id", second_is_unknown),
    tolerated("F50.2", "records come in another order", reorder),
    tolerated("F50.3", "a record more than was asked for", one_more),
    tolerated("F50.4", "no record has an id", without_ids),
    tolerated("F51.1", "unknown fields", with_row(**{"processing time": 7, "_x": {"y": [None]}})),
    tolerated("F51.2", "texts are null", with_row(_ocr={"full_text": "image-1", "texts": None})),
    one_missing("F51.3", "a record is a number", lambda d: d["records"].__setitem__(1, 7)),
]

REPLY = [*HEADERS, COOKIE, *REDIRECTS, *BODIES, *JSON, *SCHEMA]

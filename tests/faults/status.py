"""F52 to F62: the service answers, and says no: to a request, to a record, or to everybody."""

import json
from collections.abc import Iterator
from typing import Any

from tests.faults.server import Connection, Row
from tests.faults.steps import Step, answers, meddles, read, reads_in, refuses, replies
from tests.faults.trial import Case, Trial, fails, pictures, reads
from ximilar_ocr_async import (
    AuthError,
    DeadlineExceeded,
    ReplyLost,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
)

POISON = "image-4"


def failing(code: int, text: str) -> dict[str, Any]:
    """Return what the service says when it fails."""
    return {"status": {"code": code, "text": text, "request_id": "r-2"}}


# ---- a request as a whole


def poisoned(status: str) -> Step:
    """Refuse every request that has the poison in it."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        is_bad = any(row["name"] == POISON for row in rows)
        await (refuses(status, failing(int(status[:3]), "bad image")) if is_bad else read)(
            connection, rows
        )

    return step


def few_were_sent(trial: Trial) -> Iterator[str]:
    """Check that after the refusal only what was in flight was refused, too."""
    read_well = sum(outcome.ok for outcome in trial.outcomes)
    if read_well != 20:
        yield f"{read_well} images were read, expected 20"
    wrong = [o for o in trial.outcomes if not o.ok and type(o.error) is not AuthError]
    if wrong:
        yield f"ended with {wrong[0].error!r}"
    if any(outcome.attempts > 1 or outcome.maybe_billed for outcome in trial.outcomes):
        yield "an image was sent again"


def refused_account(id_: str, fault: str, step: Step) -> Case:
    """Say what happens when the account is refused, two requests into a job."""
    return Case(
        id=id_,
        fault=f"{fault}, in the third request of ten",
        expected="in flight finish, the rest AuthError unsent",
        behave=replies(read, read, then=step),
        images=pictures(100),
        requests=5,
        also=few_were_sent,
    )


def turned_away(id_: str, status: str) -> Iterator[Case]:
    """Yield what happens when a gateway says that the service is not there."""
    html = f"<html><h1>{status}</h1></html>".encode()
    yield Case(
        id=f"{id_}.1",
        fault=f"{status} in HTML, once",
        expected="sent again, billed once",
        behave=replies(refuses(status, html)),
        expect=reads(attempts=2),
        requests=2,
    )
    yield Case(
        id=f"{id_}.2",
        fault=f"{status} in HTML, for ever",
        expected="an outage: probed until patience ends, not billed",
        behave=replies(then=refuses(status, html)),
        options={"outage_timeout": 0.1},
        expect=fails(ServiceUnavailable, attempts=None, says="out of reach"),
        requests=8,
    )


CRASH = refuses("500 Internal Server Error", failing(500, "oops"))
TIMED_OUT = "<html>upstream timed out</html>"

WHOLE = [
    Case(
        id="F52.1",
        fault="400 to every request with one bad image",
        expected="9 read, 1 rejected, in 11 requests",
        behave=replies(then=poisoned("400 Bad Request")),
        images=pictures(10),
        expect=reads(attempts=2),
        but={4: fails(RequestRejected, attempts=2, says="bad image")},
        requests=11,
    ),
    Case(
        id="F52.2",
        fault="500 to every request with one bad image",
        expected="sent again, then 9 read and 1 failed alone",
        behave=replies(then=poisoned("500 Internal Server Error")),
        images=pictures(10),
        options={"retry": RetryPolicy(attempts=4, base=0.01, cap=0.05)},
        expect=reads(attempts=3),
        but={4: fails(ServiceUnavailable, attempts=None, says="bad image")},
        requests=16,
    ),
    Case(
        id="F52.3",
        fault="422 to everything",
        expected="three alone fail alike: it is the service, the rest unsent",
        behave=replies(then=refuses("422 Unprocessable Content", failing(422, "no"))),
        images=pictures(10),
        expect=fails(RequestRejected, attempts=None),
        requests=6,
    ),
    refused_account("F53.1", "401", refuses("401 Unauthorized", failing(401, "invalid token"))),
    refused_account("F53.2", "402", refuses("402 Payment Required", failing(402, "pay"))),
    refused_account("F53.3", "403", refuses("403 Forbidden", {"detail": "not in your plan"})),
    refused_account("F54.1", "200 with a 401 inside", refuses("200 OK", failing(401, "no"))),
    refused_account(
        "F54.2", "429 that speaks of credits",
        refuses("429 Too Many Requests", failing(429, "credit limits exceeded")),
    ),
    refused_account(
        "F54.3", "200 that speaks of credits", refuses("200 OK", failing(200, "credit limits")),
    ),
    Case(
        id="F55.1",
        fault="500, once",
        expected="sent again, billed once",
        behave=replies(CRASH),
        expect=reads(attempts=2),
        requests=2,
    ),
    Case(
        id="F55.2",
        fault="500, for ever",
        expected="again, then alone; three alike: the service, the rest fail",
        behave=replies(then=CRASH),
        images=pictures(10),
        expect=fails(ServiceUnavailable, attempts=None, says="oops"),
        requests=8,
    ),
    *turned_away("F56.1", "502 Bad Gateway"),
    *turned_away("F56.2", "503 Service Unavailable"),
    Case(
        id="F57.1",
        fault="504, once",
        expected="ReplyLost: sent again once, maybe billed",
        behave=replies(answers(TIMED_OUT, status="504 Gateway Timeout")),
        expect=reads(attempts=2, maybe_billed=True),
        requests=2,
    ),
    Case(
        id="F57.2",
        fault="524, for ever",
        expected="ReplyLost after two, maybe billed",
        behave=replies(then=answers(TIMED_OUT, status="524 A Timeout Occurred")),
        expect=fails(ReplyLost, attempts=2, maybe_billed=True),
        requests=2,
    ),
]  # fmt: skip


# ---- records


def fail_second(code: int) -> Step:
    """Fail the second record, and bill the others."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        def change(document: dict[str, Any]) -> None:
            document["records"][1] |= {"_status": {"code": code, "text": "bad"}}

        await meddles(change)(connection, rows)
        connection.server.bills[rows[1]["name"]] -= 1

    return step


async def fail_all(connection: Connection, rows: list[Row]) -> None:
    """Fail every record for a fault of its own, and bill none."""
    records = [{"_id": row["_id"], "_status": {"code": 422, "text": "no image"}} for row in rows]
    body = {"records": records, "status": {"code": 200, "text": "OK"}}
    await connection.answer(json.dumps(body).encode())


RECORDS = [
    Case(
        id="F58.1",
        fault="one record with 500 in a good answer, once",
        expected="this record alone is sent again",
        behave=replies(fail_second(500)),
        expect=reads(),
        but={1: reads(attempts=2)},
        requests=2,
    ),
    Case(
        id="F58.2",
        fault="one record with 404 in a good answer",
        expected="this record fails, nothing is sent again",
        behave=replies(fail_second(404)),
        expect=reads(),
        but={1: fails(RequestRejected, says="404")},
        requests=1,
    ),
    Case(
        id="F59",
        fault="every record with 422 in a good answer",
        expected="all fail, nothing is sent again",
        behave=replies(then=fail_all),
        images=pictures(10),
        expect=fails(RequestRejected, says="no image"),
        requests=1,
    ),
]


# ---- too many requests

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:59:37 GMT"
MANY = "429 Too Many Requests"


def told_to_wait(id_: str, fault: str, headers: str) -> Case:
    """Say what happens after one 429 that asks for no long wait."""
    return Case(
        id=id_,
        fault=f"429, Retry-After {fault}",
        expected="sent again soon, billed once",
        behave=replies(refuses(MANY, failing(429, "slow down"), more=headers)),
        expect=reads(attempts=2),
        requests=2,
    )


def told_to_wait_long(id_: str, fault: str, headers: str) -> Case:
    """Say what happens after one 429 that asks for more than the call has."""
    return Case(
        id=id_,
        fault=f"429, Retry-After {fault}",
        expected="DeadlineExceeded at once, without the wait",
        behave=replies(refuses(MANY, failing(429, "slow down"), more=headers)),
        options={"deadline": 4.0},
        expect=fails(DeadlineExceeded, says="slow down"),
        requests=1,
        recovers=False,  # it does as it is told
        hang=3.0,
    )


CAPACITY = 3


async def refuse_a_crowd(connection: Connection, rows: list[Row]) -> None:
    """Refuse a request that is one too many at a time."""
    is_crowded = connection.server.in_flight > CAPACITY
    await (STORM if is_crowded else reads_in(0.005))(connection, rows)


async def crowd_then_calm(trial: Trial) -> None:
    """Read the first half from a service that soon has too many, and the rest when it is mended."""
    half = len(trial.case.images) // 2
    await trial.read_all(trial.case.images[:half])
    if trial.session.stats.limit == trial.case.slots:
        trial.complain("the limit did not fall")
    trial.server.heal()
    await trial.read_all(trial.case.images[half:])
    if trial.session.stats.limit != trial.case.slots:
        trial.complain(f"the limit is {trial.session.stats.limit} afterwards")


STORM = refuses(MANY, failing(429, "too many requests"))

RATES = [
    told_to_wait("F60.1", "in seconds", "Retry-After: 0.02\r\n"),
    told_to_wait("F60.2", "as a date", f"Date: {DATE}\r\nRetry-After: {DATE}\r\n"),
    told_to_wait("F60.3", "in the past", f"Retry-After: {DATE}\r\n"),
    told_to_wait("F60.4", "negative", "Retry-After: -5\r\n"),
    told_to_wait("F60.5", "not finite", "Retry-After: inf\r\n"),
    told_to_wait("F60.6", "in words", "Retry-After: in a while\r\n"),
    told_to_wait_long("F60.7", "of 30 years", "Retry-After: 999999999\r\n"),
    told_to_wait_long("F60.8", "as a date", f"Date: {DATE}\r\nRetry-After: {LATER}\r\n"),
    told_to_wait_long("F60.9", "twice", "Retry-After: 0\r\nRetry-After: 60\r\n"),
    Case(
        id="F61",
        fault="429 to the first dozen requests, of all slots",
        expected="one shared pause, few probes, all read once",
        behave=replies(*[STORM] * 12),
        images=pictures(200),
        options={"max_concurrency": 8, "adaptive": True, "outage_timeout": 5.0},
        expect=reads(attempts=None),
        requests=12 + 30,
    ),
    Case(
        id="F62",
        fault="429 to the fourth at a time, then room for all",
        expected="the limit falls, and is back within 40 batches",
        behave=replies(then=refuse_a_crowd),
        images=pictures(800),
        options={
            "max_concurrency": 8,
            "adaptive": True,
            "retry": RetryPolicy(attempts=50, base=0.01, cap=0.05),
        },
        expect=reads(attempts=None),
    ),
]

STATUS = [*WHOLE, *RECORDS, *RATES]

"""F52 to F62: the service answers, and says no: to a request, to a record, or to everybody."""

from collections.abc import Iterator
from typing import Any

from tests.faults.case import Case, Trial
from tests.faults.expect import fails, pictures, reads
from tests.faults.gateway import GATEWAY
from tests.faults.server import Connection, Row
from tests.faults.steps import (
    Step,
    always,
    fail_all,
    failing,
    meddles,
    once,
    read,
    reads_in,
    refuses,
    replies,
)
from ximilar_ocr_async import (
    AuthError,
    DeadlineExceeded,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
)

POISON = "image-4"


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
    wrong = [o for o in trial.outcomes if not o.ok and not isinstance(o.error, AuthError)]
    if wrong:
        yield f"ended with {wrong[0].error!r}"
    if any(outcome.attempts > 1 or outcome.maybe_billed for outcome in trial.outcomes):
        yield "an image was sent again"


def refused_account(id_: str, fault: str, step: Step) -> Case:
    """Say what happens when the account is refused, two requests into a job."""
    return (
        Case(id_, f"{fault}, in the third request of ten")
        .promises("in flight finish, the rest AuthError unsent")
        .given(replies(read, read, then=step))
        .when(images=pictures(100))
        .then(requests=5, also=few_were_sent)
    )


CRASH = refuses("500 Internal Server Error", failing(500, "oops"))

WHOLE = [
    Case("F52.1", "400 to every request with one bad image")
    .promises("9 read, 1 rejected, in 11 requests")
    .given(always(poisoned("400 Bad Request")))
    .when(images=pictures(10))
    .then(
        reads(attempts=2),
        but={4: fails(RequestRejected, attempts=2, says="bad image")},
        requests=11,
    ),
    Case("F52.2", "500 to every request with one bad image")
    .promises("sent again, then 9 read and 1 failed alone")
    .given(always(poisoned("500 Internal Server Error")))
    .when(images=pictures(10), retry=RetryPolicy(attempts=4, base=0.01, cap=0.05))
    .then(
        reads(attempts=3),
        but={4: fails(ServiceUnavailable, attempts=None, says="bad image")},
        requests=16,
    ),
    Case("F52.3", "422 to everything")
    .promises("three alone fail alike: it is the service, the rest unsent")
    .given(always(refuses("422 Unprocessable Content", failing(422, "no"))))
    .when(images=pictures(10))
    .then(fails(RequestRejected, attempts=None), requests=6),
    refused_account("F53.1", "401", refuses("401 Unauthorized", failing(401, "invalid token"))),
    refused_account("F53.2", "402", refuses("402 Payment Required", failing(402, "pay"))),
    refused_account("F53.3", "403", refuses("403 Forbidden", {"detail": "not in your plan"})),
    refused_account("F54.1", "200 with a 401 inside", refuses("200 OK", failing(401, "no"))),
    refused_account(
        "F54.2",
        "429 that speaks of credits",
        refuses("429 Too Many Requests", failing(429, "credit limits exceeded")),
    ),
    refused_account(
        "F54.3",
        "200 that speaks of credits",
        refuses("200 OK", failing(200, "credit limits")),
    ),
    Case("F55.1", "500, once")
    .promises("sent again, billed once")
    .given(once(CRASH))
    .then(reads(attempts=2), requests=2),
    Case("F55.2", "500, for ever")
    .promises("again, then alone; three alike: the service, the rest fail")
    .given(always(CRASH))
    .when(images=pictures(10))
    .then(fails(ServiceUnavailable, attempts=None, says="oops"), requests=8),
]


# ---- records


def fail_second(code: int) -> Step:
    """Fail the second record, and bill the others."""

    async def step(connection: Connection, rows: list[Row]) -> None:
        def change(document: dict[str, Any]) -> None:
            document["records"][1] |= {"_status": {"code": code, "text": "bad"}}

        await meddles(change)(connection, rows)
        connection.server.bills[rows[1]["name"]] -= 1

    return step


RECORDS = [
    Case("F58.1", "one record with 500 in a good answer, once")
    .promises("this record alone is sent again")
    .given(once(fail_second(500)))
    .then(reads(), but={1: reads(attempts=2)}, requests=2),
    Case("F58.2", "one record with 404 in a good answer")
    .promises("this record fails, nothing is sent again")
    .given(once(fail_second(404)))
    .then(reads(), but={1: fails(RequestRejected, says="404")}, requests=1),
    Case("F59", "every record with 422 in a good answer")
    .promises("all fail, nothing is sent again")
    .given(always(fail_all))
    .when(images=pictures(10))
    .then(fails(RequestRejected, says="no image"), requests=1),
]


# ---- too many requests

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:59:37 GMT"
MANY = "429 Too Many Requests"


def told_to_wait(id_: str, fault: str, headers: str) -> Case:
    """Say what happens after one 429 that asks for no long wait."""
    return (
        Case(id_, f"429, Retry-After {fault}")
        .promises("sent again soon, billed once")
        .given(once(refuses(MANY, failing(429, "slow down"), more=headers)))
        .then(reads(attempts=2), requests=2)
    )


def told_to_wait_long(id_: str, fault: str, headers: str) -> Case:
    """Say what happens after one 429 that asks for more than the call has."""
    return (
        Case(id_, f"429, Retry-After {fault}")
        .promises("DeadlineExceeded at once, without the wait")
        .given(once(refuses(MANY, failing(429, "slow down"), more=headers)))
        .when(deadline=4.0)
        # It does not recover, since it waits as it is told.
        .then(fails(DeadlineExceeded, says="slow down"), requests=1, recovers=False, hang=3.0)
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
    Case("F61", "429 to the first dozen requests, of all slots")
    .promises("one shared pause, few probes, all read once")
    .given(replies(*[STORM] * 12))
    .when(images=pictures(200), max_concurrency=8, adaptive=True, outage_timeout=5.0)
    .then(reads(attempts=None), requests=12 + 30),
    Case("F62", "429 to the fourth at a time, then room for all")
    .promises("the limit falls, and is back within 40 batches")
    .given(always(refuse_a_crowd))
    .when(
        images=pictures(800),
        max_concurrency=8,
        adaptive=True,
        retry=RetryPolicy(attempts=50, base=0.01, cap=0.05),
    )
    .then(reads(attempts=None)),
]

STATUS = [*WHOLE, *GATEWAY, *RECORDS, *RATES]

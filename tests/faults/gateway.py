"""F56 and F57: a gateway answers in the place of the service, which it lost or did not find."""

from collections.abc import Iterator

from attrs import evolve

from tests.faults.case import RETRY, Case
from tests.faults.connect import busy, in_turn, one_by_one, only_a_probe_is_marked, within
from tests.faults.expect import fails, pictures, reads
from tests.faults.server import Connection, Row
from tests.faults.steps import (
    Step,
    after,
    always,
    answers,
    fail_all,
    failing,
    once,
    read,
    reads_in,
    refuses,
    replies,
)
from ximilar_ocr_async import ReplyLost, RequestRejected, ServiceUnavailable

GOOD = 0.2
"""[s] that a good answer takes where an answer at once is to be told from it."""

LATE = 0.05
"""[s] of work, which is more than a gateway needs to find out that the service is not there."""

POISON = "image-4"

BAD = "502 Bad Gateway"


def html(status: str) -> bytes:
    """Return what a gateway says of its own."""
    return f"<html><h1>{status}</h1></html>".encode()


def turned_away(id_: str, status: str) -> Iterator[Case]:
    """Yield what happens when a gateway says that the service is not there."""
    gone = refuses(status, html(status))
    given_up = fails(ServiceUnavailable, attempts=None, maybe_billed=None, says="out of reach")
    yield (
        Case(f"{id_}.1", f"{status} in HTML, once")
        .promises("sent again, billed once")
        .given(once(gone))
        .when(within(busy))
        .then(reads(attempts=2), requests=2)
    )
    yield (
        Case(f"{id_}.2", f"{status} in HTML, for ever")
        .promises("an outage: probed until the outage timeout, not billed")
        .given(always(gone))
        .when(within(busy), outage_timeout=0.1)
        .then(given_up, requests=8, also=only_a_probe_is_marked)
    )
    yield (
        Case(f"{id_}.3", f"{status} at once, after a good answer of {GOOD:g} s")
        .promises("sent again, billed once")
        .given(replies(reads_in(GOOD), gone))
        .when(in_turn)
        .then(reads(attempts=2), but={0: reads()}, requests=3)
    )
    yield (
        Case(f"{id_}.4", f"{status} at once, for ever, after a good answer of {GOOD:g} s")
        .promises("an outage: probed until the outage timeout, not billed")
        .given(replies(reads_in(GOOD), then=gone))
        .when(in_turn, outage_timeout=0.1)
        .then(given_up, but={0: reads()}, requests=9, also=only_a_probe_is_marked)
    )


def lost_behind(
    id_: str, status: str, *, more: str = "", seconds: float = LATE, requests: int = 2
) -> Iterator[Case]:
    """Yield what happens when a gateway has lost the answer of the service, which billed."""
    lost = after(seconds, answers(html(status), status=status, more=more))
    when = f"after {seconds:g} s of work" if seconds else "at once"
    what = f"{status}{' with Retry-After' * bool(more)} {when}"
    yield (
        Case(f"{id_}.1", f"{what}, once")
        .promises("ReplyLost: sent again once, maybe billed")
        .given(once(lost))
        .then(reads(attempts=2, maybe_billed=True), requests=requests)
    )
    yield (
        Case(f"{id_}.2", f"{what}, for ever")
        .promises("ReplyLost after two, maybe billed")
        .given(always(lost))
        .then(fails(ReplyLost, attempts=2, maybe_billed=True, says=status[:3]), requests=requests)
    )


def crashes_on_poison(seconds: float) -> Step:
    """Bill every request; the poison in it costs it the answer, *seconds* [s] later."""
    lost = after(seconds, answers(html(BAD), status=BAD))

    async def step(connection: Connection, rows: list[Row]) -> None:
        is_bad = any(row["name"] == POISON for row in rows)
        await (lost if is_bad else read)(connection, rows)

    return step


GATEWAY = [
    *turned_away("F56.1", BAD),
    *turned_away("F56.2", "503 Service Unavailable"),
    *lost_behind("F56.3", BAD, requests=4),  # the second time, each goes alone
    *lost_behind("F56.4", "503 Service Unavailable", more="Retry-After: 0\r\n"),
    Case("F56.5", f"503 in the service's own words after {LATE:g} s")
    .promises("sent again, billed once")
    .given(once(after(LATE, refuses("503 Service Unavailable", failing(503, "busy")))))
    .then(reads(attempts=2), requests=2),
    Case("F56.6", "one image of ten crashes the service, which billed: 502")
    .promises("9 read, 1 failed alone; each billed twice at most")
    .given(always(crashes_on_poison(LATE)))
    .when(images=pictures(10))
    .then(
        reads(attempts=2, maybe_billed=True),
        but={4: fails(ReplyLost, attempts=2, maybe_billed=True, says="502")},
        requests=11,
    ),
    Case("F56.7", "the same, and nothing may be sent again that may have been billed")
    .promises("all ten fail with ReplyLost; each billed once")
    .given(always(crashes_on_poison(LATE)))
    .when(images=pictures(10), retry=evolve(RETRY, resend_maybe_billed=0))
    .then(fails(ReplyLost, maybe_billed=True, says="502"), requests=1),
    Case("F56.8", "502 after an answer that refused its image at once, and a good one before it")
    .promises("a refusal says nothing of how quick good answers are: sent again, billed once")
    .given(replies(reads_in(GOOD), fail_all, after(GOOD / 10, refuses(BAD, html(BAD)))))
    .when(one_by_one)
    .then(reads(), but={1: fails(RequestRejected), 2: reads(attempts=2)}, requests=4),
    *lost_behind("F57.1", "504 Gateway Timeout", seconds=0.0),
    *lost_behind("F57.2", "524 A Timeout Occurred", seconds=0.0),
    *lost_behind("F57.3", "520 Web Server Returned an Unknown Error", seconds=0.0),
]

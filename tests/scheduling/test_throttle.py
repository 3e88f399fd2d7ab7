"""What the ends of attempts say of the service: asked too much, out of reach, or there."""

import logging
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from tests.scheduling.making import make_throttle
from ximilar_ocr_async._scheduling.adaptive_limit import RAMP_FROM
from ximilar_ocr_async._scheduling.call_options import Patience
from ximilar_ocr_async._scheduling.circuit_breaker import HINT_LEAST
from ximilar_ocr_async._scheduling.round_trip import STALE
from ximilar_ocr_async._scheduling.throttle import STALL, STALL_LEAST, Throttle
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ConnectionFailed,
    OCRError,
    Overloaded,
    PoolExhausted,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceUnavailable,
    UploadCut,
)

LOG = "ximilar_ocr_async.scheduling"
REFUSED = ConnectionFailed("refused")
BUSY = RateLimited("429: slow down", status=429)
DOWN = ServiceUnavailable("503: down", status=503)

AWAY = {
    "refused": REFUSED,
    "503": DOWN,
    **{str(code): ServiceUnavailable(status=code) for code in (502, 521, 522, 523)},
}
"""Errors by which nobody is there."""

FAILS = {
    "500": ServiceUnavailable("500: crashed", status=500),
    "lost": ReplyLost("lost"),
    "504": ReplyLost(status=504),
    "too late": RequestTimeout("no whole answer within 90 s"),
}
"""Errors by which somebody is there, and fails; the records may be why."""

ANSWERS = {
    "400": RequestRejected(status=400),
    "401": AuthError(status=401),
    "429 without credits": AuthError("429: no credits", status=429),
    "404": RequestRejected(status=404),
    "413": RequestRejected(status=413),
    "nonsense": ReplyError("the answer is not JSON"),
}
"""Errors that the service itself has spoken, of what it was asked."""

SILENCES = {
    "cut while sending": UploadCut("cut"),
    "no connection": PoolExhausted("all are in use"),
    "wrong address": AddressError("no such name"),
}
"""Errors that leave open whether anybody is there."""


def each(errors: dict[str, OCRError]) -> pytest.MarkDecorator:
    """Parametrize a test with each of *errors*."""
    return pytest.mark.parametrize("error", errors.values(), ids=errors.keys())


@define
class Road:
    """A session's traffic, and attempts that end on it."""

    throttle: Throttle

    @property
    def slots(self) -> int:
        """Requests that may be in flight."""
        return self.throttle.limit.slots

    @property
    def is_blocked(self) -> bool:
        """Whether there is an outage."""
        return self.throttle.breaker.is_on

    def fail(
        self,
        error: OCRError,
        now: float,
        *,
        others: int = 7,
        probe: bool = False,
        is_repeated: bool = False,
    ) -> None:
        """End an attempt that took a second with *error*, while *others* are in flight."""
        self.throttle.fail(
            error,
            began=now - 1,
            now=now,
            in_flight=others,
            probe=probe,
            is_repeated=is_repeated,
        )

    def succeed(self, now: float, *, others: int = 7, overloaded: bool = False) -> None:
        """End an attempt that took a second well, while *others* are in flight."""
        self.throttle.succeed(began=now - 1, now=now, in_flight=others, is_overloaded=overloaded)

    def block(self, now: float = 10.0) -> "Road":
        """Begin an outage."""
        self.fail(DOWN, now)
        self.fail(DOWN, now)
        assert self.is_blocked
        return self


def road(*, ceiling: int = RAMP_FROM, interval: float = 0.0) -> Road:
    """Return the road of a new session, with pauses as long as may be."""
    return Road(make_throttle(ceiling=ceiling, interval=interval))


def call(*, opened: float = 0.0, outage_timeout: float = inf, deadline: float = inf) -> Patience:
    """Return how long a call waits."""
    return Patience(opened, deadline=deadline, outage_timeout=outage_timeout)


# ---- how an outage begins


@each({**AWAY, **FAILS})
def test_two_in_vain_are_an_outage(error: OCRError) -> None:
    """Where nothing comes of it twice in a row, only probes are sent; the limit is as it was."""
    here = road()
    here.fail(error, 10.0)
    assert not here.is_blocked
    here.fail(error, 10.5)
    assert here.is_blocked
    assert here.slots == RAMP_FROM
    assert here.throttle.error is error
    assert here.throttle.delay(10.5) == 1.0
    assert here.throttle.begin(11.5)
    assert here.throttle.delay(11.5) > HINT_LEAST


@each(FAILS)
def test_records_that_failed_before_are_no_witnesses(error: OCRError) -> None:
    """Where a service fails again on the same records they may be why; it breaks no row either."""
    here = road()
    here.fail(error, 10.0)
    for now in range(11, 30):
        here.fail(error, float(now), is_repeated=True)
        assert not here.is_blocked
    here.fail(error, 30.0)
    assert here.is_blocked


@each(AWAY)
def test_who_is_turned_away_again_is_a_witness(error: OCRError) -> None:
    """No record can be why nobody is there."""
    here = road()
    here.fail(error, 10.0, is_repeated=True)
    here.fail(error, 10.5, is_repeated=True)
    assert here.is_blocked


def test_the_first_503_may_be_an_overload() -> None:
    """Alone it shrinks the limit; the second one tells that this was no overload."""
    here = road(ceiling=100)
    here.fail(DOWN, 10.0)
    shrunk = here.slots
    assert shrunk < RAMP_FROM
    here.fail(DOWN, 10.0)
    assert here.slots == RAMP_FROM
    here.succeed(20.0)
    assert here.slots == RAMP_FROM + 1, "it still ramps"


def test_two_503_between_which_all_was_well_are_overloads() -> None:
    """A service that answers well between its refusals is there, and asked too much."""
    here = road()
    here.succeed(5.0)
    for now in (10.0, 20.0, 30.0):
        before = here.slots
        here.fail(DOWN, now)
        assert here.slots < before
        here.succeed(now + 5)
    assert not here.is_blocked


def test_a_429_among_others_shrinks_the_limit() -> None:
    """A service that refuses some of many requests is asked too much, and is there."""
    here = road()
    seen = [here.slots]
    for now in (10.0, 20.0, 30.0):
        here.fail(BUSY, now, others=1)
        seen.append(here.slots)
    assert seen == sorted(set(seen), reverse=True)
    assert not here.is_blocked
    assert here.throttle.delay(30.0) == 0


def test_a_429_to_the_only_request_twice_is_an_outage() -> None:
    """A service that refuses the only one it is asked is not asked too much by us."""
    here = road()
    here.fail(BUSY, 10.0, others=0)
    assert not here.is_blocked
    here.fail(BUSY, 10.0, others=0)
    assert here.is_blocked
    assert here.slots == RAMP_FROM


def test_a_429_among_others_between_is_a_new_start() -> None:
    """A refusal that may be our doing is an answer."""
    here = road()
    for now in (10.0, 20.0, 30.0):
        here.fail(BUSY, now, others=0)
        here.fail(BUSY, now, others=3)
    assert not here.is_blocked


@each(SILENCES)
def test_what_leaves_it_open_is_no_sign_of_an_outage(error: OCRError) -> None:
    """An upload cut, a full pool or a wrong address, however often, block nothing."""
    here = road()
    for now in range(100):
        here.fail(error, float(now), others=1)
    assert not here.is_blocked
    assert here.throttle.delay(100.0) == 0


@each(SILENCES)
def test_what_leaves_it_open_does_not_break_a_row(error: OCRError) -> None:
    """Turned away, nothing, turned away again: that is an outage."""
    here = road()
    here.fail(REFUSED, 10.0)
    here.fail(error, 11.0)
    here.fail(REFUSED, 12.0)
    assert here.is_blocked


@pytest.mark.parametrize("error, shrinks", [(RequestTimeout(), True), (ReplyLost(), False)])
def test_a_timeout_is_an_overload_and_a_lost_reply_is_not(
    error: OCRError, *, shrinks: bool
) -> None:
    """A service that is asked too much becomes slow before it refuses."""
    here = road()
    here.fail(error, 10.0)
    assert (here.slots < RAMP_FROM) == shrinks


@pytest.mark.parametrize("others, grows", [(3, True), (2, False)])
def test_a_success_counts_itself_among_the_slots_in_use(others: int, *, grows: bool) -> None:
    """With half of the slots in use the limit grows, with fewer it does not."""
    here = road(ceiling=100)
    here.succeed(10.0, others=others)
    assert (here.slots > RAMP_FROM) == grows


# ---- how it goes on and ends


@each(ANSWERS)
@pytest.mark.parametrize("probe", [True, False], ids=["probe", "straggler"])
def test_an_answer_ends_an_outage(error: OCRError, *, probe: bool) -> None:
    """A service that finds fault with what it is asked is there, whichever request found it out."""
    here = road().block()
    here.throttle.begin(11.0)
    here.fail(error, 12.0, probe=probe)
    assert not here.is_blocked
    assert here.throttle.delay(12.0) == 0


def test_a_success_ends_an_outage() -> None:
    """A service that reads is there."""
    here = road().block()
    here.throttle.begin(11.0)
    here.succeed(12.0, others=0)
    assert not here.is_blocked
    assert here.throttle.delay(12.0) == 0
    assert not here.throttle.begin(12.0)


@each({**SILENCES, **AWAY, **FAILS, "429": BUSY})
def test_what_brings_nothing_does_not_end_an_outage(error: OCRError) -> None:
    """A probe that is not answered is followed by another, and the limit stays as it was."""
    here = road().block()
    for now in (20.0, 40.0, 60.0):
        here.throttle.begin(now)
        here.fail(error, now + 1, others=0, probe=True)
        assert here.is_blocked
        assert here.slots == RAMP_FROM
        assert 0 < here.throttle.delay(now + 1) < 10


@each({**SILENCES, **AWAY, **FAILS})
def test_stragglers_of_an_outage_change_nothing(error: OCRError) -> None:
    """Requests that were under way when it began neither shrink the limit nor call off a probe."""
    here = road().block()
    here.throttle.begin(11.0)
    for others in (3, 2, 1, 0):
        here.fail(error, 11.5, others=others)
    assert here.is_blocked
    assert here.throttle.breaker.is_probing
    assert here.slots == RAMP_FROM


def test_a_probe_that_is_given_up_makes_room_for_the_next() -> None:
    """Nobody waits for ever for a probe that was cancelled; a straggler's end is nothing."""
    here = road().block()
    here.throttle.begin(11.0)
    here.throttle.withdraw(12.0, probe=False, was_sent=True)
    here.throttle.withdraw(12.0, probe=False, was_sent=False)
    assert here.throttle.breaker.is_probing
    here.throttle.withdraw(12.0, probe=True, was_sent=True)
    assert not here.throttle.breaker.is_probing
    assert 0 < here.throttle.delay(12.0) < 10
    assert here.is_blocked


def test_a_probe_that_was_never_sent_makes_room_at_once() -> None:
    """A file that cannot be read says nothing of the service: another may go in its place."""
    here = road().block()
    here.throttle.begin(11.0)
    here.throttle.withdraw(12.0, probe=True, was_sent=False)
    assert here.throttle.delay(12.0) == 0
    assert here.is_blocked


def test_an_answer_whose_records_met_an_overload_ends_an_outage_and_shrinks_the_limit() -> None:
    """A service that says of records that it is asked too much is there, and is."""
    here = road().block()
    here.succeed(20.0, overloaded=True)
    assert not here.is_blocked
    assert here.slots < RAMP_FROM
    assert here.throttle.delay(20.0) == 0


# ---- waiting


def test_pace_and_outage_are_both_waited_out() -> None:
    """Of the rate and the outage, the longer wait counts."""
    here = road(interval=5.0)
    assert not here.throttle.begin(10.0)
    assert here.throttle.delay(10.0) == 5.0
    here.block()
    assert here.throttle.delay(10.0) == 5.0
    assert here.throttle.delay(15.0) == 0.0
    here.throttle.begin(15.0)
    assert here.throttle.delay(15.0) == 5.0


@given(
    error=st.sampled_from([BUSY, DOWN, REFUSED, UploadCut(), ReplyLost(), ReplyError()]),
    asked=st.floats(0, 1e9),
)
def test_a_retry_after_holds_for_two_minutes_at_most(error: OCRError, asked: float) -> None:
    """Whatever it comes with, it is waited out up to a limit, and an answer does not end it."""
    here = road()
    here.fail(type(error)(status=error.status, retry_after=asked), 100.0)
    assert here.throttle.delay(100.0) == pytest.approx(min(asked, 120.0), abs=1e-6)
    here.succeed(100.0)
    assert here.throttle.delay(100.0) == pytest.approx(min(asked, 120.0), abs=1e-6)


def test_without_a_retry_after_nothing_is_held() -> None:
    """A service that names no time is asked again as soon as there is a slot."""
    here = road()
    here.fail(ServiceUnavailable(status=500), 100.0)
    assert here.throttle.delay(100.0) == 0


# ---- despair


def test_despair_is_the_last_refusal_and_says_how_long_it_was_waited() -> None:
    """Its class and status are those of what turned the call away; its words tell the rest."""
    here = road().block()
    last = ServiceUnavailable("503: closed", status=503, request_id="r-1")
    here.fail(last, 30.0, probe=True)
    here.fail(UploadCut("cut"), 31.0, probe=True)
    here.throttle.begin(52.0)
    error = here.throttle.hopeless(call(outage_timeout=40.0), 52.4)
    assert type(error) is ServiceUnavailable
    assert str(error) == "503: closed; the service was out of reach for 42 s"
    assert (error.status, error.request_id) == (503, "r-1")
    assert str(last) == "503: closed"


def test_despair_tells_a_service_that_fails_from_one_that_is_away() -> None:
    """Where somebody is there, it is not said to be out of reach."""
    here = road().block()
    here.fail(FAILS["500"], 30.0, probe=True)
    error = here.throttle.hopeless(call(outage_timeout=20.0), 30.0)
    assert str(error) == "500: crashed; the service has failed like that for 20 s"


def test_despair_counts_from_the_calls_own_begin() -> None:
    """A call made in the middle of an outage waits as long as any, and says how long it did."""
    here = road().block(10.0)
    early, late = call(outage_timeout=30.0), call(outage_timeout=30.0, opened=50.0)
    here.throttle.begin(55.0)
    assert here.throttle.hopeless(early, 60.0)
    assert here.throttle.hopeless(late, 60.0) is None
    assert str(here.throttle.hopeless(late, 80.0)).endswith("out of reach for 30 s")
    assert here.throttle.end_of(early) == 40.0
    assert here.throttle.end_of(late) == 80.0


def test_nobody_despairs_without_an_outage() -> None:
    """Where the service answers, and where it just refused once, there is hope."""
    here, hurried = road(), call(outage_timeout=0.0)
    assert here.throttle.hopeless(hurried, 10.0) is None
    here.fail(DOWN, 10.0)
    assert here.throttle.hopeless(hurried, 10.0) is None
    here.fail(DOWN, 10.0)
    assert here.throttle.hopeless(hurried, 10.0)
    here.succeed(11.0)
    assert here.throttle.hopeless(hurried, 11.0) is None
    assert here.throttle.end_of(hurried) == inf


def test_nobody_despairs_when_a_probe_is_due() -> None:
    """However long the outage is, a call that may be sent now is sent."""
    here = road().block(10.0)
    assert here.throttle.hopeless(call(outage_timeout=0.0), 10.0)
    assert here.throttle.hopeless(call(outage_timeout=0.0), 1e6) is None


def test_endless_patience_never_despairs() -> None:
    """A call that waits for as long as it takes does."""
    assert road().block().throttle.hopeless(call(), 1e9) is None


@pytest.mark.parametrize(
    "outage_timeout, opened, now, expected",
    [
        (0.0, 100.0, 100.0, True),
        (0.9, 100.0, 100.0, True),
        (1.0, 100.0, 100.0, True),
        (1.1, 100.0, 100.0, False),
        (1.1, 0.0, 100.0, False),
        (1.1, 0.0, 101.1, True),
        (1.1, 100.5, 100.5, False),
        (1.1, 102.0, 103.0, False),
        (1.1, 102.0, 103.1, True),
        (inf, 100.0, 1e9, False),
    ],
)
def test_patience_ends_with_the_probe_that_it_cannot_await(
    outage_timeout: float, opened: float, now: float, *, expected: bool
) -> None:
    """It counts from the outage's begin or the call's own, up to the next probe, here at 101 s."""
    here = road().block(100.0)
    if now > 101:
        here.throttle.begin(101.0)
    waits = call(opened=opened, outage_timeout=outage_timeout)
    assert (here.throttle.hopeless(waits, now + 1e-6) is not None) is expected


def test_a_person_waits_for_a_probe_that_comes_sooner() -> None:
    """Whether there is hope is a matter of one's own next probe."""
    here = road().block(10.0)
    here.throttle.begin(11.0)
    here.fail(DOWN, 11.0, probe=True)
    waits = call(opened=11.0, outage_timeout=3.0)
    assert here.throttle.hopeless(waits, 11.0)
    assert here.throttle.hopeless(waits, 11.0, urgent=True) is None


# ---- a service that asks to be left alone


def held() -> Road:
    """Return a road on which the service asked at 10 s to be left alone for 20 s."""
    here = road()
    here.fail(RateLimited("429: slow down", status=429, retry_after=20.0), 10.0)
    assert not here.is_blocked
    return here


def test_a_hold_that_outlasts_a_call_is_told_at_once() -> None:
    """The error is an overload, and says when it is worth to come back."""
    error = held().throttle.hopeless(call(outage_timeout=15.0), 12.0)
    assert type(error) is Overloaded
    assert error.retry_after == 18.0
    assert error.status == 429
    assert str(error) == "the service asks to be left alone for another 18 s: 429: slow down"


@pytest.mark.parametrize(
    "waits, expected",
    [
        (call(), False),
        (call(outage_timeout=20.0), True),
        (call(outage_timeout=20.1), False),
        (call(outage_timeout=15.1, opened=15.0), False),
        (call(outage_timeout=15.0, opened=15.0), True),
        (call(deadline=30.0), True),
        (call(deadline=30.1), False),
        (call(deadline=30.1, outage_timeout=5.0), True),
    ],
)
def test_a_hold_is_waited_out_within_outage_timeout_and_deadline(
    waits: Patience, *, expected: bool
) -> None:
    """The timeout counts from when the service first asked, or from the call's own begin."""
    assert (held().throttle.hopeless(waits, 15.0) is not None) is expected


def test_after_a_hold_nobody_is_told() -> None:
    """What may be sent is sent."""
    here = held()
    assert here.throttle.is_troubled(29.9)
    assert here.throttle.hopeless(call(outage_timeout=0.0), 30.0) is None
    assert not here.throttle.is_troubled(30.0)


# ---- what cannot be read in time


def test_what_an_answer_takes_is_needed() -> None:
    """An item must have as much time left as an answer takes, once that is known."""
    here = road()
    assert here.throttle.needed(0.0, 10.0) == 0
    here.succeed(10.0)
    assert here.throttle.needed(0.0, 10.0) == 1.0


def test_what_is_known_is_forgotten_when_nothing_is_heard() -> None:
    """A service that was slow and may be quick again is tried, by one request at a time."""
    here = road()
    here.succeed(10.0)
    assert here.throttle.needed(0.0, 10.0 + STALE) == 1.0
    assert here.throttle.needed(0.0, 10.1 + STALE) == 0
    here.throttle.begin(70.2)
    assert here.throttle.needed(0.0, 70.2) == 1.0
    here.throttle.end(70.2)
    assert here.throttle.needed(0.0, 70.2) == 0


def test_an_answer_with_overload_in_it_tells_nothing_of_time() -> None:
    """Refusals of records come sooner than what is read."""
    here = road()
    here.succeed(10.0, overloaded=True)
    assert here.throttle.needed(0.0, 10.0) == 0


# ---- stalls


def test_an_endpoint_stalls_when_nothing_is_answered_for_long() -> None:
    """It does after four times what nearly every answer takes, counted from the oldest request."""
    here = road()
    here.succeed(10.0)
    assert here.throttle.stalls(9.0) == inf, "nothing is under way"
    here.throttle.begin(20.0)
    here.throttle.begin(21.0)
    assert here.throttle.stalls(9.0) == 20.0 + STALL
    here.throttle.end(20.0)
    assert here.throttle.stalls(9.0) == 21.0 + STALL
    here.throttle.answer(22.0)
    assert here.throttle.stalls(9.0) == inf, "others are answered"


@pytest.mark.parametrize("usual, after", [(0.0, inf), (0.1, STALL_LEAST), (2.0, 2 * STALL)])
def test_where_nothing_is_known_the_others_are_the_measure(usual: float, after: float) -> None:
    """An endpoint that never answered stalls by what the others take, and never without any."""
    here = road()
    here.throttle.begin(5.0)
    assert here.throttle.stalls(usual) == 5.0 + after


# ---- what else is known


def test_the_stats_of_an_endpoint_are_what_is_known_of_it() -> None:
    """In an outage they say why, since when and until when; without one, none of it."""
    here = road()
    new = here.throttle.stats([], 0.0)
    assert (new.in_flight, new.queued, new.limit, new.oldest_wait) == (0, 0, RAMP_FROM, 0.0)
    assert (new.round_trip, new.outage, new.next_probe) == (None, None, None)
    here.succeed(10.0)
    here.fail(ServiceUnavailable("503: later", status=503, retry_after=30.0), 20.0)
    here.fail(DOWN, 22.0)
    here.throttle.begin(22.0)
    seen = here.throttle.stats([1.0, 7.0, 2.0], 25.0)
    assert (seen.in_flight, seen.queued, seen.oldest_wait) == (1, 3, 7.0)
    assert (seen.round_trip, seen.outage, seen.outage_seconds) == (1.0, "503: down", 5.0)
    assert seen.next_probe == seen.held == 25.0
    assert here.throttle.stats([], 99.0).held == 0.0


def test_it_is_refusing_until_the_next_answer() -> None:
    """From the first batch of which each record was refused, and before anything was answered."""
    here = road()
    assert here.throttle.is_refusing
    here.succeed(10.0)
    assert not here.throttle.is_refusing
    here.throttle.refuse()
    assert here.throttle.is_refusing
    here.succeed(11.0)
    assert not here.throttle.is_refusing


# ---- what is told


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Give what the traffic logs, down to changes of the limit."""
    with caplog.at_level(logging.INFO, logger=LOG):
        yield caplog


def test_an_outage_is_told_when_it_begins_and_when_it_ends(log: pytest.LogCaptureFixture) -> None:
    """Once each when a probe has failed, as a warning, with numbers for machines to read."""
    here = road(ceiling=1).block(10.0)
    assert log.records == []
    here.fail(DOWN, 11.0, probe=True)
    for now in (20.0, 30.0):
        here.fail(REFUSED, now, probe=True)
        here.fail(DOWN, now)
        here.fail(UploadCut(), now, probe=True)
    here.succeed(52.5)
    here.succeed(53.0)
    assert log.record_tuples == [
        (LOG, logging.WARNING, "the service is out of reach, waiting for it: 503: down"),
        (LOG, logging.WARNING, "the service is back after 42.5 s"),
    ]
    begin, end = log.records
    assert vars(begin)["error"] == "503: down"
    assert vars(end)["seconds"] == 42.5


@each(ANSWERS)
def test_a_failing_answer_is_told_as_the_end_too(
    error: OCRError, log: pytest.LogCaptureFixture
) -> None:
    """A service that is back and fails is back."""
    here = road(ceiling=1).block(10.0)
    here.fail(DOWN, 11.0, probe=True)
    here.fail(error, 20.0, probe=True)
    assert log.messages[-1] == "the service is back after 10.0 s"


def test_two_failures_by_chance_are_not_told(log: pytest.LogCaptureFixture) -> None:
    """An outage that its first probe ends is no news."""
    here = road(ceiling=1).block(10.0)
    here.succeed(11.0)
    assert log.records == []


def test_changes_of_the_limit_are_told_quietly(log: pytest.LogCaptureFixture) -> None:
    """Each as information, with both numbers; what does not change is not told."""
    here = road(ceiling=9)
    here.succeed(5.0)
    here.succeed(6.0)
    here.fail(BUSY, 10.0)
    here.fail(BUSY, 10.0)
    assert log.record_tuples == [
        (LOG, logging.INFO, "limit 8 -> 9"),
        (LOG, logging.INFO, "limit 9 -> 7"),
    ]
    assert [(vars(r)["before"], vars(r)["after"]) for r in log.records] == [(8, 9), (9, 7)]


def test_a_limit_that_is_forgiven_is_told(log: pytest.LogCaptureFixture) -> None:
    """Who reads of a decrease reads of its end."""
    road().block()
    assert [message for message in log.messages if message.startswith("limit")] == [
        "limit 8 -> 7",
        "limit 7 -> 8",
    ]


# ---- any sequence

ENDS = st.sampled_from(
    [
        None,
        *AWAY.values(),
        *FAILS.values(),
        *ANSWERS.values(),
        *SILENCES.values(),
        BUSY,
    ]
)
STEPS = st.lists(st.tuples(st.integers(-9, 9), ENDS, st.floats(0, 9)), max_size=40)
"""A place among the requests under way, negative for a new one; how that one ends, where None is
well; and the time [s] since the last step."""


@given(steps=STEPS, ceiling=st.integers(1, 40))
def test_whatever_happens_traffic_goes_on(
    steps: list[tuple[int, Any, float]], ceiling: int
) -> None:
    """There is always a slot, and a time when it may be used."""
    here, now, under_way = road(ceiling=ceiling), 0.0, list[tuple[float, bool]]()
    for place, error, seconds in steps:
        now += seconds
        if place < 0 and here.throttle.delay(now) == 0:
            under_way.append((now, here.throttle.begin(now)))
        elif place >= 0 and under_way:
            began, probe = under_way.pop(place % len(under_way))
            others = len(under_way)
            here.throttle.end(began)
            assert here.throttle.in_flight == others
            if error is None:
                here.throttle.succeed(
                    began=began, now=now, in_flight=others, is_overloaded=others == 1
                )
            else:
                here.throttle.fail(error, began=began, now=now, in_flight=others, probe=probe)
        assert 1 <= here.slots <= ceiling
        assert 0 <= here.throttle.delay(now) < inf

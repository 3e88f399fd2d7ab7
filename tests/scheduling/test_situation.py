"""What is known of an item when its attempt failed, and what is noted of it."""

import pytest

from tests.scheduling.making import make_batch, make_call, make_item, make_tenant, make_throttle
from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.calls import SUSPICION, Item
from ximilar_ocr_async._scheduling.decisions import Situation
from ximilar_ocr_async._scheduling.isolation import Isolation
from ximilar_ocr_async._scheduling.situation import assess
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.errors import (
    OCRError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)
from ximilar_ocr_async.retry import RESERVE

AWAY = ServiceUnavailable("502: bad gateway", status=502)
CRASHED = ServiceUnavailable("500: crashed", status=500)
REJECTED = RequestRejected("400: no", status=400)


def situation_of(
    item: Item,
    error: OCRError,
    throttle: Throttle,
    *,
    is_whole: bool = True,
    before: int | None = None,
) -> Situation:
    """Return the situation of an item whose request of two records ended with *error*.

    *before* is how many requests had been answered when it began; none since, by default.
    """
    answers = throttle.answers if before is None else before
    batch = make_batch(item, answers_before=answers)
    failure = error if is_whole else None
    attempted = AttemptResult({item.id: error}, 2, failure)
    return assess(item, error, attempted, throttle, batch)


def answer(throttle: Throttle) -> None:
    """Have a request answered."""
    throttle.succeed(began=0.0, now=1.0, in_flight=0, is_overloaded=False)


def block(throttle: Throttle) -> None:
    """Begin an outage."""
    for _ in range(2):
        throttle.fail(AWAY, began=0.0, now=1.0, in_flight=0, probe=False)


# ---- what the item and the request say


def test_the_books_of_the_item_are_in_it() -> None:
    """Attempts that the policy counts, those that may have been billed, and the request's size."""
    item = make_item(make_call())
    item.attempts, item.free_attempts, item.maybe_billed = 5, 2, 1
    now = situation_of(item, AWAY, make_throttle())
    assert (now.attempts, now.maybe_billed, now.records) == (3, 1, 2)
    assert now.is_repeatable
    assert now.has_budget


def test_a_budget_without_a_resend_is_in_it() -> None:
    """When too much failed, that is known."""
    item = make_item(make_call(tenant=make_tenant()))
    for _ in range(int(RESERVE)):
        item.accounting.budget.withdraw()
    assert not situation_of(item, AWAY, make_throttle()).has_budget
    assert situation_of(make_item(make_call()), AWAY, make_throttle()).has_budget


def test_an_error_of_one_record_is_not_that_of_its_request() -> None:
    """In an answer that is well otherwise, nobody else is concerned, and nothing is noted."""
    item = make_item(make_call())
    now = situation_of(item, CRASHED, make_throttle(), is_whole=False)
    assert not now.is_whole
    assert not item.has_crashed
    assert item.turned_away is None


@pytest.mark.parametrize("error, crashes", [(CRASHED, True), (AWAY, True), (ReplyLost(), False)])
def test_a_crash_is_known_with_the_next_attempt(error: OCRError, *, crashes: bool) -> None:
    """The first 500 or 502 is noted, and counts from the second attempt on."""
    item, throttle = make_item(make_call()), make_throttle()
    assert not situation_of(item, error, throttle).has_crashed
    assert situation_of(item, error, throttle).has_crashed == crashes


# ---- suspicion


def test_who_is_turned_away_while_others_are_answered_is_suspected() -> None:
    """Not the first time, but after as many times as are no accident."""
    item, throttle = make_item(make_call()), make_throttle()
    for _ in range(SUSPICION):
        assert not situation_of(item, AWAY, throttle).is_suspected
        answer(throttle)
    assert situation_of(item, AWAY, throttle).is_suspected


def test_who_is_turned_away_while_nobody_is_answered_is_not() -> None:
    """However often, it may be the service."""
    item, throttle = make_item(make_call()), make_throttle()
    for _ in range(20):
        assert not situation_of(item, AWAY, throttle).is_suspected


def test_a_service_that_names_a_time_turns_nobody_away() -> None:
    """It says when to come again: that is no word about the records."""
    item, throttle = make_item(make_call()), make_throttle()
    busy = ServiceUnavailable(status=503, retry_after=1.0)
    for _ in range(5):
        assert not situation_of(item, busy, throttle).is_suspected
        answer(throttle)
    assert item.turned_away is None


@pytest.mark.parametrize(
    "error, expected",
    [(ServiceUnavailable(status=504), True), (ReplyLost("gone"), False)],
)
def test_a_gateway_that_answers_others_meanwhile_singles_out(
    error: OCRError, *, expected: bool
) -> None:
    """A status is said by somebody who knew the request; a connection that broke is not."""
    throttle = make_throttle()
    answer(throttle)
    item = make_item(make_call())
    assert not situation_of(item, error, throttle).is_suspected
    assert situation_of(item, error, throttle, before=0).is_suspected == expected


# ---- outages


def test_an_outage_alone_is_at_fault_while_nobody_is_answered() -> None:
    """Once others are answered, whoever goes on to be turned away pays for it."""
    item, throttle = make_item(make_call()), make_throttle()
    assert not situation_of(item, AWAY, throttle).is_outage
    block(throttle)
    assert situation_of(item, AWAY, throttle).is_outage
    assert situation_of(item, AWAY, throttle).is_outage
    answer(throttle)
    assert not situation_of(item, AWAY, throttle).is_outage
    block(throttle)
    assert not situation_of(item, AWAY, throttle).is_outage
    assert situation_of(make_item(make_call(), 1), AWAY, throttle).is_outage


def test_attempts_count_in_an_outage_where_the_call_says_so() -> None:
    """A person does not wait for as long as it takes."""
    throttle = make_throttle()
    block(throttle)
    assert not situation_of(make_item(make_call(fail_fast=True)), AWAY, throttle).is_outage


def test_the_failure_of_one_record_is_no_outage() -> None:
    """A service that answers about others is there."""
    throttle = make_throttle()
    block(throttle)
    assert not situation_of(make_item(make_call()), AWAY, throttle, is_whole=False).is_outage


# ---- isolation


def isolate(count: int) -> list[Item]:
    """Return items of a batch that was refused as a whole."""
    items, isolation = [make_item(make_call(), n) for n in range(count)], Isolation()
    for item in items:
        item.isolate(isolation, is_free=True)
    return items


def test_isolated_items_that_fail_alike_are_hopeless() -> None:
    """From the third one on no other will do better, as long as nothing else was answered."""
    throttle = make_throttle()
    found = [situation_of(item, REJECTED, throttle).is_hopeless for item in isolate(4)]
    assert found == [False, False, True, True]


def test_isolated_items_are_not_hopeless_where_others_are_answered() -> None:
    """A few records that are refused alike may be the very ones that are at fault."""
    throttle = make_throttle()
    answer(throttle)
    found = [situation_of(item, REJECTED, throttle).is_hopeless for item in isolate(10)]
    assert found == [False] * 9 + [True], "until all of them were"


def test_who_was_turned_away_is_no_witness() -> None:
    """Nobody looked at it."""
    throttle = make_throttle()
    items = isolate(5)
    for item in items[:4]:
        assert not situation_of(item, AWAY, throttle).is_hopeless
    assert not situation_of(items[4], REJECTED, throttle).is_hopeless
    assert throttle.is_refusing

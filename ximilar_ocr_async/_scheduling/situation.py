"""What is known of an item when its attempt failed: what decisions are made of."""

from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.calls import Batch, Item
from ximilar_ocr_async._scheduling.decisions import (
    CRASHED,
    Decision,
    Done,
    Situation,
    decide,
    is_turned_away,
)
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.retry import RetryPolicy


def conclude(
    batch: Batch, item: Item, attempted: AttemptResult, throttle: Throttle, policy: RetryPolicy
) -> Decision:
    """Return what becomes of an *item* of *batch* whose attempt has ended."""
    result = attempted.results[item.id]
    if not isinstance(result, OCRError):
        return Done(result)  # as nearly always
    return decide(result, assess(item, result, attempted, throttle, batch), policy)


def assess(
    item: Item,
    error: OCRError,
    attempted: AttemptResult,
    throttle: Throttle,
    batch: Batch,
) -> Situation:
    """Return the situation of an *item* of *batch* whose attempt ended with *error*.

    Takes note in the item, and in the batch that it was isolated from.
    """
    is_whole, is_away = attempted.failure is error, is_turned_away(error)
    # A record that was turned away is no witness: nobody looked at it.
    isolation = None if is_away else item.isolation
    if isolation and isolation.observe(item.id, attempted.failure):
        throttle.refuse()
    if is_whole and is_away and not error.retry_after:
        item.turn_away(throttle.answers)
    situation = Situation(
        records=attempted.sent,
        is_whole=is_whole,
        is_outage=is_whole and _is_outage_alone(item, throttle),
        attempts=item.attempts - item.free_attempts,
        maybe_billed=item.maybe_billed,
        is_repeatable=item.request.is_repeatable,
        has_crashed=item.has_crashed,
        is_suspected=item.is_suspected if is_away else _is_singled_out(batch, error, throttle),
        is_hopeless=item.is_alike and throttle.is_refusing,
        has_budget=item.accounting.budget.has_resend,
    )
    item.has_crashed |= is_whole and error.status in CRASHED
    return situation


def _is_singled_out(batch: Batch, error: OCRError, throttle: Throttle) -> bool:
    """Whether a gateway said *error* although it passed on answers to others meanwhile."""
    return error.status is not None and throttle.answers > batch.answers_before


def _is_outage_alone(item: Item, throttle: Throttle) -> bool:
    """Return whether no request was answered since an outage first turned *item* away."""
    if item.first_outage is None and throttle.breaker.is_on:
        item.first_outage = throttle.answers
    is_alone = item.first_outage == throttle.answers and throttle.breaker.is_on
    return is_alone and not item.call.patience.fail_fast

"""Decisions: what an attempt brought for an item in, what becomes of the item out.

Pure: it knows neither time nor tasks. From top to bottom: the verdict on each error, the signs of
overload and outage, and the decision, in which verdict, isolation, policy and budget meet.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, TypeAlias

from attrs import frozen

from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    CreditsExhausted,
    DeadlineExceeded,
    ExtractionError,
    ImageError,
    JobExpired,
    JobFailed,
    JobNotFound,
    OCRError,
    OptionError,
    Overloaded,
    PlanError,
    PoolExhausted,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    SessionClosed,
    SessionStateError,
    UploadCut,
    WebhookError,
    with_reason,
)
from ximilar_ocr_async.retry import RetryPolicy


class Verdict(Enum):
    """What follows from an error."""

    RESEND = auto()
    """Nothing came of it and nothing was billed: send the record again."""
    RESEND_MAYBE_BILLED = auto()
    """The record may have been billed: send it again as often as the policy allows that."""
    ISOLATE = auto()
    """One record may be at fault for all of its request: send each of them alone."""
    SPLIT = auto()
    """The request was too large: send its records again in smaller ones."""
    FAIL = auto()
    """Sending this record again cannot help."""
    STOP = auto()
    """Sending any record to this endpoint cannot help."""


VERDICTS: Mapping[type[OCRError], Verdict] = {
    OCRError: Verdict.FAIL,
    OptionError: Verdict.FAIL,
    ImageError: Verdict.FAIL,
    SessionStateError: Verdict.FAIL,
    SessionClosed: Verdict.FAIL,
    DeadlineExceeded: Verdict.FAIL,
    BudgetExceeded: Verdict.FAIL,
    Overloaded: Verdict.FAIL,
    AddressError: Verdict.STOP,
    ConnectionFailed: Verdict.RESEND,
    PoolExhausted: Verdict.RESEND,
    UploadCut: Verdict.RESEND,
    ReplyLost: Verdict.RESEND_MAYBE_BILLED,
    RequestTimeout: Verdict.RESEND_MAYBE_BILLED,
    ReplyError: Verdict.RESEND_MAYBE_BILLED,
    WebhookError: Verdict.FAIL,
    ExtractionError: Verdict.FAIL,
    ServiceError: Verdict.FAIL,
    AuthError: Verdict.STOP,
    CreditsExhausted: Verdict.STOP,
    PlanError: Verdict.STOP,
    RateLimited: Verdict.RESEND,
    RequestRejected: Verdict.FAIL,
    JobNotFound: Verdict.FAIL,
    JobExpired: Verdict.FAIL,
    JobFailed: Verdict.FAIL,
    ServiceUnavailable: Verdict.RESEND,
}
"""The verdict on each class of error; a test demands that none is missing."""

SHARED_VERDICTS: Mapping[int, Verdict] = {
    400: Verdict.ISOLATE,
    413: Verdict.SPLIT,
    422: Verdict.ISOLATE,
}
"""The verdict on statuses that mean something else when they concern several records at once."""

CRASHED = frozenset({500, 502})
"""Statuses of a service that crashed; if it does so again, a record may be the cause."""


def judge(error: OCRError, *, shared: bool = False, crashed: bool = False) -> Verdict:
    """Return the verdict on *error*; a class of the caller's own is judged as its base.

    Args:
        error: How a record's attempt ended.
        shared: Whether a request of several records failed with it as a whole.
        crashed: Whether a request that carried the record was answered with 500 or 502 before.
    """
    status = error.status or 0
    if shared and isinstance(error, ServiceError) and not isinstance(error, AuthError):
        if crashed and status in CRASHED:
            return Verdict.ISOLATE
        if status in SHARED_VERDICTS:
            return SHARED_VERDICTS[status]
    return next(VERDICTS[cls] for cls in type(error).__mro__ if cls in VERDICTS)


OVERLOADED = frozenset({429, 503})
"""Statuses by which a service says that it is asked too much [RFC 6585, 4; RFC 9110, 15.6.4]."""

AWAY = frozenset({502, 503, 521, 522, 523})
"""Statuses by which a gateway says that the service is not there [RFC 9110, 15.6; the last three:
https://developers.cloudflare.com/support/troubleshooting/http-status-codes/]."""


def is_overload(error: OCRError) -> bool:
    """Whether *error* is a sign that the service is asked too much."""
    is_status = error.status in OVERLOADED and not isinstance(error, AuthError)
    return is_status or isinstance(error, RequestTimeout | PoolExhausted)


def is_turned_away(error: OCRError) -> bool:
    """Whether *error* is a sign that the service is not there."""
    is_reached = isinstance(error, UploadCut | PoolExhausted)
    return (isinstance(error, ConnectionFailed) and not is_reached) or error.status in AWAY


def is_vain(error: OCRError) -> bool:
    """Whether *error* of a whole request is a sign that the next one would be in vain, too.

    The service is not there or fails, or its answers are lost.
    """
    return is_turned_away(error) or is_suspicious(error)


def is_suspicious(error: OCRError) -> bool:
    """Whether the records of a request may be why it was in vain: the service worked on it."""
    return not is_turned_away(error) and isinstance(error, ReplyLost | ServiceUnavailable)


def is_suspect(error: OCRError) -> bool:
    """Whether one record can be at fault for *error* of its whole request."""
    return judge(error, shared=True, crashed=True) is Verdict.ISOLATE


def is_fatal(error: OCRError) -> bool:
    """Whether nothing more can be sent after *error*: for the account, its way, or the budget."""
    return isinstance(error, BudgetExceeded) or judge(error) is Verdict.STOP


def is_answer(error: OCRError) -> bool:
    """Whether the service itself answered, even with a failure."""
    return isinstance(error, ServiceError | ReplyError) and not is_turned_away(error)


@frozen
class Done:
    """The item has its *value*."""

    value: Any


@frozen
class Resend:
    """Send the item again, *after* so many seconds [s].

    Attributes:
        after: [s] to wait.
        is_free: Whether the attempt counts neither for the policy nor for the budget.
    """

    after: float = 0.0
    is_free: bool = False


@frozen
class Isolate:
    """Send the item alone, because one record of its batch may be at fault for all.

    Attributes:
        is_free: As for `Resend`.
    """

    is_free: bool = True


@frozen
class Split:
    """Send the item again in a batch of *most* items."""

    most: int


@frozen
class Fail:
    """The item ends with *error*.

    Attributes:
        error: Why.
        is_shared: Whether what is left of the item's isolated batch ends with it, too.
    """

    error: OCRError
    is_shared: bool = False


@frozen
class Stop:
    """The item ends with *error*, and so does all that goes to the same target."""

    error: OCRError


Decision: TypeAlias = Done | Resend | Isolate | Split | Fail | Stop


@frozen(kw_only=True)
class Situation:
    """What is known of an item when its attempt has ended.

    Attributes:
        records: Records in its request.
        is_whole: Whether the request failed as a whole.
        is_outage: Whether an outage alone is at fault for a request that was turned away.
        attempts: Attempts that the policy counts.
        maybe_billed: Attempts that may have been billed and brought no result.
        is_repeatable: Whether the item may be sent again after such an attempt.
        has_crashed: Whether a request that carried it was answered with 500 or 502 before.
        is_suspected: Whether a gateway failed it although others were answered meanwhile; if it
            was turned away, again and again.
        is_hopeless: Whether others of its isolated batch failed alike, so that none will do better.
        has_budget: Whether the session's retry budget has a resend left.
    """

    records: int = 1
    is_whole: bool = False
    is_outage: bool = False
    attempts: int = 1
    maybe_billed: int = 0
    is_repeatable: bool = True
    has_crashed: bool = False
    is_suspected: bool = False
    is_hopeless: bool = False
    has_budget: bool = True


def decide(result: Any, now: Situation, policy: RetryPolicy) -> Decision:  # noqa: PLR0911 - one for each
    """Return what becomes of an item whose attempt brought *result*, a value or an error."""
    if not isinstance(result, OCRError):
        return Done(result)
    # 1. The verdict says what the error means for the whole request.
    is_shared = now.is_whole and now.records > 1
    verdict = judge(result, shared=is_shared, crashed=now.has_crashed)
    # 2. An outage is no item's fault, so it costs no item an attempt, unless it may cost money.
    is_free = verdict is not Verdict.RESEND_MAYBE_BILLED
    is_away = is_turned_away(result) or is_overload(result)
    if now.is_outage and is_free and is_away:
        return Resend(is_free=True)
    if now.is_suspected and is_shared and is_away:
        return Isolate()
    match verdict:
        case Verdict.STOP:
            return Stop(result)
        case Verdict.ISOLATE:
            return Isolate()
        case Verdict.SPLIT:
            return Split(now.records // 2)
    # 3. What failed alike alone, three times, fails for all of its batch.
    if now.is_hopeless and is_suspect(result) and not is_turned_away(result):
        return Fail(result, is_shared=True)
    # 4. The policy and the budget say whether it is sent again, and when.
    return _resend(result, verdict, now, policy)


def _resend(error: OCRError, verdict: Verdict, now: Situation, policy: RetryPolicy) -> Decision:
    if verdict is Verdict.FAIL:
        return Fail(error)
    if verdict is Verdict.RESEND_MAYBE_BILLED:
        allowed = policy.resend_maybe_billed if now.is_repeatable else 0
        if now.maybe_billed > allowed:
            return Fail(error)
    if now.attempts >= policy.attempts:
        return Fail(error)
    if not now.has_budget:
        return Fail(with_reason(error, "too much fails for it to be sent again"))
    is_said = now.is_suspected or error.status in CRASHED
    if verdict is Verdict.RESEND_MAYBE_BILLED and is_said and now.is_whole and now.records > 1:
        # One record may be the cause, and no other is to pay for it again: each goes alone.
        return Isolate(is_free=False)
    return Resend(policy.pause(now.attempts, error.retry_after))

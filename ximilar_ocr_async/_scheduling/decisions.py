"""Verdicts: an error in, whether and when its record is sent again out."""

from collections.abc import Mapping
from enum import Enum, auto

from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ExtractionError,
    ImageError,
    JobExpired,
    JobFailed,
    JobNotFound,
    OCRError,
    OptionError,
    PlanError,
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
    AddressError: Verdict.STOP,
    ConnectionFailed: Verdict.RESEND,
    UploadCut: Verdict.RESEND,
    ReplyLost: Verdict.RESEND_MAYBE_BILLED,
    RequestTimeout: Verdict.RESEND_MAYBE_BILLED,
    ReplyError: Verdict.RESEND_MAYBE_BILLED,
    WebhookError: Verdict.FAIL,
    ExtractionError: Verdict.FAIL,
    ServiceError: Verdict.FAIL,
    AuthError: Verdict.STOP,
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
"""The verdict on statuses that mean something else where they meet several records at once."""

CRASHED = frozenset({500, 502})
"""The service fails now and then; where it does again, a record may be what it fails on."""


def judge(error: OCRError, *, shared: bool = False, crashed: bool = False) -> Verdict:
    """Return the verdict on *error*; a class of the caller's own is judged as its base.

    Args:
        error: How a record's attempt ended.
        shared: Whether it met a request of several records as a whole.
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
    is_told = error.status in OVERLOADED and not isinstance(error, AuthError)
    return is_told or isinstance(error, RequestTimeout)


def is_turned_away(error: OCRError) -> bool:
    """Whether *error* is a sign that the service is not there; nothing was billed."""
    is_unreached = isinstance(error, ConnectionFailed) and not isinstance(error, UploadCut)
    return is_unreached or error.status in AWAY


def is_suspect(error: OCRError) -> bool:
    """Whether one record can be at fault for *error* of its whole request."""
    return judge(error, shared=True, crashed=True) is Verdict.ISOLATE


def is_answer(error: OCRError) -> bool:
    """Whether the service itself has spoken, be it to fail."""
    return isinstance(error, ServiceError | ReplyError) and not is_turned_away(error)


def resend_after(
    policy: RetryPolicy, error: OCRError, *, attempts: int, maybe_billed: int
) -> float | None:
    """Return how long [s] to wait before a record is sent again; None if it should not be.

    Args:
        policy: How often and how soon.
        error: How its last attempt ended.
        attempts: Requests that carried it so far.
        maybe_billed: How many of them may have been billed without a result.
    """
    verdict = judge(error)
    lost = verdict is Verdict.RESEND_MAYBE_BILLED and maybe_billed <= policy.resend_maybe_billed
    if attempts >= policy.attempts or not (lost or verdict is Verdict.RESEND):
        return None
    return policy.pause(attempts, error.retry_after)

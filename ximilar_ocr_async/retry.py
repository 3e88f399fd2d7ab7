"""Verdicts and patience: an error in, whether and when its record is sent again out.

The one owner of tenacity, of which no type is seen outside.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum, auto

from attrs import frozen

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
from ximilar_ocr_async.limits import check_at_least

MAX_RETRY_AFTER = 120.0
"""[s] that a Retry-After may ask for. Source: openai-python, which believes no more."""


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


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how soon a record is sent again.

    The pause before attempt n + 1 is drawn from 0 to ``min(cap, base * 2 ** (n - 1))`` [s]: full
    jitter. A longer Retry-After is honoured, up to `MAX_RETRY_AFTER`.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: Requests that may carry one record, the first among them; those in an outage,
            and the first of a record that is sent alone, are not counted.
        base: [s] The longest first pause, before a record's second attempt and before the first
            probe of an outage.
        cap: [s] The longest pause.
        resend_maybe_billed: How often a record that may have been billed is sent again; 0 never.
    """

    attempts: int = 7
    base: float = 1.0
    cap: float = 60.0
    resend_maybe_billed: int = 1

    def __attrs_post_init__(self) -> None:
        check_at_least("attempts", self.attempts, 1)
        check_at_least("base", self.base, 0.0)
        check_at_least("cap", self.cap, 0.0)
        check_at_least("resend_maybe_billed", self.resend_maybe_billed, 0)

    def resend_after(self, error: OCRError, *, attempts: int, maybe_billed: int) -> float | None:
        """Return how long [s] to wait before a record is sent again; None if it should not be.

        Args:
            error: How its last attempt ended.
            attempts: Requests that carried it so far.
            maybe_billed: How many of them may have been billed without a result.
        """
        verdict = judge(error)
        lost = verdict is Verdict.RESEND_MAYBE_BILLED and maybe_billed <= self.resend_maybe_billed
        if attempts >= self.attempts or not (lost or verdict is Verdict.RESEND):
            return None
        # Not before something fails: in many programs nothing does.
        from tenacity import (  # noqa: PLC0415
            AsyncRetrying,
            RetryCallState,
            wait_random_exponential,
        )

        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = attempts
        jitter = wait_random_exponential(multiplier=self.base, max=self.cap)(state)
        return max(jitter, min(error.retry_after or 0.0, MAX_RETRY_AFTER))


# Not float(): it takes "inf", "1_0" and the digits of other scripts.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header: seconds or a date [RFC 9110, 10.2.3].

    Args:
        value: The header, if there was one.
        now: The present, with its time zone, to hold a date against.

    Returns:
        [s] to wait, not negative; None when there is no header or it makes no sense.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def parse_date(text: str | None) -> datetime | None:
    """Read a date in any of HTTP's three forms [RFC 9110, 5.6.7]; None if it is none."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - for what is rarely there

    try:
        date = parsedate_to_datetime(text or "")
        # The oldest form names no zone, and means UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None

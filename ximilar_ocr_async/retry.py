"""Verdicts and patience: an error in, whether and when its record is sent again out.

The one owner of tenacity, of which no type is seen outside.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from attrs import frozen
from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

from ximilar_ocr_async.errors import (
    AuthError,
    ConnectionFailed,
    DeadlineExceeded,
    ImageError,
    OCRError,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    SessionClosed,
    SessionStateError,
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
    ConnectionFailed: Verdict.RESEND,
    ReplyLost: Verdict.RESEND_MAYBE_BILLED,
    RequestTimeout: Verdict.RESEND_MAYBE_BILLED,
    ReplyError: Verdict.RESEND_MAYBE_BILLED,
    ServiceError: Verdict.FAIL,
    AuthError: Verdict.STOP,
    RateLimited: Verdict.RESEND,
    RequestRejected: Verdict.FAIL,
    ServiceUnavailable: Verdict.RESEND,
}
"""The verdict on each class of error; a test demands that none is missing."""


def judge(error: OCRError) -> Verdict:
    """Return the verdict on *error*; a class of the caller's own is judged as its base."""
    return next(VERDICTS[cls] for cls in type(error).__mro__ if cls in VERDICTS)


OVERLOADED = frozenset({429, 503})
"""Statuses by which a service says that it is asked too much [RFC 6585, 4; RFC 9110, 15.6.4]."""


def is_overload(error: OCRError) -> bool:
    """Whether *error* is a sign that the service is asked too much."""
    return error.status in OVERLOADED or isinstance(error, RequestTimeout)


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how soon a record is sent again.

    The pause before attempt n + 1 is drawn from 0 to ``min(cap, base * 2 ** (n - 1))`` [s]: full
    jitter. A longer Retry-After is honoured, up to `MAX_RETRY_AFTER`.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: Requests that may carry one record, the first among them.
        base: [s] The longest first pause.
        cap: [s] The longest pause.
        resend_maybe_billed: How often a record that may have been billed is sent again; 0 never.
    """

    attempts: int = 5
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
    try:
        date = parsedate_to_datetime(text)
        # The oldest of HTTP's three date forms names no zone, and means UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - now).total_seconds())
    except (ValueError, OverflowError):
        return None

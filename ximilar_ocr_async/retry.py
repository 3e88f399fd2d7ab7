"""Patience with failures: `RetryPolicy` says how often and how soon; `RetryBudget` caps it for all.

The one owner of tenacity, of which no type is seen outside.
"""

from attrs import define, field, frozen

from ximilar_ocr_async._validation import check_at_least

MAX_RETRY_AFTER = 120.0
"""[s] that a Retry-After may ask for. Source: openai-python, which believes no more."""

RESERVE = 500.0
"""Resends in hand at the start, and at most. Source: botocore 1.44, ``retries/quota.py``."""

DEPOSIT = 0.25
"""Resends that each first send pays for, so that they are a fifth of all. Source: Finagle's
``RetryBudget``, with its default of 20 %."""


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

    def pause(self, attempts: int, retry_after: float | None = None) -> float:
        """Return how long [s] to wait before attempt *attempts* + 1.

        Args:
            attempts: Those made so far, at least 1.
            retry_after: [s] that the service asks to wait, if it does.
        """
        # Not before something fails: in many programs nothing does.
        from tenacity import (  # noqa: PLC0415
            AsyncRetrying,
            RetryCallState,
            wait_random_exponential,
        )

        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number = attempts
        jitter = wait_random_exponential(multiplier=self.base, max=self.cap)(state)
        return max(jitter, min(retry_after or 0.0, MAX_RETRY_AFTER))


@define
class RetryBudget:
    """A token bucket against hammering a service that is half broken.

    In the long run a fifth of the records sent are resends at most. Attempts in an outage, and the
    single records of a batch that was refused, are not counted.
    Source: https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    _balance: float = field(init=False, default=RESERVE)

    def deposit(self) -> None:
        """Count a record's first send."""
        self._balance = min(RESERVE, self._balance + DEPOSIT)

    @property
    def has_resend(self) -> bool:
        """Whether there is a resend left."""
        return self._balance >= 1

    def withdraw(self) -> bool:
        """Use up a resend; return whether there was one."""
        if not self.has_resend:
            return False
        self._balance -= 1
        return True

"""Retries: `RetryPolicy` says how often and how soon, `RetryBudget` caps them for a session.

This module is the one owner of tenacity. None of tenacity's types is visible outside.
"""

from attrs import define, field, frozen

from ximilar_ocr_async._validation import check_at_least

MAX_RETRY_AFTER = 120.0
"""The longest Retry-After that is honoured [s]. Source: openai-python, which has the same limit."""

RESERVE = 500.0
"""Resends in the budget at the start and at most. Source: botocore 1.44, ``retries/quota.py``."""

DEPOSIT = 0.25
"""Resends that each first send adds to the budget, so that resends are a fifth of all sends.
Source: Finagle's ``RetryBudget``, with its default of 20 %."""


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how soon a record is sent again.

    The pause before attempt n + 1 is random, between 0 and ``min(cap, base * 2 ** (n - 1))`` [s].
    This is called full jitter. A longer Retry-After is honoured, up to `MAX_RETRY_AFTER`.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes:
        attempts: How many requests may contain one record. Attempts during an outage do not count,
            nor does the first attempt to send it alone after its batch was refused.
        base: The longest pause before a record's second attempt and before the first probe of an
            outage [s].
        cap: The longest pause of all [s].
        resend_maybe_billed: How often to resend a record that may have been billed. 0 means never.
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
        """Return how long to wait before attempt *attempts* + 1 [s].

        Args:
            attempts: How many attempts were made so far, at least 1.
            retry_after: How long the service asks to wait [s], if it does.
        """
        # Loaded after the first failure, because many programs never see one.
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
    """A token bucket that keeps resends from overloading a service in trouble.

    In the long run, at most a fifth of the records sent are resends. Attempts during an outage do
    not count. Neither do the single records of a batch that was refused.
    Source: https://twitter.github.io/finagle/guide/Clients.html#retries
    """

    _balance: float = field(init=False, default=RESERVE)

    def deposit(self) -> None:
        """Add what a record's first send earns."""
        self._balance = min(RESERVE, self._balance + DEPOSIT)

    @property
    def has_resend(self) -> bool:
        """Whether there is a resend left."""
        return self._balance >= 1

    def withdraw(self) -> bool:
        """Use up a resend. Return whether there was one."""
        if not self.has_resend:
            return False
        self._balance -= 1
        return True

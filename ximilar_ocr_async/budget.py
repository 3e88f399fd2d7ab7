"""Whether a record may be sent again: first sends in, leave for resends out.

Pure: it knows neither time nor tasks.
"""

from attrs import define, field

RESERVE = 500.0
"""Resends in hand at the start, and at most. Source: botocore 1.44, ``retries/quota.py``."""

DEPOSIT = 0.25
"""Resends that each first send pays for, so that they are a fifth of all. Source: Finagle's
``RetryBudget``, with its default of 20 %."""


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

    def withdraw(self) -> bool:
        """Take leave for a resend; return whether there was any."""
        if self._balance < 1:
            return False
        self._balance -= 1
        return True

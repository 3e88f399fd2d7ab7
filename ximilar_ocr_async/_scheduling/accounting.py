"""The books of an account: what was sent and billed, and the one result of each item.

Synchronous, so that nothing comes between "paid" and "recorded".
"""

import logging
from collections import Counter
from math import inf
from typing import Any, Protocol, TypeVar

import anyio
from attrs import define, field

from ximilar_ocr_async._scheduling.decisions import Verdict, judge
from ximilar_ocr_async.errors import (
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ImageError,
    OCRError,
    is_marked,
)
from ximilar_ocr_async.retry import RetryBudget

_log = logging.getLogger("ximilar_ocr_async.scheduling")


class Entry(Protocol):
    """An item, as far as the books look at it."""

    call: Any
    attempts: int
    sent: int
    maybe_billed: int
    is_done: bool
    is_given_up: bool

    def time_breakdown(self, now: float) -> str: ...


E = TypeVar("E", bound=Entry)


def is_billed(result: Any) -> bool:
    """Whether a record that brought *result* was paid for."""
    return not isinstance(result, OCRError)


def is_maybe_billed(result: Any, *, is_lost: bool) -> bool:
    """Whether a record that brought no more than *result* may have been; it is if it *is_lost*."""
    if is_billed(result) or isinstance(result, ImageError):
        return False
    return is_lost or is_marked(result) or judge(result) is Verdict.RESEND_MAYBE_BILLED


@define(eq=False, repr=False)
class Accounting:
    """Counts records and ends items. Lives as long as its session.

    Invariant: an item that anybody waits for ends once, and never before its money is counted.

    Attributes:
        max_records: Records that may be sent at most.
        sent: Records that reached the service, or may have.
        billed: Records of those that were read, or submitted to be read later.
        maybe_billed: Records of those whose response was lost.
        retried: Records of those that had been sent before.
        failed: Items that ended with an error.
        errors: How many, by the class of the error.
        budget: What may be sent again.
    """

    max_records: float = inf
    sent: int = field(init=False, default=0)
    billed: int = field(init=False, default=0)
    maybe_billed: int = field(init=False, default=0)
    retried: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    errors: Counter[str] = field(init=False, factory=Counter)
    budget: RetryBudget = field(init=False, factory=RetryBudget)

    # ---- money

    def afford(self, items: list[E], *, reserved: int) -> list[E]:
        """Return the items that may be sent beside *reserved* others; fail the rest."""
        left = max(0, self.max_records - self.sent - reserved)
        if len(items) <= left:
            return items
        for item in items[int(left) :]:
            reason = f"max_records is {self.max_records}, and as many were sent or are on their way"
            self.end(item, BudgetExceeded(reason))
        return items[: int(left)]

    def count(self, item: Entry, result: Any, *, is_lost: bool = False) -> None:
        """Count how an attempt ended for *item*; it may be billed if it *is_lost*."""
        if item.is_given_up:
            self._count_lost(item, -1)
        if isinstance(result, ImageError):
            return
        item.attempts += 1
        if not isinstance(result, ConnectionFailed):
            self._count_sent(item, 1)
        if is_billed(result):
            self.billed += 1
        elif is_maybe_billed(result, is_lost=is_lost):
            self.maybe_billed += 1
            item.maybe_billed += 1

    def give_up(self, item: Entry) -> None:
        """Count an attempt under way that *item* will not wait for: it may be billed."""
        if not item.is_given_up:
            self._count_lost(item, 1)

    def _count_lost(self, item: Entry, step: int) -> None:
        # Taken back with -1 if it ends after all, because others wait for it.
        item.is_given_up = step > 0
        item.attempts += step
        item.maybe_billed += step
        self.maybe_billed += step
        self._count_sent(item, step)

    def _count_sent(self, item: Entry, step: int) -> None:
        most = max(item.sent, item.sent + step)
        item.sent += step
        self.sent += step
        self.retried += step * (most > 1)

    # ---- how items end

    def end(self, item: Entry, result: Any) -> None:
        """End *item* with what was read, or with an error, unless nobody waits for it."""
        if item.is_done:
            # Its caller was told already. Tests fail on this.
            _log.error("an item ended twice, now with %r", type(result).__name__)
            return
        item.is_done = True
        item.call.items.pop(item, None)
        if item.call.is_abandoned:
            return
        if isinstance(result, OCRError):
            self.failed += 1
            self.errors[type(result).__name__] += 1
        item.call.deliver(item, result)

    def end_late(self, item: Entry, error: OCRError | None = None, *, needed: float = 0.0) -> None:
        """End *item*, whose deadline comes first.

        Args:
            item: The item.
            error: What ended its last attempt.
            needed: [s] that another would take, if it was not made for that reason.
        """
        now = anyio.current_time()
        left = item.call.patience.deadline - now
        why = f"{left:.1f} s are left, an answer takes {needed:.1f} s" if left > 0 < needed else ""
        last = f"the last attempt: {error}" if error else ""
        reasons = [item.time_breakdown(now), why, last]
        self.end(item, DeadlineExceeded(f"the deadline passed: {'; '.join(filter(None, reasons))}"))

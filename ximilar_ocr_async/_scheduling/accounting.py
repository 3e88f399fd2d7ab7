"""The books of a session: what was sent and billed, and the one outcome of each item.

Synchronous, so that nothing comes between "paid" and "recorded".
"""

from attrs import define, field

from ximilar_ocr_async._scheduling.calls import Item
from ximilar_ocr_async._scheduling.decisions import Verdict, judge
from ximilar_ocr_async.errors import (
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ImageError,
    OCRError,
)
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success


@define(eq=False, repr=False)
class Accounting:
    """Counts records, and ends items. Lives as long as its session.

    Invariant: an item that anybody waits for is ended once, and never before its money is counted.

    Args:
        max_records: Records that may be sent at most.
    """

    max_records: float = float("inf")
    # Records that reached the service, or may have; of them those that were read, those whose
    # reply was lost, and those that had been sent before.
    sent: int = field(init=False, default=0)
    billed: int = field(init=False, default=0)
    maybe_billed: int = field(init=False, default=0)
    retried: int = field(init=False, default=0)
    # Images that ended as a failure.
    failed: int = field(init=False, default=0)

    # ---- money

    def afford(self, items: list[Item], *, reserved: int) -> list[Item]:
        """Return the items that may be sent beside *reserved* others; fail the rest."""
        left = max(0, self.max_records - self.sent - reserved)
        if len(items) <= left:
            return items
        for item in items[int(left) :]:
            told = f"max_records is {self.max_records}, and as many were sent or are on their way"
            self.fail(item, BudgetExceeded(told))
        return items[: int(left)]

    def count(self, item: Item, result: Record | OCRError) -> None:
        """Count how an attempt ended for *item*."""
        if item.given_up:
            self._count_lost(item, -1)
        if isinstance(result, ImageError):
            return
        item.attempts += 1
        if not isinstance(result, ConnectionFailed):
            self._count_sent(item, 1)
        if isinstance(result, Record):
            self.billed += 1
        elif judge(result) is Verdict.RESEND_MAYBE_BILLED:
            self.maybe_billed += 1
            item.maybe_billed += 1

    def give_up(self, item: Item) -> None:
        """Count an attempt under way that *item* will not wait for: it may be billed."""
        if not item.given_up:
            self._count_lost(item, 1)

    def _count_lost(self, item: Item, step: int) -> None:
        # Taken back with -1 if it ends after all, because others wait for it.
        item.given_up = step > 0
        item.attempts += step
        item.maybe_billed += step
        self.maybe_billed += step
        self._count_sent(item, step)

    def _count_sent(self, item: Item, step: int) -> None:
        most = max(item.sent, item.sent + step)
        item.sent += step
        self.sent += step
        self.retried += step * (most > 1)

    # ---- how items end

    def succeed(self, item: Item, record: Record) -> None:
        """End *item* well."""
        outcome: Outcome = Success(
            index=item.index,
            image=item.image,
            record=record,
            attempts=item.attempts,
            maybe_billed=item.maybe_billed > 0,
        )
        self._end(item, outcome)

    def fail_late(self, item: Item, error: OCRError | None = None) -> None:
        """End *item*, which cannot be done before its deadline; *error* ended its last attempt."""
        told = f"; the last attempt: {error}" if error else ""
        self.fail(item, DeadlineExceeded(f"the deadline passed: {item.time_breakdown()}{told}"))

    def fail(self, item: Item, error: OCRError) -> None:
        """End *item* with *error*."""
        outcome = Failure(
            index=item.index,
            image=item.image,
            error=error,
            attempts=item.attempts,
            maybe_billed=item.maybe_billed > 0,
        )
        self.failed += item.is_wanted
        self._end(item, outcome)

    def _end(self, item: Item, outcome: Outcome) -> None:
        # An answer may come in the very turn of the loop in which the session closes.
        if item.is_wanted:
            item.done = True
            item.call.waiting -= 1
            item.call.deliver(outcome)

"""Requests that nobody waits for any more: they are let finish, for as long as answers take.

The service works on them all the same. A slot that were free at once would have it work on more
than the ceiling says, for callers who leave early and never get an answer. What a request costs is
spent, and its answer tells how long one takes, so that those who cannot wait that long are told so
before they pay.
"""

from collections.abc import Callable, Iterable
from math import inf

from attrs import define, field

from ximilar_ocr_async._scheduling.calls import Batch, Item
from ximilar_ocr_async._scheduling.preparing import give_up_preparing
from ximilar_ocr_async._scheduling.slots import Slots

GRACE, LEAST_GRACE, UNKNOWN_GRACE = 2.0, 0.1, 10.0
"""A request may go on for so many times as long as nearly every answer takes, and so many [s] at
least, or while that is not known. Source: judgement; the service takes 5 to 7 s."""


@define(eq=False)
class Abandoned:
    """Ends items before their results, and requests in good time."""

    _slots: Slots
    _batches: set[Batch] = field(init=False, factory=set)

    def give_up(self, items: Iterable[Item], end: Callable[[Item], None]) -> None:
        """Have *end* end items; attempts of theirs that are under way may be billed."""
        if not (ended := dict.fromkeys(items)):
            return
        in_flight = self._slots.in_flight
        batches = {item.batch for item in ended if item.batch}
        left = {b for b in batches if not any(i.is_wanted and i not in ended for i in b.items)}
        # A request that is not wholly sent is free, as long as it is cut off.
        cut = {b for b in left if b not in in_flight or not b.is_whole}
        billable = in_flight - cut
        for item in ended:
            if item.preparing is not None:
                give_up_preparing(item)
            elif item.batch is None:
                self._slots.queue.discard(item)
            elif item.batch in billable and item.id in item.batch.sent:
                item.accounting.give_up(item)
            end(item)
        for batch in cut:
            batch.scope.cancel()
        self._add(left - cut)
        self._slots.notify()

    def _add(self, batches: Iterable[Batch]) -> None:
        """Let requests finish. A probe has all the time that it needs."""
        for batch in batches:
            if not batch.is_probe:
                self._batches.add(batch)
                self._limit(batch)

    def end(self, ended: Batch) -> None:
        """Count a request that ended, and maybe told how long an answer takes."""
        self._batches.discard(ended)
        for batch in self._batches:
            self._limit(batch)

    def _limit(self, batch: Batch) -> None:
        usual = self._slots.throttle(batch.request.target).round_trip.needed(inf)
        grace = max(LEAST_GRACE, GRACE * usual) if usual else UNKNOWN_GRACE
        batch.scope.deadline = batch.began + grace

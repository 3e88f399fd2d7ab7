"""Which asynchronous requests to ask after, and when: answers in, ids and times out.

Pure: the time is passed in. Requests are done in about the order of their submission, so the oldest
is asked after first, then the next, until one is not done; then polling pauses. A request that is
not done doubles the pause and four that are done halve it, so that within the bounds of the pause
about one question in five is in vain, however fast the service is and however many deliveries are
lost. A request that is not done when it is asked after again is late: from then on it has a
back-off of its own and holds up no other.
"""

import random
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from math import inf

from attrs import define, field

SHORTEST, LONGEST = 0.5, 60.0
"""[s] Bounds of a pause; the first pause is twice the shortest. Source: judgement; the vendor says
once a minute for slow services, its users poll every 1 to 3 s."""

GROWTH = 2.0
"""Factor from one pause to the next."""

JITTER = 0.25
"""Share of a pause that is added by chance, so that programs started together drift apart."""

RUN = 4
"""Requests found done that halve the pause; as many in a row widen the rounds by one. Source: with
fewer, small jobs that lose deliveries miss the bar of 1.2 times the fewest requests possible."""


@define(eq=False)
class Polling:
    """The requests that are not done, from the oldest.

    Args:
        ids: The ids of the requests, in the order of their submission.
        draw: Draws a number from 0 to 1.

    Attributes:
        pending: The requests that are not done, by id, each with the last pause [s] of its own
            back-off; 0 until it was asked after in vain.
        _late: When [s] each late request may be asked after; the last one asked after is at the
            end.
        _due: When [s] the next round may begin.
        _pause: The last pause [s] between rounds.
        _run: How many requests were found done in a row.
    """

    ids: Iterable[str]
    draw: Callable[[], float] = random.random
    pending: dict[str, float] = field(init=False)
    _late: dict[str, float] = field(init=False, factory=dict)
    _due: float = field(init=False, default=-inf)
    _pause: float = field(init=False, default=SHORTEST)
    _run: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.pending = dict.fromkeys(self.ids, 0.0)

    def delay(self, now: float) -> float:
        """Return how long [s] until there is something to ask."""
        are_all_late = len(self._late) == len(self.pending)
        soonest = min(self._late.values(), default=inf) if are_all_late else self._due
        return max(0.0, self._due - now, soonest - now)

    def begin(self, now: float, slots: int) -> list[str]:
        """Return the ids to ask after together *now* [s].

        These are the oldest that are not late, at most as many as there are *slots*, and one that
        is late, so that each of those has its turn.
        """
        early = (request_id for request_id in self.pending if request_id not in self._late)
        late = (request_id for request_id, due in self._late.items() if due <= now)
        return [*islice(early, min(slots, 1 + self._run // RUN)), *islice(late, 1)]

    def end(self, asked: Collection[str], now: float) -> None:
        """Count that those *asked* after were answered; those still pending are not done."""
        missed = [request_id for request_id in asked if request_id in self.pending]
        found = len(asked) - len(missed)
        # A late request that is not done says nothing about the others.
        is_halted = not self._late.keys() >= set(missed)
        pause = self._pause * GROWTH ** (is_halted - found / RUN)
        self._pause = min(LONGEST, max(SHORTEST, pause))
        self._run = 0 if is_halted else self._run + found
        stretch = 1 + JITTER * self.draw()
        if is_halted or not found:
            self._due = now + self._pause * stretch
        for request_id in missed:
            last = self.pending[request_id]
            self.pending[request_id] = pause = min(LONGEST, last * GROWTH) or self._pause
            if last:
                self._late.pop(request_id, None)
                self._late[request_id] = now + pause * stretch

    def drop(self, request_id: str) -> None:
        """Ask no more after a request: an answer or a delivery says that it is done."""
        self.pending.pop(request_id, None)
        self._late.pop(request_id, None)

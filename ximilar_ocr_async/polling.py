"""Which asynchronous requests to ask after, and when: answers in, ids and times out.

Pure: the time is told to it. Requests are done in about the order they were submitted in, so a
round asks after the oldest and goes on for as long as they are done. One that was asked after twice
in vain lags behind: it is asked after ever more seldom, beside the others, and holds up none.
"""

import random
from collections.abc import Callable, Iterable
from itertools import islice

from attrs import define, field

FIRST, LONGEST = 1.0, 60.0
"""[s] The first pause and the longest. Source: judgement; the vendor says once a minute for slow
services, its users poll every 1 to 3 s."""

GROWTH = 1.5
"""Factor from one pause to the next."""

JITTER = 0.25
"""Share of a pause that is added by chance, so that programs started together drift apart."""


@define
class _Wait:
    """When a request that is not done may be asked after again [s], and how long [s] after that."""

    due: float = float("-inf")
    pause: float = FIRST


@define(eq=False)
class Polling:
    """The requests that are not done, from the oldest.

    Args:
        ids: Of the requests.
        draw: Chance, 0 to 1.
    """

    ids: Iterable[str]
    draw: Callable[[], float] = random.random
    pending: dict[str, _Wait] = field(init=False)
    # Those of them that lag behind.
    _late: dict[str, _Wait] = field(init=False, factory=dict)
    # When the next round may begin [s], and the pause after it: longer each time that it finds
    # nothing.
    _due: float = field(init=False, default=float("-inf"))
    _pause: float = field(init=False, default=FIRST)
    # Requests to ask after at once: one more each time that all but those that lag were done.
    _width: int = field(init=False, default=1)

    def __attrs_post_init__(self) -> None:
        self.pending = {request_id: _Wait() for request_id in self.ids}

    def wait(self, now: float) -> float:
        """Return how long [s] until there is something to ask."""
        waits = self.pending.values()
        # Mostly one of the first few, and there may be many.
        is_due = any(wait.due <= now for wait in waits)
        soonest = now if is_due else min((w.due for w in waits), default=float("inf"))
        return max(0.0, self._due - now, soonest - now)

    def begin(self, now: float, most: int) -> list[str]:
        """Return the ids to ask after together *now* [s].

        They are the oldest, *most* at most, of those that do not lag behind; and two that do, the
        oldest and the one that was due first, so that each of them has its turn.
        """
        late = {i: wait.due for i, wait in self._late.items() if wait.due <= now}
        others = (i for i, wait in self.pending.items() if wait.due <= now and i not in self._late)
        turns = [next(iter(late)), min(late, key=late.__getitem__)] if late else []
        return [*dict.fromkeys(turns), *islice(others, min(self._width, most))]

    def end(self, asked: Iterable[str], now: float) -> None:
        """Count that those *asked* after were answered; those still pending are not done."""
        asked = list(asked)
        missed = [request_id for request_id in asked if request_id in self.pending]
        found_any, all_lag = len(missed) < len(asked), self._late.keys() >= set(missed)
        for request_id in missed:
            self._miss(request_id, now)
        if found_any:
            self._pause = max(FIRST, self._pause / GROWTH)
            if all_lag:
                self._width += 1
                return
        self._due = now + self._pause * (1 + JITTER * self.draw())
        if not found_any and self._width == 1:
            self._pause = min(LONGEST, self._pause * GROWTH)
        self._width = 1

    def _miss(self, request_id: str, now: float) -> None:
        wait = self.pending[request_id]
        if wait.pause > FIRST:
            self._late[request_id] = wait
        wait.due = now + wait.pause
        wait.pause = min(LONGEST, wait.pause * GROWTH)

    def drop(self, request_id: str) -> None:
        """Ask no more after a request."""
        self.pending.pop(request_id, None)
        self._late.pop(request_id, None)

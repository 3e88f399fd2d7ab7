"""Which asynchronous requests to ask after, and when: answers in, ids and times out.

Pure: the time is told to it. Requests are done in about the order they were submitted in, so a
round asks after the oldest and goes on for as long as they are done; one that lags behind is asked
after ever more seldom, and holds up no other.
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
    # When the next round may begin [s], and the pause after it: longer each time that it finds
    # nothing.
    _due: float = field(init=False, default=float("-inf"))
    _pause: float = field(init=False, default=FIRST)
    # Requests to ask after at once: one more each time that all of them were done.
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
        """Return the ids to ask after together *now* [s], *most* at most."""
        due = (request_id for request_id, wait in self.pending.items() if wait.due <= now)
        return list(islice(due, min(self._width, most)))

    def end(self, asked: Iterable[str], now: float) -> None:
        """Count that those *asked* after were answered; those still pending are not done."""
        asked = list(asked)
        missed = [self.pending[i] for i in asked if i in self.pending]
        if not missed:
            self._width += 1
            return
        for wait in missed:
            wait.due = now + wait.pause
            wait.pause = min(LONGEST, wait.pause * GROWTH)
        self._due = now + self._pause * (1 + JITTER * self.draw())
        found_any = len(missed) < len(asked) or self._width > 1
        self._pause = min(LONGEST, max(FIRST, self._pause * (1 / GROWTH if found_any else GROWTH)))
        self._width = 1

    def drop(self, request_id: str) -> None:
        """Ask no more after a request."""
        self.pending.pop(request_id, None)

"""Which asynchronous requests to ask after, and when: answers in, ids and times out.

Pure: the time is told to it. Requests are done in about the order they were submitted in, so a
round asks after the oldest and goes on for as long as they are done; what is older than one that is
done is asked after at once. One that lags behind is asked after ever more seldom, and holds up no
other: every third round is for what was not asked after for the longest time, if they are in vain.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile

from attrs import define, field

FIRST, LONGEST = 1.0, 60.0
"""[s] The first pause and the longest. Source: judgement; the vendor says once a minute for slow
services, its users poll every 1 to 3 s."""

GROWTH = 1.5
"""Factor from one pause to the next."""

SILENCE = 4.0
"""Silence that is long, in times between two deliveries. Source: judgement; where one in three is
lost, so many in a row are one in a hundred."""

TURNS = 3
"""Rounds of which one is for others than the oldest."""

NEAR = 3
"""Requests that may be done before one that is older. Source: so many are submitted at once."""

JITTER = 0.25
"""Share of a pause that is added by chance, so that programs started together drift apart."""


@define
class _Wait:
    """When a request that is not done may be asked after again [s], and how long [s] after that.

    Its place is among all requests, from the oldest.
    """

    place: int
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
    # Rounds that found nothing in the end.
    _vain: int = field(init=False, default=0)
    # Whether what is being asked is a round's, and not for a sign that something is done.
    _is_round: bool = field(init=False, default=False)
    # When [s] the service last told by itself.
    _heard: float = field(init=False, default=float("inf"))
    # Place of the newest that is done.
    _newest: int = field(init=False, default=-1)

    def __attrs_post_init__(self) -> None:
        self.pending = {request_id: _Wait(place) for place, request_id in enumerate(self.ids)}

    def wait(self, now: float) -> float:
        """Return how long [s] until there is something to ask."""
        waits = self.pending.values()
        # Mostly one of the first few, and there may be many.
        is_due = any(wait.due <= now for wait in waits)
        soonest = now if is_due else min((w.due for w in waits), default=float("inf"))
        late = min((self.pending[i].due for i in self._late()), default=float("inf"))
        return max(0.0, min(late, max(self._due, soonest)) - now)

    def _late(self) -> Iterator[str]:
        """Iterate over what is older than one that is done."""
        return takewhile(lambda i: self.pending[i].place < self._newest - NEAR, self.pending)

    def begin(self, now: float, most: int) -> list[str]:
        """Return the ids to ask after together *now* [s], *most* at most."""
        if late := [i for i in self._late() if self.pending[i].due <= now]:
            return late[:most]
        self._is_round = True
        due = [request_id for request_id, wait in self.pending.items() if wait.due <= now]
        if self._vain % TURNS == TURNS - 1:
            due.sort(key=lambda request_id: self.pending[request_id].due)
        return due[: min(self._width, most)]

    def end(self, asked: Iterable[str], now: float) -> None:
        """Count that those *asked* after were answered; those still pending are not done."""
        asked = list(asked)
        missed = [self.pending[i] for i in asked if i in self.pending]
        for wait in missed:
            wait.due = now + wait.pause
            wait.pause = min(LONGEST, wait.pause * GROWTH)
        is_round, self._is_round = self._is_round, False
        if is_round and not missed:
            self._width += 1
        elif is_round:
            found_any = len(missed) < len(asked) or self._width > 1
            factor = 1 / GROWTH if found_any else GROWTH
            self._rest(now)
            self._pause = min(LONGEST, max(FIRST, self._pause * factor))
            self._width = 1
            self._vain += 1
        elif len(missed) == len(asked):
            # It was no sign: this service keeps no order.
            self._newest = -1

    def hear(self, now: float) -> None:
        """Count that the service told by itself; rounds begin when it is silent for long."""
        usual = min(LONGEST, SILENCE * (now - self._heard))
        self._heard, self._pause = now, max(self._pause, usual)
        self._rest(now)

    def _rest(self, now: float) -> None:
        self._due = now + self._pause * (1 + JITTER * self.draw())

    def drop(self, request_id: str) -> None:
        """Ask no more after a request."""
        if wait := self.pending.pop(request_id, None):
            self._newest = max(self._newest, wait.place)

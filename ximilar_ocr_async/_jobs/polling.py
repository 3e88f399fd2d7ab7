"""Which asynchronous requests to ask after, and when: answers in, ids and times out.

Pure: the caller passes the time in. Requests are done in about the order of their submission. So a
round asks after the oldest, and goes on for as long as it finds them done. A request that was asked
after twice in vain is late: it has a back-off of its own beside the rounds, and holds up no other.
While deliveries come, rounds wait until they fall silent; until then only requests are asked after
that a delivery has overtaken.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, takewhile

from attrs import define, field

FIRST, LONGEST = 1.0, 60.0
"""[s] The first pause and the longest. Source: judgement; the vendor recommends once a minute for
slow services, its users poll every 1 to 3 s."""

GROWTH = 1.5
"""Factor from one pause to the next."""

JITTER = 0.25
"""Share of a pause that is added at random, so that programs started together drift apart."""

SILENCE = 4.0
"""Length of a silence, in times between two deliveries. Source: judgement; if one delivery in three
is lost, four in a row are one in a hundred."""

NEAR = 3
"""Requests that may be done before an older one. Source: so many are submitted at once."""


@define
class _Wait:
    """When a request may be asked after again.

    Attributes:
        place: Its place among all requests, from the oldest.
        due: When [s] it may be asked after.
        pause: [s] from then to the next time.
    """

    place: int
    due: float = float("-inf")
    pause: float = FIRST


@define(eq=False)
class Polling:
    """The requests that are not done, from the oldest.

    Attributes:
        ids: The ids of all requests, in the order of their submission.
        draw: Returns a random number from 0 to 1.
        pending: Those that are not done, by id.
    """

    ids: Iterable[str]
    draw: Callable[[], float] = random.random
    pending: dict[str, _Wait] = field(init=False)
    # Those of them that are late.
    _late: dict[str, _Wait] = field(init=False, factory=dict)
    # When [s] the next round may begin, and the pause [s] after it, which grows with each round
    # that finds nothing.
    _due: float = field(init=False, default=float("-inf"))
    _pause: float = field(init=False, default=FIRST)
    # Requests to ask after together; one more after each round that found all but late ones done.
    _width: int = field(init=False, default=1)
    # When [s] the last delivery came, and the place of the newest request that was delivered.
    _heard: float = field(init=False, default=float("inf"))
    _newest: int = field(init=False, default=-1)
    # Whether the requests that are being asked after were overtaken.
    _is_overtaken: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.pending = {request_id: _Wait(place) for place, request_id in enumerate(self.ids)}

    def delay(self, now: float) -> float:
        """Return how long [s] until there is something to ask."""
        waits = self.pending.values()
        # Usually one of the first few is due, and there may be many.
        is_due = any(wait.due <= now for wait in waits)
        soonest = now if is_due else min((w.due for w in waits), default=float("inf"))
        overtaken = min((self.pending[i].due for i in self._overtaken()), default=float("inf"))
        return max(0.0, min(overtaken, max(self._due, soonest)) - now)

    def _overtaken(self) -> Iterator[str]:
        return takewhile(lambda i: self.pending[i].place < self._newest - NEAR, self.pending)

    def begin(self, now: float, most: int) -> list[str]:
        """Return the ids to ask after together *now* [s].

        If some were overtaken, it is those. Otherwise it is the oldest that are not late, *most* at
        most, and two late ones: the oldest, and the one that was due first, so that each has its
        turn.
        """
        overtaken = list(islice((i for i in self._overtaken() if self._is_due(i, now)), most))
        self._is_overtaken = bool(overtaken)
        if overtaken:
            return overtaken
        late = {i: wait.due for i, wait in self._late.items() if wait.due <= now}
        turns = [next(iter(late)), min(late, key=late.__getitem__)] if late else []
        others = (i for i in self.pending if self._is_due(i, now) and i not in self._late)
        return [*dict.fromkeys(turns), *islice(others, min(self._width, most))]

    def _is_due(self, request_id: str, now: float) -> bool:
        return self.pending[request_id].due <= now

    def end(self, asked: Iterable[str], now: float) -> None:
        """Count that those *asked* after were answered; those still pending are not done."""
        asked = list(asked)
        missed = [request_id for request_id in asked if request_id in self.pending]
        found_any, all_lag = len(missed) < len(asked), self._late.keys() >= set(missed)
        for request_id in missed:
            self._miss(request_id, now)
        if self._is_overtaken:
            # If nothing overtaken is done, the service keeps no order.
            self._newest = self._newest if found_any else -1
            return
        if found_any:
            self._pause = max(FIRST, self._pause / GROWTH)
            if all_lag:
                self._width += 1
                return
        self._rest(now)
        if not found_any and self._width == 1:
            self._pause = min(LONGEST, self._pause * GROWTH)
        self._width = 1

    def _miss(self, request_id: str, now: float) -> None:
        wait = self.pending[request_id]
        if wait.pause > FIRST:
            self._late[request_id] = wait
        wait.due = now + wait.pause
        wait.pause = min(LONGEST, wait.pause * GROWTH)

    def _rest(self, now: float) -> None:
        self._due = now + self._pause * (1 + JITTER * self.draw())

    def hear(self, request_id: str, now: float) -> None:
        """Count a delivery, which says that a request is done."""
        if wait := self.pending.get(request_id):
            self._newest = max(self._newest, wait.place)
        self._pause = max(self._pause, min(LONGEST, SILENCE * (now - self._heard)))
        self._heard = now
        self._rest(now)
        self.drop(request_id)

    def drop(self, request_id: str) -> None:
        """Ask no more after a request."""
        self.pending.pop(request_id, None)
        self._late.pop(request_id, None)

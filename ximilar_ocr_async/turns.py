"""Jobs that wait for a slot: callers take turns, lanes take turns, each caller's own stay in order.

Pure: it knows neither time nor tasks.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import Generic, Protocol, TypeVar

from attrs import define, field


class Waiting(Protocol):
    """What is asked of a job: whose it is, and with which others it may share a request."""

    @property
    def call(self) -> Hashable:
        """Whose it is."""
        ...

    @property
    def lane(self) -> "Lane":
        """What all records of one request have in common."""
        ...


class Lane(Hashable, Protocol):
    """What is asked of a lane."""

    @property
    def most(self) -> int:
        """Jobs that may share a request."""
        ...


J = TypeVar("J", bound=Waiting)


@define(eq=False)
class Turns(Generic[J]):
    """A queue by lane and caller.

    Invariants: no lane and no caller in it is empty; the first key of each `dict` is the next in
    turn.
    """

    _lanes: dict[Lane, dict[Hashable, deque[J]]] = field(init=False, factory=dict)
    _size: int = field(init=False, default=0)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[J]:
        for callers in self._lanes.values():
            for jobs in callers.values():
                yield from jobs

    def put(self, job: J, *, first: bool = False) -> None:
        """Queue a job behind its caller's others, or *first* before them."""
        jobs = self._lanes.setdefault(job.lane, {}).setdefault(job.call, deque())
        if first:
            jobs.appendleft(job)
        else:
            jobs.append(job)
        self._size += 1

    def take(self, most: float = inf) -> list[J]:
        """Take jobs of the lane whose turn it is, *most* at most, one of each caller in turn."""
        lane = next(iter(self._lanes))
        callers = self._lanes.pop(lane)
        taken: list[J] = []
        while callers and len(taken) < min(most, lane.most):
            caller = next(iter(callers))
            jobs = callers.pop(caller)
            taken.append(jobs.popleft())
            if jobs:
                callers[caller] = jobs
        if callers:
            self._lanes[lane] = callers
        self._size -= len(taken)
        return taken

    def remove(self, is_unwanted: Callable[[J], bool]) -> list[J]:
        """Remove and return the jobs that are unwanted; the others keep their places."""
        removed = [job for job in self if is_unwanted(job)]
        if removed:
            kept = [job for job in self if not is_unwanted(job)]
            self._lanes, self._size = {}, 0
            for job in kept:
                self.put(job)
        return removed

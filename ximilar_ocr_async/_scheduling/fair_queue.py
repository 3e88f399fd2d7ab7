"""Items that wait for a slot: callers take turns, lanes take turns, a caller's own stay in order.

Pure: it knows neither time nor tasks.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import Generic, Protocol, TypeVar

from attrs import define, field


class Waiting(Protocol):
    """What is asked of an item: whose it is, and with which others it may share a request."""

    @property
    def call(self) -> Hashable:
        """Whose it is."""
        ...

    @property
    def batch_key(self) -> "BatchKey":
        """What all records of one request have in common."""
        ...


class BatchKey(Hashable, Protocol):
    """What is asked of a lane."""

    @property
    def most(self) -> int:
        """Items that may share a request."""
        ...


J = TypeVar("J", bound=Waiting)


@define(eq=False)
class FairQueue(Generic[J]):
    """A queue by lane and caller.

    Invariants: no lane and no caller in it is empty; the first key of each `dict` is the next in
    turn.
    """

    _batch_keys: dict[BatchKey, dict[Hashable, deque[J]]] = field(init=False, factory=dict)
    _size: int = field(init=False, default=0)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[J]:
        for callers in self._batch_keys.values():
            for items in callers.values():
                yield from items

    def put(self, item: J, *, first: bool = False) -> None:
        """Queue an item behind its caller's others, or *first* before them."""
        items = self._batch_keys.setdefault(item.batch_key, {}).setdefault(item.call, deque())
        if first:
            items.appendleft(item)
        else:
            items.append(item)
        self._size += 1

    def take(self, most: float = inf) -> list[J]:
        """Take items of the lane whose turn it is, *most* at most, one of each caller in turn."""
        batch_key = next(iter(self._batch_keys))
        callers = self._batch_keys.pop(batch_key)
        taken: list[J] = []
        while callers and len(taken) < min(most, batch_key.most):
            caller = next(iter(callers))
            items = callers.pop(caller)
            taken.append(items.popleft())
            if items:
                callers[caller] = items
        if callers:
            self._batch_keys[batch_key] = callers
        self._size -= len(taken)
        return taken

    def remove(self, is_unwanted: Callable[[J], bool]) -> list[J]:
        """Remove and return the items that are unwanted; the others keep their places."""
        removed = [item for item in self if is_unwanted(item)]
        if removed:
            kept = [item for item in self if not is_unwanted(item)]
            self._batch_keys, self._size = {}, 0
            for item in kept:
                self.put(item)
        return removed

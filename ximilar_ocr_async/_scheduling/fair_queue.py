"""The fair queue: items that wait for a slot in, the items of the next batch out.

Pure: it knows neither time nor tasks.
"""

from collections import deque
from collections.abc import Callable, Iterator
from math import inf

from attrs import define, field

from ximilar_ocr_async._scheduling.calls import BatchKey, Call, Item


@define(eq=False)
class FairQueue:
    """Batch keys take turns, calls of one batch key take turns, a call's items keep their order.

    Invariants: no batch key and no call in it is without items; the first key of each `dict` has
    the next turn.
    """

    _calls: dict[BatchKey, dict[Call, deque[Item]]] = field(init=False, factory=dict)
    _size: int = field(init=False, default=0)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        for calls in self._calls.values():
            for items in calls.values():
                yield from items

    def put(self, item: Item, *, first: bool = False) -> None:
        """Queue an item behind the others of its call, or *first* before them."""
        items = self._calls.setdefault(item.batch_key, {}).setdefault(item.call, deque())
        if first:
            items.appendleft(item)
        else:
            items.append(item)
        self._size += 1

    def take(self, most: float = inf) -> list[Item]:
        """Take up to *most* items of the batch key whose turn it is, one of each call in turn."""
        batch_key = next(iter(self._calls))
        calls = self._calls.pop(batch_key)
        taken: list[Item] = []
        while calls and len(taken) < min(most, batch_key.most):
            call = next(iter(calls))
            items = calls.pop(call)
            taken.append(items.popleft())
            if items:
                calls[call] = items
        if calls:
            self._calls[batch_key] = calls
        self._size -= len(taken)
        return taken

    def remove(self, is_unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove and return the items that are unwanted; the others keep their places."""
        removed = [item for item in self if is_unwanted(item)]
        if removed:
            kept = [item for item in self if not is_unwanted(item)]
            self._calls, self._size = {}, 0
            for item in kept:
                self.put(item)
        return removed

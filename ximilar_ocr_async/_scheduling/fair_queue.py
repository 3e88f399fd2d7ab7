"""The fair queue: items that wait for a slot in, the items of the next batch out.

Three levels, from the outside in. *Lanes* hold what may share a request: which of them gets a free
slot is told by the slots that each holds, whether a person waits there, and the slot time that each
had (`FairQueue.turn`). In a lane, interactive and bulk calls have a share of each batch. Within a
share, those whom calls are for take turns, and so do the calls of each of them. A call's items keep
their order.

Pure: it knows neither time nor tasks.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from math import inf

from attrs import define, field

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._protocol import Request
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item
from ximilar_ocr_async._scheduling.tenant import Tenant

BULK_SHARE = 2
"""Places of a batch of 10 that interactive calls leave to bulk calls, if these wait; of a smaller
one, in proportion, but one at least. Source: judgement; people must not starve a nightly run, nor
it them."""

ROW = 4
"""Batches of lanes in which a person waits that may begin before others, of lanes that hold as many
slots, have a turn. Source: judgement."""

PASSES = 4
"""Batches in a row without room for a bulk item that waits, after which one begins with it."""


@define(eq=False)
class Share:
    """Items of one priority. Those whom calls are for take turns, then the calls of each.

    The first of each `dict` has the next turn.
    """

    _calls: OrderedDict[Hashable, OrderedDict[Call, deque[Item]]] = field(
        init=False, factory=OrderedDict
    )
    size: int = field(init=False, default=0)

    def __iter__(self) -> Iterator[Item]:
        # Copies, each made in one step: statistics may be asked for in another thread.
        for calls in list(self._calls.values()):
            for items in list(calls.values()):
                yield from list(items)

    def put(self, item: Item, *, first: bool) -> None:
        key, call = item.call.fair_key, item.call
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = OrderedDict()
            if first and item.isolation is None:
                # It had its turn in vain.
                self._calls.move_to_end(key, last=False)
        items = calls.setdefault(call, deque())
        if first:
            if item.isolation is None:
                calls.move_to_end(call, last=False)
            items.appendleft(item)
        else:
            items.append(item)
        self.size += 1

    def take(self, fits: Callable[[Item], bool]) -> Item | None:
        """Take the next item that *fits*, one of each in turn; None if that of nobody does."""
        for fair_key, calls in self._calls.items():
            for call, items in calls.items():
                if fits(items[0]):
                    item = items.popleft()
                    self.size -= 1
                    # Whoever had a turn goes to the end.
                    if not items or len(calls) > 1:
                        del calls[call]
                        if items:
                            calls[call] = items
                    if not calls or len(self._calls) > 1:
                        del self._calls[fair_key]
                        if calls:
                            self._calls[fair_key] = calls
                    return item
        return None

    def discard(self, item: Item) -> bool:
        """Take out an item; return whether it was there."""
        calls = self._calls.get(item.call.fair_key)
        items = calls.get(item.call) if calls else None
        # Nearly always the first: calls end as a whole, in order.
        if not calls or not items or item not in items:
            return False
        items.remove(item)
        self.size -= 1
        if not items:
            del calls[item.call]
            if not calls:
                del self._calls[item.call.fair_key]
        return True


@define(eq=False)
class Lane:
    """What may share a request: a tenant's items of equal requests.

    Attributes:
        request: The request.
        tenant: The tenant.
        max_records: Items in one batch at most.
        in_flight: Slots that it holds.
        used: [s] of slot time that it had, counted from the least that any lane had which waited
            with it. Source: Goyal et al., Start-time fair queuing, 1996.
    """

    request: Request
    tenant: Tenant
    max_records: int = MAX_RECORDS
    in_flight: int = field(init=False, default=0)
    used: float = field(init=False, default=0.0)
    _interactive: Share = field(init=False, factory=Share)
    _bulk: Share = field(init=False, factory=Share)
    # Batches in a row that had no room for the bulk items that waited.
    _passed: int = field(init=False, default=0)

    def __iter__(self) -> Iterator[Item]:
        yield from self._interactive
        yield from self._bulk

    def __len__(self) -> int:
        return self._interactive.size + self._bulk.size

    @property
    def interactive(self) -> int:
        """Items that a person waits for."""
        return self._interactive.size

    def share_of(self, item: Item) -> Share:
        """Return the share that *item* waits in."""
        return self._interactive if item.call.is_interactive else self._bulk

    def take(
        self, max_bytes: float, is_late: Callable[[Item], bool]
    ) -> tuple[list[Item], list[Item]]:
        """Take the items of the next batch.

        Args:
            max_bytes: [bytes] of images in it, as base64; the first may be larger.
            is_late: Whether an item cannot be read in time.

        Returns:
            The items, and those before them that are late.
        """
        taken: list[Item] = []
        late: list[Item] = []
        size = 0

        def fits(item: Item) -> bool:
            return len(taken) < item.most and (not taken or size + item.size <= max_bytes)

        limit = self.max_records
        # A batch of one has no place to share: `PASSES` gives bulk calls their turn.
        places = -(-BULK_SHARE * limit // MAX_RECORDS) if limit > 1 else 0
        reserved = min(places, self._bulk.size)
        waiting = self._bulk.size
        # What fits into no batch beside others has one of its own now and then.
        for share, end in (
            (self._bulk, int(self._passed >= PASSES)),
            (self._interactive, limit - reserved),
            (self._bulk, limit),
            (self._interactive, limit),
        ):
            while len(taken) < min(end, limit) and (item := share.take(fits)):
                if is_late(item):
                    late.append(item)
                    continue
                taken.append(item)
                size += item.size
                limit = min(limit, item.most)
        self._passed = self._passed + 1 if self._bulk.size == waiting > 0 else 0
        return taken, late


@define(eq=False)
class FairQueue:
    """All lanes. One without items that holds no slot is forgotten.

    Attributes:
        max_records: Items in one batch at most.
    """

    max_records: int = MAX_RECORDS
    _lanes: dict[tuple[Request, Tenant], Lane] = field(init=False, factory=dict)
    _size: int = field(init=False, default=0)
    # Batches in a row in which a person waits.
    _row: int = field(init=False, default=0)
    # [s] The slot time that each lane would have had by now, if all had had the same.
    _clock: float = field(init=False, default=0.0)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        for lane in list(self._lanes.values()):  # as in `Share`
            yield from lane

    @property
    def waiting(self) -> list[Lane]:
        """The lanes with items in them."""
        return [lane for lane in self._lanes.values() if lane]

    def turn(self, lane: Lane) -> tuple[int, bool, float]:
        """Return the place of a *lane* among the others: the least is next."""
        is_urgent = lane.interactive > 0 and self._row < ROW
        return lane.in_flight, not is_urgent, lane.used

    def put(self, item: Item, *, first: bool = False) -> None:
        """Queue an item behind the others of its call, or *first* before them."""
        lane = self._lane(item.request, item.call.tenant)
        if not lane:
            # Time in which it asked for nothing is not owed to it.
            lane.used = max(lane.used, self._clock)
        lane.share_of(item).put(item, first=first)
        self._size += 1

    def interactive(self, tenant: Tenant) -> int:
        """Count the items of a *tenant* that a person waits for."""
        lanes = self._lanes.values()
        return sum(lane.interactive for lane in lanes if lane.tenant is tenant)

    def take(
        self,
        lane: Lane,
        max_bytes: float = inf,
        is_late: Callable[[Item], bool] = lambda _: False,
    ) -> tuple[list[Item], list[Item]]:
        """Take the items of the next batch off a *lane*, as `Lane.take` does."""
        self._clock = max(self._clock, lane.used)
        taken, late = lane.take(max_bytes, is_late)
        self._size -= len(taken) + len(late)
        if not taken:
            self.forget(lane)
        return taken, late

    def take_probe(self, lane: Lane) -> list[Item]:
        """Take the item of a *lane* to probe with.

        It is one that has the most time left, to hear the answer, and of these one that was sent
        the least often: others may be the cause of the outage.
        """
        item = max(lane, key=lambda item: (item.call.patience.deadline, -item.attempts))
        self.discard(item)
        return [item]

    def discard(self, item: Item) -> None:
        """Take out an item, if it waits: a signal may come when it has left and is in no batch."""
        lane = self._lane(item.request, item.call.tenant)
        self._size -= lane.share_of(item).discard(item)
        self.forget(lane)

    def begin(self, batch: Batch) -> None:
        """Count a batch that got a slot."""
        self._lane(batch.request, batch.tenant).in_flight += 1
        is_urgent = any(item.call.is_interactive for item in batch.items)
        self._row = self._row + 1 if is_urgent and self._row < ROW else 0

    def end(self, batch: Batch, seconds: float) -> None:
        """Count a batch that had its slot for so many *seconds*."""
        lane = self._lane(batch.request, batch.tenant)
        lane.in_flight -= 1
        lane.used += seconds
        # Virtual time: an endless row of new lanes must not stay before what waits.
        self._clock += seconds / len(self._lanes)
        self.forget(lane)

    def _lane(self, request: Request, tenant: Tenant) -> Lane:
        key = request, tenant
        if key not in self._lanes:
            self._lanes[key] = Lane(*key, self.max_records)
        return self._lanes[key]

    def forget(self, lane: Lane) -> None:
        """Forget a *lane* that has no items and no slot."""
        if lane is self._lanes.get((lane.request, lane.tenant)) and not lane and not lane.in_flight:
            # What it used is kept by the clock, as far as it counts.
            self._clock = max(self._clock, min((x.used for x in self.waiting), default=lane.used))
            del self._lanes[lane.request, lane.tenant]

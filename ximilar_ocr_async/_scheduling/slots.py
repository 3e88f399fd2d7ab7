"""Slots: leave to have one request in flight. Batches and requests without items share them.

All endpoints share the slots; each has a throttle of its own, so that one in trouble stops no
other.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from math import inf

import anyio
from attrs import define, field

from ximilar_ocr_async._scheduling.adaptive_limit import AdaptiveLimit
from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.call_options import Patience
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item
from ximilar_ocr_async._scheduling.fair_queue import FairQueue, Lane
from ximilar_ocr_async._scheduling.telling import Events
from ximilar_ocr_async._scheduling.tenant import Tenant
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.errors import OCRError, Overloaded, RequestTimeout, with_reason
from ximilar_ocr_async.outcomes import EndpointStats

ACCOUNT = "account"
"""The endpoint of requests without items."""

SOON = 1.0
"""[s] The least that whoever is refused is asked to wait."""

ALIVE = 30.0
"""[s] for which an answer says that the service can be reached and takes the token. Source:
judgement; a liveness probe comes every 10 s."""

TICK = 0.25
"""[s] between two looks at what waits for an endpoint in trouble."""


@define(eq=False, repr=False)
class Slots:
    """Counts the requests in flight, and asks throttles when another one may begin.

    Attributes:
        ceiling: The most requests in flight.
        events: Told what happens.
        queue: Items that wait for a slot.
        in_flight: Batches whose attempt is under way.
        pausing: Batches that wait to be sent again.
        gets: Requests in flight that carry no items.
        throttles: What is known of each endpoint, by its name.
    """

    ceiling: int
    _make_limit: Callable[[], AdaptiveLimit]
    _make_throttle: Callable[[str], Throttle]
    events: Events = field(factory=Events)
    queue: FairQueue = field(factory=FairQueue)
    in_flight: set[Batch] = field(init=False, factory=set)
    pausing: set[Batch] = field(init=False, factory=set)
    gets: int = field(init=False, default=0)
    throttles: dict[str, Throttle] = field(init=False, factory=dict)
    # The time [s] at the last look at the clock.
    _seen: float = field(init=False, default=0.0)
    # When [s] it was last looked at what waits in vain.
    _looked: float = field(init=False, default=-inf)
    # After a request without items, the next slot is for items.
    _items_first: bool = field(init=False, default=False)
    _changed: anyio.Event = field(init=False, factory=anyio.Event)

    def throttle(self, target: str) -> Throttle:
        """Return what is known of an endpoint."""
        if target not in self.throttles:
            self.throttles[target] = self._make_throttle(target)
        return self.throttles[target]

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, to the endpoints that were asked so far."""
        limits = sum(throttle.limit.slots for throttle in self.throttles.values())
        return min(self.ceiling, limits or self._make_limit().slots)

    def is_full(self, item: Item, most: float) -> bool:
        """Whether *most* images that people wait for find no place, of the tenant of *item*."""
        if most == inf or not item.call.is_interactive:
            return False
        tenant = item.call.tenant
        pausing = (i for batch in self.pausing if batch.tenant is tenant for i in batch.items)
        waiting = self.queue.interactive(tenant) + sum(i.call.is_interactive for i in pausing)
        throttle = self.throttle(item.request.target)
        used = len(self.in_flight) + self.gets
        free = min(self.ceiling - used, throttle.limit.slots - throttle.in_flight)
        is_troubled = throttle.is_troubled(anyio.current_time())
        return waiting - (0 if is_troubled else max(0, free) * self.queue.max_records) >= most

    def stats(self) -> dict[str, EndpointStats]:
        """Return what is known of each endpoint, as of now; elsewhere than here, of lately."""
        with suppress(RuntimeError):  # in another thread, or after the event loop
            self._seen = anyio.current_time()
        throttles = list(self.throttles.items())
        waits: dict[str, list[float]] = defaultdict(list)
        for item in self.queue:
            waits[item.request.target].append(item.waited(self._seen))
        return {target: one.stats(waits[target], self._seen) for target, one in throttles}

    def is_alive(self, tenant: Tenant) -> bool:
        """Whether the session's own traffic tells that the service answers, and takes the token."""
        now = anyio.current_time()
        accepted = [t for t, when in tenant.accepted.items() if now - when <= ALIVE]
        return any(not self.throttle(target).breaker.is_on for target in accepted)

    def trouble(self) -> OCRError | None:
        """Return what the session's own traffic tells of an outage, if it does."""
        now = anyio.current_time()
        for throttle in self.throttles.values():
            if throttle.breaker.is_on and throttle.breaker.delay(now) > 0:
                seconds = now - throttle.breaker.began
                return with_reason(throttle.error, f"so it has been for {seconds:.0f} s")
        return None

    def overloaded(self, most: float) -> Overloaded:
        """Return the error of an item that comes when *most* wait for a slot."""
        now = anyio.current_time()
        waits = [
            throttle.breaker.delay(now) + throttle.round_trip.mean
            for throttle in self.throttles.values()
        ]
        batches = len(self.queue) / self.queue.max_records / self.ceiling
        reason = f"max_queue is {most:,}, and as many images wait for a slot"
        after = max(waits, default=0.0) * max(1.0, batches)
        return Overloaded(reason, retry_after=max(SOON, after))

    # ---- whose turn it is

    def _delay(self, target: str, *, urgent: bool) -> float:
        """Return how long [s] until a request to *target* may begin; for ever without a slot."""
        now, throttle = anyio.current_time(), self.throttle(target)
        # In an outage, a pause after a sign of overload must not keep the probe from its slot.
        pausing = () if throttle.breaker.is_on else self.pausing
        held = sum(b.holds_slot and b.request.target == target for b in pausing)
        used = len(self.in_flight) + self.gets + held
        if throttle.in_flight + held >= throttle.limit.slots:
            return inf
        if used < self.ceiling:
            return throttle.delay(now, urgent=urgent)
        # What an endpoint holds that stalls is not taken from the others.
        usual = max(other.round_trip.mean for other in self.throttles.values())
        stalls = {t: t.stalls(usual) for t in self.throttles.values() if t is not throttle}
        stalling = sum(t.in_flight for t, since in stalls.items() if since <= now)
        used -= min(stalling, self.ceiling)
        if used < self.ceiling and throttle.stalls(usual) > now:
            return throttle.delay(now, urgent=urgent)
        return min((since - now for since in stalls.values() if since > now), default=inf)

    def next_lane(self) -> tuple[Lane | None, float]:
        """Return the lane whose turn it is, or how long [s] until there may be one."""
        found: Lane | None = None
        soonest = inf
        delays: dict[tuple[str, bool], float] = {}
        for lane in self.queue.waiting:
            key = lane.request.target, lane.interactive > 0
            if key not in delays:
                delays[key] = self._delay(key[0], urgent=key[1])
            delay = delays[key]
            if delay <= 0 and (found is None or self.queue.turn(lane) < self.queue.turn(found)):
                found = lane
            soonest = min(soonest, delay)
        return found, soonest

    # ---- what waits in vain

    def is_late(self, item: Item) -> bool:
        """Whether *item* cannot be read before its deadline, for all that is known."""
        deadline = item.call.patience.deadline
        return deadline < inf and deadline - anyio.current_time() <= self.needed(item)

    def needed(self, item: Item) -> float:
        """Return how long [s] before its deadline *item* must be sent."""
        now = anyio.current_time()
        return self.throttle(item.request.target).needed(item.waited(now), now)

    def next_look(self) -> float:
        """Return how long [s] until `hopeless` is to be asked; for ever if nothing is wrong."""
        now = anyio.current_time()
        is_troubled = any(throttle.is_troubled(now) for throttle in self.throttles.values())
        return max(0.0, self._looked + TICK - now) if is_troubled else inf

    def next_wake(self, calls: Collection[Call]) -> float:
        """Return how long [s] the scheduler may sleep unless something changes."""
        return min(self.next_lane()[1], self.next_look() if calls else inf)

    def hopeless(self, calls: Collection[Call]) -> Iterator[tuple[list[Item], OCRError]]:
        """Yield items that wait for an endpoint in trouble for longer than their call does."""
        now = anyio.current_time()
        if self.next_look() > 0:
            return
        self._looked = now
        # They end while this goes on.
        calls = [*calls]
        troubled = {t: x for t, x in self.throttles.items() if x.is_troubled(now)}
        for call in calls:
            for target, throttle in troubled.items():
                error = throttle.hopeless(call.patience, now, urgent=call.is_interactive)
                if error:
                    items = [item for item in call.items if item.request.target == target]
                    yield [i for i in items if i.batch in self.pausing or _waits(i)], error

    # ---- waiting for one

    async def wait(self, seconds: float) -> None:
        """Wait for a change of queue or slots, *seconds* [s] at most."""
        if self._changed.is_set():
            self._changed = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._changed.wait()

    def notify(self) -> None:
        """Wake whoever waits: the queue or the slots have changed."""
        self._changed.set()

    # ---- for a batch

    def begin_batch(self, items: list[Item]) -> Batch:
        """Take a slot for *items*."""
        if self._items_first:
            self._items_first = False
            self.notify()
        now, throttle = anyio.current_time(), self.throttle(items[0].request.target)
        batch = Batch(
            items, is_probe=throttle.begin(now), began=now, answers_before=throttle.answers
        )
        for item in items:
            item.batch = batch
        self.events.batch_begun(batch, now)
        self.queue.begin(batch)
        self.in_flight.add(batch)
        return batch

    def end_batch(self, batch: Batch, attempted: AttemptResult) -> None:
        """Give the slot back, and let the throttle know how the attempt went."""
        now = self._seen = anyio.current_time()
        self.drop(batch)
        self.events.attempt_ended(batch, attempted)
        throttle = self.throttle(batch.request.target)
        is_probe = throttle.breaker.is_probe(batch.began)
        if attempted.sent:
            target, failure = batch.request.target, attempted.failure
            batch.tenant.observe(target, failure, began=batch.began, now=now)
        others = throttle.in_flight
        if attempted.failure is not None:
            throttle.fail(
                attempted.failure,
                began=batch.began,
                now=now,
                in_flight=others,
                probe=is_probe,
                is_repeated=all(item.attempts for item in batch.items),
            )
        elif attempted.sent:
            is_overloaded = attempted.is_overload
            throttle.succeed(
                began=batch.began, now=now, in_flight=others, is_overloaded=is_overloaded
            )
        elif batch.is_whole and now >= batch.scope.deadline:
            # Nobody waited for it any more, but it had twice the time that an answer takes.
            error = RequestTimeout("a request was not answered in the time that answers take")
            throttle.fail(error, began=batch.began, now=now, in_flight=others, probe=is_probe)
        else:
            throttle.withdraw(now, probe=is_probe, was_sent=bool(batch.sent))

    def cut(self, batch: Batch) -> None:
        """Give the slot back of an attempt that ends with its task."""
        self.drop(batch)
        self.events.attempt_ended(batch, AttemptResult())

    def reserved(self, tenant: Tenant) -> int:
        """Return how many records of a *tenant* with a cap are on their way."""
        if tenant.accounting.max_records == inf:
            return 0  # with a thousand slots, to count takes as long as a request
        batches = [batch for batch in self.in_flight if batch.tenant is tenant]
        return sum(not item.is_given_up for batch in batches for item in batch.items)

    def drop(self, batch: Batch) -> None:
        """Give the slot back."""
        self.in_flight.discard(batch)
        self.throttle(batch.request.target).end(batch.began)
        self.queue.end(batch, anyio.current_time() - batch.began)
        self.notify()

    # ---- for a request without items

    async def acquire(self, patience: Patience) -> float:
        """Take a slot for a request without items; return when [s].

        Raises:
            OCRError: The account cannot be asked for longer than the *patience* of the call.
        """
        throttle = self.throttle(ACCOUNT)
        while (delay := self._delay(ACCOUNT, urgent=True)) > 0 or self._is_turn_of_items():
            now = anyio.current_time()
            if error := throttle.hopeless(patience, now, urgent=True):
                raise error
            end = throttle.end_of(patience)
            await self.wait(min(delay or inf, end - now if end > now else inf))
        self.gets += 1
        self._items_first = True
        now = anyio.current_time()
        throttle.begin(now)
        return now

    def _is_turn_of_items(self) -> bool:
        return self._items_first and self.next_lane()[0] is not None

    def release(self, began: float, *, ended: OCRError | bool) -> None:
        """Give the slot back.

        Args:
            began: When [s] the request began.
            ended: Its error; True when it was answered, False when it was cancelled.
        """
        self.gets -= 1
        throttle = self.throttle(ACCOUNT)
        throttle.end(began)
        self.notify()
        now, is_probe = anyio.current_time(), throttle.breaker.is_probe(began)
        if isinstance(ended, OCRError):
            others = throttle.in_flight
            throttle.fail(ended, began=began, now=now, in_flight=others, probe=is_probe)
        elif ended:
            throttle.answer(now)
        else:
            throttle.withdraw(now, probe=is_probe, was_sent=True)


def _waits(item: Item) -> bool:
    """Whether *item* waits for the end of an outage: in the queue, or in a probe that takes long.

    Without patience it is not waited for, but what is being tried is let finish.
    """
    if item.batch is None:
        return item.is_queued
    return item.batch.is_probe and item.call.patience.outage_timeout > 0

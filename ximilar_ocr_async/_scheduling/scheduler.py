"""Slots and batches: items of many calls in, full batches out, each outcome to its call.

State changes are synchronous, so there is nothing to lock; only an attempt and a pause wait.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from ximilar_ocr_async._concurrency import is_from_outside
from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.attempt import AttemptResult
from ximilar_ocr_async._scheduling.calls import Batch, BatchKey, Call, Isolation, Item
from ximilar_ocr_async._scheduling.decisions import (
    CRASHED,
    Verdict,
    is_suspect,
    is_turned_away,
    judge,
    resend_after,
)
from ximilar_ocr_async._scheduling.fair_queue import FairQueue
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.errors import OCRError, SessionClosed, with_reason
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.retry import RetryBudget, RetryPolicy

_log = logging.getLogger("ximilar_ocr_async.scheduling")

Attempt: TypeAlias = Callable[
    [BatchKey, list[Item], Callable[[Iterable[str]], None]], Awaitable[AttemptResult]
]


@define(eq=False, repr=False)
class Scheduler:
    """Keeps as many attempts in flight as the traffic allows. Lives as long as its session.

    Invariants: every item submitted gets exactly one outcome, unless its call was abandoned; an
    attempt holds a slot; a pause before another attempt does only after a sign of overload.
    """

    attempt: Attempt
    retry: RetryPolicy
    throttle: Throttle
    accounting: Accounting
    group: TaskGroup
    queue: FairQueue[Item] = field(init=False, factory=FairQueue)
    in_flight: set[Batch] = field(init=False, factory=set)
    # Requests in flight without items; after one of them, the next slot is for items.
    gets: int = field(init=False, default=0)
    _items_first: bool = field(init=False, default=False)
    # Why nothing more is sent.
    closed: OCRError | None = field(init=False, default=None)
    _pausing: set[Batch] = field(init=False, factory=set)
    _calls: set[Call] = field(init=False, factory=set)
    _budget: RetryBudget = field(init=False, factory=RetryBudget)
    _answers: int = field(init=False, default=0)  # requests that were answered
    _work: anyio.Event = field(init=False, factory=anyio.Event)
    _idle: anyio.Event = field(init=False, factory=anyio.Event)

    # ---- what calls do

    def open(self, call: Call) -> None:
        """Let *call* submit items; raise `SessionClosed` when it is too late."""
        if self.closed:
            raise SessionClosed("the session is closed")
        self._calls.add(call)

    def submit(self, items: Iterable[Item]) -> None:
        """Queue items; those that cannot be sent any more fail at once."""
        now = anyio.current_time()
        for item in items:
            item.call.waiting += 1
            self._queue(item, now)

    def expire(self, call: Call) -> None:
        """Fail what *call* still waits for: its deadline has passed."""
        call.expired = True
        self._give_up(lambda item: item.call is call)
        for item in self._items(self.in_flight | self._pausing):
            if item.call is call:
                self.accounting.fail_late(item)
        self._tidy()

    def withdraw(self, call: Call) -> None:
        """Forget *call*: unqueue its items, and cancel attempts that nobody else waits for."""
        if call.waiting:
            self._give_up(lambda item: item.call is call)
            call.abandoned = True
            self._tidy()
        call.abandoned = True
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    # ---- the end

    async def drain(self, seconds: float) -> None:
        """Send nothing more, and wait up to *seconds* [s] for what is in flight to finish."""
        self.closed = SessionClosed("the session closed before this image was read")
        for item in self._items(self._pausing):
            self.accounting.fail(item, self.closed)
        self._tidy()
        with anyio.move_on_after(seconds):
            while self._calls:
                self._idle = anyio.Event()
                await self._idle.wait()

    def close(self) -> None:
        """Fail all that is not done; the caller then cancels the task group."""
        self.closed = SessionClosed("the session closed before this image was read")
        self._give_up(lambda _: True)
        for item in self._items(self.in_flight | self._pausing):
            self.accounting.fail(item, self.closed)

    def _items(self, batches: Iterable[Batch]) -> list[Item]:
        """Return what is queued, and what is in *batches*."""
        return [*self.queue, *(item for batch in batches for item in batch.items)]

    def _give_up(
        self, is_meant: Callable[[Item], bool], batches: Iterable[Batch] | None = None
    ) -> None:
        """Count the attempts under way of items that will not wait for them."""
        for batch in self.in_flight if batches is None else batches:
            for item in filter(is_meant, batch.items):
                item.attempting += anyio.current_time() - batch.began
                if item.id in batch.sent and item.is_wanted:
                    self.accounting.give_up(item)

    def _tidy(self) -> None:
        """Unqueue items and cancel batches that nobody waits for."""
        if self.queue.remove(lambda item: not item.is_wanted):
            self._work.set()
        for batch in [*self.in_flight, *self._pausing]:
            if not batch.is_wanted:
                batch.scope.cancel()

    # ---- from queue to slot

    def _queue(self, item: Item, now: float, *, first: bool = False) -> None:
        if not item.is_wanted:
            return
        if error := self.closed or item.call.stopped.get(item.batch_key.target):
            self.accounting.fail(item, error)
        elif item.call.expired:
            self.accounting.fail_late(item)
        elif error := self.throttle.outage_error(item.call, now):
            self.accounting.fail(item, error)
        else:
            self.queue.put(item, first=first)
            self._work.set()

    async def run(self) -> None:
        """Begin attempts whenever there are items and a slot; runs until it is cancelled."""
        try:
            while True:
                # A pause may end sooner than was known when it began.
                with anyio.move_on_after(min(self._delay(), self._outage_timeout())):
                    await self._work.wait()
                self._work = anyio.Event()
                self._fail_hopeless()
                # Calls of the same turn of the loop get to share a request.
                await anyio.lowlevel.checkpoint()
                while self._delay() <= 0:
                    self._begin()
        finally:
            # The task group may be cancelled before its session is left: callers in other tasks
            # must not wait for what nobody does any more.
            self.close()

    def _delay(self) -> float:
        """Return how long [s] until a batch may be sent; for ever without item or slot."""
        return self._slot_delay() if self.queue else inf

    def _slot_delay(self) -> float:
        # In an outage, what pauses after a sign of overload must not keep the probe from its slot.
        held = not self.throttle.breaker.is_on and sum(b.holds_slot for b in self._pausing)
        if len(self.in_flight) + self.gets + held < self.throttle.limit.slots:
            return self.throttle.delay(anyio.current_time())
        return inf

    async def enter(self) -> bool:
        """Take a slot for a request without items; return whether it is a probe."""
        while (self.queue and self._items_first) or self._slot_delay() > 0:
            with anyio.move_on_after(self._slot_delay() or inf):
                await self._work.wait()
        self.gets += 1
        self._items_first = True
        return self.throttle.begin(anyio.current_time())

    def leave(self) -> None:
        """Give the slot back."""
        self.gets -= 1
        self._work.set()

    def _begin(self) -> None:
        self._items_first = False
        # Without a cap not counted, for with a thousand slots it takes as long as a request.
        counted = self.in_flight if self.accounting.max_records < inf else ()
        reserved = sum(not item.given_up for batch in counted for item in batch.items)
        # A probe is of one record: it risks least, and no other can be at fault for its failure.
        most = 1 if self.throttle.breaker.is_on else MAX_RECORDS
        items = self.accounting.afford(self.queue.take(most), reserved=reserved)
        if items:
            batch = Batch(items, is_probe=self.throttle.begin(anyio.current_time()))
            self.in_flight.add(batch)
            self.group.start_soon(self._run, batch)

    # ---- one batch, in a task of its own that never raises

    async def _run(self, batch: Batch) -> None:
        ended = await self._attempt(batch)
        self._work.set()
        self._learn(batch, ended)
        isolation, pauses = Isolation(), {}
        concluded = {item: self._conclude(item, ended, isolation) for item in batch.items}
        # Put first one by one, so that the first of them comes last.
        for item, pause in reversed(concluded.items()):
            if pause:
                pauses[item] = pause
            elif pause is not None:
                # Where an outage goes on, another may have better luck: this one may be its cause.
                self._queue(item, anyio.current_time(), first=not self.throttle.breaker.is_on)
        if pauses:
            batch.items = list(pauses)
            # Told that it asks too much, it must not ask for something else in the same slot.
            batch.holds_slot = ended.is_overload
            await self._pause(batch, max(pauses.values()))

    async def _attempt(self, batch: Batch) -> AttemptResult:
        """Return how the attempt ended; nothing if it was cancelled as nobody waits."""
        try:
            with batch.scope:
                return await self.attempt(batch.items[0].batch_key, batch.items, batch.depart)
        except BaseException as error:
            if is_from_outside(error):
                self.close()
                raise
            # A bug; raised, it would cancel the task group and with it the user's code.
            _log.exception("an attempt raised")
            return AttemptResult(
                {item.id: OCRError(f"internal error: {error!r}") for item in batch.items}
            )
        finally:
            self.in_flight.discard(batch)
            seconds = anyio.current_time() - batch.began
            for item in batch.items:
                item.attempting += seconds
        return AttemptResult()

    def _learn(self, batch: Batch, ended: AttemptResult) -> None:
        """Let the traffic know how an attempt went, and the queue if that looks hopeless."""
        now, in_flight = anyio.current_time(), len(self.in_flight)
        if ended.failure is not None:
            self.throttle.fail(
                ended.failure, began=batch.began, now=now, in_flight=in_flight, probe=batch.is_probe
            )
        elif ended.sent:
            self._answers += 1
            self.throttle.succeed(
                began=batch.began, now=now, in_flight=in_flight, is_overloaded=ended.is_overload
            )
        else:
            self.throttle.withdraw(now, probe=batch.is_probe, was_sent=bool(batch.sent))

    def _fail_hopeless(self) -> None:
        """Fail what waits for longer than its call has patience, be it on a probe."""
        if not self.throttle.breaker.is_on:
            return
        now = anyio.current_time()
        despairs = {call: self.throttle.outage_error(call, now) for call in self._calls}
        hopeless = {call: error for call, error in despairs.items() if error}
        if hopeless:
            probes = [batch for batch in self.in_flight if batch.is_probe]
            self._give_up(lambda item: item.call in hopeless, probes)
            for item in self._items(probes):
                if item.call in hopeless:
                    self.accounting.fail(item, hopeless[item.call])
            self._tidy()

    def _outage_timeout(self) -> float:
        """Return how long [s] until the patience of some call ends; for ever without an outage."""
        now, breaker = anyio.current_time(), self.throttle.breaker
        calls = self._calls if breaker.is_on else ()
        ends = (breaker.end_of(call.outage_timeout, since=call.opened) for call in calls)
        return min((end - now for end in ends if end > now), default=inf)

    async def _pause(self, batch: Batch, seconds: float) -> None:
        """Wait, then put what is left of *batch* before all that is queued."""
        self._pausing.add(batch)
        batch.scope = anyio.CancelScope()
        with batch.scope:
            await anyio.sleep(seconds)
        self._pausing.discard(batch)
        self._work.set()
        for item in batch.items:
            item.pausing += seconds
            self._queue(item, anyio.current_time(), first=True)

    def _conclude(self, item: Item, ended: AttemptResult, isolation: Isolation) -> float | None:
        """Count an attempt; end the item, or return how long [s] to wait before another."""
        result = ended.results.get(item.id)
        if result is None:
            return 0.0  # it did not fit into the request
        if not item.attempts:
            self._budget.deposit()
        self.accounting.count(item, result)
        if not item.is_wanted:
            return None
        if item.isolation is not None and ended.failure is None:
            item.isolation.convicts(item, None)
        if isinstance(result, Record):
            self.accounting.succeed(item, result)
            return None
        pause = self._decide(item, result, ended, isolation)
        if pause is None or self.closed:
            self.accounting.fail(item, result)
            return None
        if anyio.current_time() + pause >= item.call.deadline:
            self.accounting.fail_late(item, result)
            return None
        return pause

    def _decide(
        self, item: Item, error: OCRError, ended: AttemptResult, isolation: Isolation
    ) -> float | None:
        """Return how long [s] to wait before another attempt; None if there is to be none."""
        is_whole = ended.failure is error
        is_free = is_whole and self._is_excused(item)
        verdict = judge(error, shared=is_whole and ended.sent > 1, crashed=item.crashed)
        item.crashed = item.crashed or (is_whole and error.status in CRASHED)
        if is_free and (verdict is Verdict.RESEND or is_turned_away(error)):
            item.free_attempts += 1
            return 0.0
        match verdict:
            case Verdict.STOP:
                self._stop(item.batch_key.target, error)
                return None
            case Verdict.ISOLATE:
                self._isolate(item, isolation, most=1)
                return 0.0
            case Verdict.SPLIT:
                self._isolate(item, None, most=ended.sent // 2)
                return 0.0
        alone = item.isolation
        if alone and is_suspect(error) and alone.convicts(item, error):
            self._convict(alone, error)
            return None
        return self._resend_after(item, error)

    def _is_excused(self, item: Item) -> bool:
        """Whether an attempt of *item* that was turned away is the outage's fault alone.

        It is not where others were answered since the first time.
        """
        if not self.throttle.breaker.is_on:
            return False
        if item.turned_away is None:
            item.turned_away = self._answers
        return item.turned_away == self._answers and not item.call.fail_fast

    def _resend_after(self, item: Item, error: OCRError) -> float | None:
        # Submitted twice, an image would be paid twice, and the results would come twice too.
        retry = (
            evolve(self.retry, resend_maybe_billed=0) if item.batch_key.submission else self.retry
        )
        pause = resend_after(
            retry,
            error,
            attempts=item.attempts - item.free_attempts,
            maybe_billed=item.maybe_billed,
        )
        if pause is None or self._budget.withdraw():
            return pause
        self.accounting.fail(item, with_reason(error, "too much fails for it to be sent again"))
        return None

    def _isolate(self, item: Item, isolation: Isolation | None, *, most: int) -> None:
        """Have *item* sent with *most* - 1 others at most, at no cost of its patience."""
        item.free_attempts += 1
        item.batch_key = evolve(item.batch_key, most=most)
        if isolation is not None:
            item.isolation = isolation
            isolation.items.append(item)

    def _convict(self, isolation: Isolation, error: OCRError) -> None:
        """Fail what is left of a batch that was refused for no record's fault."""
        in_flight = {item.id for batch in self.in_flight for item in batch.items}
        for item in (item for item in isolation.items if item.id not in in_flight):
            self.accounting.fail(item, error)
        self._tidy()

    def _stop(self, target: tuple[str, bool], error: OCRError) -> None:
        """Fail all that is queued for *target*, and all that these calls will submit for it.

        Calls made later try anew: a plan may be upgraded while a web backend runs.
        """
        for call in self._calls:
            call.stopped[target] = error
        for item in self.queue.remove(lambda item: item.batch_key.target == target):
            self.accounting.fail(item, error)

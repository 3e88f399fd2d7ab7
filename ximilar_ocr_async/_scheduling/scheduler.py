"""The scheduler: items of many calls in, full batches out, each result to its call.

State changes are synchronous, so there is nothing to lock; only an attempt and a pause wait.
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import is_to_be_raised
from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._scheduling import decisions
from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.attempt import AttemptResult
from ximilar_ocr_async._scheduling.bugs import record_bug
from ximilar_ocr_async._scheduling.calls import Batch, Call, Isolation, Item, Phase, Result
from ximilar_ocr_async._scheduling.slots import Slots
from ximilar_ocr_async.errors import OCRError, SessionClosed
from ximilar_ocr_async.retry import RetryBudget, RetryPolicy

Attempt: TypeAlias = Callable[[Batch], Awaitable[AttemptResult]]
"""Makes one attempt at a batch; raises nothing but cancellation."""


@define(eq=False, repr=False)
class Scheduler:
    """Keeps as many attempts in flight as there are slots. Lives as long as its session.

    Invariants: every item submitted ends once, unless its call was abandoned; an attempt holds a
    slot; a pause holds one only after a sign of overload.

    Attributes:
        attempt: Makes one attempt at a batch.
        retry: How often and how soon items are sent again.
        slots: The queue, and the requests in flight.
        accounting: The books.
        group: The task group in which batches run.
        closed: Why nothing more is sent.
    """

    attempt: Attempt
    retry: RetryPolicy
    slots: Slots
    accounting: Accounting
    group: TaskGroup
    closed: OCRError | None = field(init=False, default=None)
    _calls: set[Call] = field(init=False, factory=set)
    _budget: RetryBudget = field(init=False, factory=RetryBudget)
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
            self._enqueue(item, now)

    def expire(self, call: Call) -> None:
        """Fail what *call* still waits for: its deadline has passed."""
        self._give_up(self._items(call=call), self.accounting.end_late)

    def withdraw(self, call: Call) -> None:
        """Forget *call*: unqueue its items, and cancel attempts that nobody else waits for."""
        if call.waiting:
            self._give_up(self._items(call=call), lambda item: item.call.abandon())
        call.abandon()
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    # ---- the end

    async def drain(self, seconds: float) -> None:
        """Send nothing more, and wait up to *seconds* [s] for what is in flight to finish."""
        self._fail(self._items(self.slots.pausing), self._shut())
        with anyio.move_on_after(seconds):
            while self._calls:
                self._idle = anyio.Event()
                await self._idle.wait()

    def close(self) -> None:
        """Fail all that has not ended; the caller then cancels the task group."""
        self._fail(self._items(), self._shut())

    def _shut(self) -> OCRError:
        self.closed = self.closed or SessionClosed("the session closed before this image was read")
        return self.closed

    def _items(
        self, batches: Iterable[Batch] | None = None, *, call: Call | None = None
    ) -> list[Item]:
        """Return what somebody waits for: in the queue, and in *batches* or all; of one *call*."""
        batches = self.slots.in_flight | self.slots.pausing if batches is None else batches
        items = [*self.slots.queue, *(item for batch in batches for item in batch.items)]
        return [item for item in items if item.is_wanted and call in {None, item.call}]

    def _fail(self, items: list[Item], error: OCRError) -> None:
        self._give_up(items, lambda item: self.accounting.end(item, error))

    def _give_up(self, items: list[Item], end: Callable[[Item], None]) -> None:
        """End items; attempts of theirs that are under way may be billed."""
        sent = {record_id for batch in self.slots.in_flight for record_id in batch.sent}
        for item in items:
            if item.id in sent:
                self.accounting.give_up(item)
            end(item)
        self._tidy()

    def _tidy(self) -> None:
        """Unqueue items and cancel batches that nobody waits for."""
        if self.slots.queue.remove(lambda item: not item.is_wanted):
            self.slots.notify()
        for batch in [*self.slots.in_flight, *self.slots.pausing]:
            if not batch.is_wanted:
                batch.scope.cancel()

    # ---- from queue to slot

    def _enqueue(self, item: Item, now: float, *, first: bool = False) -> None:
        if not item.is_wanted:
            return
        item.enter(Phase.QUEUED, now)
        if error := self.closed or item.call.stopped.get(item.request.target):
            self.accounting.end(item, error)
        elif now >= item.call.patience.deadline:
            self.accounting.end_late(item)
        elif self.slots.breaker.is_on and (error := self.slots.outage_error(item.call.patience)):
            self.accounting.end(item, error)
        else:
            self.slots.queue.put(item, first=first)
            self.slots.notify()

    async def run(self) -> None:
        """Begin attempts whenever there are items and a slot; runs until it is cancelled."""
        try:
            while True:
                # A pause may end sooner than was known when it began.
                await self.slots.wait(min(self._delay(), self._outage_delay()))
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
        return self.slots.delay() if self.slots.queue else inf

    def _begin(self) -> None:
        # Not counted without a cap: with a thousand slots that takes as long as a request.
        counted = self.slots.in_flight if self.accounting.max_records < inf else ()
        reserved = sum(not item.is_given_up for batch in counted for item in batch.items)
        # A probe is of one record: it risks least, and no other can be at fault for its failure.
        most = 1 if self.slots.breaker.is_on else MAX_RECORDS
        items = self.accounting.afford(self.slots.queue.take(most), reserved=reserved)
        if items:
            self.group.start_soon(self._run, self.slots.begin_batch(items))

    # ---- outages

    def _fail_hopeless(self) -> None:
        """Fail what waits for longer than its call does, including what is in a probe."""
        if not self.slots.breaker.is_on:
            return
        probes = [batch for batch in self.slots.in_flight if batch.is_probe]
        for call in [*self._calls]:
            if error := self.slots.outage_error(call.patience):
                self._fail(self._items(probes, call=call), error)

    def _outage_delay(self) -> float:
        """Return how long [s] until some call waits no longer; for ever without an outage."""
        now, breaker = anyio.current_time(), self.slots.breaker
        calls = self._calls if breaker.is_on else ()
        ends = (breaker.end_of(call.patience) for call in calls)
        return min((end - now for end in ends if end > now), default=inf)

    # ---- one batch, in a task of its own that never raises

    async def _run(self, batch: Batch) -> None:
        attempted = await self._attempt(batch)
        self.slots.end_batch(batch, attempted)
        again, pauses = self._settle(batch.items, attempted)
        # Put first one by one, so that the first of them comes last. Where an outage goes on,
        # another item may have better luck: this one may be its cause.
        for item in reversed(again):
            self._enqueue(item, anyio.current_time(), first=not self.slots.breaker.is_on)
        if pauses:
            batch.items = list(reversed(pauses))
            # A batch that met a sign of overload must not make room for another one.
            batch.holds_slot = attempted.is_overload
            await self._pause(batch, max(pauses.values()))

    async def _attempt(self, batch: Batch) -> AttemptResult:
        """Return what the attempt brought; nothing if it was cancelled because nobody waits."""
        for item in batch.items:
            item.enter(Phase.IN_ATTEMPT, batch.began)
        try:
            with batch.scope:
                return await self.attempt(batch)
        except BaseException as error:
            if is_to_be_raised(error):
                self.close()
                self.slots.in_flight.discard(batch)
                raise
            # A bug; raised, it would cancel the task group and with it the user's code.
            bug = record_bug("an attempt", error)
            return AttemptResult({item.id: bug for item in batch.items}, is_lost=bool(batch.sent))
        return AttemptResult()

    async def _pause(self, batch: Batch, seconds: float) -> None:
        """Wait, then put what is left of *batch* before all that is queued."""
        self.slots.pausing.add(batch)
        batch.scope = anyio.CancelScope()
        now = anyio.current_time()
        for item in batch.items:
            item.enter(Phase.IN_PAUSE, now)
        with batch.scope:
            await anyio.sleep(seconds)
        self.slots.pausing.discard(batch)
        self.slots.notify()
        for item in batch.items:
            self._enqueue(item, anyio.current_time(), first=True)

    # ---- what becomes of its items

    def _settle(
        self, items: list[Item], attempted: AttemptResult
    ) -> tuple[list[Item], dict[Item, float]]:
        """Act on what an attempt brought.

        Returns:
            Items to queue again at once, and the pause [s] of items to queue again after it.
        """
        again: list[Item] = []
        pauses: dict[Item, float] = {}
        isolation = Isolation()
        for item in items:
            result, after = attempted.results.get(item.id), 0.0
            # Without a result it did not fit into the request.
            if result is not None:
                if not item.attempts:
                    self._budget.deposit()
                self.accounting.count(item, result, is_lost=attempted.is_lost)
                if item.is_wanted:
                    after = self._act(item, self._decide(item, result, attempted), isolation)
            if item.is_wanted and result is not None:
                self._end_early(item, after, result)
            if item.is_wanted and after:
                pauses[item] = after
            elif item.is_wanted:
                again.append(item)
        if isolation.items:
            # The first of them speak for all, and their order is that of a caller.
            random.shuffle(again)
        return again, pauses

    def _act(self, item: Item, decision: decisions.Decision, isolation: Isolation) -> float:
        """Do what was decided; return how long [s] *item* pauses if it has not ended."""
        match decision:
            case decisions.Done(value):
                self.accounting.end(item, value)
            case decisions.Fail(error, is_shared):
                self.accounting.end(item, error)
                if is_shared:
                    self._fail_isolated(item.isolation, error)
            case decisions.Stop(error):
                self.accounting.end(item, error)
                self._stop(item.request.target, error)
            case decisions.Isolate():
                item.isolate(isolation)
            case decisions.Split(most):
                item.resize(most)
            case _:
                item.free_attempts += decision.is_free
                if not decision.is_free:
                    self._budget.withdraw()
                return decision.after
        return 0.0

    def _decide(self, item: Item, result: Result, attempted: AttemptResult) -> decisions.Decision:
        if not isinstance(result, OCRError):
            return decisions.Done(result)  # as nearly always
        is_whole = attempted.failure is result
        is_outage = is_whole and self._is_outage_alone(item)
        # A record that was turned away is no witness: nobody looked at it.
        isolation = None if is_outage or decisions.is_turned_away(result) else item.isolation
        if isolation and isolation.observe(item, attempted.failure):
            self.slots.refuse()
        situation = decisions.Situation(
            records=attempted.sent,
            is_whole=is_whole,
            is_outage=is_outage,
            attempts=item.attempts - item.free_attempts,
            maybe_billed=item.maybe_billed,
            is_repeatable=item.request.is_repeatable,
            has_crashed=item.has_crashed,
            is_hopeless=item.is_alike and self.slots.is_refusing,
            has_budget=self._budget.has_resend,
        )
        if is_whole and result.status in decisions.CRASHED:
            item.has_crashed = True
        return decisions.decide(result, situation, self.retry)

    def _is_outage_alone(self, item: Item) -> bool:
        """Return whether no request was answered since an outage first turned *item* away."""
        if item.first_outage is None and self.slots.breaker.is_on:
            item.first_outage = self.slots.answers
        is_alone = item.first_outage == self.slots.answers and self.slots.breaker.is_on
        return is_alone and not item.call.patience.fail_fast

    def _end_early(self, item: Item, after: float, error: OCRError) -> None:
        """End *item* if the session or its call ends before it is sent again."""
        if self.closed:
            self.accounting.end(item, error)
        elif anyio.current_time() + after >= item.call.patience.deadline:
            self.accounting.end_late(item, error)

    def _fail_isolated(self, isolation: Isolation | None, error: OCRError) -> None:
        """Fail what is left of a batch that was refused for no record's fault."""
        in_flight = {item for batch in self.slots.in_flight for item in batch.items}
        left = isolation.items if isolation else []
        self._fail([item for item in left if item.is_wanted and item not in in_flight], error)

    def _stop(self, target: str, error: OCRError) -> None:
        """Fail all that is queued for *target*, and all that these calls will submit for it.

        Calls made later try anew: a plan may be upgraded while a web backend runs.
        """
        for call in self._calls:
            call.stopped[target] = error
        for item in self.slots.queue.remove(lambda item: item.request.target == target):
            self.accounting.end(item, error)

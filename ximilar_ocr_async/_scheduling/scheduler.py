"""The scheduler: items of many calls in, full batches out, each result to its call.

State changes are synchronous, so there is nothing to lock; only an attempt and a pause wait.
"""

import random
from collections.abc import Iterable
from contextvars import copy_context
from math import inf

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import is_to_be_raised
from ximilar_ocr_async._scheduling import decisions
from ximilar_ocr_async._scheduling.abandoned import Abandoned
from ximilar_ocr_async._scheduling.attempt import Attempt
from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.bugs import record_bug
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item, Phase
from ximilar_ocr_async._scheduling.fair_queue import Lane
from ximilar_ocr_async._scheduling.isolation import Isolation
from ximilar_ocr_async._scheduling.leaving import Drain, session_closed
from ximilar_ocr_async._scheduling.preparing import Preparing
from ximilar_ocr_async._scheduling.situation import conclude
from ximilar_ocr_async._scheduling.slots import Slots
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.retry import RetryPolicy


@define(eq=False, repr=False)
class Scheduler:
    """Keeps as many attempts in flight as there are slots. Lives as long as its session.

    Invariants: every item submitted ends once, unless its call was abandoned; an item that has not
    ended is in the queue or in its batch; an attempt holds a slot; a pause holds one only after a
    sign of overload.

    Attributes:
        attempt: Makes one attempt at a batch.
        retry: How often and how soon items are sent again.
        slots: The queue, and the requests in flight.
        group: The task group in which batches run.
        max_queue: Items of interactive calls that may wait for a slot.
        closed: Why nothing more is sent.
    """

    attempt: Attempt
    retry: RetryPolicy
    slots: Slots
    group: TaskGroup
    max_queue: float = inf
    closed: OCRError | None = field(init=False, default=None)
    _calls: set[Call] = field(init=False, factory=set)
    _abandoned: Abandoned = field(init=False)
    _drain: Drain = field(init=False)
    _preparing: Preparing = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._abandoned, self._preparing = Abandoned(self.slots), Preparing(self.group)
        self._drain = Drain(self.slots, self._calls)

    # ---- what calls do

    def open(self, call: Call) -> None:
        """Let *call* submit items; raise `SessionClosed` when it is too late."""
        if self.closed:
            raise self.closing("the session is closed")
        call.context = copy_context()
        self._calls.add(call)
        self.slots.events.call_opened(call)

    def submit(self, items: Iterable[Item]) -> None:
        """Queue items; those that cannot be sent any more fail at once."""
        now = anyio.current_time()
        for item in items:
            item.call.items[item] = None
            if self.slots.is_full(item, self.max_queue):
                item.accounting.end(item, self.slots.overloaded(self.max_queue))
            else:
                self._enqueue(item, now)
        self.slots.notify()

    def ask_again(self, item: Item, prompt: str) -> None:
        """Ask with another *prompt* about the image of *item*, which was admitted before."""
        again = item.call.make_item(item.index, item.image, prompt)
        item.call.items[again] = None
        self._enqueue(again, anyio.current_time())
        self.slots.notify()

    def expire(self, call: Call) -> None:
        """Fail what *call* still waits for: its deadline has passed."""
        self._abandoned.give_up(call.items, lambda item: item.accounting.end_late(item))

    def fail_unsent(self, items: Iterable[Item], error: OCRError) -> None:
        """Fail those of the *items* that are neither in flight nor paid for."""
        in_flight = self.slots.in_flight
        unsent = [i for i in items if i.batch not in in_flight and i.preparing is None]
        self._fail(unsent, error)

    def withdraw(self, call: Call) -> None:
        """Forget *call*: unqueue its items, and leave attempts that nobody else waits for."""
        self.slots.events.call_ended(call)
        call.abandon()
        self._abandoned.give_up(call.items, lambda _: None)
        call.items.clear()
        self._calls.discard(call)
        self._drain.notify()

    # ---- the end

    async def drain(self, seconds: float) -> None:
        """Send nothing more, and wait up to *seconds* [s] for what is in flight to finish."""
        self.fail_unsent([item for call in self._calls for item in call.items], self._shut())
        await self._drain.wait(seconds)

    def close(self, cause: BaseException | None = None) -> None:
        """Fail all that has not ended; the caller then cancels the task group."""
        self._fail([item for call in self._calls for item in call.items], self._shut(cause))

    def closing(self, message: str) -> OCRError:
        """Return the error of a call that the end of the session ends."""
        return session_closed(message, self.closed and self.closed.__cause__)

    def _shut(self, cause: BaseException | None = None) -> OCRError:
        if self.closed is None:
            self.closed = session_closed("the session closed before this image was read", cause)
        return self.closed

    def _fail(self, items: Iterable[Item], error: OCRError) -> None:
        self._abandoned.give_up(items, lambda item: item.accounting.end(item, error))

    # ---- from queue to slot

    def _enqueue(self, item: Item, now: float, *, first: bool = False) -> None:
        if not item.is_wanted:
            return
        item.enter(Phase.QUEUED, now)
        target, call = item.request.target, item.call
        throttle = self.slots.throttle(target)
        error = self.closed or call.stopped.get(target)
        if error := error or call.tenant.refusal(target, call, now):
            item.accounting.end(item, error)
        elif self.slots.is_late(item):
            item.accounting.end_late(item, needed=self.slots.needed(item))
        elif error := throttle.hopeless(call.patience, now, urgent=call.is_interactive):
            item.accounting.end(item, error)
        else:
            self.slots.queue.put(item, first=first)

    async def run(self) -> None:
        """Begin attempts whenever there are items and a slot; runs until it is cancelled."""
        try:
            while True:
                # A pause may end sooner than was known when it began.
                await self.slots.wait(self.slots.next_wake(self._calls))
                for items, error in self.slots.hopeless(self._calls):
                    self._fail(items, error)
                # Calls of the same turn of the loop get to share a request.
                await anyio.lowlevel.checkpoint()
                while lane := self.slots.next_lane()[0]:
                    self._begin(lane)
        except BaseException as error:
            # The task group may be cancelled before its session is left: callers in other tasks
            # must not wait for what nobody does any more.
            self.close(error)
            raise

    def _begin(self, lane: Lane) -> None:
        breaker = self.slots.throttle(lane.request.target).breaker
        if breaker.is_on and not breaker.is_probing:
            # A probe is of one record: it risks least, and no other can be at fault for its end.
            items = self.slots.queue.take_probe(lane)
        else:
            items, late = self.slots.queue.take(lane, self.attempt.max_bytes, self.slots.is_late)
            for item in late:
                item.accounting.end_late(item, needed=self.slots.needed(item))
        items = lane.tenant.accounting.afford(items, reserved=self.slots.reserved(lane.tenant))
        if items:
            batch = self.slots.begin_batch(items)
            # In the context of the first caller.
            items[0].call.context.run(self.group.start_soon, self._run, batch)
        else:
            self.slots.queue.forget(lane)

    # ---- one batch, in a task of its own that never raises

    async def _run(self, batch: Batch) -> None:
        attempted = await self._attempt(batch)
        for item in batch.items:
            item.batch = None
        self.slots.end_batch(batch, attempted)
        self._abandoned.end(batch)
        again, pauses = self._settle(batch, attempted)
        self.slots.events.retry_scheduled(batch, attempted, again, pauses)
        self._requeue(again)
        self._drain.notify()
        if pauses:
            batch.items = list(reversed(pauses))
            # A batch that met a sign of overload must not make room for another one.
            batch.holds_slot = attempted.is_overload
            await self._pause(batch, max(pauses.values()))

    def _requeue(self, items: list[Item]) -> None:
        """Put items before all that is queued, in their order.

        Where an outage goes on, another item may have better luck: these may be its cause.
        """
        now = anyio.current_time()
        for item in reversed(items):
            is_on = self.slots.throttle(item.request.target).breaker.is_on
            self._enqueue(item, now, first=not is_on)
        self.slots.notify()

    def _give_back(self, batch: Batch, items: list[Item]) -> None:
        """Queue *items* that did not fit into their request."""
        if items:
            batch.items = [item for item in batch.items if item not in items]
            for item in items:
                item.batch = None
            self._requeue(items)

    async def _attempt(self, batch: Batch) -> AttemptResult:
        """Return what the attempt brought; nothing if it was cancelled because nobody waits."""
        for item in batch.items:
            item.enter(Phase.IN_ATTEMPT, batch.began)
        try:
            with batch.scope:
                return await self.attempt(batch, self._give_back)
        except BaseException as error:
            if is_to_be_raised(error):
                self.close(error)
                self.slots.cut(batch)
                raise
            # A bug; raised, it would cancel the task group.
            bug = record_bug("an attempt", error)
            return AttemptResult({item.id: bug for item in batch.items}, is_lost=bool(batch.sent))
        return AttemptResult()

    async def _pause(self, batch: Batch, seconds: float) -> None:
        """Wait, then put what is left of *batch* before all that is queued."""
        self.slots.pausing.add(batch)
        batch.scope = anyio.CancelScope()
        now = anyio.current_time()
        for item in batch.items:
            item.batch = batch
            item.enter(Phase.IN_PAUSE, now)
        with batch.scope:
            await anyio.sleep(seconds)
        self.slots.pausing.discard(batch)
        for item in batch.items:
            item.batch = None
            self._enqueue(item, anyio.current_time(), first=True)
        self.slots.notify()

    # ---- what becomes of its items

    def _settle(
        self, batch: Batch, attempted: AttemptResult
    ) -> tuple[list[Item], dict[Item, float]]:
        """Act on what an attempt brought.

        Returns:
            Items to queue again at once, and the pause [s] of items to queue again after it.
        """
        again, isolation = list[Item](), Isolation()
        pauses: dict[Item, float] = {}
        throttle = self.slots.throttle(batch.request.target)
        for item in batch.items:
            result, after = attempted.results.get(item.id), 0.0
            # Without a result it was not in the request.
            if result is not None:
                if not item.attempts:
                    item.accounting.budget.deposit()
                item.accounting.count(item, result, is_lost=attempted.is_lost)
                if item.is_wanted:
                    decision = conclude(batch, item, attempted, throttle, self.retry)
                    after = self._act(item, decision, isolation, attempted)
            if item.preparing is not None:
                continue
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

    def _act(
        self,
        item: Item,
        decision: decisions.Decision,
        isolation: Isolation,
        attempted: AttemptResult,
    ) -> float:
        """Do what was decided; return how long [s] *item* pauses if it has not ended."""
        match decision:
            case decisions.Done(value):
                self._preparing.deliver(item, value, attempted.record_size)
            case decisions.Fail(error, is_shared):
                item.accounting.end(item, error)
                if is_shared and item.isolation:
                    left = [i for i in item.isolation.items if i in i.call.items]
                    self.fail_unsent(left, error)
            case decisions.Stop(error):
                item.accounting.end(item, error)
                self._stop(item, error)
            case decisions.Isolate(is_free):
                if not is_free:
                    item.accounting.budget.withdraw()
                item.isolate(isolation, is_free=is_free)
            case decisions.Split(most):
                item.resize(most)
            case _:
                item.free_attempts += decision.is_free
                if not decision.is_free:
                    item.accounting.budget.withdraw()
                return decision.after
        return 0.0

    def _end_early(self, item: Item, after: float, error: OCRError) -> None:
        """End *item* if the session or its call ends before it is sent again."""
        if self.closed:
            item.accounting.end(item, error)
        elif anyio.current_time() + after >= item.call.patience.deadline:
            item.accounting.end_late(item, error)

    def _stop(self, stopped: Item, error: OCRError) -> None:
        """Fail all of the tenant's that is queued for a target, and all that its calls will submit.

        Calls made later try anew: a plan may be upgraded while a web backend runs.
        """
        target, tenant = stopped.request.target, stopped.call.tenant
        if target in stopped.call.stopped:
            return  # by another record of its batch
        calls = [call for call in self._calls if call.tenant is tenant]
        for call in calls:
            call.stopped[target] = error
        items = [item for call in calls for item in call.items if item.request.target == target]
        self._fail([item for item in items if item.batch is None and item.is_queued], error)

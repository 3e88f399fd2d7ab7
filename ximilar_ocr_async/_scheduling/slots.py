"""Slots: leave to have one request in flight. Batches and requests without items share them."""

import logging
from math import inf

import anyio
from attrs import define, field

from ximilar_ocr_async._scheduling.attempt import AttemptResult
from ximilar_ocr_async._scheduling.calls import Batch, Item, Patience
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.fair_queue import FairQueue
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.errors import OCRError

_log = logging.getLogger("ximilar_ocr_async.scheduling")


@define(eq=False, repr=False)
class Slots:
    """Counts the requests in flight, and asks the throttle when another one may begin.

    Attributes:
        throttle: How much may be sent, and when.
        queue: Items that wait for a slot.
        in_flight: Batches whose attempt is under way.
        pausing: Batches that wait to be sent again.
        gets: Requests in flight that carry no items.
        answers: Batches that were answered so far.
        _refused: As many as there were when a batch was last refused, each of its records alone.
    """

    throttle: Throttle
    queue: FairQueue = field(init=False, factory=FairQueue)
    in_flight: set[Batch] = field(init=False, factory=set)
    pausing: set[Batch] = field(init=False, factory=set)
    gets: int = field(init=False, default=0)
    answers: int = field(init=False, default=0)
    _refused: int = field(init=False, default=0)
    # After a request without items, the next slot is for items.
    _items_first: bool = field(init=False, default=False)
    _changed: anyio.Event = field(init=False, factory=anyio.Event)

    @property
    def breaker(self) -> CircuitBreaker:
        """The throttle's: whether there is an outage."""
        return self.throttle.breaker

    def refuse(self) -> None:
        """Count a batch of which each record was refused alike, alone."""
        self._refused = self.answers

    @property
    def is_refusing(self) -> bool:
        """Whether the service has answered nothing since it refused such a batch, or ever.

        Otherwise a few records that are refused alike may be the very ones that are at fault.
        """
        return self._refused == self.answers

    def outage_error(self, patience: Patience) -> OCRError | None:
        """Return why a call need not wait any longer, if its patience ends before an outage."""
        return self.throttle.outage_error(patience, anyio.current_time())

    # ---- waiting for one

    def delay(self) -> float:
        """Return how long [s] until a request may begin; for ever while there is no slot."""
        # In an outage, a pause after a sign of overload must not keep the probe from its slot.
        held = not self.breaker.is_on and sum(b.holds_slot for b in self.pausing)
        if len(self.in_flight) + self.gets + held < self.throttle.limit.slots:
            return self.throttle.delay(anyio.current_time())
        return inf

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
        self._items_first = False
        batch = Batch(items, is_probe=self.throttle.begin(anyio.current_time()))
        self.in_flight.add(batch)
        return batch

    def end_batch(self, batch: Batch, attempted: AttemptResult) -> None:
        """Give the slot back, and let the throttle know how the attempt went."""
        self.in_flight.discard(batch)
        self.notify()
        _log_attempt(batch, attempted)
        now, others = anyio.current_time(), len(self.in_flight)
        if attempted.failure is not None:
            self._report(attempted.failure, batch.began, others=others, is_probe=batch.is_probe)
        elif attempted.sent:
            self.answers += 1
            is_overloaded = attempted.is_overload
            self.throttle.succeed(
                began=batch.began, now=now, in_flight=others, is_overloaded=is_overloaded
            )
        else:
            self.throttle.withdraw(now, probe=batch.is_probe, was_sent=bool(batch.sent))

    def _report(self, error: OCRError, began: float, *, others: int, is_probe: bool) -> None:
        now = anyio.current_time()
        self.throttle.fail(error, began=began, now=now, in_flight=others, probe=is_probe)

    # ---- for a request without items

    async def acquire(self, patience: Patience) -> bool:
        """Take a slot for a request without items; return whether it is a probe.

        Raises:
            OCRError: An outage lasts longer than the *patience* of the call.
        """
        while (self.queue and self._items_first) or self.delay() > 0:
            if error := self.outage_error(patience):
                raise error
            now, end = anyio.current_time(), self.breaker.end_of(patience)
            await self.wait(min(self.delay() or inf, end - now if end > now else inf))
        self.gets += 1
        self._items_first = True
        return self.throttle.begin(anyio.current_time())

    def release(self, began: float, *, ended: OCRError | bool, is_probe: bool) -> None:
        """Give the slot back.

        Args:
            began: When [s] the request began.
            ended: Its error; True when it was answered, False when it was cancelled.
            is_probe: Whether it was a probe.
        """
        self.gets -= 1
        self.notify()
        now = anyio.current_time()
        if isinstance(ended, OCRError):
            others = len(self.in_flight) + self.gets
            self._report(ended, began, others=others, is_probe=is_probe)
        elif ended:
            self.throttle.answer(now)
        else:
            self.throttle.withdraw(now, probe=is_probe, was_sent=True)


def _log_attempt(batch: Batch, attempted: AttemptResult) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        results = attempted.results.values()
        facts = {
            "endpoint": batch.request.endpoint,
            "lang": batch.request.lang,
            "records": len(results),
            "read": sum(not isinstance(result, OCRError) for result in results),
            "seconds": anyio.current_time() - batch.began,
        }
        words = "%(endpoint)s %(lang)s, %(records)d records, %(read)d read in %(seconds).3f s"
        _log.debug(words, facts, extra=facts)

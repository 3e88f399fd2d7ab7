"""Slots and batches: jobs of many calls in, full batches out, each outcome to its call.

State changes are synchronous, so there is nothing to lock; only an attempt and a pause wait.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async.errors import DeadlineExceeded, ImageError, OCRError, SessionClosed
from ximilar_ocr_async.exchange import Lane
from ximilar_ocr_async.jobs import Batch, Call, Counts, Job
from ximilar_ocr_async.limit import Limit
from ximilar_ocr_async.limits import MAX_RECORDS
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success
from ximilar_ocr_async.pace import Pace
from ximilar_ocr_async.retry import RetryPolicy, Verdict, is_overload, judge
from ximilar_ocr_async.turns import Turns

_log = logging.getLogger(__name__)

Results: TypeAlias = dict[str, Record | OCRError]
"""How an attempt ended, by job id. Jobs that did not fit into the request are not in it."""


def is_from_outside(error: BaseException) -> bool:
    """Whether *error* cancels the current task, and is no stray of something awaited in it."""
    is_cancellation = isinstance(error, anyio.get_cancelled_exc_class())
    return is_cancellation and anyio.current_effective_deadline() == float("-inf")


@define(eq=False, repr=False)
class Scheduler:
    """Keeps as many attempts in flight as the limit allows. Lives as long as its session.

    Invariants: every job submitted gets exactly one outcome, unless its call was abandoned; an
    attempt holds a slot; a pause before another attempt does only after a sign of overload.
    """

    attempt: Callable[[Lane, Sequence[Job]], Awaitable[Results]]
    retry: RetryPolicy
    limit: Limit
    pace: Pace
    group: TaskGroup
    counts: Counts = field(init=False, factory=Counts)
    turns: Turns[Job] = field(init=False, factory=Turns)
    in_flight: set[Batch] = field(init=False, factory=set)
    _pausing: set[Batch] = field(init=False, factory=set)
    _calls: set[Call] = field(init=False, factory=set)
    _closed: OCRError | None = field(init=False, default=None)
    _work: anyio.Event = field(init=False, factory=anyio.Event)
    _idle: anyio.Event = field(init=False, factory=anyio.Event)

    # ---- what calls do

    def open(self, call: Call) -> None:
        """Let *call* submit jobs; raise `SessionClosed` when it is too late."""
        if self._closed:
            raise SessionClosed("the session is closed")
        self._calls.add(call)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs; those that cannot be sent any more fail at once."""
        for job in jobs:
            job.call.waiting += 1
            self._queue(job)

    def expire(self, call: Call) -> None:
        """Fail what *call* still waits for: its deadline has passed."""
        call.expired = True
        self._give_up(lambda job: job.call is call)
        for job in self._open_jobs():
            if job.call is call:
                self._fail_late(job)
        self.turns.remove(lambda job: job.done)
        self._cancel_unwanted()

    def withdraw(self, call: Call) -> None:
        """Forget *call*: unqueue its jobs, and cancel attempts that nobody else waits for."""
        call.abandoned = True
        if call.waiting:
            self._give_up(lambda job: job.call is call)
            self.turns.remove(lambda job: job.call is call)
            self._cancel_unwanted()
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    # ---- the end

    async def drain(self, seconds: float) -> None:
        """Send nothing more, and wait up to *seconds* [s] for what is in flight to finish."""
        self._closed = SessionClosed("the session closed before this image was read")
        for job in [*self.turns, *(job for batch in self._pausing for job in batch.jobs)]:
            self._fail(job, self._closed)
        self.turns.remove(lambda _: True)
        with anyio.move_on_after(seconds):
            while self._calls:
                self._idle = anyio.Event()
                await self._idle.wait()

    def close(self) -> None:
        """Fail all that is not done; the caller then cancels the task group."""
        self._closed = SessionClosed("the session closed before this image was read")
        self._give_up(lambda _: True)
        for job in self._open_jobs():
            self._fail(job, self._closed)

    def _open_jobs(self) -> list[Job]:
        batches = [*self.in_flight, *self._pausing]
        return [*self.turns, *(job for batch in batches for job in batch.jobs)]

    def _give_up(self, is_meant: Callable[[Job], bool]) -> None:
        """Count the attempts under way of jobs that will not wait for them: they may be billed."""
        for batch in self.in_flight:
            for job in filter(is_meant, batch.jobs):
                if not job.done:
                    job.attempts += 1
                    job.maybe_billed += 1
                    job.attempting += anyio.current_time() - batch.began
                    self.counts.sent += 1
                    self.counts.maybe_billed += 1

    def _cancel_unwanted(self) -> None:
        for batch in [*self.in_flight, *self._pausing]:
            if not batch.is_wanted:
                batch.scope.cancel()

    # ---- from queue to slot

    def _queue(self, job: Job, *, first: bool = False) -> None:
        if job.done or job.call.abandoned:
            return
        if error := self._closed or job.call.stopped.get(job.lane.endpoint):
            self._fail(job, error)
        elif job.call.expired:
            self._fail_late(job)
        else:
            self.turns.put(job, first=first)
            self._work.set()

    async def run(self) -> None:
        """Begin attempts whenever there are jobs and a slot; runs until it is cancelled."""
        try:
            while True:
                await self._work.wait()
                self._work = anyio.Event()
                # Calls of the same turn of the loop get to share a request.
                await anyio.lowlevel.checkpoint()
                while self.turns and self._slots_in_use < self.limit.slots:
                    await anyio.sleep(self.pace.wait(anyio.current_time()))
                    self._begin()
        finally:
            # The task group may be cancelled before its session is left: callers in other tasks
            # must not wait for what nobody does any more.
            self.close()

    @property
    def _slots_in_use(self) -> int:
        return len(self.in_flight) + sum(batch.holds_slot for batch in self._pausing)

    def _begin(self) -> None:
        # While the pace was kept, jobs may have been withdrawn.
        if self.turns:
            self.pace.begin(anyio.current_time())
            batch = Batch(self.turns.take(MAX_RECORDS))
            self.in_flight.add(batch)
            self.group.start_soon(self._run, batch)

    # ---- one batch, in a task of its own that never raises

    async def _run(self, batch: Batch) -> None:
        results = await self._attempt(batch)
        self._work.set()
        self._tell(batch, results)
        is_overloaded = self._learn(batch, results)
        concluded = {job: self._conclude(job, results.get(job.id)) for job in batch.jobs}
        for job in reversed(batch.jobs):
            if job.id not in results:
                self._queue(job, first=True)
        pauses = {job: pause for job, pause in concluded.items() if pause is not None}
        batch.jobs = list(pauses)
        if pauses:
            # Told that it asks too much, it must not ask for something else in the same slot.
            batch.holds_slot = is_overloaded
            await self._pause(batch, next(iter(pauses.values())))

    async def _attempt(self, batch: Batch) -> Results:
        """Return how the attempt ended; nothing if it was cancelled as nobody waits."""
        try:
            with batch.scope:
                return await self.attempt(batch.jobs[0].lane, batch.jobs)
        except BaseException as error:
            if is_from_outside(error):
                self.close()
                raise
            # A bug; raised, it would cancel the task group and with it the user's code.
            _log.exception("an attempt raised")
            return {job.id: OCRError(f"internal error: {error!r}") for job in batch.jobs}
        finally:
            self.in_flight.discard(batch)
            for job in batch.jobs:
                job.attempting += anyio.current_time() - batch.began
        return {}

    def _tell(self, batch: Batch, results: Results) -> None:
        if _log.isEnabledFor(logging.DEBUG):
            told = {
                "endpoint": batch.jobs[0].lane.endpoint,
                "lang": batch.jobs[0].lane.lang,
                "records": len(results),
                "read": sum(isinstance(result, Record) for result in results.values()),
                "seconds": anyio.current_time() - batch.began,
            }
            words = "%(endpoint)s %(lang)s, %(records)d records, %(read)d read in %(seconds).3f s"
            _log.debug(words, told, extra=told)

    def _learn(self, batch: Batch, results: Results) -> bool:
        """Let the limit know how an attempt went; return whether it met a sign of overload."""
        before, now = self.limit.slots, anyio.current_time()
        errors = [error for error in results.values() if isinstance(error, OCRError)]
        is_overloaded = any(map(is_overload, errors))
        if is_overloaded:
            self.limit.overload(began=batch.began, now=now)
        elif len(errors) < len(results):
            self.limit.succeed(now - batch.began, in_flight=len(self.in_flight) + 1)
        if self.limit.slots != before:
            told = {"before": before, "after": self.limit.slots}
            _log.info("limit %(before)d -> %(after)d", told, extra=told)
        return is_overloaded

    def _conclude(self, job: Job, result: Record | OCRError | None) -> float | None:
        """Count the attempt; end the job, or return how long [s] to wait before another."""
        if result is None or job.done:
            return None
        if isinstance(result, Record):
            self._succeed(job, result)
            return None
        verdict = judge(result)
        self._count(job, result, verdict)
        pause = self.retry.resend_after(
            result, attempts=job.attempts, maybe_billed=job.maybe_billed
        )
        if pause is None or self._closed:
            self._fail(job, result)
            return None
        if anyio.current_time() + pause >= job.call.deadline:
            self._fail_late(job, result)
            return None
        return pause

    def _count(self, job: Job, error: OCRError, verdict: Verdict) -> None:
        if not isinstance(error, ImageError):
            job.attempts += 1
            self.counts.sent += 1
        if verdict is Verdict.RESEND_MAYBE_BILLED:
            job.maybe_billed += 1
            self.counts.maybe_billed += 1
        if verdict is Verdict.STOP:
            self._stop(job.lane.endpoint, error)

    async def _pause(self, batch: Batch, seconds: float) -> None:
        """Wait, then put what is left of *batch* before all that is queued."""
        self._pausing.add(batch)
        batch.scope = anyio.CancelScope()
        with batch.scope:
            await anyio.sleep(seconds)
        self._pausing.discard(batch)
        self._work.set()
        for job in reversed(batch.jobs):
            job.pausing += seconds
            self.counts.retried += 1
            self._queue(job, first=True)

    # ---- how jobs end

    def _stop(self, endpoint: str, error: OCRError) -> None:
        """Fail all that is queued for *endpoint*, and all that these calls will submit for it.

        Calls made later try anew: a plan may be upgraded while a web backend runs.
        """
        for call in self._calls:
            call.stopped[endpoint] = error
        for job in self.turns.remove(lambda job: job.lane.endpoint == endpoint):
            self._fail(job, error)

    def _succeed(self, job: Job, record: Record) -> None:
        job.attempts += 1
        self.counts.sent += 1
        self.counts.billed += 1
        outcome = Success(
            index=job.index,
            image=job.image,
            record=record,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        self._end(job, outcome)

    def _fail_late(self, job: Job, error: OCRError | None = None) -> None:
        """Fail a job that cannot be done before its deadline; *error* ended its last attempt."""
        told = f"; the last attempt: {error}" if error else ""
        self._fail(job, DeadlineExceeded(f"the deadline passed: {job.tell_time()}{told}"))

    def _fail(self, job: Job, error: OCRError) -> None:
        outcome = Failure(
            index=job.index,
            image=job.image,
            error=error,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        if not job.done:
            self.counts.failed += 1
        self._end(job, outcome)

    def _end(self, job: Job, outcome: Outcome) -> None:
        # An answer may come in the very turn of the loop in which the session closes.
        if not job.done and not job.call.abandoned:
            job.done = True
            job.call.waiting -= 1
            job.call.deliver(outcome)

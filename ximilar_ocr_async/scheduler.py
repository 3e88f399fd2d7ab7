"""Slots and batches: jobs of many calls in, full batches out, each outcome to its call.

State changes are synchronous, so there is nothing to lock; only an attempt and a pause wait.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async.errors import ImageError, OCRError, SessionClosed
from ximilar_ocr_async.exchange import Lane
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.limits import MAX_RECORDS
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success
from ximilar_ocr_async.retry import RetryPolicy, Verdict, judge

_log = logging.getLogger(__name__)


@define(eq=False)
class Call:
    """One call of the user's: where its outcomes go."""

    deliver: Callable[[Outcome], None]
    # Nobody waits for its outcomes any more.
    abandoned: bool = False
    # By endpoint: why nothing more of this call is sent there.
    stopped: dict[str, OCRError] = field(factory=dict)


@define(eq=False)
class Job:
    """One image on its way to its outcome."""

    id: str
    index: int
    image: Image
    prompt: str | None
    lane: Lane
    call: Call
    attempts: int = 0
    # Attempts that may have been billed and brought no result.
    maybe_billed: int = 0
    done: bool = False


@define(eq=False)
class _Batch:
    lane: Lane
    jobs: list[Job]
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)


@define(eq=False)
class Scheduler:
    """Keeps up to *limit* attempts in flight, in tasks of *group*. Lives as long as its session.

    Invariants: every job submitted gets exactly one outcome, unless its call was abandoned; an
    attempt holds a slot, a pause before another attempt does not.
    """

    attempt: Callable[[Lane, Sequence[Job]], Awaitable[dict[str, Record | OCRError]]]
    retry: RetryPolicy
    limit: int
    group: TaskGroup
    _calls: set[Call] = field(init=False, factory=set)
    _queues: dict[Lane, deque[Job]] = field(init=False, factory=dict)
    _in_flight: set[_Batch] = field(init=False, factory=set)
    _pausing: set[_Batch] = field(init=False, factory=set)
    _closed: OCRError | None = field(init=False, default=None)

    # ---- what calls do

    def open(self, call: Call) -> None:
        """Let *call* submit jobs; raise `SessionClosed` when it is too late."""
        if self._closed:
            raise self._closed
        self._calls.add(call)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs; those that cannot be sent any more fail at once."""
        for job in jobs:
            if self._admit(job):
                self._queues.setdefault(job.lane, deque()).append(job)
        self._fill()

    def withdraw(self, call: Call) -> None:
        """Forget *call*: unqueue its jobs, and cancel attempts that nobody else waits for."""
        call.abandoned = True
        self._calls.discard(call)
        for lane, queue in list(self._queues.items()):
            self._keep(lane, deque(job for job in queue if job.call is not call))
        for batch in self._in_flight:
            if all(job.call.abandoned for job in batch.jobs):
                batch.scope.cancel()

    def close(self) -> None:
        """Fail all that is not done; the caller then cancels the task group."""
        self._closed = SessionClosed("the session closed before this image was read")
        for batch in self._in_flight:
            for job in batch.jobs:
                job.maybe_billed += 1
        waiting = [*self._in_flight, *self._pausing]
        for jobs in [*(batch.jobs for batch in waiting), *self._queues.values()]:
            for job in jobs:
                self._fail(job, self._closed)
        self._queues.clear()

    # ---- from queue to slot

    def _fill(self) -> None:
        while len(self._in_flight) < self.limit and self._queues:
            batch = self._take()
            self._in_flight.add(batch)
            self.group.start_soon(self._run, batch)

    def _take(self) -> _Batch:
        """Take a batch from the lane whose turn it is; what it leaves waits for the next turn."""
        lane = next(iter(self._queues))
        queue = self._queues.pop(lane)
        jobs = [queue.popleft() for _ in range(min(MAX_RECORDS, len(queue)))]
        self._keep(lane, queue)
        return _Batch(lane, jobs)

    def _keep(self, lane: Lane, queue: deque[Job]) -> None:
        self._queues.pop(lane, None)
        if queue:
            self._queues[lane] = queue

    def _admit(self, job: Job) -> bool:
        if error := self._closed or job.call.stopped.get(job.lane.endpoint):
            self._fail(job, error)
            return False
        return not job.call.abandoned

    # ---- one batch, in a task of its own that never raises

    async def _run(self, batch: _Batch) -> None:
        results = await self._attempt(batch)
        pauses = {job: self._conclude(job, results.get(job.id)) for job in batch.jobs}
        batch.jobs = [job for job, pause in pauses.items() if pause is not None]
        self._fill()
        if batch.jobs:
            await self._pause(batch, pauses[batch.jobs[0]] or 0.0)

    async def _attempt(self, batch: _Batch) -> dict[str, Record | OCRError]:
        """Return by id how the attempt ended; nothing if it was cancelled as nobody waits."""
        try:
            with batch.scope:
                return await self.attempt(batch.lane, batch.jobs)
        except Exception as error:  # noqa: BLE001
            # A bug of ours; raised, it would cancel the task group and with it the user's code.
            _log.exception("an attempt raised")
            return {job.id: OCRError(f"internal error: {error!r}") for job in batch.jobs}
        finally:
            self._in_flight.discard(batch)
        return {}

    def _conclude(self, job: Job, result: Record | OCRError | None) -> float | None:
        """Count the attempt; end the job, or return how long [s] to wait before another."""
        if result is None:
            return None
        if isinstance(result, Record):
            job.attempts += 1
            self._succeed(job, result)
            return None
        verdict = judge(result)
        job.attempts += not isinstance(result, ImageError)
        job.maybe_billed += verdict is Verdict.RESEND_MAYBE_BILLED
        if verdict is Verdict.STOP:
            self._stop(job.lane.endpoint, result)
        pause = self.retry.resend_after(
            result, attempts=job.attempts, maybe_billed=job.maybe_billed
        )
        if pause is None:
            self._fail(job, result)
        return pause

    async def _pause(self, batch: _Batch, seconds: float) -> None:
        """Wait without a slot, then put what is left of *batch* before all that is queued."""
        self._pausing.add(batch)
        await anyio.sleep(seconds)
        self._pausing.discard(batch)
        for job in reversed(batch.jobs):
            if self._admit(job):
                self._queues.setdefault(batch.lane, deque()).appendleft(job)
        self._fill()

    # ---- how jobs end

    def _stop(self, endpoint: str, error: OCRError) -> None:
        """Fail all that is queued for *endpoint*, and all that these calls will submit for it.

        Calls made later try anew: a plan may be upgraded while a web backend runs.
        """
        for call in self._calls:
            call.stopped[endpoint] = error
        for lane in [lane for lane in self._queues if lane.endpoint == endpoint]:
            for job in self._queues.pop(lane):
                self._fail(job, error)

    def _succeed(self, job: Job, record: Record) -> None:
        outcome = Success(
            index=job.index,
            image=job.image,
            record=record,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        self._end(job, outcome)

    def _fail(self, job: Job, error: OCRError) -> None:
        outcome = Failure(
            index=job.index,
            image=job.image,
            error=error,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        self._end(job, outcome)

    def _end(self, job: Job, outcome: Outcome) -> None:
        # An answer may come in the very turn of the loop in which the session closes.
        if not job.done and not job.call.abandoned:
            job.done = True
            job.call.deliver(outcome)

"""Processing of asynchronous requests: submissions in; results by id, page or webhook out."""

import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

import anyio
from attrs import define, evolve, field, frozen

from ximilar_ocr_async.testing.service.contract import Reply, Request, refuse
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.faults import (
    FAILED_JOBS,
    LIMITED_JOBS,
    LOST_SUBMITS,
    RETRIED_JOBS,
    Cut,
    FaultPlan,
)
from ximilar_ocr_async.testing.service.submissions import (
    PATH,
    RETENTION,
    Job,
    State,
    Submission,
    Webhook,
    show,
    show_page,
)

RETRY_PAUSE = 5.0
"""How long a job stays in state RETRY [s]."""

NOT_PROCESSED = (
    "asynchronous requests are not processed here: run the application with its lifespan"
)

UNSUPPORTED = "only type ocr with endpoint read or read_gpt is supported here"

Read: TypeAlias = Callable[[], Awaitable[Reply]]
"""Reads the records of a job; returns the reply that a synchronous request would get."""

Deliver: TypeAlias = Callable[[Webhook, bytes], Awaitable[None]]
"""Sends a JSON body to a webhook; raises `Unreadable` if it cannot be delivered."""

Start: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Starts a background task."""

DELIVERY_TIMEOUT = 10.0
"""Time limit for a whole delivery [s]. Source: judgement; the service's own limit is unknown."""

_logger = logging.getLogger("ximilar_ocr_async.testing")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@frozen
class _PendingJob:
    """A job in the queue.

    Attributes:
        job: The job.
        fault: Name of the fault that was drawn for it, or "".
        read: Reads its records.
    """

    job: Job
    fault: str
    read: Read


@define(eq=False)
class Jobs:
    """Keeps asynchronous requests for two weeks and processes them one after another.

    An instance of this lives as long as its service does.

    Attributes:
        deliver: Delivers webhooks. None delivers none.
        clock: Returns the current time.
        start: Starts the processing in the background. None refuses submissions, except while
            `processing` is active.
    """

    deliver: Deliver | None = None
    clock: Callable[[], datetime] = _utc_now
    start: Start | None = None
    _submitted: int = field(init=False, default=0)
    _jobs: dict[str, Job] = field(init=False, factory=dict, repr=False)
    _queue: deque[_PendingJob] = field(init=False, factory=deque, repr=False)
    _is_processing: bool = field(init=False, default=False)

    @asynccontextmanager
    async def processing(self) -> AsyncGenerator[None]:
        """Process jobs inside the block; jobs that are not done when it ends stay as they are."""
        async with anyio.create_task_group() as group:
            self.start = group.start_soon
            group.start_soon(self._process_queue)
            try:
                yield
            finally:
                self.start = None
                group.cancel_scope.cancel()

    def submit(
        self, submission: Submission, *, owner: str | None, read: Read, faults: FaultPlan
    ) -> Reply:
        """Accept a submission and queue it.

        Args:
            submission: What is asked for.
            owner: The Authorization header of the request.
            read: Reads the submission's records.
            faults: Plan to draw the job's fault from.

        Raises:
            Cut: The submission was accepted, but its reply is planned to be lost.
        """
        if self.start is None:
            return Reply(501, {"detail": NOT_PROCESSED})
        fault = faults.draw_job(self._submitted)
        self._submitted += 1
        self._drop_expired()
        job = Job(str(uuid4()), self.clock(), owner, evolve(submission, tasks=()))
        self._jobs[job.id] = job
        self._queue.append(_PendingJob(job, fault, read))
        self.start(self._process_queue)
        if fault == LOST_SUBMITS:
            raise Cut
        return Reply(201, job.summary)

    def show(self, request: Request) -> Reply:
        """Reply to a request for one job or for a page of the list."""
        self._drop_expired()
        path = PATH.fullmatch(request.path)
        if path and path["id"]:
            return show(self._jobs.get(path["id"]), request)
        return show_page(tuple(self._jobs.values()), request)

    def _drop_expired(self) -> None:
        expired = self.clock() - RETENTION
        # The jobs are in order of submission, so the first is the oldest.
        while self._jobs and (oldest := next(iter(self._jobs.values()))).created <= expired:
            del self._jobs[oldest.id]

    async def _process_queue(self) -> None:
        """Process all queued jobs, unless another task is doing so.

        A job leaves the queue only when it is done: a run that is cancelled is resumed with it.
        """
        if self._is_processing:
            return
        self._is_processing = True
        try:
            while self._queue:
                await self._process(self._queue[0])
                self._queue.popleft()
        finally:
            self._is_processing = False

    async def _process(self, pending: _PendingJob) -> None:
        job = pending.job
        if pending.fault == RETRIED_JOBS:
            job.state = State.RETRY
            await anyio.sleep(RETRY_PAUSE)
        job.state = State.PROCESSING
        try:
            job.finish(await self._reply(pending))
        except Exception:
            _logger.exception("asynchronous request %s failed", job.id)
            job.finish(refuse(500, "internal error"))
        if self.start and self.deliver and job.submission.webhook and job.state == State.DONE:
            self.start(partial(self._deliver, self.deliver, job, job.submission.webhook))

    async def _reply(self, pending: _PendingJob) -> Reply:
        """Return the reply that a synchronous request with the job's records would get."""
        if not pending.job.submission.is_supported:
            return refuse(501, UNSUPPORTED)
        if code := {FAILED_JOBS: 500, LIMITED_JOBS: 403}.get(pending.fault):
            return refuse(code, f"planned fault: {pending.fault}")
        return await pending.read()

    async def _deliver(self, deliver: Deliver, job: Job, webhook: Webhook) -> None:
        """Send the result of *job* to its webhook, once."""
        try:
            await deliver(webhook, json.dumps(job.webhook_body).encode())
        except Unreadable as error:
            _logger.warning("the webhook of job %s was not delivered: %s", job.id, error.text)
        except Exception:
            _logger.exception("the webhook of job %s was not delivered", job.id)

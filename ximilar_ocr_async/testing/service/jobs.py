"""Asynchronous requests in the making: submissions in, results by id, page or webhook out."""

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
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
    KEPT,
    PATH,
    Job,
    State,
    Submission,
    Webhook,
    show,
    show_page,
)

RETRY_PAUSE = 5.0
"""[s] that a job stands at RETRY."""

NOBODY_WORKS = "nobody works off asynchronous requests here: run the application with its lifespan"

Read: TypeAlias = Callable[[], Awaitable[Reply]]

Deliver: TypeAlias = Callable[[Webhook, bytes], Awaitable[None]]
"""Sends JSON to a webhook; raises `Unreadable`."""

Start: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Starts a task that runs beside the requests."""

DELIVERY_TIMEOUT = 10.0
"""[s] for a delivery in all. Source: judgement; the service's own is not known."""

_logger = logging.getLogger("ximilar_ocr_async.testing")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@frozen
class _Work:
    """A job that waits to be worked off: the fault that it is to meet, and how to read it."""

    job: Job
    fault: str
    read: Read


@define(eq=False)
class Jobs:
    """Keeps asynchronous requests, and works them off one after the other. Lives as its service.

    Args:
        deliver: Delivers to webhooks; without it none is delivered.
        clock: What time it is; jobs are kept for two weeks.
        start: Starts the work beside the requests; without it nothing is taken, but in `working`.
    """

    deliver: Deliver | None = None
    clock: Callable[[], datetime] = _utc_now
    start: Start | None = None
    _submitted: int = field(init=False, default=0)
    # By id, from the oldest to the newest.
    _kept: dict[str, Job] = field(init=False, factory=dict, repr=False)
    # The first is the one that is being worked on.
    _waiting: deque[_Work] = field(init=False, factory=deque, repr=False)
    _is_working: bool = field(init=False, default=False)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work while the block is run; what is not done by its end is left as it is."""
        async with anyio.create_task_group() as group:
            self.start = group.start_soon
            group.start_soon(self._work)
            try:
                yield
            finally:
                self.start = None
                group.cancel_scope.cancel()

    def submit(
        self, submission: Submission, *, owner: str | None, read: Read, faults: FaultPlan
    ) -> Reply:
        """Take a submission, whose records *read* answers.

        Raises:
            Cut: It is taken, and the reply is to be lost.
        """
        if self.start is None:
            return Reply(501, {"detail": NOBODY_WORKS})
        fault = faults.draw_job(self._submitted)
        self._submitted += 1
        self._forget()
        job = Job(str(uuid4()), self.clock(), owner, evolve(submission, tasks=()))
        self._kept[job.id] = job
        self._waiting.append(_Work(job, fault, read))
        self.start(self._work)
        if fault == LOST_SUBMITS:
            raise Cut
        return Reply(201, job.row)

    def show(self, request: Request) -> Reply:
        """Answer a request for one job, or for a page of the list."""
        self._forget()
        path = PATH.fullmatch(request.path)
        if path and path["id"]:
            return show(self._kept.get(path["id"]), request)
        return show_page(tuple(self._kept.values()), request)

    def _forget(self) -> None:
        expired = self.clock() - KEPT
        while self._kept and (oldest := next(iter(self._kept.values()))).created <= expired:
            del self._kept[oldest.id]

    async def _work(self) -> None:
        """Work off all that waits, unless that is being done.

        If it is cut short, the next time begins with the same job.
        """
        if self._is_working:
            return
        self._is_working = True
        try:
            while self._waiting:
                await self._process(self._waiting[0])
                self._waiting.popleft()
        finally:
            self._is_working = False

    async def _process(self, work: _Work) -> None:
        job = work.job
        if work.fault == RETRIED_JOBS:
            job.state = State.RETRY
            await anyio.sleep(RETRY_PAUSE)
        job.state = State.PROCESSING
        try:
            job.end(await self._reply(work))
        except Exception:
            _logger.exception("asynchronous request %s fails", job.id)
            job.end(refuse(500, "internal error"))
        if self.start and self.deliver and job.submission.webhook and job.state == State.DONE:
            self.start(partial(self._tell, self.deliver, job, job.submission.webhook))

    async def _reply(self, work: _Work) -> Reply:
        """Return what a request with the records of *work* is answered."""
        if not work.job.submission.is_supported:
            return refuse(501, "this local service does ocr alone, by read and read_gpt")
        if code := {FAILED_JOBS: 500, LIMITED_JOBS: 403}.get(work.fault):
            return refuse(code, f"planned fault: {work.fault}")
        return await work.read()

    async def _tell(self, deliver: Deliver, job: Job, webhook: Webhook) -> None:
        """Tell that *job* is done, once."""
        try:
            await deliver(webhook, json.dumps(job.news).encode())
        except Unreadable as fault:
            _logger.warning("no webhook for asynchronous request %s: %s", job.id, fault.text)
        except Exception:
            _logger.exception("no webhook for asynchronous request %s", job.id)

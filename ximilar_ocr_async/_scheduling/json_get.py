"""Requests without images, about jobs and the account: a path in, a JSON object out.

They are free, so they are repeated as often as makes sense, whatever became of them.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup
from attrs import field, frozen

from ximilar_ocr_async._concurrency import EventLoopGuard, decode_aside, is_to_be_raised
from ximilar_ocr_async._protocol import Document, decode_document
from ximilar_ocr_async._scheduling.bugs import record_bug
from ximilar_ocr_async._scheduling.call_options import CallOptions, Patience
from ximilar_ocr_async._scheduling.decisions import Resend, Situation, decide, is_turned_away
from ximilar_ocr_async._scheduling.scheduler import Scheduler
from ximilar_ocr_async._scheduling.slots import ACCOUNT
from ximilar_ocr_async._scheduling.tenant import Tenant
from ximilar_ocr_async.errors import (
    DeadlineExceeded,
    OCRError,
    PoolExhausted,
    with_reason,
)
from ximilar_ocr_async.retry import RetryPolicy

T = TypeVar("T")


@frozen
class JSONGetter:
    """Gets JSON objects, each in a slot like any batch. Lives as long as its session."""

    scheduler: Scheduler
    tenant: Tenant
    retry: RetryPolicy
    group: TaskGroup
    guard: EventLoopGuard
    _decoding: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(1))

    @property
    def width(self) -> int:
        """How many requests may be made at once."""
        return self.scheduler.slots.throttle(ACCOUNT).limit.slots

    async def decode(self, work: Callable[[], T], size: int) -> T:
        """Return what *work* makes of *size* [bytes] of JSON, in a thread if that may take long."""
        return await decode_aside(work, size, self._decoding)

    async def get(self, path: str, options: CallOptions) -> Document:
        """Return the object at *path*.

        Args:
            path: With its query.
            options: How long the call may take, and how long it waits for an outage to end.

        Raises:
            OCRError: There is none to be had.
        """
        result: Document | OCRError = await self._run(partial(self._get, path, options))
        if isinstance(result, OCRError):
            raise result
        return result

    async def wait(self, event: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        """Wait until *event* returns, *seconds* [s] at most; raise `SessionClosed` if that ends."""

        async def go() -> None:
            with anyio.move_on_after(seconds):
                await event()

        await self._run(go)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run *work* in a task of the session's, which ends with it.

        A caller's own task does not, and may be cancelled in ways that break a pool.
        """
        self.guard.check()
        if self.scheduler.closed:
            raise self.scheduler.closing("the session is closed")
        results: list[T] = []
        bugs: list[OCRError] = []
        is_over, scope = anyio.Event(), anyio.CancelScope()

        async def go() -> None:
            try:
                with scope:
                    results.append(await work())
            except BaseException as error:
                if is_to_be_raised(error):
                    raise
                # A bug; raised, it would cancel the task group and with it the user's code.
                bugs.append(record_bug("a request without images", error))
            finally:
                is_over.set()

        self.group.start_soon(go)
        try:
            await is_over.wait()
        finally:
            scope.cancel()
        if bugs:
            raise bugs[0]
        if not results:
            raise self.scheduler.closing("the session closed before this was answered")
        return results[0]

    async def _get(self, path: str, options: CallOptions) -> Document | OCRError:
        patience = Patience.begin(options)
        attempts, error = 0, None
        with anyio.CancelScope(deadline=patience.deadline):
            while True:
                try:
                    return await self._attempt(path, patience)
                except OCRError as failure:
                    error = failure.with_traceback(None)
                throttle = self.scheduler.slots.throttle(ACCOUNT)
                if hopeless := throttle.hopeless(patience, anyio.current_time(), urgent=True):
                    return hopeless
                # While an outage lasts, the call's own patience is what counts. A request that
                # got no connection of the caller's pool was never made.
                is_outage = throttle.breaker.is_on and is_turned_away(error)
                attempts += not (is_outage or isinstance(error, PoolExhausted))
                decision = decide(error, Situation(attempts=max(1, attempts)), self.retry)
                if not isinstance(decision, Resend):
                    return error
                await anyio.sleep(decision.after)
        deadline = f"{path} was not answered within {options.deadline or 0.0:g} s"
        return with_reason(error, deadline) if error else DeadlineExceeded(deadline)

    async def _attempt(self, path: str, patience: Patience) -> Document:
        """Make one attempt, and let the throttle know how it went."""
        slots = self.scheduler.slots
        began = await slots.acquire(patience)
        ended: OCRError | bool = False
        try:
            response = await self.tenant.sender.send("GET", path)
            decode = partial(
                decode_document, response.status, response.body, retry_after=response.retry_after
            )
            document = await self.decode(decode, len(response.body))
            ended = True
        except OCRError as error:
            self.tenant.sender.mask(error)
            ended = error
            raise
        finally:
            slots.release(began, ended=ended)
        return document

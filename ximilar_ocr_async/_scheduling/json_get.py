"""Requests without images, about jobs and the account: a path in, a JSON object out.

They are free, so they are made again as often as makes sense, whatever became of them.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from attrs import frozen

from ximilar_ocr_async._concurrency import EventLoopGuard, is_from_outside
from ximilar_ocr_async._http import Response, Transport
from ximilar_ocr_async._protocol import decode_document
from ximilar_ocr_async._scheduling.decisions import is_turned_away, resend_after
from ximilar_ocr_async._scheduling.scheduler import Scheduler
from ximilar_ocr_async.errors import DeadlineExceeded, OCRError, SessionClosed, with_reason
from ximilar_ocr_async.retry import RetryPolicy

T = TypeVar("T")

_log = logging.getLogger("ximilar_ocr_async.scheduling")


@frozen
class JSONGetter:
    """Goes on errands, each in a slot like any batch. Lives as long as its session."""

    scheduler: Scheduler
    transport: Transport
    retry: RetryPolicy
    group: TaskGroup
    guard: EventLoopGuard

    async def get(self, path: str, *, outage_timeout: float) -> Mapping[str, Any]:
        """Return what stands at *path*.

        Args:
            path: With its query.
            outage_timeout: [s] for all of it: waiting for a slot, attempts and pauses.

        Raises:
            OCRError: It was not to be had.
        """
        answer: Mapping[str, Any] | OCRError = await self._run(
            partial(self._get, path, outage_timeout)
        )
        if isinstance(answer, OCRError):
            raise answer
        return answer

    async def wait(self, event: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        """Wait until *event* returns, *seconds* [s] at most; raise `SessionClosed` if that ends."""

        async def go() -> None:
            with anyio.move_on_after(seconds):
                await event()

        await self._run(go)

    async def _run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run *work* in a task of the session's, which ends with it.

        A caller's own does not, and may be cancelled in ways that break the pool.
        """
        self.guard.check()
        if self.scheduler.closed:
            raise SessionClosed("the session is closed")
        ended: list[T] = []
        bugs: list[OCRError] = []
        is_over, scope = anyio.Event(), anyio.CancelScope()

        async def go() -> None:
            try:
                with scope:
                    ended.append(await work())
            except BaseException as error:
                if is_from_outside(error):
                    raise
                # A bug; raised, it would cancel the task group and with it the user's code.
                _log.exception("an errand raised")
                bugs.append(OCRError(f"internal error: {error!r}"))
            finally:
                is_over.set()

        self.group.start_soon(go)
        try:
            await is_over.wait()
        finally:
            scope.cancel()
        if bugs:
            raise bugs[0]
        if not ended:
            raise SessionClosed("the session closed before this was answered")
        return ended[0]

    async def _get(self, path: str, outage_timeout: float) -> Mapping[str, Any] | OCRError:
        attempts, error = 0, None
        with anyio.move_on_after(outage_timeout):
            while True:
                try:
                    return await self._attempt(path)
                except OCRError as failure:
                    error = failure.with_traceback(None)
                is_away = self.scheduler.throttle.breaker.is_on and is_turned_away(error)
                # In an outage, outage_timeout is what counts.
                attempts += not is_away
                pause = resend_after(self.retry, error, attempts=max(1, attempts), maybe_billed=0)
                if pause is None:
                    return error
                await anyio.sleep(pause)
        if error is None:
            return DeadlineExceeded(f"{path} was not answered within {outage_timeout:g} s")
        return with_reason(error, f"so it was for {outage_timeout:g} s")

    async def _attempt(self, path: str) -> Mapping[str, Any]:
        """Make one attempt, and let the traffic know how it went."""
        scheduler = self.scheduler
        is_probe = await scheduler.enter()
        began, throttle = anyio.current_time(), scheduler.throttle
        try:
            answer = await self.transport.send("GET", path)
            document = _decode(answer)
        except OCRError as error:
            others = len(scheduler.in_flight) + scheduler.gets - 1
            now = anyio.current_time()
            throttle.fail(error, began=began, now=now, in_flight=others, probe=is_probe)
            raise
        except BaseException:
            throttle.withdraw(anyio.current_time(), probe=is_probe, was_sent=True)
            raise
        finally:
            scheduler.leave()
        throttle.answer(anyio.current_time())
        return document


def _decode(answer: Response) -> Mapping[str, Any]:
    return decode_document(answer.status, answer.body, retry_after=answer.retry_after)

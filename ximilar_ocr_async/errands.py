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

from ximilar_ocr_async.calls import is_from_outside
from ximilar_ocr_async.errors import DeadlineExceeded, OCRError, SessionClosed, because
from ximilar_ocr_async.place import Place
from ximilar_ocr_async.retry import RetryPolicy, is_turned_away
from ximilar_ocr_async.scheduler import Scheduler
from ximilar_ocr_async.transport import Answer, Transport
from ximilar_ocr_async.wire import decode_document

T = TypeVar("T")

_log = logging.getLogger(__name__)


@frozen
class Errands:
    """Goes on errands, each in a slot like any batch. Lives as long as its session."""

    scheduler: Scheduler
    transport: Transport
    retry: RetryPolicy
    group: TaskGroup
    place: Place

    async def get(self, path: str, *, patience: float) -> Mapping[str, Any]:
        """Return what stands at *path*.

        Args:
            path: With its query.
            patience: [s] for all of it: waiting for a slot, attempts and pauses, be it an outage.

        Raises:
            OCRError: It was not to be had.
        """
        answer: Mapping[str, Any] | OCRError = await self._run(partial(self._get, path, patience))
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
        self.place.check()
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

    async def _get(self, path: str, patience: float) -> Mapping[str, Any] | OCRError:
        attempts, error = 0, None
        with anyio.move_on_after(patience):
            while True:
                try:
                    return await self._attempt(path)
                except OCRError as failure:
                    error = failure.with_traceback(None)
                is_away = self.scheduler.traffic.outage.is_on and is_turned_away(error)
                # In an outage, patience is what counts.
                attempts += not is_away
                pause = self.retry.resend_after(error, attempts=max(1, attempts), maybe_billed=0)
                if pause is None:
                    return error
                await anyio.sleep(pause)
        if error is None:
            return DeadlineExceeded(f"{path} was not answered within {patience:g} s")
        return because(error, f"so it was for {patience:g} s")

    async def _attempt(self, path: str) -> Mapping[str, Any]:
        """Make one attempt, and let the traffic know how it went."""
        scheduler = self.scheduler
        is_probe = await scheduler.enter()
        began, traffic = anyio.current_time(), scheduler.traffic
        try:
            answer = await self.transport.send("GET", path)
            document = _decode(answer)
        except OCRError as error:
            others = len(scheduler.in_flight) + scheduler.visits - 1
            now = anyio.current_time()
            traffic.fail(error, began=began, now=now, in_flight=others, probe=is_probe)
            raise
        except BaseException:
            traffic.withdraw(anyio.current_time(), probe=is_probe, was_sent=True)
            raise
        finally:
            scheduler.leave()
        traffic.answer(anyio.current_time())
        return document


def _decode(answer: Answer) -> Mapping[str, Any]:
    return decode_document(answer.status, answer.body, retry_after=answer.retry_after)

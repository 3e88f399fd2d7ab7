"""Who holds the task group of a session open, between entering and leaving it.

A task group is left in the task that entered it. Fixtures, notebooks and containers enter in one
task and leave in another. On asyncio the group therefore has a task of its own; whoever leaves the
session only tells that task, and waits. Trio has no such task: there the enterer holds the group.
"""

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import has_signal, is_cancellation, signal_in, start_apart
from ximilar_ocr_async.errors import SessionStateError

_log = logging.getLogger("ximilar_ocr_async")

CLOSING = 5.0
"""[s] that connections get to close."""

ENDING = 15.0
"""[s] that whoever leaves waits for the end of all tasks, which have limits of their own."""


@define(eq=False, repr=False)
class Host:
    """Holds a task group open. Lives as long as its session.

    Attributes:
        group: The task group.
        end: Told the cause when the group ends, before its tasks are.
        close: Closes what the tasks used, after them.
    """

    close: Callable[[], Awaitable[object]]
    end: Callable[[BaseException], object] = field(init=False, default=lambda _: None)
    group: TaskGroup = field(init=False, factory=anyio.create_task_group)
    _enterer: int = field(init=False, factory=lambda: anyio.get_current_task().id)
    # Whether it has a task of its own.
    _is_apart: bool = field(init=False, default=False)
    _is_up: anyio.Event = field(init=False, factory=anyio.Event)
    _ended: anyio.Event = field(init=False, factory=anyio.Event)
    _failure: BaseException | None = field(init=False, default=None)

    async def open(self) -> None:
        """Open the task group."""
        self._is_apart = start_apart(self._hold)
        if not self._is_apart:
            await self.group.__aenter__()
            return
        try:
            await self._is_up.wait()
        except BaseException:
            self.group.cancel_scope.cancel()
            raise

    def check_task(self) -> None:
        """Raise `SessionStateError` if the session cannot be left in the current task."""
        if not self._is_apart and anyio.get_current_task().id != self._enterer:
            raise SessionStateError(
                "on trio a session is left in the task that entered it; have that task wait for "
                "an event, and set the event here"
            )

    async def leave(self, exc: BaseException | None) -> None:
        """End the tasks of the group, after *exc* in the body; raise what went wrong in them."""
        if not self._is_apart:
            await self._leave_here(exc)
            return
        self.group.cancel_scope.cancel()
        with anyio.move_on_after(ENDING, shield=True) as scope:
            await self._ended.wait()
        if scope.cancelled_caught:
            _log.warning("tasks of the session have not ended %g s after it was left", ENDING)
        failure = self._failure
        if failure is not None and (exc is None or not isinstance(failure, Exception)):
            raise failure

    async def _hold(self) -> None:
        """Hold the group open, in a task of its own. It raises nothing: nobody would hear it."""
        try:
            async with self.group:
                self._is_up.set()
                try:
                    # No timer: in virtual time, where a thread works, the clock would jump to it.
                    await anyio.Event().wait()
                except BaseException as error:
                    self.end(error)
                    raise
        except BaseException as error:  # noqa: BLE001 - raised where the session is left
            # The loop has raised a signal itself, and its own end is no failure.
            if not is_cancellation(error) and not has_signal(error):
                self._failure = error
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            with anyio.move_on_after(CLOSING, shield=True):
                await self.close()
        finally:
            self._ended.set()

    async def _leave_here(self, exc: BaseException | None) -> None:
        try:
            if isinstance(exc, anyio.get_cancelled_exc_class()):
                await self.group.__aexit__(type(exc), exc, exc.__traceback__)
            else:
                # The body's error stays out of the group, which would wrap it in one of its own.
                self.group.cancel_scope.cancel()
                await self.group.__aexit__(None, None, None)
        except BaseExceptionGroup as errors:
            # Whoever waits for a signal's exception does not look into groups.
            raise signal_in(errors) or errors from None
        finally:
            await self._close()

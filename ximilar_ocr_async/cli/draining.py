"""Work with a session that can be stopped: what is in flight by then still comes to its end."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import anyio
from attrs import define, field

from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.interrupts import interrupts
from ximilar_ocr_async.errors import SessionClosed, SessionStateError
from ximilar_ocr_async.outcomes import Outcome

T = TypeVar("T")

DRAIN = 30.0
"""The default for how long what is in flight may still take after the first signal [s]."""


@define(eq=False)
class Drain:
    """Stops work at the first signal. Lives as long as the work.

    Attributes:
        session: The session to work with, not entered yet.
        is_stopped: Whether the work was asked to stop.
    """

    session: OCRSession
    is_stopped: bool = field(init=False, default=False)
    _over: anyio.Event = field(init=False, factory=anyio.Event)
    _source: anyio.CancelScope | None = field(init=False, default=None)

    def stop(self) -> None:
        """Pull and send nothing more, and let what is in flight come to its end."""
        self.is_stopped = True
        if self._source is not None:
            self._source.cancel()
        self._over.set()

    def is_unread(self, outcome: Outcome[Any]) -> bool:
        """Whether an image has no more of an outcome than that the work was stopped before."""
        return self.is_stopped and not outcome.ok and isinstance(outcome.error, SessionClosed)  # pyright: ignore[reportAttributeAccessIssue]

    async def pull(self, images: AsyncGenerator[T]) -> AsyncGenerator[T]:
        """Yield *images* until the work is stopped, which no waiting for input holds up."""
        async with aclosing(images):
            while not self.is_stopped:
                with anyio.CancelScope() as scope:
                    self._source = scope
                    try:
                        image = await anext(images)
                    except StopAsyncIteration:
                        return
                if scope.cancelled_caught:
                    return
                yield image  # pyright: ignore[reportPossiblyUnboundVariable, reportReturnType]

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do *work* within the session; raise what it raises, if it was not stopped."""
        errors: list[Exception] = []

        async def attempt() -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - raised below, outside the task group
                errors.append(error)
            finally:
                self._over.set()

        # The work is a task around the session, so that it hears of what comes to its end while
        # the session is being left.
        async with anyio.create_task_group() as group:
            try:
                async with self.session:
                    with interrupts.asking(self.stop):
                        group.start_soon(attempt)
                        await self._over.wait()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        for raised in errors:
            if not (self.is_stopped and isinstance(raised, SessionStateError)):
                raise raised

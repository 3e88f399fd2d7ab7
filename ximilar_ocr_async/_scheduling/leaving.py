"""The end of a session: what is in flight is waited for, and all else is told why it ends."""

import logging

import anyio
from attrs import define, field

from ximilar_ocr_async._scheduling.calls import Batch, Call
from ximilar_ocr_async._scheduling.slots import Slots
from ximilar_ocr_async.errors import SessionClosed

_log = logging.getLogger("ximilar_ocr_async")

TAKING = 5.0
"""[s] that calls get to take their last outcomes, while the session is left. Source: judgement."""


@define(eq=False)
class Drain:
    """Waits for the last requests of a session, and then for the calls that take their results."""

    _slots: Slots
    _calls: set[Call]
    _changed: anyio.Event = field(init=False, factory=anyio.Event)

    def notify(self) -> None:
        """Have it look again: a batch or a call has ended."""
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Wait up to *seconds* [s]; say in the log for what."""
        if awaited := self._awaited():
            images = sum(item.is_wanted for batch in awaited for item in batch.items)
            what = f"requests under way: {len(awaited)}, with images: {images}"
            _log.info("leaving the session waits up to %g s; %s", seconds, what)
        with anyio.move_on_after(seconds):
            while self._awaited() or self._are_prepared():
                await self._wait()
            with anyio.move_on_after(TAKING):
                while self._calls:
                    await self._wait()

    def _awaited(self) -> list[Batch]:
        """Return the batches in flight that somebody waits for."""
        return [b for b in self._slots.in_flight if any(item.is_wanted for item in b.items)]

    def _are_prepared(self) -> bool:
        """Whether something is being made of results that were paid for."""
        return any(item.preparing is not None for call in self._calls for item in call.items)

    async def _wait(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()


def session_closed(message: str, cause: BaseException | None) -> SessionClosed:
    """Return the error of what the end of the session ends, with the *cause* of that end."""
    error = SessionClosed(message)
    # Without its frames, which would live as long as the outcomes.
    error.__cause__ = cause and cause.with_traceback(None)
    return error

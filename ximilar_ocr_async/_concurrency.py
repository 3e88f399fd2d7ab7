"""The event loop and process that a session belongs to, and threads and cancellation there."""

import os

import anyio
import anyio.lowlevel
from attrs import field, frozen

from ximilar_ocr_async.errors import SessionStateError

THREADS = 4
"""Threads that read and encode files. More threads would make neither disk nor Python faster."""


@frozen
class EventLoopGuard:
    """Holds a session to the event loop and process it was made in. It works in no other."""

    loop: object = field(factory=anyio.lowlevel.current_token)
    process: int = field(factory=os.getpid)

    def check(self) -> None:
        """Raise `SessionStateError` in another event loop, thread or process."""
        try:
            is_here = anyio.lowlevel.current_token() == self.loop and os.getpid() == self.process
        except RuntimeError:
            is_here = False
        if not is_here:
            raise SessionStateError(
                "a session can only be used in the event loop and process that it was made in"
            )


def is_from_outside(error: BaseException) -> bool:
    """Whether *error* cancels the current task itself, not only something that the task awaits."""
    is_cancellation = isinstance(error, anyio.get_cancelled_exc_class())
    return is_cancellation and anyio.current_effective_deadline() == float("-inf")

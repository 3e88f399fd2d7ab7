"""Where a session belongs: its tasks and connections work in no other event loop or process."""

import os

import anyio.lowlevel
from attrs import field, frozen

from ximilar_ocr_async.errors import SessionStateError


@frozen
class Place:
    """Where it is made."""

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
                "a session is used in the event loop and process it was made in"
            )

"""Event loops whose clock jumps to the next timer when there is nothing else to do.

An hour of backoff costs milliseconds and is asserted exactly. Files and threads do not mix with
it: their time is not on this clock.
"""

import asyncio
import selectors
from typing import Any

from trio.testing import MockClock


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: asks for the clock to be moved instead."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, from 0 [s]."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time [s]."""
        return self.now


def virtual(backend: str) -> tuple[str, dict[str, Any]]:
    """Return what anyio needs to run *backend* in virtual time; good for one run."""
    if backend == "trio":
        return backend, {"clock": MockClock(autojump_threshold=0)}
    return backend, {"loop_factory": VirtualLoop}

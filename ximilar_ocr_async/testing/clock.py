"""A backend's name in, an event loop whose clock jumps to the next timer when all tasks wait out.

An hour of pauses costs milliseconds and can be asserted exactly. Files, threads and sockets do not
mix with it: their time is not on this clock. The one module that knows asyncio and trio; hence it
also starts the tasks that no task group owns.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from ximilar_ocr_async.errors import OptionError


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: asks for the clock to be moved instead."""

    loop: "_VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.loop.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, from 0 [s]."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def virtual_time(backend: str = "asyncio") -> tuple[str, dict[str, Any]]:
    """Return what anyio needs to run *backend* in virtual time; good for one run.

    Return it from a fixture ``anyio_backend``, or use as ``name, options = virtual_time()`` and
    ``anyio.run(main, backend=name, backend_options=options)``.

    Args:
        backend: asyncio or trio.

    Raises:
        OptionError: It is another one.
    """
    match backend:
        case "asyncio":
            return backend, {"loop_factory": _VirtualLoop}
        case "trio":
            # Imported late: it need not be installed.
            from trio.testing import MockClock  # noqa: PLC0415

            return backend, {"clock": MockClock(autojump_threshold=0)}
    raise OptionError(f"backend is {backend!r}, allowed are asyncio, trio")


_started: set[asyncio.Task[None]] = set()
"""asyncio itself does not hold on to its tasks."""


def start_beside(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start *work* as a task that nobody waits for; the event loop's end is its end too."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Imported late: it need not be installed.
        from trio.lowlevel import spawn_system_task  # noqa: PLC0415

        spawn_system_task(work)
    else:
        task = loop.create_task(work())
        _started.add(task)
        task.add_done_callback(_started.discard)

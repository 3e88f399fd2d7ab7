"""Virtual time: a backend's name in, an event loop with a clock of its own out.

When all tasks are waiting, the clock jumps to the next timer. An hour of pauses takes milliseconds
and can be asserted exactly. Files, threads and sockets do not follow this clock, so do not use them
under virtual time.

This is the only module that knows asyncio and trio, so it also starts tasks outside task groups.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from ximilar_ocr_async.errors import OptionError


class _JumpingSelector(selectors.DefaultSelector):
    """Moves the loop's clock forward instead of waiting for a timer."""

    loop: "_VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.loop.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time, which starts at 0 s."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def virtual_time(backend: str = "asyncio") -> tuple[str, dict[str, Any]]:
    """Return the name and options with which anyio runs *backend* in virtual time.

    The result is good for one run. Return it from a fixture ``anyio_backend``, or write
    ``name, options = virtual_time()`` and
    ``anyio.run(main, backend=name, backend_options=options)``.

    Args:
        backend: asyncio or trio.

    Returns:
        The name of the backend and its ``backend_options``.

    Raises:
        OptionError: *backend* is neither of the two.
    """
    match backend:
        case "asyncio":
            return backend, {"loop_factory": _VirtualLoop}
        case "trio":
            # Imported here because trio may not be installed.
            from trio.testing import MockClock  # noqa: PLC0415

            return backend, {"clock": MockClock(autojump_threshold=0)}
    raise OptionError(f"backend is {backend!r}, allowed are asyncio, trio")


_background_tasks: set[asyncio.Task[None]] = set()
"""References to running tasks: asyncio keeps only weak ones, so a task could be collected."""


def start_beside(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start *work* as a background task, which runs until it ends or the event loop closes."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Imported here because trio may not be installed.
        from trio.lowlevel import spawn_system_task  # noqa: PLC0415

        spawn_system_task(work)
    else:
        task = loop.create_task(work())
        _background_tasks.add(task)
        task.add_done_callback(_background_tasks.discard)

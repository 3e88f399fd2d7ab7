"""Signals in: the first one asks a command to come to its end, the second one ends it at once."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import anyio
from attrs import define, field

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""What asks a command to end. Windows has no SIGHUP."""

INTERRUPTED = 128
"""What is added to the number of a signal to make an exit code, as shells do."""

SHOW_CURSOR = b"\x1b[?25h"
"""What shows the cursor of a terminal again, which a progress bar had hidden."""


@define(eq=False)
class Interrupts:
    """The signals of this process. There is one, because handlers belong to the process.

    Attributes:
        number: The first signal that came. None if none did.
        _bell: Rings in the event loop of the command. None while none is running.
        _ask: What the command does when it is asked to end. None cancels it.
    """

    number: int | None = None
    _bell: socket.socket | None = field(init=False, default=None)
    _ask: Callable[[], None] | None = field(init=False, default=None)

    @contextmanager  # pyright: ignore[reportDeprecated]
    def heard(self) -> Iterator[None]:
        """Handle signals while the block is run. Those that are ignored, as by nohup, stay so."""
        self.number = None
        # Others than the main thread cannot handle signals.
        is_main = threading.current_thread() is threading.main_thread()
        former = {number: signal.getsignal(number) for number in SIGNALS if is_main}
        for number, handler in former.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    @staticmethod
    def leave_to_server() -> None:
        """Leave the signals to a server, which has handlers of its own and ends with 0."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    is_key = number is signal.SIGINT
                    signal.signal(number, signal.default_int_handler if is_key else signal.SIG_DFL)

    async def run(self, command: Callable[[], Awaitable[int]]) -> int:
        """Run *command*; return its exit code, or that of the signal that ended it."""
        code, error = 0, None
        hearing, bell = socket.socketpair()
        with hearing, bell:
            self._bell = bell
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._wait, hearing, group.cancel_scope)
                    try:
                        code = await command()
                    except Exception as raised:  # noqa: BLE001 - raised below, outside the group
                        error = raised
                    group.cancel_scope.cancel()
            finally:
                self._bell = None
        if error is not None:
            raise error
        return code if self.number is None else INTERRUPTED + self.number

    @contextmanager  # pyright: ignore[reportDeprecated]
    def asking(self, ask: Callable[[], None]) -> Iterator[None]:
        """Call *ask* at the first signal while the block is run, instead of cancelling it."""
        self._ask = ask
        try:
            yield
        finally:
            self._ask = None

    async def _wait(self, hearing: socket.socket, scope: anyio.CancelScope) -> None:
        await anyio.wait_readable(hearing)
        (self._ask or scope.cancel)()

    def _hear(self, number: int, _: FrameType | None = None) -> None:
        if self.number is not None or self._bell is None:
            end_at_once(number)
        self.number = number
        self._bell.send(b"!")


def end_at_once(number: int) -> NoReturn:
    """End this process as *number*, a signal, would. Each line was flushed when it was written."""
    with suppress(OSError, ValueError, AttributeError):
        if os.isatty(sys.stderr.fileno()):
            os.write(sys.stderr.fileno(), SHOW_CURSOR)
    # No thread is waited for, and asyncio, which may never come to its end, is not asked to.
    os._exit(INTERRUPTED + number)


interrupts = Interrupts()

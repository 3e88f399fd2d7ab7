"""The event loop and process that a session belongs to, and threads and cancellation there."""

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from attrs import field, frozen

from ximilar_ocr_async.errors import SessionStateError

T = TypeVar("T")

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


class NotCopied:
    """Refuses copies and pickles: they would be left half made, and not even have a repr."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


SMALL_JSON = 16 * 1024
"""[bytes] of JSON that are decoded at once. Source: judgement; that takes 2 ms at most."""


async def decode_aside(
    work: Callable[[], T], size: int, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Return what *work* makes of *size* [bytes] of JSON, in a thread if that may take long."""
    if size < SMALL_JSON:
        return work()
    return await run_aside(work, limiter=limiter)


async def run_aside(
    work: Callable[[], T],
    *,
    limiter: anyio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = False,
) -> T:
    """Return what *work* makes, in a thread; here if the system has no thread to spare."""
    has_begun = False

    def begin() -> T:
        nonlocal has_begun
        has_begun = True
        return work()

    try:
        return await anyio.to_thread.run_sync(
            begin, limiter=limiter, abandon_on_cancel=abandon_on_cancel
        )
    except RuntimeError:
        # What was paid for is worth more than a loop that is held.
        if has_begun:
            raise
        return work()


SIGNALS = (KeyboardInterrupt, SystemExit)
"""What signals raise, in whatever task is running when they come."""


def is_to_be_raised(error: BaseException) -> bool:
    """Whether *error* is not for the current task to handle: a signal, or its own cancellation.

    What is no `Exception` goes on up. Only a cancellation of something that the task awaits is an
    error like any other.
    """
    if isinstance(error, anyio.get_cancelled_exc_class()):
        return is_from_outside(error)
    return not isinstance(error, Exception)


def is_from_outside(error: BaseException) -> bool:
    """Whether *error* cancels the current task itself, not only something that the task awaits."""
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return False
    task = _asyncio_task()
    is_native = task is not None and task.cancelling() > 0  # as all are when a program ends
    return is_native or anyio.current_effective_deadline() == float("-inf")


def is_cancellation(error: BaseException) -> bool:
    """Whether *error* is a cancellation or a generator's end, or a task group's sum of them."""
    ends = (anyio.get_cancelled_exc_class(), GeneratorExit)
    if isinstance(error, BaseExceptionGroup):
        return error.split(ends)[1] is None
    return isinstance(error, ends)


def _asyncio_task() -> Any:
    """Return the current task of asyncio; None on trio."""
    try:
        return sys.modules["asyncio"].current_task()
    except (KeyError, RuntimeError):
        return None


_apart: set[Any] = set()
"""Tasks of their own that are running: asyncio keeps weak references alone."""


def start_apart(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run *work* in a task outside of all task groups; return False where there is none: on trio.

    Such a task ends with its event loop, at the latest.
    """
    current = _asyncio_task()
    if current is None:
        return False
    task = current.get_loop().create_task(work())
    _apart.add(task)
    task.add_done_callback(_apart.discard)
    return True


def has_signal(error: BaseException) -> bool:
    """Whether *error* is what a signal raised, or a task group's sum with that in it."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(SIGNALS) is not None
    return isinstance(error, SIGNALS)


def signal_in(errors: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return what a signal raised, if that is among the *errors* of a task group on trio."""
    found: BaseException | None = errors.subgroup(SIGNALS)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found

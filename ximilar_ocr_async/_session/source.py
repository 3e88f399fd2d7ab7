"""Where images come from: an iterable of either kind in, one image after the other out.

A generator may hold scopes and task groups open over its yields. They are entered in the task that
pulls it, so they enclose whatever that task does between two images. Two things follow. That task
has no scope of ours, which would be left between theirs. And what ends one of theirs meanwhile is
told to the source, as if it had been waiting itself.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable
from math import inf
from time import perf_counter
from typing import Any, Self, TypeAlias

import anyio
from attrs import define, field

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._session.slow_source import SlowSource
from ximilar_ocr_async.errors import OptionError, SessionClosed
from ximilar_ocr_async.images import AnySource, Image

AnyImage: TypeAlias = Image | AnySource
Images: TypeAlias = Iterable[AnyImage] | AsyncIterable[AnyImage]

TURN = 0.001
"""[s] of work in a source after which other tasks get their turn."""

LEAVE = 5.0
"""[s] that a source gets to clean up when its stream is left early."""


UNFINISHED = SessionClosed("the session closed before its images ended")
"""Stands for the end of a source that was not pulled to its end."""


def check_images(images: object) -> None:
    """Raise `OptionError` when *images* is one image or nothing that can be iterated over."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image)
    if one or not isinstance(images, Iterable | AsyncIterable):
        kind = type(images).__name__
        raise OptionError(f"images is a {kind}, expected an (async) iterable of images")


@define(eq=False)
class Source:
    """Images, pulled one by one in one task, which also closes the source.

    Attributes:
        images: As the user gave them.
        guard: Encloses the task that pulls, and was opened by another.
    """

    images: Images
    guard: anyio.CancelScope
    _iterator: Any = field(init=False)
    _is_async: bool = field(init=False)
    _pulled: int = field(init=False, default=0)
    _turn: float = field(init=False, factory=lambda: perf_counter() + TURN)
    _slow: SlowSource = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._slow = SlowSource(self.images)
        self._is_async = isinstance(self.images, AsyncIterable)
        self._iterator = aiter(self.images) if self._is_async else iter(self.images)  # type: ignore[arg-type]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyImage:
        image: AnyImage
        if self._is_async:
            image = await self._iterator.__anext__()
            return image
        self._pulled += 1
        asked = perf_counter()
        try:
            image = next(self._iterator)
        except StopIteration:
            raise StopAsyncIteration from None
        self._slow.count(asked, perf_counter())
        return image

    @property
    def takes_turns(self) -> bool:
        """Whether other tasks should get their turn before the next image.

        They get it however long a source that is always ready may be; but not at each image, or
        there would be no more images than turns of a busy loop.
        """
        if self._is_async:
            return False
        if self._pulled % MAX_RECORDS and perf_counter() <= self._turn:
            return False
        self._turn = perf_counter() + TURN
        return True

    @property
    def is_cancelled_inside(self) -> bool:
        """Whether a scope that the source holds open is cancelled."""
        with _shielded(self.guard, inf):
            return anyio.current_effective_deadline() == -inf

    async def throw(self, error: BaseException) -> AnyImage:
        """Tell the source of *error*, as if it had been waiting itself; return its next image.

        Raises:
            StopAsyncIteration: It ends for that reason.
        """
        iterator, image = self._iterator, None
        if isinstance(iterator, AsyncGenerator):
            image = await iterator.athrow(error)
        elif isinstance(iterator, Generator):
            try:
                image = iterator.throw(error)
            except StopIteration:
                raise StopAsyncIteration from None
        else:
            raise scope_ended() from None
        given: AnyImage = image
        return given

    async def aclose(self) -> None:
        """Close what would be left half-way: a generator, or an iterator that was made here.

        Else its own cleanup would be cancelled at its first await, or come in another task. An
        iterator that was given as such may be used on.
        """
        iterator = self._iterator
        is_own = iterator is not self.images and hasattr(iterator, "aclose")
        with _shielded(self.guard, anyio.current_time() + LEAVE):
            try:
                if isinstance(iterator, Generator):
                    iterator.close()
                elif is_own or isinstance(iterator, AsyncGenerator):
                    await iterator.aclose()
            except* GeneratorExit:
                pass  # what closes a generator comes out of its task groups in a group


class _shielded:  # noqa: N801 - as a function
    """Shield a scope of another task until *deadline* [s]."""

    def __init__(self, scope: anyio.CancelScope, deadline: float) -> None:
        self._scope, self._deadline = scope, deadline

    def __enter__(self) -> None:
        self._scope.shield, self._scope.deadline = True, self._deadline

    def __exit__(self, *_: object) -> None:
        self._scope.shield, self._scope.deadline = False, inf


def scope_ended() -> TimeoutError:
    """Return what is raised in the place of a cancellation that the source lets out."""
    return TimeoutError("a cancel scope that the source of images holds open was cancelled")

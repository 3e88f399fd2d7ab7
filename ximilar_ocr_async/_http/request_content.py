"""The content of a request on its way: at once if it is small, else piece by piece."""

from collections.abc import Iterator
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
from attrs import define

SMALL = 64 * 1024
"""[bytes] of a body that is not worth being sent in pieces, if it touches no disk."""


class Body(Protocol):
    """A request body: its size is known beforehand, its pieces are made while it is sent."""

    @property
    def touches_disk(self) -> bool:
        """Whether making it blocks on the disk."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


def content_of(body: Body | None, threads: anyio.CapacityLimiter) -> Any:
    """Return what an HTTP client is to send: bytes, or an asynchronous iterator of them.

    Args:
        body: What is sent, if anything is.
        threads: In which its pieces are made, if that takes the disk.
    """
    if body is None:
        return b""
    if body.touches_disk:
        return _Pieces(iter(body), threads)
    return b"".join(body) if len(body) <= SMALL else _Pieces(iter(body), None)


@define
class _Pieces:
    """A body on its way, piece by piece; no generator, because a client may drop it half-way."""

    _pieces: Iterator[bytes]
    # In which they are made, if that takes the disk.
    _threads: anyio.CapacityLimiter | None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._threads is None:
            piece = next(self._pieces, b"")
        else:
            piece = await anyio.to_thread.run_sync(
                next, self._pieces, b"", abandon_on_cancel=True, limiter=self._threads
            )
        if piece:
            return piece
        raise StopAsyncIteration

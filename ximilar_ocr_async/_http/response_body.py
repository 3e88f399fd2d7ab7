"""The body of an answer, bounded: pieces off the line in, decoded bytes out.

httpx would decode whatever encodings a server names, each piece whole: 1 kB can become 400 MB.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import anyio.lowlevel

from ximilar_ocr_async.errors import ReplyError, ReplyLost

STEP = 1024 * 1024
"""[bytes] decompressed before other tasks get their turn."""

_GZIP = 16 + zlib.MAX_WBITS


class Response(Protocol):
    """What is used of an ``httpx.Response`` whose body was not read yet."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def is_stream_consumed(self) -> bool: ...
    @property
    def content(self) -> bytes: ...
    @property
    def aiter_raw(self) -> Callable[[], Any]: ...


async def read_body(response: Response, limit: int) -> bytes:
    """Return the decoded body of *response*.

    Raises:
        ReplyError: It is over *limit* [bytes], or encoded in a way that was not asked for.
        ReplyLost: It broke off.
    """
    if response.is_stream_consumed:
        # Made in this process, and decoded already.
        _check(response.content, limit)
        return response.content
    decoder = _Decoder(response.headers.get("Content-Encoding", ""))
    body = bytearray()
    async with aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            for decoded in decoder.feed(piece):
                body += decoded
                _check(body, limit)
                if decoder.is_busy:
                    await anyio.lowlevel.checkpoint()
    decoder.check_end()
    return bytes(body)


def _check(body: bytes | bytearray, limit: int) -> None:
    if len(body) > limit:
        raise ReplyError(f"the answer is over max_response_bytes, which is {limit:,}")


class _Decoder:
    """Undoes the one content encoding that we ask for, or none."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip"}:
            raise ReplyError(f"the answer is encoded as {name[:40]!r}, asked for was gzip")
        self._gzip = zlib.decompressobj(_GZIP) if "gzip" in name else None
        self._began = False

    @property
    def is_busy(self) -> bool:
        """Whether a piece may take a while."""
        return self._gzip is not None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Decode a piece of the body, a step at a time."""
        self._began = self._began or bool(piece)
        if self._gzip is None:
            yield piece
            return
        decoded = piece
        while decoded:
            try:
                decoded = self._gzip.decompress(piece, STEP)
            except zlib.error as error:
                raise ReplyError(f"the answer is no gzip: {error}") from None
            piece = self._gzip.unconsumed_tail
            yield decoded
        if self._gzip.unused_data:
            raise ReplyError("the answer goes on after the end of its gzip")

    def check_end(self) -> None:
        """Raise `ReplyLost` if there must be more to come."""
        if self._gzip is not None and self._began and not self._gzip.eof:
            raise ReplyLost("the answer broke off within its gzip")

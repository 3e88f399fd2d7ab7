"""The body of a response: encoded pieces in, decoded bytes of limited size out.

httpx would decode each piece whole, in any encoding that a server names: 1 kB can become 400 MB.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import anyio.lowlevel

from ximilar_ocr_async.errors import ReplyError, ReplyLost

STEP = 1024 * 1024
"""How much is decompressed before other tasks may run [bytes]."""

_GZIP = 16 + zlib.MAX_WBITS


class Response(Protocol):
    """The part of an ``httpx.Response`` that is used. Its body has not been read yet."""

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
        ReplyError: The body is over *limit* [bytes], is invalid, or has an unexpected encoding.
        ReplyLost: The body ended too early.
    """
    if response.is_stream_consumed:
        # The response was made in this process, and its body is already decoded.
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
        raise ReplyError(f"the response is over max_response_bytes, which is {limit:,}")


class _Decoder:
    """Decodes gzip, the only content encoding that we ask for, or passes plain bytes on."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip"}:
            raise ReplyError(f"the response is encoded as {name[:40]!r}, only gzip is accepted")
        self._gzip = zlib.decompressobj(_GZIP) if "gzip" in name else None
        self._began = False

    @property
    def is_busy(self) -> bool:
        """Whether decoding a piece may take long."""
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
                raise ReplyError(f"the response is not valid gzip: {error}") from None
            piece = self._gzip.unconsumed_tail
            yield decoded
        if self._gzip.unused_data:
            raise ReplyError("the response continues after the end of its gzip data")

    def check_end(self) -> None:
        """Raise `ReplyLost` if the encoded data is incomplete."""
        if self._gzip is not None and self._began and not self._gzip.eof:
            raise ReplyLost("the response ended in the middle of its gzip data")

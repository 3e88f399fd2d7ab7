"""The body of a response: encoded pieces in, decoded bytes of limited size out.

httpx would decode each piece whole, in any encoding that a server names: 1 kB can become 400 MB.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from time import perf_counter
from typing import Any, Protocol

import anyio.lowlevel

from ximilar_ocr_async.errors import ReplyError, ReplyLost

TURN = 0.001
"""How much work is done before other tasks get their turn [s]."""

LOOK = 64 * 1024
STEP_OVERHEAD = 4 * 1024
"""After how many bytes of a body the clock is looked at, and what each step adds to them."""

STEP = 256 * 1024
"""How much is decompressed at once [bytes]."""

SLICE = 16 * 1024
"""How much zlib gets at once [bytes]. For each member that ends, it copies all that follows."""

SLACK = 1024 * 1024
"""How much more may be received than decoded [bytes]."""

TEXT = 64
"""How much of a body whose first bytes are no gzip is looked at for JSON [bytes]."""

_GZIP = 16 + zlib.MAX_WBITS

_GZIP_NAMES = frozenset({"gzip", "x-gzip"})
_PLAIN_NAMES = frozenset({"", "identity", "none", "utf-8"})
"""What servers name although nothing is encoded."""

_JSON = re.compile(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\s\0]*[\[{]")
"""How JSON begins whose service or gateway says that it is encoded, and is not."""

_MAGIC = b"\x1f\x8b"
_ID1 = b"\x1f"
_PADDING = b"\0\r\n"
"""The first byte of a gzip member, and what servers put between and behind members.

Source: RFC 1952, 2.3.1; gzip(1); servers that end a body as they end lines.
"""


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


async def read_body(response: Response, limit: int, body: bytearray) -> None:
    """Read the decoded body of *response* into *body*, which holds what came before an error.

    Raises:
        ReplyError: The body is over *limit* [bytes], is invalid, or has an unexpected encoding.
        ReplyLost: The body ended too early.
    """
    if response.is_stream_consumed:
        # The response was made in this process, and its body is already decoded.
        body += response.content[: limit + 1]
        _check(len(body), limit)
        return
    encoding = response.headers.get("Content-Encoding", "")
    gunzip: _Gunzip | None = None
    received, done, turn = 0, 0, perf_counter() + TURN
    async with aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            if not received:
                gunzip = _Gunzip() if _is_gzip(encoding, piece) else None
            received += len(piece)
            # Of gzip members and padding that decode to nothing there may be any number.
            _check(received - SLACK, limit)
            for decoded in (piece,) if gunzip is None else gunzip.feed(piece):
                body += decoded
                _check(len(body), limit)
                # A usual body is one or two pieces. But each chunk is a piece, and may be a byte.
                done += len(decoded) + STEP_OVERHEAD
                if done > LOOK:
                    done = 0
                    if perf_counter() > turn:
                        await anyio.lowlevel.checkpoint()
                        turn = perf_counter() + TURN
    if gunzip is not None:
        gunzip.check_end()


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise ReplyError(f"the response is over max_response_bytes, which is {limit:,}")


def _is_gzip(encoding: str, start: bytes) -> bool:
    """Return whether a body is gzip; raise `ReplyError` if it is anything else but plain.

    The bytes go before the header: gateways add it to what is plain, and take it from what is not.

    Args:
        encoding: The Content-Encoding, a list [RFC 9110, 8.4].
        start: The first bytes of the body.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    names = [name for name in names if name not in _PLAIN_NAMES]
    if not names or _JSON.match(start[:TEXT]):
        return start.startswith(_MAGIC)
    if len(names) > 1 or not _GZIP_NAMES.issuperset(names):
        raise ReplyError(f"the response is encoded as {encoding[:40]!r}, only gzip is accepted")
    return True


class _Gunzip:
    """Decodes gzip, whose members follow each other with or without padding [RFC 1952, 2.2]."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._began = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Decode a piece of the body, a step at a time."""
        self._began = self._began or bool(piece)
        for start in range(0, len(piece), SLICE):
            yield from self._decode(piece[start : start + SLICE])

    def _decode(self, data: bytes) -> Iterator[bytes]:
        decoded = b""
        # What is decoded may come in several steps, the last of them without more data.
        while data or decoded:
            if self._member.eof:
                data = data.lstrip(_PADDING)
                if not data:
                    # Padding takes time, too.
                    yield b""
                    return
                if not data.startswith(_ID1):
                    raise ReplyError("the response continues after the end of its gzip data")
                self._member = zlib.decompressobj(_GZIP)
            before = self._member.copy()
            try:
                decoded = self._member.decompress(data, STEP)
            except zlib.error as error:
                yield from _salvage(before, data)
                raise ReplyError(f"the response is not valid gzip: {error}") from None
            data = self._member.unconsumed_tail or self._member.unused_data
            yield decoded

    def check_end(self) -> None:
        """Raise `ReplyLost` if the encoded data is incomplete."""
        if self._began and not self._member.eof:
            raise ReplyLost("the response ended in the middle of its gzip data")


def _salvage(member: Any, data: bytes) -> Iterator[bytes]:
    """Decode byte by byte what comes before the damage in *data*: zlib drops it with the rest."""
    try:
        for place in range(len(data)):
            left = data[place : place + 1]
            while left:
                yield member.decompress(left, STEP)
                left = member.unconsumed_tail
    except zlib.error:
        return

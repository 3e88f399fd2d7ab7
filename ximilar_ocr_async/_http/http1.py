"""One HTTP/1.1 connection: requests out and answers in, one after the other.

The one owner of h11. What goes wrong is raised as the libraries below raise it: `Trace` is told how
far the request came, and says what that means. What takes a trace belongs inside its scope, which
ends what takes longer than it may.
"""

import selectors
import socket
import ssl
import sys
from collections.abc import AsyncIterable
from math import inf
from typing import Any, Self

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream
from attrs import define, field

from ximilar_ocr_async._http.trace import Trace

PIECE = 64 * 1024
"""[bytes] that are read at once."""

MAX_HEAD = 100 * 1024
"""[bytes] that the status line and the headers of an answer may have. Source: as httpcore 1.0."""

GONE = (anyio.BrokenResourceError, anyio.EndOfStream)
"""How writing shows that nobody reads any more; the latter under TLS."""

_BYTES_ACKED_SIZE = 8
_BYTES_ACKED = slice(120, 120 + _BYTES_ACKED_SIZE)
"""Where Linux tells it [tcpi_bytes_acked in linux/tcp.h, since 4.1]."""

Head = h11.Request
"""Of a request: its method, target and headers."""

# Of those that ask about one socket at little cost, the one without a limit to its number.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


@define(eq=False)
class Connection:
    """A line to one host, used for one request at a time.

    Attributes:
        used: [s] When it was last free.
    """

    _stream: ByteStream
    used: float = 0.0
    # [bytes] that the other side had acknowledged before the request, and whether it has answered.
    _acked: int | None = field(init=False, default=None)
    _is_answering: bool = field(init=False, default=False)
    _h11: h11.Connection = field(
        init=False, factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    )
    _socket: Any = field(init=False)
    _readable: selectors.BaseSelector = field(init=False, factory=_Selector)

    def __attrs_post_init__(self) -> None:
        self._socket = self._stream.extra(SocketAttribute.raw_socket)
        self._readable.register(self._socket, selectors.EVENT_READ)

    @classmethod
    async def open(
        cls, host: str, port: int, tls: ssl.SSLContext | None, trace: Trace, seconds: float
    ) -> Self:
        """Connect within *seconds* for each, TCP and TLS."""
        trace.begin_connecting()
        trace.allow(seconds)
        stream: ByteStream = await anyio.connect_tcp(host, port)
        if tls is not None:
            trace.begin_connecting()
            trace.allow(seconds)
            stream = await _secure(stream, host, tls)
        trace.allow(inf)
        return cls(stream)

    async def send(
        self, head: Head, body: AsyncIterable[bytes], trace: Trace, seconds: float
    ) -> None:
        """Send a request, within *seconds* for each piece of its *body*; there is at least one."""
        out = self._h11.send(head) or b""
        self._acked, self._is_answering = _acknowledged(self._socket), False
        trace.begin_sending()
        try:
            async for piece in body:
                # The head leaves with the first piece.
                out += self._h11.send(h11.Data(data=piece)) or b""
                trace.allow(seconds)
                await self._stream.send(out)
                # Files may be read for the next.
                trace.allow(inf)
                out = b""
        except GONE:
            return  # the service may have said why before it hung up
        self._h11.send(h11.EndOfMessage())
        trace.end_sending()

    async def receive_head(self, trace: Trace, seconds: float) -> h11.Response:
        """Return the head of the answer, within *seconds* without a byte."""
        while True:
            event = await self._receive(trace, seconds)
            # Others before it say that there is more to come [RFC 9110, 15.2].
            if isinstance(event, h11.Response):
                trace.answer(event.status_code)
                return event

    async def receive(self, trace: Trace, seconds: float) -> bytes:
        """Return the next piece of the answer's body; nothing at its end."""
        event = await self._receive(trace, seconds)
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _receive(self, trace: Trace, seconds: float) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            trace.allow(seconds)
            try:
                data = await self._stream.receive(PIECE)
            except anyio.EndOfStream:
                data = b""
            self._is_answering = self._is_answering or bool(data)
            if not data and self._h11.their_state is h11.SEND_RESPONSE:
                trace.is_untaken = not self._is_answering and self._is_untaken
                raise h11.RemoteProtocolError("it hung up without an answer")
            self._h11.receive_data(data)
        return event

    @property
    def _is_untaken(self) -> bool:
        """Whether the other side, which hung up, has taken nothing of the request.

        A goodbye acknowledges all that came before it; a reset does not, and proves nothing.
        """
        return self._acked is not None and _acknowledged(self._socket) == self._acked

    def reset(self) -> bool:
        """Make ready for another request; return whether there can be one."""
        is_done = self._h11.our_state is self._h11.their_state is h11.DONE
        # What came after the answer would be taken for the next one's.
        if not is_done or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        self.used = anyio.current_time()
        return True

    @property
    def is_dead(self) -> bool:
        """Whether it was closed from the other side, or something came that nobody asked for."""
        # One that broke was closed by the event loop.
        return self._socket.fileno() < 0 or bool(self._readable.select(0))

    async def close(self) -> None:
        """Close the line at once, cancelled or not."""
        self._readable.close()
        await _close(self._stream)


def _acknowledged(raw: socket.socket) -> int | None:
    """Return how much [bytes] of what was sent the other side has; None where nobody knows."""
    try:
        info = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
    except (AttributeError, OSError):  # no Linux, or closed
        return None
    acked = info[_BYTES_ACKED]
    return int.from_bytes(acked, sys.byteorder) if len(acked) == _BYTES_ACKED_SIZE else None


async def _secure(stream: ByteStream, host: str, tls: ssl.SSLContext) -> ByteStream:
    try:
        return await TLSStream.wrap(
            stream, hostname=host, ssl_context=tls, standard_compatible=False
        )
    except BaseException:
        # A handshake that was cut off leaves it open.
        await _close(stream)
        raise


async def _close(stream: ByteStream) -> None:
    # Nobody is told goodbye, in TLS neither, so nothing is waited for.
    with anyio.CancelScope(shield=True):
        await stream.aclose()

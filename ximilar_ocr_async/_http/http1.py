"""One HTTP/1.1 connection: requests in, responses out, one at a time.

This module is the one owner of h11. It raises the errors of the libraries below it. `Trace` records
how far each request got, and tells what an error means. Every method that takes a trace must run in
that trace's scope, which cancels steps that take too long.
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
"""How much is read at once [bytes]."""

MAX_HEAD = 100 * 1024
"""The largest status line and headers of a response together [bytes]. Source: httpcore 1.0."""

GONE = (anyio.BrokenResourceError, anyio.EndOfStream)
"""The errors of writing to a connection that the other side has closed. The second is for TLS."""

_BYTES_ACKED_SIZE = 8
_BYTES_ACKED = slice(120, 120 + _BYTES_ACKED_SIZE)
"""The position of tcpi_bytes_acked in Linux's TCP_INFO [linux/tcp.h, since 4.1]."""

Head = h11.Request
"""The method, target and headers of a request."""

# Both are cheap for a single socket. poll() has no limit on the number of the file descriptor.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


@define(eq=False)
class Connection:
    """A connection to one host, used for one request at a time.

    Attributes:
        used: When the last request ended [s of the event loop's clock].
        _acked: The bytes that the other side had acknowledged before the request; None if unknown.
        _is_answering: Whether any part of the response has arrived.
    """

    _stream: ByteStream
    used: float = 0.0
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
        """Connect. TCP and TLS may take *seconds* each."""
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
        """Send a request, whose *body* has at least one piece. Each piece may take *seconds*."""
        out = self._h11.send(head) or b""
        self._acked, self._is_answering = _acknowledged(self._socket), False
        trace.begin_sending()
        try:
            async for piece in body:
                # The head leaves with the first piece.
                out += self._h11.send(h11.Data(data=piece)) or b""
                trace.allow(seconds)
                await self._stream.send(out)
                # Reading files for the next piece may take any time.
                trace.allow(inf)
                out = b""
        except GONE:
            return  # the service may have sent a response before it closed the connection
        self._h11.send(h11.EndOfMessage())
        trace.end_sending()

    async def receive_head(self, trace: Trace, seconds: float) -> h11.Response:
        """Return the head of the response. The service may send nothing for *seconds*."""
        while True:
            event = await self._receive(trace, seconds)
            # Informational responses come before the final one [RFC 9110, 15.2].
            if isinstance(event, h11.Response):
                trace.answer(event.status_code)
                return event

    async def receive(self, trace: Trace, seconds: float) -> bytes:
        """Return the next piece of the response's body, or no bytes at its end."""
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
                raise h11.RemoteProtocolError("the connection was closed without a response")
            self._h11.receive_data(data)
        return event

    @property
    def _is_untaken(self) -> bool:
        """Whether the other side closed the connection without receiving any of the request.

        A FIN acknowledges all bytes that came before it. A reset does not, and proves nothing.
        """
        return self._acked is not None and _acknowledged(self._socket) == self._acked

    def reset(self) -> bool:
        """Prepare for another request. Return whether the connection can carry one."""
        is_done = self._h11.our_state is self._h11.their_state is h11.DONE
        # Bytes after the response would be taken for the next response.
        if not is_done or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        self.used = anyio.current_time()
        return True

    @property
    def is_dead(self) -> bool:
        """Whether the other side closed the connection, or sent something unasked."""
        # The event loop closes the socket of a broken connection.
        return self._socket.fileno() < 0 or bool(self._readable.select(0))

    async def close(self) -> None:
        """Close the connection at once, even in a cancelled task."""
        self._readable.close()
        await _close(self._stream)


def _acknowledged(raw: socket.socket) -> int | None:
    """Return how many bytes the other side has acknowledged; None if the system cannot tell."""
    try:
        info = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
    except (AttributeError, OSError):  # not Linux, or closed
        return None
    acked = info[_BYTES_ACKED]
    return int.from_bytes(acked, sys.byteorder) if len(acked) == _BYTES_ACKED_SIZE else None


async def _secure(stream: ByteStream, host: str, tls: ssl.SSLContext) -> ByteStream:
    try:
        return await TLSStream.wrap(
            stream, hostname=host, ssl_context=tls, standard_compatible=False
        )
    except BaseException:
        # An interrupted handshake leaves the stream open.
        await _close(stream)
        raise


async def _close(stream: ByteStream) -> None:
    # No closing handshake takes place, not even in TLS, so there is nothing to wait for.
    with anyio.CancelScope(shield=True):
        await stream.aclose()

"""One HTTP/1.1 connection: requests out, responses in, one at a time, heard while still sending.

This module is the one owner of h11. It raises the errors of the libraries below it.
"""

from collections.abc import AsyncIterable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import h11
from attrs import define, field

from ximilar_ocr_async._http.tcp import Stream, receive

MAX_HEAD = 16 * 1024
"""The largest status line and headers of a response together, and its trailers [bytes]. Source:
h11's own default; nginx passes on 8 KiB. To read 100 KiB of short lines takes 0.1 s."""

MAX_HEADS = 24 * 1024
"""The largest head of a response with all informational ones before it [bytes]. Source: judgement;
that takes 20 ms at most."""

PART, BODY_PART = 4 * 1024, 16 * 1024
"""How much h11 gets at once of a head, and behind it [bytes]: it measures only what is not complete
yet, and trailers may follow a body."""

MAX_INFORMATIONAL = 20
"""The most informational responses before the final one. Source: judgement; there may be a few."""

READS = 4
"""How often is read what has arrived before others get their turn."""

Head = h11.Request
"""The method, target and headers of a request."""

ResponseHead = h11.Response
"""The status and headers of a response."""

ProtocolError = h11.ProtocolError
"""One of the two sides does not keep to HTTP/1.1."""


class RequestNotTaken(Exception):
    """The other side closed the connection, and is proved to have taken none of the request."""


@define(eq=False)
class Connection:
    """A connection to one host, used for one request at a time.

    Attributes:
        used: When the last request ended [s of the event loop's clock].
        requests: How many requests it has carried.
        sent: When the last byte of the present request left [s of the same clock]; None before.
        is_ending: Whether the last byte of the present request may have left.
        _acked: The bytes that the other side had acknowledged before the request; None if unknown.
        _head: The head of the response, once it has come.
        _is_answered: Whether any part of the response has come.
        _pending: What has arrived and is not looked at yet.
        _head_size: How much of it came before the end of the head [bytes].
        _informational: Informational responses that came before it.
        _unsent: The head of the request, until it leaves.
    """

    _stream: Stream
    used: float = 0.0
    requests: int = 0
    sent: float | None = field(init=False, default=None)
    is_ending: bool = field(init=False, default=False)
    _acked: int | None = field(init=False, default=None)
    _head: ResponseHead | None = field(init=False, default=None)
    _is_answered: bool = field(init=False, default=False)
    _pending: bytes = field(init=False, default=b"", repr=False)
    _head_size: int = field(init=False, default=0)
    _informational: int = field(init=False, default=0)
    _unsent: bytes = field(init=False, default=b"", repr=False)
    _h11: h11.Connection = field(
        init=False, factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    )

    def begin(self, head: Head) -> None:
        """Begin a request. Its head leaves with the first bytes of its body."""
        self.requests += 1
        self._acked, self._head, self._is_answered = self._stream.acknowledged(), None, False
        self.sent, self.is_ending, self._informational, self._head_size = None, False, 0, 0
        self._unsent = self._h11.send(head) or b""

    async def send(self, body: bytes, seconds: float) -> None:
        """Send a whole request at once; raise `TimeoutError` if nothing leaves for *seconds*."""
        # Whoever cancelled before has counted it as free.
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.is_ending = True
        try:
            await self._stream.send(self._encode(body), seconds)
            await self._end_sending(seconds)
        except OSError:
            # What had come by then is still there to be read: it may say why.
            if not self._hear():
                raise

    async def upload(self, body: AsyncIterable[bytes], size: float, seconds: float) -> None:
        """Send a request of *size* [bytes] piece by piece, until a response comes.

        Raises:
            TimeoutError: Nothing left for *seconds*. Making the pieces may take any time.
        """
        errors: list[Exception] = []
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope.cancel)
            # Caught here, because the group would wrap it in one of its own.
            try:
                async for piece in body:
                    # Pieces from memory would hold the loop.
                    await anyio.lowlevel.checkpoint()
                    size -= len(piece)
                    self.is_ending = size <= 0
                    await self._stream.send(self._encode(piece), seconds)
                    if size <= 0:
                        # Nothing can cancel before: it is whole when its last byte is out.
                        await self._end_sending(seconds)
                if self.sent is None:
                    await self._end_sending(seconds)
            except OSError as error:
                if not self._hear():  # as above
                    errors.append(error)
            except Exception as error:  # noqa: BLE001 - the body's own
                errors.append(error)
            group.cancel_scope.cancel()
        if errors and self.sent is None:
            raise errors[0]

    async def _end_sending(self, seconds: float) -> None:
        self.is_ending = True
        if last := self._h11.send(h11.EndOfMessage()):  # of a body in chunks
            await self._stream.send(last, seconds)
        self.sent = anyio.current_time()

    def _encode(self, piece: bytes) -> bytes:
        # The head holds the token, so it stands in no local: tracebacks are shown with theirs.
        encoded = self._unsent + (self._h11.send(h11.Data(data=piece)) or b"")
        self._unsent = b""
        return encoded

    async def _listen(self, stop: Callable[[], None]) -> None:
        """Call *stop* when a response has come, or when none can come any more."""
        while not self._hear():
            # What comes without end would hold the loop.
            await anyio.lowlevel.checkpoint()
            await self._stream.wait_readable()
        stop()

    def _hear(self) -> bool:
        """Take in what has arrived; return whether a response or the end of all is in it."""
        try:
            for _ in range(READS):
                data = self._stream.receive_nowait()
                if data is None:
                    return False
                if not data:
                    return True
                self._feed(data)
                if self._read_head():
                    return True
        except (OSError, ProtocolError):
            # It is met again by whoever waits for the response.
            return True
        return False

    async def receive_head(self, seconds: float) -> ResponseHead:
        """Return the head of the response; raise `TimeoutError` if nothing comes for *seconds*."""
        while not self._read_head():
            data = await receive(self._stream, seconds)
            if not data:
                self._check_taken()
                raise h11.RemoteProtocolError("the connection was closed without a response")
            self._feed(data)
            await anyio.lowlevel.checkpoint()
        assert self._head is not None  # noqa: S101 - for the type checker
        return self._head

    def _read_head(self) -> bool:
        # Informational responses come before the final one [RFC 9110, 15.2].
        while self._head is None:
            event = self._next_event()
            if event is h11.NEED_DATA:
                return False
            if isinstance(event, h11.Response):
                self._head = event
            self._informational += isinstance(event, h11.InformationalResponse)
            if self._informational > MAX_INFORMATIONAL:
                raise h11.RemoteProtocolError("informational responses come without end")
        return True

    def _check_taken(self) -> None:
        """Raise if the connection was closed before the other side received any of the request.

        A FIN acknowledges all bytes that came before it. A reset does not, and proves nothing.
        """
        is_untaken = self._acked is not None and self._stream.acknowledged() == self._acked
        if is_untaken and not self._is_answered:
            raise RequestNotTaken("the connection was closed before the request came")

    async def receive(self, seconds: float) -> bytes:
        """Return the next piece of the response's body, or no bytes at its end."""
        while (event := self._next_event()) is h11.NEED_DATA:
            self._feed(await receive(self._stream, seconds))
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def _feed(self, data: bytes) -> None:
        self._is_answered = self._is_answered or bool(data)
        if data:
            self._pending += data
        else:
            self._h11.receive_data(data)

    def _next_event(self) -> Any:
        """Return h11's next event in what has arrived."""
        while (event := self._h11.next_event()) is h11.NEED_DATA and self._pending:
            size = PART if self._head is None else BODY_PART
            part, self._pending = self._pending[:size], self._pending[size:]
            if self._head is None:
                self._head_size += len(part)
                if self._head_size > MAX_HEADS:
                    raise h11.RemoteProtocolError("the head of the response is too large")
            self._h11.receive_data(part)
        return event

    def reset(self) -> bool:
        """Prepare for another request. Return whether the connection can carry one."""
        is_done = self._h11.our_state is self._h11.their_state is h11.DONE
        # Bytes after the response would be taken for the next response.
        if not is_done or self._pending or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        self.used = anyio.current_time()
        return True

    @property
    def is_dead(self) -> bool:
        """Whether the other side closed the connection, or sent something unasked.

        Nothing lies anywhere but in the kernel and in TLS, and both are looked into.
        """
        try:
            return self._stream.receive_nowait() is not None
        except OSError:
            return True

    def detach(self) -> Stream:
        """Return the stream, for use by another protocol."""
        return self._stream

    def close(self) -> None:
        """Close the connection at once."""
        self._stream.close()

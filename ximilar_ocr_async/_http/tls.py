"""TLS over another stream: what is secret out and in, with no buffer that nobody looks into."""

import ssl
from typing import Self

from attrs import define

from ximilar_ocr_async._http.tcp import PIECE, Stream, receive


@define(eq=False)
class TLSStream:
    """TLS over a stream of bytes. It ends without a goodbye of its own, as HTTP has lengths.

    Attributes:
        _lower: What the encrypted bytes go over.
        _object: TLS itself, which reads from *_incoming* and writes to *_outgoing*.
    """

    _lower: Stream
    _object: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO

    @classmethod
    async def wrap(cls, lower: Stream, context: ssl.SSLContext, host: str, seconds: float) -> Self:
        """Shake hands with *host* over *lower*; each step may take *seconds*.

        Raises:
            ssl.SSLError: The two sides do not agree, or the other one is not *host*.
        """
        # As httpx does: a context of the caller's may offer HTTP/2 elsewhere, but not here.
        context.set_alpn_protocols(["http/1.1"])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stream = cls(
            lower, context.wrap_bio(incoming, outgoing, server_hostname=host), incoming, outgoing
        )
        while not stream._shake():
            await stream._flush(seconds)
            stream._feed(await receive(lower, seconds))
        await stream._flush(seconds)
        return stream

    def _shake(self) -> bool:
        """Take the handshake as far as it goes; return whether it is complete."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    async def send(self, data: bytes, seconds: float) -> None:
        """Send *data*; raise `TimeoutError` if none of it leaves for *seconds*."""
        left = memoryview(data)
        del data  # as in `TCPStream`
        while left:
            left = left[self._object.write(left) :]
        await self._flush(seconds)

    def receive_nowait(self) -> bytes | None:
        """Return what has arrived; None if nothing has, and no bytes at the end.

        Session tickets make the socket readable, too, and hold nothing for a reader. After a look
        at as much as one piece of them it is None, for there may be any number.
        """
        try:
            return self._object.read(PIECE)
        except ssl.SSLWantReadError:
            data = self._lower.receive_nowait()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        if data is None:
            return None
        self._feed(data)
        try:
            return self._object.read(PIECE)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def wait_readable(self) -> None:
        """Wait until something has arrived, which may be for TLS itself."""
        await self._lower.wait_readable()

    def acknowledged(self) -> int | None:
        """Return how many bytes the other side has acknowledged; None if that is unknown."""
        return self._lower.acknowledged()

    def close(self) -> None:
        """Close the stream below."""
        self._lower.close()

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self, seconds: float) -> None:
        if self._outgoing.pending:
            await self._lower.send(self._outgoing.read(), seconds)

"""A transport for httpx with one connection for each request in flight.

httpcore's own pool looks at all of its connections for each request: at 64 of them that takes 8 ms
of CPU a request, at 256 it takes 20 (httpx 0.28.1). Here each connection is a pool of its own, all
share one TLS context, and the one that was used last is used next, so that few are kept open.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import httpx
from attrs import define, field

from ximilar_ocr_async.limits import KEEPALIVE_EXPIRY


@define(eq=False)
class _Connection:
    """A transport of one connection, and when [s] it was last used."""

    transport: httpx.AsyncHTTPTransport
    used: float = 0.0


@define(eq=False)
class Connections(httpx.AsyncBaseTransport):
    """Sends each request over a connection that no other uses.

    The caller sees to it that there are no more requests in flight than connections are wanted.
    """

    _tls: ssl.SSLContext = field(factory=lambda: httpx.create_ssl_context(trust_env=False))
    # The one that was used last comes last.
    _idle: deque[_Connection] = field(init=False, factory=deque)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; its connection is free again when the response is closed."""
        connection = self._idle.pop() if self._idle else self._make()
        try:
            response = await connection.transport.handle_async_request(request)
        except BaseException:
            self._keep(connection)
            raise
        response.stream = _Body(response.stream, partial(self._release, connection))
        return response

    def _make(self) -> _Connection:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_EXPIRY)
        return _Connection(
            httpx.AsyncHTTPTransport(verify=self._tls, limits=limits, trust_env=False)
        )

    def _keep(self, connection: _Connection) -> None:
        connection.used = anyio.current_time()
        self._idle.append(connection)

    async def _release(self, connection: _Connection) -> None:
        """Keep a connection for the next request, and close those that nobody used for long."""
        self._keep(connection)
        expired = anyio.current_time() - KEEPALIVE_EXPIRY
        with anyio.CancelScope(shield=True):
            while self._idle and self._idle[0].used < expired:
                await self._idle.popleft().transport.aclose()

    async def aclose(self) -> None:
        """Close all of them."""
        while self._idle:
            await self._idle.pop().transport.aclose()


@define(eq=False)
class _Body(httpx.AsyncByteStream):
    """The body of a response, after which its connection is free."""

    _stream: Any
    _release: Callable[[], Awaitable[None]]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        # Called once: httpx sees to that.
        try:
            await self._stream.aclose()
        finally:
            await self._release()

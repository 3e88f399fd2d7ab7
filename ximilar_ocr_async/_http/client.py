"""The client of a session that was given none: one connection for each request in flight.

It has as much of the face of ``httpx.AsyncClient`` as is used here, takes httpx's requests and
gives httpx's responses. Under it is no pool: httpcore's looks at all of its connections for each
request, and at 256 of them takes 20 ms of CPU for it (httpx 0.28.1). The caller sees to it that
there are no more requests in flight than connections are wanted; the one that was used last is
used next, so that few are kept open.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx
from attrs import define, field

from ximilar_ocr_async._constants import KEEPALIVE_EXPIRY
from ximilar_ocr_async._http.http1 import Connection, Head
from ximilar_ocr_async._http.trace import Trace

PORTS = {"http": 80, "https": 443}


@define(eq=False)
class Client:
    """Sends each request over a connection that no other uses."""

    # The one that was used last comes last.
    _idle: deque[Connection] = field(init=False, factory=deque)
    _tls: ssl.SSLContext | None = field(init=False, default=None)
    _making_tls: anyio.Lock = field(init=False, factory=anyio.Lock)

    def build_request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """Return a request; its ``trace`` is a `Trace`, its ``timeout`` has [s] for each step."""
        return httpx.Request(method, _parse(url), **parts)

    async def send(
        self, request: httpx.Request, *, auth: Callable[[httpx.Request], httpx.Request], **_: Any
    ) -> httpx.Response:
        """Send *request*, as `auth` returns it; no redirect is followed, and no proxy asked.

        The connection is free again when the response is closed.
        """
        request = auth(request)
        trace: Trace = request.extensions["trace"]
        timeouts: dict[str, float] = request.extensions["timeout"]
        connection = await self._connect(request.url, trace, timeouts["connect"])
        try:
            asked = Head(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
            body: Any = request.stream
            await connection.send(asked, body, trace, timeouts["write"])
            head = await connection.receive_head(trace, timeouts["read"])
        except BaseException:
            await connection.close()
            raise
        answer = _ResponseBody(self, connection, trace, timeouts["read"])
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=answer)

    async def _connect(self, url: httpx.URL, trace: Trace, seconds: float) -> Connection:
        await self._close_expired()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_dead:
                return connection
            await connection.close()
        tls = await self._make_tls() if url.scheme == "https" else None
        port = url.port or PORTS[url.scheme]
        return await Connection.open(url.host, port, tls, trace, seconds)

    async def _make_tls(self) -> ssl.SSLContext:
        # Reading the certificates takes some 20 ms.
        async with self._making_tls:
            self._tls = self._tls or await anyio.to_thread.run_sync(_tls_context)
        return cast("ssl.SSLContext", self._tls)

    async def _close_expired(self) -> None:
        """Close those that nobody used for long: the service will have closed them, too."""
        expired = anyio.current_time() - KEEPALIVE_EXPIRY
        while self._idle and self._idle[0].used < expired:
            await self._idle.popleft().close()

    async def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, if there can be one."""
        if connection.reset():
            self._idle.append(connection)
        else:
            await connection.close()

    async def aclose(self) -> None:
        """Close all that are idle."""
        while self._idle:
            await self._idle.pop().close()


# Nearly all requests go to one address; taking it apart takes a third of making one.
_parse = lru_cache(maxsize=8)(httpx.URL)


def _tls_context() -> ssl.SSLContext:
    # No proxy and no certificates from the environment: whoever sets it would get the token.
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


@define(eq=False)
class _ResponseBody(httpx.AsyncByteStream):
    """The body of an answer, after which its connection is free."""

    _connections: Client
    _connection: Connection
    _trace: Trace
    _timeout: float

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self._connection.receive(self._trace, self._timeout):
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        # Called once: httpx sees to that.
        await self._connections.release(self._connection)

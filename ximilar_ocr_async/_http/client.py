"""The default HTTP client: a request in, a response out, over one connection for each request.

It offers the part of ``httpx.AsyncClient`` that the package uses, with httpx's requests and
responses. It has no pool, because httpcore's looks at all of its connections for each request. With
256 connections that takes 20 ms of CPU (httpx 0.28.1). The caller limits the number of requests in
flight, and thereby the number of connections. The last connection used is the next one used, so
that few are kept open.
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
    """Sends each request over a connection of its own. Lives as long as its session.

    Attributes:
        _idle: The connections without a request. The one that was used last comes last.
    """

    _idle: deque[Connection] = field(init=False, factory=deque)
    _tls: ssl.SSLContext | None = field(init=False, default=None)
    _making_tls: anyio.Lock = field(init=False, factory=anyio.Lock)

    def build_request(self, method: str, url: str, **parts: Any) -> httpx.Request:
        """Return a request. Its extensions need a `Trace` and a ``timeout`` for each step [s]."""
        return httpx.Request(method, _parse(url), **parts)

    async def send(
        self, request: httpx.Request, *, auth: Callable[[httpx.Request], httpx.Request], **_: Any
    ) -> httpx.Response:
        """Send *request* as `auth` returns it, without following redirects or using a proxy.

        The connection is in use until the response is closed.
        """
        request = auth(request)
        trace: Trace = request.extensions["trace"]
        timeouts: dict[str, float] = request.extensions["timeout"]
        connection = await self._connect(request.url, trace, timeouts["connect"])
        try:
            stream: Any = request.stream
            await connection.send(_head(request), stream, trace, timeouts["write"])
            head = await connection.receive_head(trace, timeouts["read"])
        except BaseException:
            await connection.close()
            raise
        body = _ResponseBody(self, connection, trace, timeouts["read"])
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

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
        # In a thread, because reading the certificates takes about 20 ms.
        async with self._making_tls:
            self._tls = self._tls or await anyio.to_thread.run_sync(_tls_context)
        return cast("ssl.SSLContext", self._tls)

    async def _close_expired(self) -> None:
        """Close connections that were idle for long. The service will have closed them, too."""
        expired = anyio.current_time() - KEEPALIVE_EXPIRY
        while self._idle and self._idle[0].used < expired:
            await self._idle.popleft().close()

    async def release(self, connection: Connection) -> None:
        """Keep *connection* for another request if it can carry one. Otherwise close it."""
        if connection.reset():
            self._idle.append(connection)
        else:
            await connection.close()

    async def aclose(self) -> None:
        """Close all idle connections."""
        while self._idle:
            await self._idle.pop().close()


# Nearly all requests go to the same URL. Parsing it takes a third of the time to make a request.
_parse = lru_cache(maxsize=8)(httpx.URL)


def _head(request: httpx.Request) -> Head:
    return Head(method=request.method, target=request.url.raw_path, headers=request.headers.raw)


def _tls_context() -> ssl.SSLContext:
    # The environment gets no say in proxies and certificates. Whoever sets it could get the token.
    context = httpx.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context


@define(eq=False)
class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response. Closing it releases the connection."""

    _client: Client
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
        # httpx calls this only once.
        await self._client.release(self._connection)

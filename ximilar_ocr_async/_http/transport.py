"""The default HTTP transport: httpx requests in, responses out, each over a connection of its own.

It is an ``httpx.AsyncBaseTransport``. It has no pool, because httpcore's looks at all of its
connections for each request. With 256 connections that takes 20 ms of CPU (httpx 0.28.1). The
caller limits the number of requests in flight, and thereby the number of connections. The last
connection used is the next one used, so that few are kept open.
"""

import os
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache
from math import inf
from typing import Any, TypeAlias, TypeVar, cast

import anyio
import anyio.lowlevel
import httpx
from attrs import define, field

from ximilar_ocr_async._constants import KEEPALIVE_EXPIRY
from ximilar_ocr_async._http.http1 import (
    Connection,
    Head,
    ProtocolError,
    RequestNotTaken,
    ResponseHead,
)
from ximilar_ocr_async._http.proxy import Proxy, TunnelRefused, find_proxy
from ximilar_ocr_async._http.tcp import Stream, connect
from ximilar_ocr_async._http.tls import TLSStream
from ximilar_ocr_async.errors import OptionError

PORTS = {"http": 80, "https": 443}

T = TypeVar("T")

Origin: TypeAlias = tuple[str, str, int]
"""A scheme, a host and a port."""

Tell: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""The ``trace`` extension of a request: it is told of events, by httpcore's names."""


class NotTaken(httpx.RemoteProtocolError):
    """The connection was closed, and the other side is proved to have taken none of the request."""


@define(eq=False)
class Transport(httpx.AsyncBaseTransport):
    """Sends each request over a connection of its own. Redirects are not followed.

    Attributes:
        ssl_context: With what TLS is spoken; None where it is never spoken.
        proxy: Through whose tunnels all connections go.
        _idle: By origin, the connections without a request. The one that was used last comes last.
        _released: Set while there may be idle connections.
    """

    ssl_context: ssl.SSLContext | None
    proxy: Proxy | None = None
    _idle: defaultdict[Origin, deque[Connection]] = field(
        init=False, factory=lambda: defaultdict(deque)
    )
    _released: anyio.Event = field(init=False, factory=anyio.Event)

    @staticmethod
    def make_request(
        method: str, url: str, *, content: Any, headers: Mapping[str, str], **parts: Any
    ) -> httpx.Request:
        """Return a request with *content*: bytes, or an asynchronous iterator of pieces."""
        target = _parse(url)
        stream = httpx.ByteStream(content) if isinstance(content, bytes) else _RequestBody(content)
        # httpx adds the host only to a request whose body it encodes itself.
        host = {"Host": target.netloc.decode("ascii")}
        return httpx.Request(method, target, stream=stream, headers={**host, **headers}, **parts)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*. Its connection is in use until the response is closed.

        Extensions: ``timeout``, with the [s] that each step may take; ``trace``, which is told how
        far the request came; ``fresh``, to use a new connection.

        Raises:
            httpx.TransportError: There is no response.
        """
        tell: Tell = request.extensions.get("trace", _tell_nobody)
        timeouts = request.extensions.get("timeout", {})
        connection, origin = await self._open(request, tell, timeouts)
        try:
            head = await _exchange(connection, request, tell, timeouts)
        except BaseException:
            connection.close()
            if connection.requests > 1:
                # What broke one connection while it idled may have broken all of them.
                self._close_idle(origin)
            raise
        body = _ResponseBody(self, origin, connection, _seconds(timeouts, "read"))
        headers = head.headers.raw_items()
        await tell(
            "http11.receive_response_headers.complete",
            {"return_value": (head.http_version, head.status_code, head.reason, headers)},
        )
        return httpx.Response(head.status_code, headers=headers, stream=body)

    async def _open(
        self, request: httpx.Request, tell: Tell, timeouts: Mapping[str, Any]
    ) -> tuple[Connection, Origin]:
        """Return a connection that was used before, or else a new one."""
        url = request.url
        if url.scheme not in PORTS:
            raise httpx.UnsupportedProtocol(f"the URL has scheme {url.scheme!r}, expected https")
        if url.scheme == "https" and self.ssl_context is None:
            raise httpx.UnsupportedProtocol("the URL is https, and there is no ssl_context")
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or PORTS[url.scheme])
        idle, is_fresh = self._idle[origin], request.extensions.get("fresh", False)
        if idle and is_fresh:
            # It takes the place of one: there are never more connections than requests.
            idle.popleft().close()
        while idle and not is_fresh:
            connection = idle.pop()
            if not connection.is_dead:
                return connection, origin
            connection.close()
        seconds = _seconds(timeouts, "connect")
        try:
            return Connection(await self._connect(origin, tell, seconds)), origin
        except TunnelRefused as error:
            raise httpx.ProxyError(str(error)) from error
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {seconds:g} s") from error
        except (OSError, ProtocolError, RequestNotTaken) as error:  # the last two of a proxy
            raise httpx.ConnectError(str(error)) from error

    async def _connect(self, origin: Origin, tell: Tell, seconds: float) -> Stream:
        scheme, host, port = origin
        await tell("connection.connect_tcp.started", {})
        with anyio.fail_after(seconds):
            stream: Stream
            if self.proxy is None:
                stream = await connect(host, port)
            else:
                stream = await self.proxy.open_tunnel(host, port, self.ssl_context, seconds)
        if scheme == "https":
            assert self.ssl_context is not None  # noqa: S101 - _open has checked it
            try:
                with anyio.fail_after(seconds):
                    stream = await TLSStream.wrap(stream, self.ssl_context, host, seconds)
            except BaseException:
                stream.close()
                raise
        return stream

    def release(self, origin: Origin, connection: Connection) -> None:
        """Keep *connection* for another request if it can carry one. Otherwise close it."""
        if connection.reset():
            self._idle[origin].append(connection)
            self._released.set()
        else:
            connection.close()

    async def close_idle(self) -> None:
        """Close connections that idle for long, as the service does, too. Run until cancelled."""
        while True:
            await self._released.wait()
            self._released = anyio.Event()
            while oldest := [idle[0].used for idle in self._idle.values() if idle]:
                await anyio.sleep_until(min(oldest) + KEEPALIVE_EXPIRY)
                for origin in [*self._idle]:
                    self._close_idle(origin, anyio.current_time() - KEEPALIVE_EXPIRY)

    def _close_idle(self, origin: Origin, before: float = inf) -> None:
        idle = self._idle[origin]
        while idle and idle[0].used <= before:
            idle.popleft().close()

    async def aclose(self) -> None:
        """Close all idle connections."""
        for origin in [*self._idle]:
            self._close_idle(origin)
        await anyio.lowlevel.checkpoint()


async def _exchange(
    connection: Connection, request: httpx.Request, tell: Tell, timeouts: Mapping[str, Any]
) -> ResponseHead:
    """Send *request*; return the head of its response."""
    seconds = _seconds(timeouts, "write")
    try:
        connection.begin(
            Head(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        )
        info = {"request": request, "connection": connection}
        await tell("http11.send_request_headers.started", info)
        if isinstance(request.stream, httpx.ByteStream):
            await connection.send(b"".join(request.stream), seconds)
        else:
            size = float(request.headers.get("Content-Length", inf))
            pieces = cast("httpx.AsyncByteStream", request.stream)
            await connection.upload(pieces, size, seconds)
    except TimeoutError as error:
        raise httpx.WriteTimeout(f"nothing could be sent for {seconds:g} s") from error
    except OSError as error:
        raise httpx.WriteError(str(error)) from error
    except ProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    if connection.sent is not None:
        await tell("http11.send_request_body.complete", {"time": connection.sent})
    return await _receive(connection.receive_head, _seconds(timeouts, "read"))


async def _receive(step: Callable[[float], Awaitable[T]], seconds: float) -> T:
    try:
        return await step(seconds)
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"nothing was received for {seconds:g} s") from error
    except RequestNotTaken as error:
        raise NotTaken(str(error)) from error
    except OSError as error:
        raise httpx.ReadError(str(error)) from error
    except ProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error


@define(eq=False)
class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response. Closing it releases the connection."""

    _transport: Transport
    _origin: Origin
    _connection: Connection
    _seconds: float

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if piece := await _receive(self._connection.receive, self._seconds):
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        # httpx calls this only once.
        self._transport.release(self._origin, self._connection)


async def _tell_nobody(_event: str, _info: Mapping[str, Any]) -> None:
    pass


def _seconds(timeouts: Mapping[str, Any], step: str) -> float:
    given = timeouts.get(step)
    return inf if given is None else given


# Nearly all requests go to the same URL. Parsing it takes a third of the time to make a request.
_parse = lru_cache(maxsize=8)(httpx.URL)


@define(eq=False)
class _RequestBody(httpx.AsyncByteStream):
    """The body of a request that is made while it is sent."""

    _pieces: AsyncIterator[bytes]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces


def make_transport(base_url: str, context: ssl.SSLContext | None, proxy: str | None) -> Transport:
    """Return a transport to the service at *base_url*, by way of *proxy* or the environment's.

    Raises:
        OptionError: The environment names a proxy or certificates that make no sense.
    """
    try:
        scheme = httpx.URL(base_url).scheme
    except (httpx.InvalidURL, ValueError) as error:
        # Such as the name of a host that DNS cannot have.
        raise OptionError(f"base_url is not a URL: {error}") from None
    way = find_proxy(proxy, base_url)
    is_secured = "https" in {scheme, way and way.scheme}
    return Transport(make_ssl_context() if is_secured and context is None else context, way)


def make_ssl_context() -> ssl.SSLContext:
    """Return a context that trusts what ``SSL_CERT_FILE``, ``SSL_CERT_DIR`` or else certifi holds.

    It takes about 20 ms. It is that of httpx without Diffie-Hellman over finite fields up to TLS
    1.2: over a group of 8,192 bits, one handshake holds the event loop for half a second.

    Raises:
        OptionError: There is no such file, or no certificate in it.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        path = os.environ.get("SSL_CERT_FILE")
        raise OptionError(
            f"SSL_CERT_FILE is {path!r}, which holds no certificates: {error}"
        ) from None
    context.set_ciphers(":".join(_ciphers(context)))
    return context


def _ciphers(context: ssl.SSLContext) -> list[str]:
    """Return the names of a context's ciphers up to TLS 1.2, without Diffie-Hellman."""
    ciphers: Any = context.get_ciphers()
    known = [cipher["name"] for cipher in ciphers if cipher["protocol"] != "TLSv1.3"]
    return [name for name in known if not name.startswith(("DHE-", "ADH-"))]

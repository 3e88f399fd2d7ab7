"""One request body to one answer, over HTTP.

The one owner of httpx. A client of the caller's own may be one of httpx2 too, which has the same
face but classes of its own; so nothing here asks for the class of what a client hands out.
"""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
import httpx
from attrs import define, field, frozen

from ximilar_ocr_async.auth import Token
from ximilar_ocr_async.body import read_body
from ximilar_ocr_async.errors import (
    AddressError,
    ConnectionFailed,
    OCRError,
    OptionError,
    ReplyLost,
    RequestTimeout,
    UploadCut,
)
from ximilar_ocr_async.limits import CONNECT_TIMEOUT, KEEPALIVE_EXPIRY, READ_TIMEOUT
from ximilar_ocr_async.retry import parse_date, parse_retry_after

PIECE = 64 * 1024
"""[bytes] written at once. A write times out by piece, so a slow line is no dead one."""

KEEPALIVE_CONNECTIONS = 32
"""Beyond this many, httpx's pool spends more on idle connections than a handshake costs: 8 ms of
CPU a request against 1 ms at 64 connections, httpx 0.28.1."""

SOON = 0.02
"""[s] beyond two round trips in which a connection that was dead before shows that it is."""

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "RuntimeError"})
"""Classes of failures of which nothing was seen to begin; a closed client raises RuntimeError."""

_MISUSED = frozenset({"InvalidURL", "LocalProtocolError", "ProxyError", "UnsupportedProtocol"})
"""Classes of failures that another attempt can only repeat."""

_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL")
    if hasattr(socket, name)
)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})
"""How TLS libraries call it that the other side does not speak TLS."""


@frozen
class Answer:
    """What came back; *retry_after* in [s]."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None


@define
class _Trace:
    """Follows one request, because the class of an exception does not tell how far it came."""

    seen: bool = False
    connected: bool = False
    answered: bool = False
    # When [s] it began to connect and to be sent, and when it was sent.
    connecting: float = 0.0
    began: float | None = None
    sent: float | None = None
    ended: float = 0.0
    # [s] that connecting took: one round trip.
    round_trip: float | None = None

    async def __call__(self, event: str, _: Mapping[str, Any]) -> None:
        self.seen = True
        now = anyio.current_time()
        match event.rpartition(".")[0].rpartition(".")[2], event.rpartition(".")[2]:
            case "connect_tcp", "started":
                self.connected, self.connecting = True, now
            case "connect_tcp", "complete":
                self.round_trip = now - self.connecting
            case "send_request_headers", "started":
                self.began = now
            case "send_request_body", "complete":
                self.sent = now
            case "receive_response_headers", "complete":
                self.answered = True

    def failure(self, error: Exception, *, reached: bool) -> OCRError:
        """Return our error for *error*; *reached* is whether the service ever answered."""
        self.ended = anyio.current_time()
        kind = type(error).__name__
        reason = f"{kind}: {error}".rstrip(": ")
        if self.began is None and not reached and _is_misaddressed(error):
            return AddressError(reason)
        if self.sent is None if self.seen else kind in _NEVER_SENT:
            return ConnectionFailed(reason) if self.began is None else UploadCut(reason)
        return RequestTimeout(reason) if kind == "ReadTimeout" else ReplyLost(reason)

    def timeout(self, seconds: float) -> OCRError:
        """Return the error for a request that was cut off after *seconds* [s]."""
        reason = f"no whole answer within {seconds:g} s"
        if self.seen and self.sent is None:
            return ConnectionFailed(reason) if self.began is None else UploadCut(reason)
        return RequestTimeout(reason)

    def died_idle(self, round_trip: float) -> bool:
        """Whether the connection was in use before, and dead before this request was read.

        Such a connection is reset one round trip after it is written to; what fails later may
        have been read.
        """
        if self.began is None or self.connected or self.answered:
            return False
        return self.ended - (self.sent or self.began) <= 2 * round_trip + SOON


def _is_misaddressed(error: Exception) -> bool:
    """Whether the address itself is wrong: no such name, not to be trusted, no URL."""
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return cause.errno in _NO_SUCH_NAME
            case ssl.SSLCertVerificationError():
                return True
            case ssl.SSLError():
                return cause.reason in _NO_TLS
    return type(error).__name__ in _MISUSED


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (cause for one in error.exceptions for cause in _chain(one))
        error = error.__cause__ or error.__context__


def check_base_url(url: str) -> None:
    """Raise `OptionError` for a *url* that is none, or that would put the token at risk."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise OptionError(f"base_url is no URL: {error}") from None
    if "@" in parts.netloc:
        # Not shown: it may hold a password.
        raise OptionError("base_url is to name no user; the token goes into a header")
    if parts.scheme not in {"http", "https"} or not host:
        raise OptionError(f"base_url is {url!r}, expected https://HOST")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionError(f"base_url is {url!r}, plain http is allowed to this machine only")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Client(Protocol):
    """What is used of an ``httpx.AsyncClient`` or ``httpx2.AsyncClient``."""

    @property
    def build_request(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def send(self) -> Callable[..., Awaitable[Any]]: ...  # noqa: D102
    @property
    def aclose(self) -> Callable[[], Awaitable[None]]: ...  # noqa: D102


class Transport:
    """Sends requests. Lives as long as its session, and closes the client if it made it."""

    def __init__(
        self,
        *,
        base_url: str,
        token: Token,
        connections: int,
        timeout: float,
        max_response_bytes: int,
        client: Client | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._connections = connections
        self._timeout = timeout
        self._max_response_bytes = max_response_bytes
        self.requests = 0
        self.bytes_sent = 0
        # Whether anything was ever answered: then the address is right.
        self._reached = False
        # [s] that a connection last took to be made.
        self._round_trip = 0.0
        self._owns_client = client is None
        self._client: Client = client or _make_client(connections)
        self._headers = {
            "Content-Type": "application/json",
            # The one encoding whose output can be bounded without reading all of it.
            "Accept-Encoding": "gzip",
            "User-Agent": f"ximilar-ocr-async/{version('ximilar-ocr-async')}",
        }

    async def post(self, path: str, body: Sequence[bytes]) -> Answer:
        """Send a JSON body, given in pieces.

        A request that met a connection which had died while idle is sent again at once.

        Raises:
            AddressError: There is no such service.
            ConnectionFailed: The request did not reach the service.
            ReplyLost: It was sent, and no whole answer came back.
            ReplyError: The answer is too large, or encoded in a way that was not asked for.
        """
        trace, ended = await self._attempt(path, body)
        met = 1
        # Each such meeting leaves one idle connection less.
        while trace.died_idle(self._round_trip) and met <= self._connections:
            trace, ended = await self._attempt(path, body)
            met += 1
        if isinstance(ended, OCRError):
            # Raised out here so that it holds no request, and with it no body and no token.
            raise ended.with_traceback(None)
        self._reached = True
        return ended

    async def _attempt(self, path: str, body: Sequence[bytes]) -> tuple[_Trace, Answer | OCRError]:
        trace = _Trace()
        self.requests += 1
        self.bytes_sent += sum(map(len, body))
        ended: Answer | OCRError | None = None
        with anyio.move_on_after(self._timeout):
            try:
                ended = await self._exchange(path, body, trace)
            except OCRError as error:
                error.__context__ = None
                ended = error
            except Exception as error:  # noqa: BLE001 - httpx, httpcore and anyio all leak theirs
                ended = trace.failure(error, reached=self._reached)
        self._round_trip = trace.round_trip or self._round_trip
        return trace, ended or trace.timeout(self._timeout)

    async def _exchange(self, path: str, body: Sequence[bytes], trace: _Trace) -> Answer:
        size = sum(map(len, body))
        request = self._client.build_request(
            "POST",
            self._base_url + path,
            content=b"".join(body) if size <= PIECE else _stream(body),
            headers={**self._headers, "Content-Length": str(size)},
            extensions={"trace": trace, "timeout": self._step_timeouts()},
        )
        response = await self._client.send(
            request, auth=self._token.sign, follow_redirects=False, stream=True
        )
        try:
            answer = await read_body(response, self._max_response_bytes)
        finally:
            await response.aclose()
        return Answer(response.status_code, answer, _retry_after(response.headers))

    def _step_timeouts(self) -> dict[str, float]:
        """[s] for each step of a request, none longer than the whole may take."""
        steps = {"connect": CONNECT_TIMEOUT, "pool": CONNECT_TIMEOUT, "write": READ_TIMEOUT}
        return {k: min(v, self._timeout) for k, v in {**steps, "read": READ_TIMEOUT}.items()}

    async def aclose(self) -> None:
        """Close the connections, unless the client is the caller's."""
        if self._owns_client:
            await self._client.aclose()


def _retry_after(headers: Any) -> float | None:
    # A date is held against the service's own clock, which may differ from ours.
    now = parse_date(headers.get("Date")) or datetime.now(UTC)
    asked = [parse_retry_after(value, now=now) for value in headers.get_list("Retry-After")]
    return max((wait for wait in asked if wait is not None), default=None)


def _make_client(connections: int) -> httpx.AsyncClient:
    keepalive = connections if connections <= KEEPALIVE_CONNECTIONS else 0
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=keepalive,
        keepalive_expiry=KEEPALIVE_EXPIRY,
    )
    # No proxy from the environment: to a plain-http address it would be handed the token.
    return httpx.AsyncClient(limits=limits, trust_env=False)


async def _stream(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in body:
        for start in range(0, len(part), PIECE):
            yield part[start : start + PIECE]

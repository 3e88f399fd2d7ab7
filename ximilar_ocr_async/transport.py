"""One request body to one answer, over HTTP.

The one owner of httpx. A client of the caller's own may be one of httpx2 too, which has the same
face but classes of its own; so nothing here asks for the class of what a client hands out.
"""

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
import httpx
from attrs import define, field, frozen

from ximilar_ocr_async.auth import Token
from ximilar_ocr_async.errors import (
    ConnectionFailed,
    OCRError,
    OptionError,
    ReplyLost,
    RequestTimeout,
)
from ximilar_ocr_async.limits import CONNECT_TIMEOUT, KEEPALIVE_EXPIRY, READ_TIMEOUT
from ximilar_ocr_async.retry import parse_retry_after

PIECE = 64 * 1024
"""[bytes] written at once. A write times out by piece, so a slow line is no dead one."""

KEEPALIVE_CONNECTIONS = 32
"""Beyond this many, httpx's pool spends more on idle connections than a handshake costs: 8 ms of
CPU a request against 1 ms at 64 connections, httpx 0.28.1."""

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "RuntimeError"})
"""Classes of failures of which nothing was seen to begin; a closed client raises RuntimeError."""


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
    sent: bool = False

    async def __call__(self, event: str, _: Mapping[str, Any]) -> None:
        self.seen = True
        self.sent = self.sent or event.endswith("send_request_body.complete")

    def failure(self, reason: str, *, error: str = "") -> OCRError:
        """Return the error for a request that got no answer."""
        never_sent = not self.sent if self.seen else error in _NEVER_SENT
        if never_sent:
            return ConnectionFailed(reason)
        return RequestTimeout(reason) if error == "ReadTimeout" else ReplyLost(reason)

    def timeout(self, seconds: float) -> OCRError:
        """Return the error for a request that was cut off after *seconds* [s]."""
        return self.failure(f"no whole answer within {seconds:g} s", error="ReadTimeout")


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
        client: Client | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self.requests = 0
        self.bytes_sent = 0
        self._owns_client = client is None
        self._client: Client = client or _make_client(connections)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"ximilar-ocr-async/{version('ximilar-ocr-async')}",
        }

    async def post(self, path: str, body: Sequence[bytes]) -> Answer:
        """Send a JSON body, given in pieces.

        Raises:
            ConnectionFailed: The request did not reach the service.
            ReplyLost: It was sent, and no whole answer came back.
        """
        trace = _Trace()
        failure = None
        self.requests += 1
        self.bytes_sent += sum(map(len, body))
        with anyio.move_on_after(self._timeout):
            try:
                return await self._exchange(path, body, trace)
            except Exception as error:  # noqa: BLE001 - httpx, httpcore and anyio all leak theirs
                kind = type(error).__name__
                failure = trace.failure(f"{kind}: {error}".rstrip(": "), error=kind)
        # Raised out here so that it holds no request, and with it no body and no token.
        raise failure or trace.timeout(self._timeout)

    async def _exchange(self, path: str, body: Sequence[bytes], trace: _Trace) -> Answer:
        size = sum(map(len, body))
        request = self._client.build_request(
            "POST",
            self._base_url + path,
            content=b"".join(body) if size <= PIECE else _stream(body),
            headers={**self._headers, "Content-Length": str(size)},
            extensions={"trace": trace, "timeout": self._step_timeouts()},
        )
        response = await self._client.send(request, auth=self._token.sign, follow_redirects=False)
        asked = response.headers.get("Retry-After")
        wait = parse_retry_after(asked, now=datetime.now(UTC))
        return Answer(response.status_code, response.content, wait)

    def _step_timeouts(self) -> dict[str, float]:
        """[s] for each step of a request, none longer than the whole may take."""
        steps = {"connect": CONNECT_TIMEOUT, "pool": CONNECT_TIMEOUT, "write": READ_TIMEOUT}
        return {k: min(v, self._timeout) for k, v in {**steps, "read": READ_TIMEOUT}.items()}

    async def aclose(self) -> None:
        """Close the connections, unless the client is the caller's."""
        if self._owns_client:
            await self._client.aclose()


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

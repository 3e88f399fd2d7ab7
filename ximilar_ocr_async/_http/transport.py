"""One request body to one answer, over HTTP.

A client is `OwnClient`, or the caller's own of httpx or of httpx2, which has the same face but
classes of its own; so nothing here asks for the class of what a client hands out.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from ximilar_ocr_async._concurrency import THREADS
from ximilar_ocr_async._constants import CONNECT_TIMEOUT, READ_TIMEOUT
from ximilar_ocr_async._http.auth import Token
from ximilar_ocr_async._http.response_body import read_body
from ximilar_ocr_async._http.retry_after import parse_date, parse_retry_after
from ximilar_ocr_async._http.trace import Trace
from ximilar_ocr_async.errors import OCRError

SMALL = 64 * 1024
"""[bytes] of a body that is not worth being sent in pieces, if it touches no disk."""


@frozen
class Response:
    """What came back.

    Attributes:
        status: The HTTP status.
        body: The body, decompressed.
        retry_after: [s] that the service asks to wait, if it does.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None


class HTTPClient(Protocol):
    """The part of an ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` that is used."""

    @property
    def build_request(self) -> Callable[..., Any]: ...
    @property
    def send(self) -> Callable[..., Awaitable[Any]]: ...
    @property
    def aclose(self) -> Callable[[], Awaitable[None]]: ...


class Body(Protocol):
    """A request body: its size is known beforehand, its pieces are made while it is sent."""

    @property
    def touches_disk(self) -> bool:
        """Whether making it blocks on the disk."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[bytes]: ...


class Transport:
    """Sends requests. Lives as long as its session.

    Attributes:
        requests: Requests begun.
        bytes_sent: [bytes] of request bodies.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Token,
        timeout: float,
        max_response_bytes: int,
        client: HTTPClient,
        owns_client: bool,
    ) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - takes 5 ms: once a session is made

        self._base_url = base_url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._max_response_bytes = max_response_bytes
        self.requests = 0
        self.bytes_sent = 0
        # Whether anything was ever answered: then the address is right.
        self._reached = False
        self._client = client
        self._owns_client = owns_client
        self._threads = anyio.CapacityLimiter(THREADS)
        self._headers = {
            "Content-Type": "application/json",
            # The one encoding whose output can be bounded without reading all of it.
            "Accept-Encoding": "gzip",
            "User-Agent": f"ximilar-ocr-async/{version('ximilar-ocr-async')}",
        }

    @classmethod
    async def open(cls, *, client: HTTPClient | None, **options: Any) -> Self:
        """Return a transport that sends with *client*, or with one of its own."""
        own = await _make_client() if client is None else client
        return cls(client=own, owns_client=client is None, **options)

    async def send(self, method: str, path: str, body: Body | None = None) -> Response:
        """Send a request once, with a JSON body if it has one.

        It is never sent again here: whoever does so takes another slot and counts it.

        Raises:
            AddressError: There is no such service.
            ConnectionFailed: The request did not reach the service.
            ReplyLost: The request was sent, and no whole response came back.
            ReplyError: The response is too large, or has an encoding that was not asked for.
            ImageError: A part of the body could not be read, so not all of it was sent.
        """
        ended = await self._attempt(method, path, body)
        if isinstance(ended, OCRError):
            # Raised out here so that it holds no request, and with it no body and no token.
            raise ended.with_traceback(None)
        self._reached = True
        return ended

    async def _attempt(self, method: str, path: str, body: Body | None) -> Response | OCRError:
        trace = Trace(self._timeout)
        self.requests += 1
        self.bytes_sent += len(body) if body else 0
        ended: Response | OCRError | None = None
        with trace.scope:
            try:
                ended = await self._exchange(method, path, body, trace)
            except OCRError as error:
                error.__context__ = None
                ended = error
            except Exception as error:  # noqa: BLE001 - httpx, httpcore and anyio all leak theirs
                ended = trace.failure(error, reached=self._reached)
            finally:
                await trace.close_handshake()
        return ended or trace.cut_off()

    async def _exchange(self, method: str, path: str, body: Body | None, trace: Trace) -> Response:
        request = self._client.build_request(
            method,
            self._base_url + path,
            content=self._content(body),
            headers={**self._headers, "Content-Length": str(len(body) if body else 0)},
            extensions={"trace": trace, "timeout": self._step_timeouts()},
        )
        response = await self._client.send(
            request, auth=self._token.sign, follow_redirects=False, stream=True
        )
        try:
            answer = await read_body(response, self._max_response_bytes)
        finally:
            await response.aclose()
        return Response(response.status_code, answer, _retry_after(response.headers))

    def _content(self, body: Body | None) -> Any:
        if body is None:
            return b""
        if body.touches_disk:
            return _Stream(iter(body), self._threads)
        return b"".join(body) if len(body) <= SMALL else _Stream(iter(body), None)

    def _step_timeouts(self) -> dict[str, float]:
        """[s] for each step of a request, none longer than the whole may take."""
        steps = {"connect": CONNECT_TIMEOUT, "pool": CONNECT_TIMEOUT, "write": READ_TIMEOUT}
        return {k: min(v, self._timeout) for k, v in {**steps, "read": READ_TIMEOUT}.items()}

    async def aclose(self) -> None:
        """Close the connections, unless the client is the caller's."""
        if self._owns_client:
            await self._client.aclose()


def _retry_after(headers: Any) -> float | None:
    if "Retry-After" not in headers:
        return None
    # A date is held against the service's own clock, which may differ from ours.
    now = parse_date(headers.get("Date")) or datetime.now(UTC)
    asked = [parse_retry_after(value, now=now) for value in headers.get_list("Retry-After")]
    return max((wait for wait in asked if wait is not None), default=None)


@define
class _Stream:
    """A body on its way, piece by piece; no generator, for a client may drop it half-way."""

    _pieces: Iterator[bytes]
    # In which they are made, if that takes the disk.
    _threads: anyio.CapacityLimiter | None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._threads is None:
            piece = next(self._pieces, b"")
        else:
            piece = await anyio.to_thread.run_sync(
                next, self._pieces, b"", abandon_on_cancel=True, limiter=self._threads
            )
        if piece:
            return piece
        raise StopAsyncIteration


async def _make_client() -> HTTPClient:
    """Return the client of a session that is given none."""
    # Loaded only now, for many are given one; in a thread, for it takes 0.1 s, httpx most of it.
    name = "ximilar_ocr_async._http.client"
    await anyio.to_thread.run_sync(import_module, name, limiter=anyio.CapacityLimiter(1))
    from ximilar_ocr_async._http.client import Client  # noqa: PLC0415

    return Client()

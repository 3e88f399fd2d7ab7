"""One request body to one response, over HTTP.

Requests are sent by the package's own transport, or by a caller's client of httpx or of httpx2.
These have the same face but classes of their own, so nothing here asks for the class of anything.
"""

import ssl
from collections.abc import Awaitable, Callable
from copy import copy
from importlib import import_module
from math import inf
from typing import Any, Protocol, Self

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from ximilar_ocr_async._concurrency import SIGNALS, THREADS
from ximilar_ocr_async._constants import CONNECT_TIMEOUT, READ_TIMEOUT
from ximilar_ocr_async._http.auth import Token
from ximilar_ocr_async._http.evidence import SUCCESS, Timing, explain, is_own, lost
from ximilar_ocr_async._http.request_content import Body, content_of
from ximilar_ocr_async._http.response_body import read_body
from ximilar_ocr_async._http.retry_after import find_retry_after
from ximilar_ocr_async._http.trace import Trace
from ximilar_ocr_async._validation import told
from ximilar_ocr_async.errors import ImageError, OCRError, OptionError, ReplyError, ReplyLost

MASKED = 1024 * 1024
"""[bytes] of a response in which the token is looked for: no page that says back what it was sent
is larger. Source: judgement."""

OURS = (ReplyLost, ReplyError, ImageError)
"""Errors of a request under way; all others of the package are those of a hook's own session."""

CLOSED = "http_client was closed while its session was open"


@frozen
class Response:
    """What came back.

    Attributes:
        status: The HTTP status.
        body: The body, decompressed, as far as it came.
        cut: Why a body of success may not be whole, or not be ours, if so.
        retry_after: [s] that the service asks to wait, if it does.
        timing: What its time proves.
        seconds: [s] from the last byte sent to the status.
    """

    status: int
    body: bytes = field(repr=False)
    cut: OCRError | None = None
    retry_after: float | None = None
    timing: Timing = field(factory=Timing)
    seconds: float = 0.0


class HTTPClient(Protocol):
    """The part of an ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` that is used."""

    @property
    def build_request(self) -> Callable[..., Any]: ...
    @property
    def send(self) -> Callable[..., Awaitable[Any]]: ...


@define(eq=False)
class Sender:
    """Sends requests. Lives as long as its session.

    Attributes:
        requests: Requests begun.
        bytes_sent: [bytes] of request bodies.
    """

    _base_url: str = field(alias="base_url")
    _token: Token = field(alias="token")
    _timeout: float = field(alias="timeout")
    _max_response_bytes: int = field(alias="max_response_bytes")
    # The caller's client, if it is not the package's own transport that sends.
    _client: HTTPClient | None = field(alias="client")
    _transport: Any = field(alias="transport")
    requests: int = field(init=False, default=0)
    bytes_sent: int = field(init=False, default=0)
    # Whether anything was ever answered: then the address is right.
    _reached: bool = field(init=False, default=False)
    # By path, [s] from the last byte sent to the quickest good response.
    _quickest: dict[str, float] = field(init=False, factory=dict)
    _threads: anyio.CapacityLimiter = field(
        init=False, factory=lambda: anyio.CapacityLimiter(THREADS)
    )
    _headers: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - takes 5 ms: once a session is made

        self._base_url = self._base_url.rstrip("/")
        self._headers = {
            "Content-Type": "application/json",
            # The one encoding whose output can be bounded without reading all of it.
            "Accept-Encoding": "gzip",
            "User-Agent": f"ximilar-ocr-async/{version('ximilar-ocr-async')}",
        }

    @classmethod
    async def open(
        cls,
        *,
        base_url: str,
        client: HTTPClient | None,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        **options: Any,
    ) -> Self:
        """Return a sender that sends with *client*, or with a transport of its own.

        Raises:
            OptionError: The environment names a proxy or certificates that make no sense.
        """
        transport = None
        if client is None:
            transport = await anyio.to_thread.run_sync(
                _make_transport, base_url, ssl_context, proxy, limiter=anyio.CapacityLimiter(1)
            )
        return cls(base_url=base_url, client=client, transport=transport, **options)

    def for_token(self, token: Token) -> Self:
        """Return a sender with a *token* of its own, over the same connections."""
        sender = copy(self)
        sender._token, sender.requests, sender.bytes_sent = token, 0, 0  # noqa: SLF001 - its own
        return sender

    async def run(self) -> None:
        """Close connections that idle for long, until cancelled."""
        if self._transport is not None:
            await self._transport.close_idle()

    async def send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        fresh: bool = False,
        keep_cut: bool = False,
        trace: Trace | None = None,
    ) -> Response:
        """Send a request once, with a JSON body if it has one.

        It is never sent again here: whoever does so takes another slot and counts it.

        Args:
            method: ``GET`` or ``POST``.
            path: Below the service's address, with its query.
            body: What is sent.
            fresh: Whether to use a new connection, if the transport is the package's own.
            keep_cut: Whether a response of success whose body was cut, is damaged or came too soon
                is returned, and its fault not raised.
            trace: Is told how far the request has come.

        Raises:
            AddressError: There is no such service.
            ConnectionFailed: The request did not reach the service.
            ReplyLost: The request was sent, and no whole response came back.
            ReplyError: The response is too large, or has an encoding that was not asked for.
            ImageError: A part of the body could not be read, so not all of it was sent.
        """
        ended = await self._attempt(method, path, body, trace or Trace(), fresh=fresh)
        error = ended if isinstance(ended, OCRError) else ended.cut
        if error is not None and not (keep_cut and error is not ended):
            # Raised out here so that it holds no request, and with it no body and no token.
            raise error.with_traceback(None)
        assert isinstance(ended, Response)  # noqa: S101 - for the type checker
        self._reached = True
        return ended

    async def _attempt(
        self, method: str, path: str, body: Body | None, trace: Trace, *, fresh: bool
    ) -> Response | OCRError:
        self.requests += 1
        self.bytes_sent += len(body) if body else 0
        content = bytearray()
        error: OCRError | None = None
        with anyio.move_on_after(self._timeout) as scope:
            try:
                await self._exchange(method, path, body, trace, content, fresh=fresh)
            except OCRError as failure:
                failure.__context__ = None
                is_ours = not trace.is_handed or isinstance(failure, OURS)
                error = failure if is_ours else self._explain(failure, trace)
            except SIGNALS as signal:
                # Its frames hold the token.
                raise signal.with_traceback(None) from None
            except Exception as failure:  # noqa: BLE001 - httpx, httpcore and anyio all leak theirs
                content[:] = _carried_response(failure, trace) or content
                error = self._explain(failure, trace)
            finally:
                await trace.close_handshake()
        if scope.cancelled_caught:
            reason = f"no whole response within {self._timeout:g} s"
            error = lost(trace, reason, is_silent=True)
        return self._conclude(path, trace, content, error)

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Body | None,
        trace: Trace,
        content: bytearray,
        *,
        fresh: bool,
    ) -> None:
        """Read the body of the response into *content*; its status is in *trace*."""
        response = await self._send(
            trace,
            method,
            self._base_url + path,
            content=content_of(body, self._threads),
            headers={**self._headers, "Content-Length": str(len(body) if body else 0)},
            extensions={"trace": trace, "timeout": self._step_timeouts(), "fresh": fresh},
        )
        try:
            trace.answer(_number(response.status_code), response.headers)
            await read_body(response, self._max_response_bytes, content)
        finally:
            await response.aclose()

    async def _send(self, trace: Trace, method: str, url: str, **parts: Any) -> Any:
        if self._client is None:
            request = self._token.sign(self._transport.make_request(method, url, **parts))
            return await self._transport.handle_async_request(request)
        request = self._client.build_request(method, url, **parts)
        if self._is_closed:
            raise OptionError(CLOSED)
        trace.is_handed = True
        return await self._client.send(
            request, auth=self._token.sign, follow_redirects=False, stream=True
        )

    @property
    def _is_closed(self) -> bool:
        return getattr(self._client, "is_closed", False)

    def _explain(self, failure: Exception, trace: Trace) -> OCRError:
        error = explain(failure, trace, reached=self._reached)
        if not self._is_closed:
            return error
        # Whoever closed it did so over a request that may have been billed by then.
        return type(error)(CLOSED) if isinstance(error, ReplyLost) else OptionError(CLOSED)

    def _conclude(
        self, path: str, trace: Trace, content: bytearray, error: OCRError | None
    ) -> Response | OCRError:
        """Return what an attempt brought. A failing status decides, whatever became of the rest."""
        status = trace.status
        if error is not None:
            # A peer may say back what it was sent.
            self.mask(error)
        if status is None:
            return error or lost(trace, "no status")
        cut = error
        if trace.is_unsent:
            cut = lost(trace, f"{status} came before the request was sent")
        elif not isinstance(error, ReplyLost | ReplyError | None):
            # Such as that of a hook. The response was there.
            cut = lost(trace, str(error))
        is_small = len(content) <= MASKED
        return Response(
            status,
            self._token.mask_body(bytes(content)) if is_small else bytes(content),
            cut if status // 100 == SUCCESS else None,
            find_retry_after(trace.headers),
            timing=Timing.of(trace, self._quickest.get(path)),
            seconds=trace.seconds,
        )

    def mask(self, error: OCRError) -> None:
        """Take the token out of what *error* says, if a peer said it back."""
        error.args = tuple(self._token.mask(str(arg)) for arg in error.args)
        error.request_id = error.request_id and self._token.mask(error.request_id)

    @property
    def is_exact(self) -> bool:
        """Whether a trace tells at any moment what has left: a client may buffer what it sends."""
        return self._client is None

    def learn(self, path: str, seconds: float) -> None:
        """Learn how quick good responses are: those of success that brought what is billed.

        Args:
            path: Where the request went.
            seconds: [s] from its last byte sent to the response.
        """
        self._quickest[path] = min(seconds, self._quickest.get(path, inf))

    def _step_timeouts(self) -> dict[str, float]:
        """[s] for each step of a request, none longer than the whole may take.

        Waiting for a connection is given up sooner, for no library tells that it does no more.
        """
        steps = {"connect": CONNECT_TIMEOUT, "write": READ_TIMEOUT, "read": READ_TIMEOUT}
        limited = {step: min(seconds, self._timeout) for step, seconds in steps.items()}
        return {**limited, "pool": min(CONNECT_TIMEOUT, self._timeout / 2)}

    async def aclose(self) -> None:
        """Close the connections, unless they are those of the caller's client."""
        if self._transport is not None:
            await self._transport.aclose()


def _carried_response(failure: Exception, trace: Trace) -> bytes:
    """Take the response that *failure* carries, such as that of a hook that raises for a status.

    It has to be the one to this request: a hook may have made another.
    """
    response: Any = getattr(failure, "response", None)
    status = getattr(response, "status_code", None)
    if not isinstance(status, int) or not is_own(response, trace):
        return b""
    if trace.status not in {None, status}:
        return b""
    trace.answer(status, response.headers)
    try:
        return bytes(response.content)
    except Exception:  # noqa: BLE001 - it was not read, which each library says in its own way
        return b""


def _number(status: Any) -> int:
    """Return the status of a response; raise `ReplyError` if a transport made it no number."""
    try:
        return int(status)
    except (TypeError, ValueError, OverflowError):
        raise ReplyError(f"the status of the response is {told(status)}, expected 200") from None


def _make_transport(*way: Any) -> Any:
    """Return a transport of the package's own; it takes 0.1 s, most of it to import httpx."""
    return import_module("ximilar_ocr_async._http.transport").make_transport(*way)

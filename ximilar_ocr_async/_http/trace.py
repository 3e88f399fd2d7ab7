"""How far a request came, how long it may take, and what its failure means.

The class of an exception does not tell whether the service may have read the request; the client's
``trace`` extension does.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import anyio
from attrs import define, field

from ximilar_ocr_async.errors import (
    AddressError,
    ConnectionFailed,
    OCRError,
    ReplyLost,
    RequestTimeout,
    UploadCut,
)

REDIRECT = 3
"""HTTP's class of statuses that send elsewhere."""

_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "RuntimeError"})
"""Classes of failures of which nothing was seen to begin; a closed client raises RuntimeError."""

_MISUSED = frozenset(
    {"InvalidURL", "LocalProtocolError", "ProxyError", "UnicodeEncodeError", "UnsupportedProtocol"}
)
"""Classes of failures to make a request at all, which another attempt can only repeat."""

_SILENT = frozenset({"ReadTimeout", "TimeoutError"})
"""Classes of failures to hear anything for long."""

_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL")
    if hasattr(socket, name)
)
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})
"""How TLS libraries call it that the other side does not speak TLS."""


@define
class Trace:
    """Follows one request on its way, and cuts it off when it takes too long.

    Attributes:
        timeout: [s] that it may take in all, from when this is made.
        scope: What it is sent in.
    """

    timeout: float = inf
    scope: anyio.CancelScope = field(init=False)
    # When [s] it is to end, and [s] that its present step may take.
    _ends: float = field(init=False)
    _step: float = field(init=False, default=inf)

    seen: bool = False
    # The status of the answer, once its headers are there.
    status: int | None = None
    # When [s] it began to be sent, and when it was sent.
    began: float | None = None
    sent: float | None = None
    # Whether it is proved that the other side has taken none of it.
    is_untaken: bool = False
    # The connection, while TLS shakes hands over it.
    _stream: Any = field(init=False, default=None)
    _in_handshake: bool = field(init=False, default=False)
    # Whether what is told of is not the request but the way to it: a proxy's tunnel.
    _is_tunnel: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._ends = anyio.current_time() + self.timeout
        self.scope = anyio.CancelScope(deadline=self._ends)

    def allow(self, seconds: float) -> None:
        """Cut the request off if its next step takes over *seconds* [s]."""
        # One scope for all: making one for each step would take as long as to send it.
        self._step = seconds
        self.scope.deadline = min(self._ends, anyio.current_time() + seconds)

    # ---- what happens to the request

    def begin_connecting(self) -> None:
        """Begin to make a connection, or to secure it."""
        self.seen = True

    def begin_sending(self) -> None:
        """Begin to send."""
        self.seen = True
        self.began = anyio.current_time()

    def end_sending(self) -> None:
        """Have sent all of it."""
        self.sent = anyio.current_time()

    def answer(self, status: int) -> None:
        """Have got the *status* of the answer."""
        self.status = status

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event of httpcore's: the ``trace`` extension of a request."""
        self.seen = True
        step, _, stage = event.rpartition(".")
        name = step.rpartition(".")[2]
        if (name, stage) == ("send_request_headers", "started"):
            self._is_tunnel = info["request"].method == b"CONNECT"
        match name, stage:
            case "connect_tcp" | "start_tls", "started":
                self.begin_connecting()
                self._in_handshake = name == "start_tls"
            case "connect_tcp" | "start_tls", "complete":
                self._stream, self._in_handshake = info["return_value"], False
            case _ if self._is_tunnel:
                pass
            case "send_request_headers", "started":
                self.begin_sending()
            case "send_request_body", "complete":
                self.end_sending()
            case "receive_response_headers", "complete":
                self.answer(info["return_value"][1])

    # ---- what its failure means

    def failure(self, error: Exception, *, reached: bool) -> OCRError:
        """Return our error for *error*; *reached* is whether the service ever answered."""
        kind = type(error).__name__
        # Of some only the cause has words.
        words = next((str(cause) for cause in _chain(error) if str(cause)), "")
        reason = f"{kind}: {words}" if words else kind
        is_misused = self.began is None and kind in _MISUSED
        is_misaddressed = self.began is None and not reached and _is_misaddressed(error)
        if is_misused or is_misaddressed:
            return AddressError(reason)
        is_unsent = self.sent is None if self.seen else kind in _NEVER_SENT
        return self._broken_off(reason, is_unsent=is_unsent, is_silent=kind in _SILENT)

    def cut_off(self) -> OCRError:
        """Return our error for a request that took too long."""
        reason = f"no whole answer within {self.timeout:g} s"
        if anyio.current_time() < self._ends:
            reason = f"nothing happened for {self._step:g} s"
        return self._broken_off(reason, is_unsent=self.seen and self.sent is None, is_silent=True)

    def _broken_off(self, reason: str, *, is_unsent: bool, is_silent: bool) -> OCRError:
        # What else such an answer says does not matter; one to no address is told of as an error.
        if self.status is not None and self.status // 100 == REDIRECT:
            return AddressError(f"{self.status}: {reason}", status=self.status)
        if is_unsent or self.is_untaken:
            return ConnectionFailed(reason) if self.began is None else UploadCut(reason)
        return RequestTimeout(reason) if is_silent else ReplyLost(reason)

    async def close_handshake(self) -> None:
        """Close what a cancelled handshake leaves open: httpcore does it on errors alone."""
        if self._in_handshake:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()


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
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (cause for one in error.exceptions for cause in _chain(one))
        error = error.__cause__ or error.__context__

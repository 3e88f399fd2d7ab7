"""What may have been billed: how far a request came in, our error for its failure out.

The rule goes by evidence, in this order:

1. A request that was not wholly sent is free, because the service cannot have read it.
2. A status decides, even if the rest of its response was cut: those of `FREE` are, and so is 503
   in the service's own JSON. A 504 says that the gateway waited, so it is never free.
3. Any other status may be that of a gateway, which says the same when it did not find the service
   and when it lost its response. It is free only if it came within half the time of the quickest
   good response of its endpoint, counted from the last byte sent, or within 20 ms as long as there
   is none. Refusals, which come sooner, are no good responses. A Retry-After proves nothing.
4. Without a status only proof frees: on Linux, that the other side acknowledged none of the
   request. Time proves nothing, nor does a reset.
5. All else may have been billed.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from ximilar_ocr_async._http.trace import Stage, Trace
from ximilar_ocr_async.errors import (
    AddressError,
    ConnectionFailed,
    OCRError,
    PoolExhausted,
    ReplyLost,
    RequestTimeout,
    UploadCut,
)

UNTIMED = 0.02
"""[s] in which a gateway finds out that the service is not there, before it is known how quick the
service is. Source: judgement; it answers in seconds."""

LEAST = 0.001
"""[s] that a gateway may take however quick the service is: less cannot be measured."""

FREE = frozenset(
    {400, 401, 402, 403, 404, 405, 406, 408, 410, 411, 413, 414, 415, 417, 421, 422, 425, 426, 428}
    | {429, 431, 500, 521, 522, 523}
)
"""Statuses of a request that was refused or not taken, or over which the service failed [RFC 9110,
15.5; RFC 6585; the last three: as below]."""

UNAVAILABLE = 503

WAITED = frozenset({504, 520, 524, 598, 599})
"""Statuses of a gateway that found the service and got no whole response. Source of the others:
https://developers.cloudflare.com/support/troubleshooting/http-status-codes/, and other proxies."""

SUCCESS = 2
"""HTTP's class of statuses that bring what was asked for."""


@frozen
class Timing:
    """What the time of a failing response proves.

    Attributes:
        was_sent: Whether all of the request may have been sent.
        is_late: Whether the response came too late for a gateway that did not find the service.
    """

    was_sent: bool = False
    is_late: bool = False

    @classmethod
    def of(cls, trace: Trace, quickest: float | None) -> "Timing":
        """Return the timing of a request that was answered.

        Args:
            trace: How far it came.
            quickest: [s] from the last byte sent to the quickest good response of its endpoint.
        """
        limit = UNTIMED if quickest is None else max(LEAST, quickest / 2)
        return cls(not trace.is_unsent, trace.seconds > limit)

    def may_be_billed(self, status: int, *, is_own: bool = False) -> bool:
        """Return whether a request may have been billed that failed with *status*.

        Args:
            status: Of the response, or that in its JSON.
            is_own: Whether it is in the service's own JSON.
        """
        if not self.was_sent or status in FREE or (is_own and status == UNAVAILABLE):
            return False
        return status in WAITED or self.is_late


def lost(
    trace: Trace, reason: str, *, is_silent: bool = False, is_untaken: bool = False
) -> OCRError:
    """Return our error for a request without a whole response.

    Args:
        trace: How far it came. Its status, if there is one, is one of success.
        reason: What happened.
        is_silent: Whether it was given up because nothing came.
        is_untaken: Whether the other side is proved to have taken none of it.
    """
    if trace.is_unsent or is_untaken:
        return ConnectionFailed(reason) if trace.stage < Stage.SENDING else UploadCut(reason)
    return RequestTimeout(reason) if is_silent else ReplyLost(reason)


def explain(error: Exception, trace: Trace, *, reached: bool) -> OCRError:
    """Return our error for the *error* of an HTTP client.

    Args:
        error: Of any client; httpx and httpx2 have classes of the same names.
        trace: How far the request came.
        reached: Whether the service ever answered, so that its address is right.
    """
    kind, reason = type(error).__name__, _reason(error)
    if trace.is_handed and (said := _SAID_BY_PROXY.match(reason)):
        # It may say back what it was sent, and with that its password.
        reason = said[0]
    if not _is_unsent(error, trace):
        # In TLS 1.3 a certificate is refused after the first request was sent, and before it is
        # read. What else breaks then may have been billed, whatever it is.
        if not reached and trace.status is None and _CERTIFICATE.search(_tls_reason(error)):
            return AddressError(reason)
        return lost(trace, reason, is_silent=kind in _SILENT, is_untaken=kind in _UNTAKEN)
    if kind == "PoolTimeout":
        return PoolExhausted(f"{reason}; http_client has fewer connections than requests are sent")
    if kind in _MISUSED or _REFUSED.search(reason) or (not reached and _is_misaddressed(error)):
        return AddressError(reason)
    return ConnectionFailed(reason)


def _is_unsent(error: Exception, trace: Trace) -> bool:
    """Whether none of a request that ended with *error* was sent."""
    if trace.stage is Stage.UNKNOWN and trace.is_handed:
        # Its transport tells nothing. The error may also be that of a hook, after the response.
        return type(error).__name__ in _NEVER_SENT and is_own(error, trace, default=True)
    return trace.stage < Stage.SENDING


def is_own(whose: Any, trace: Trace, *, default: bool = False) -> bool:
    """Return whether an error or a response is about the request that *trace* follows.

    Hooks of a caller's client make requests of their own.
    """
    try:
        return whose.request.extensions.get("trace") is trace
    except (AttributeError, RuntimeError):  # as the libraries say that there is no request
        return default


_NEVER_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)
"""Classes of failures to begin a request, where nothing was told."""

_MISUSED = frozenset(
    {
        "InvalidURL",
        "LocalProtocolError",
        "UnicodeError",
        "UnicodeEncodeError",
        "UnsupportedProtocol",
    }
)
"""Classes of failures to make a request at all, which another attempt can only repeat."""

_SILENT = frozenset({"ReadTimeout", "TimeoutError"})
"""Classes of failures to hear anything for long."""

_UNTAKEN = frozenset({"NotTaken"})
"""Classes of failures which prove that the other side has taken none of the request."""

_REFUSED = re.compile(
    r"^ProxyError: (40[357]\b|Requested|Invalid username"
    r"|(?!\d).*(not allowed by|Command not supported|Address type not))"
)
"""How a proxy refuses for good: forbidden, not allowed, or another user [RFC 9110, RFC 1928]. All
else that it says means that it does not reach the service now, whatever words it adds."""

_SAID_BY_PROXY = re.compile(r"^ProxyError: (\d{3})\b")
"""The status of a proxy, as a caller's client tells of it. The words behind it are the proxy's."""

_NO_SUCH_NAME = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_FAIL")
    if hasattr(socket, name)
)

_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "UNSUPPORTED_PROTOCOL"}
)
"""How OpenSSL calls it that the other side does not speak TLS, or an old one."""

_ALERT = re.compile(
    r"(SSLV3|TLSV1|TLSV13)_(ALERT_)?+"
    r"(?!INTERNAL_ERROR|USER_CANCELLED|DECODE|DECRYPT|BAD_RECORD_MAC|RECORD_OVERFLOW)\w+"
)
"""How OpenSSL calls alerts that never change, such as no such name, protocol version, no common
application protocol, handshake failure or certificate required [RFC 8446, 6.2]."""

_CERTIFICATE = re.compile(r"(SSLV3|TLSV1|TLSV13)_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")
"""How OpenSSL calls alerts about the certificate of this side."""


def _is_misaddressed(error: Exception) -> bool:
    """Whether the address itself is wrong: no such name, not to be trusted, other TLS."""
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return cause.errno in _NO_SUCH_NAME
            case ssl.SSLCertVerificationError():
                return True
            case ssl.SSLError():
                break
    reason = _tls_reason(error)
    return reason in _NO_TLS or _ALERT.search(reason) is not None


def _tls_reason(error: Exception) -> str:
    """Return how OpenSSL calls what went wrong; nothing if it was something else."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            # Python has no name for some alerts, only OpenSSL's words.
            return getattr(cause, "reason", None) or str(cause).upper().replace(" ", "_")
    return ""


def _reason(error: Exception) -> str:
    """Return *error* in words: the system's own, such as "Connection refused", if there are any."""
    kind, words = type(error).__name__, ""
    for cause in _chain(error):
        is_named = isinstance(cause, ssl.SSLError | socket.gaierror)
        if isinstance(cause, OSError) and cause.errno and not is_named:
            # The first: below it may stand how the system says that it has not ended yet.
            return f"{kind}: {os.strerror(cause.errno)}"
        words = words or str(cause)
    return f"{kind}: {words}" if words else kind


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (cause for one in error.exceptions for cause in _chain(one))
        error = error.__cause__ or error.__context__

"""What may have been billed: how far a request came in, our error for its failure out.

The rule goes by evidence, in this order:

1. A request that was not wholly sent is free, because the service cannot have read it.
2. A status decides, even if the rest of its response was cut: 401, 403, 413, 422, 429 and others
   are free, and so is 503 in the service's own JSON.
3. Any other 502 or 503 comes from a gateway, which says the same when it did not find the service
   and when it lost its response. It is free only if it came within half the time of the quickest
   good response of its endpoint, counted from the last byte sent, or within 20 ms as long as there
   is none. Refusals, which come sooner, are no good responses. A Retry-After proves nothing. A 504
   says that the gateway waited, so it is never free.
4. Without a status only proof frees: on Linux, that the other side acknowledged none of the
   request. Time proves nothing, nor does a reset.
5. All else may have been billed.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator

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

GATEWAY = frozenset({502, 503})
"""Statuses of a gateway that did not find the service, or lost its response [RFC 9110, 15.6]."""

WAITED = frozenset({504, 520, 524, 598, 599})
"""Statuses of a gateway that found the service and got no whole response. Source of the others:
https://developers.cloudflare.com/support/troubleshooting/http-status-codes/, and other proxies."""

SUCCESS = 2
"""HTTP's class of statuses that bring what was asked for."""


def may_be_billed(status: int, trace: Trace, quickest: float | None) -> bool:
    """Return whether a request that was answered with a failing *status* may have been billed.

    Args:
        status: Of the response, which is not in the service's own JSON.
        trace: How far the request came.
        quickest: [s] from the last byte sent to the quickest good response of its endpoint.
    """
    if trace.is_unsent:
        return False
    limit = UNTIMED if quickest is None else max(LEAST, quickest / 2)
    return status in WAITED or (status in GATEWAY and trace.seconds > limit)


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
    kind = type(error).__name__
    reason = _reason(error)
    if kind == "PoolTimeout":
        return PoolExhausted(f"{reason}; http_client has fewer connections than requests are sent")
    is_misused = kind in _MISUSED and trace.stage < Stage.SENDING
    if is_misused or _REFUSED.search(reason) or (not reached and _is_misaddressed(error)):
        return AddressError(reason)
    if trace.stage is Stage.UNKNOWN and kind in _NEVER_SENT:
        return ConnectionFailed(reason)
    return lost(trace, reason, is_silent=kind in _SILENT, is_untaken=kind in _UNTAKEN)


_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "ProxyError"})
"""Classes of failures to connect, where nothing was told."""

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
    r"|.*(not allowed by|Command not supported|Address type not))"
)
"""How a proxy refuses for good: forbidden, not allowed, or another user [RFC 9110, RFC 1928]. All
else that it says means that it does not reach the service now."""

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
    r"(SSLV3|TLSV1|TLSV13)_(ALERT_)?+(?!INTERNAL_ERROR|USER_CANCELLED|DECODE|DECRYPT)\w+"
)
"""How OpenSSL calls alerts that never change, such as no such name, protocol version, no common
application protocol, handshake failure or certificate required [RFC 8446, 6.2]."""


def _is_misaddressed(error: Exception) -> bool:
    """Whether the address itself is wrong: no such name, not to be trusted, other TLS."""
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return cause.errno in _NO_SUCH_NAME
            case ssl.SSLCertVerificationError():
                return True
            case ssl.SSLError():
                # Python has no name for some alerts, only OpenSSL's words.
                reason = cause.reason or str(cause).upper().replace(" ", "_")
                return reason in _NO_TLS or _ALERT.search(reason) is not None
    return False


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

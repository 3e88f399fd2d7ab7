"""The rule of what may have been billed, and what failures mean."""

import errno
import socket
import ssl
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async import (
    AddressError,
    ConnectionFailed,
    PoolExhausted,
    ReplyLost,
    RequestTimeout,
    UploadCut,
)
from ximilar_ocr_async._http.evidence import Timing, explain, lost
from ximilar_ocr_async._http.trace import Stage, Trace


def trace(stage: Stage, *, seconds: float | None = None, was_sent: bool = True) -> Trace:
    """Return what is known of a request that came so far, and was answered after so long [s]."""

    async def make() -> Trace:
        return Trace()

    made = anyio.run(make)
    made.stage, made.began = stage, 100.0
    made.sent = 100.0 if stage >= Stage.SENT and was_sent else None
    made.answered = None if seconds is None else 100.0 + seconds
    return made


def handed(stage: Stage) -> Trace:
    """Return what is known of a request that a caller's client has."""
    made = trace(stage)
    made.is_handed = True
    return made


QUICK = 1.0
"""[s] of the quickest good response."""


@pytest.mark.parametrize(
    "status, seconds, quickest, expected",
    [
        (502, 0.5, QUICK, False),
        (502, 0.51, QUICK, True),
        (503, 0.51, QUICK, True),
        (502, 0.02, None, False),
        (503, 0.021, None, True),
        (502, 0.0009, 0.0001, False),
        (502, 0.0011, 0.0001, True),
        (504, 0.0, QUICK, True),
        (520, 0.0, QUICK, True),
        (524, 0.0, None, True),
        *((status, 9.0, QUICK, False) for status in (400, 401, 403, 413, 422, 429, 500, 521)),
        *((status, 9.0, QUICK, True) for status in (101, 301, 409, 418, 499, 505, 529, 600, 999)),
        *((status, 0.5, QUICK, False) for status in (101, 301, 409, 418, 499, 505, 529, 600, 999)),
    ],
)
def test_a_gateway_is_believed_if_it_was_quick(
    status: int, seconds: float, quickest: float | None, expected: bool
) -> None:
    """It is free what came too soon for the service to have worked."""
    told = trace(Stage.ANSWERED, seconds=seconds)
    assert Timing.of(told, quickest).may_be_billed(status) is expected


@given(st.integers(100, 599), st.floats(0, 100), st.floats(0, 100))
def test_what_was_not_wholly_sent_is_free(status: int, seconds: float, quickest: float) -> None:
    """No status and no time makes a request billed that the service cannot have read."""
    told = trace(Stage.ANSWERED, seconds=seconds, was_sent=False)
    assert not Timing.of(told, quickest).may_be_billed(status)
    assert isinstance(lost(told, "cut"), UploadCut)


@given(st.sampled_from(Stage), st.booleans(), st.booleans())
def test_without_a_status_only_proof_frees(stage: Stage, is_silent: bool, is_untaken: bool) -> None:
    """What was sent, or may have been, is maybe billed, unless it was not taken."""
    error = lost(trace(stage), "gone", is_silent=is_silent, is_untaken=is_untaken)
    is_sent = stage in {Stage.UNKNOWN, Stage.SENT, Stage.ANSWERED}
    assert isinstance(error, ReplyLost) is (is_sent and not is_untaken)
    assert isinstance(error, ConnectionFailed) is not isinstance(error, ReplyLost)
    if isinstance(error, ReplyLost):
        assert isinstance(error, RequestTimeout) is is_silent


class PoolTimeout(httpx.PoolTimeout):
    """As it is called in each library."""


def failing(error: Exception, cause: BaseException | None = None) -> Exception:
    """Return *error* as if it had come from *cause*."""
    error.__cause__ = cause
    return error


def unreached() -> Exception:
    """Return an error without words."""
    return httpx.ConnectError("")


def tls(reason: str) -> Exception:
    """Return the failure of a handshake."""
    error = ssl.SSLError(1, f"[SSL: {reason}] words of OpenSSL")
    error.reason = reason
    return failing(httpx.ConnectError(str(error)), error)


@pytest.mark.parametrize(
    "failure, expected",
    [
        (PoolTimeout("no slot"), PoolExhausted),
        (httpx.ConnectError("nobody there"), ConnectionFailed),
        (httpx.ConnectTimeout("too long"), ConnectionFailed),
        (httpx.ProxyError("502 Bad Gateway"), ConnectionFailed),
        (httpx.ProxyError("407 Proxy Authentication Required"), AddressError),
        (httpx.ProxyError("403 Forbidden"), AddressError),
        (httpx.ProxyError("Invalid username/password"), AddressError),
        (
            httpx.ProxyError("Proxy Server could not connect: Connection not allowed by ruleset."),
            AddressError,
        ),
        (httpx.ProxyError("Proxy Server could not connect: Host unreachable."), ConnectionFailed),
        (httpx.InvalidURL("no host"), AddressError),
        (httpx.LocalProtocolError("illegal header"), AddressError),
        (failing(unreached(), socket.gaierror(socket.EAI_NONAME, "no")), AddressError),
        (
            failing(unreached(), socket.gaierror(socket.EAI_AGAIN, "no")),
            ConnectionFailed,
        ),
        (
            failing(unreached(), ssl.SSLCertVerificationError("self-signed")),
            AddressError,
        ),
        (tls("WRONG_VERSION_NUMBER"), AddressError),
        (tls("TLSV1_ALERT_PROTOCOL_VERSION"), AddressError),
        (tls("TLSV1_UNRECOGNIZED_NAME"), AddressError),
        (tls("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"), AddressError),
        (tls("SSLV3_ALERT_HANDSHAKE_FAILURE"), AddressError),
        (tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), AddressError),
        (tls("TLSV1_ALERT_INTERNAL_ERROR"), ConnectionFailed),
        (tls("UNEXPECTED_EOF_WHILE_READING"), ConnectionFailed),
    ],
    ids=str,
)
@pytest.mark.parametrize("stage", [Stage.UNKNOWN, Stage.CONNECTING])
def test_failures_on_the_way_say_whether_it_is_the_right_one(
    failure: Exception, expected: type, stage: Stage
) -> None:
    """A wrong address stays wrong, and all else may be well soon; nothing was billed."""
    assert type(explain(failure, trace(stage), reached=False)) is expected


def test_an_address_that_was_right_stays_right() -> None:
    """After a good response a name that is not found is an outage of the resolver."""
    failure = failing(unreached(), socket.gaierror(socket.EAI_NONAME, "no"))
    error = explain(failure, trace(Stage.CONNECTING), reached=True)
    assert type(error) is ConnectionFailed


def test_a_certificate_that_the_service_asks_for_is_refused_before_anything_is_read() -> None:
    """In TLS 1.3 the refusal comes after the request was sent, and yet nothing was billed."""
    error = explain(tls("TLSV13_ALERT_CERTIFICATE_REQUIRED"), trace(Stage.SENT), reached=False)
    assert type(error) is AddressError


@pytest.mark.parametrize(
    "failure, says",
    [
        (
            failing(
                httpx.ConnectError("All connection attempts failed"),
                failing(
                    OSError("All connection attempts failed"),
                    ExceptionGroup("many", [ConnectionRefusedError(errno.ECONNREFUSED, "call")]),
                ),
            ),
            "ConnectError: Connection refused",
        ),
        (httpx.ReadError(""), "ReadError"),
        (failing(httpx.ReadError(""), OSError("of our own")), "ReadError: of our own"),
    ],
    ids=["refused", "nothing", "words"],
)
def test_errors_name_the_reason(failure: Exception, says: str) -> None:
    """The words of the system go before those of libraries."""
    assert str(explain(failure, trace(Stage.CONNECTING), reached=False)) == says


@pytest.mark.parametrize(
    "failure, expected",
    [
        (httpx.ReadTimeout("nothing"), RequestTimeout),
        (httpx.ReadError("reset"), ReplyLost),
        (type("NotTaken", (httpx.RemoteProtocolError,), {})("closed"), UploadCut),
    ],
    ids=["silent", "reset", "not taken"],
)
def test_failures_after_sending_are_told_apart(failure: Any, expected: type) -> None:
    """Silence, a broken line and a proof are three things."""
    assert type(explain(failure, trace(Stage.SENT), reached=True)) is expected


@pytest.mark.parametrize("reached", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        *(tls(f"SSLV3_ALERT_{word}") for word in ("BAD_RECORD_MAC", "HANDSHAKE_FAILURE")),
        *(tls(f"TLSV1_ALERT_{word}") for word in ("RECORD_OVERFLOW", "PROTOCOL_VERSION")),
        *map(tls, ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")),
        failing(httpx.ReadError(""), ssl.SSLCertVerificationError("self-signed")),
        failing(httpx.ReadError(""), socket.gaierror(socket.EAI_NONAME, "no")),
        httpx.LocalProtocolError("illegal header"),
        httpx.UnsupportedProtocol("ftp"),
        httpx.InvalidURL("no host"),
        UnicodeEncodeError("latin-1", "€", 0, 1, "no"),
        httpx.ProxyError("403 Forbidden"),
        PoolTimeout("of a hook's own client"),
        httpx.ConnectError("of a hook's own client"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("stage", [Stage.SENT, Stage.ANSWERED])
def test_whatever_breaks_after_the_request_was_sent_is_maybe_billed(
    failure: Exception, reached: bool, stage: Stage
) -> None:
    """No class of failure proves anything about a request that was sent."""
    assert isinstance(explain(failure, trace(stage), reached=reached), ReplyLost)


@pytest.mark.parametrize("stage", [Stage.CONNECTING, Stage.UNKNOWN])
@pytest.mark.parametrize("reason", ["SSLV3_ALERT_BAD_RECORD_MAC", "TLSV1_ALERT_RECORD_OVERFLOW"])
def test_alerts_about_damage_are_transient(reason: str, stage: Stage) -> None:
    """A line that damages what it carries may be well soon."""
    assert type(explain(tls(reason), trace(stage), reached=False)) is ConnectionFailed


@pytest.mark.parametrize(
    "failure, expected",
    [
        (UnicodeEncodeError("latin-1", "€", 0, 1, "no"), ReplyLost),
        (httpx.LocalProtocolError("illegal"), ReplyLost),
        (httpx.InvalidURL("of a hook"), ReplyLost),
        (RuntimeError("of a hook"), ReplyLost),
        (httpx.ReadTimeout("nothing"), RequestTimeout),
        (httpx.ConnectError("nobody"), ConnectionFailed),
        (httpx.UnsupportedProtocol("ftp"), AddressError),
        (PoolTimeout("no slot"), PoolExhausted),
        (httpx.ConnectError("nobody", request=httpx.Request("GET", "http://metrics")), ReplyLost),
        (PoolTimeout("no slot", request=httpx.Request("GET", "http://metrics")), ReplyLost),
    ],
    ids=repr,
)
def test_a_transport_that_tells_nothing_is_not_taken_for_one_that_sent_nothing(
    failure: Exception, expected: type
) -> None:
    """Only a failure to begin this very request proves that none of it was sent."""
    assert type(explain(failure, handed(Stage.UNKNOWN), reached=False)) is expected


def test_the_words_of_a_proxy_of_a_callers_client_are_not_shown() -> None:
    """They may be its password, which only that client knows."""
    failure = httpx.ProxyError("407 Basic bWU6cGFzc3dvcmQ=")
    error = explain(failure, handed(Stage.UNKNOWN), reached=False)
    assert type(error) is AddressError
    assert str(error) == "ProxyError: 407"

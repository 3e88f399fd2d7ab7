"""A failing response in, its error out.

The service's frameworks report errors in several shapes. Source: the vendor's clients and other
public clients, read in 2026-08.
"""

import re
from collections.abc import Mapping
from typing import Any

from ximilar_ocr_async._constants import PLANS
from ximilar_ocr_async._http import Timing
from ximilar_ocr_async.errors import (
    MAX_SHOWN,
    AddressError,
    AuthError,
    CreditsExhausted,
    OCRError,
    PlanError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceError,
    ServiceUnavailable,
    marked,
    shown,
)
from ximilar_ocr_async.models import Status

SNIPPET = 120
"""How much of an invalid response an error message shows [characters]."""

MAX_CODE = 20
"""How much of a code an error message shows [characters]. Codes have three digits."""


def whole_failure(
    http_status: int,
    status: Status,
    document: Any,
    retry_after: float | None,
    *,
    timing: Timing,
    missing: str,
) -> OCRError:
    """Return the error of a request that failed as a whole.

    Args:
        http_status: The status of the response.
        status: The service's own, or else that of the response.
        document: What the response holds as JSON, if that is what it holds.
        retry_after: [s] that it asks to wait.
        timing: What its time proves.
        missing: What the request asked for.
    """
    text = status.text or _detail(document)
    if Status(code=http_status).ok and status.ok and not _concerns_account(text):
        message = f"the response has no {missing}: {shown(text) or 'no reason given'}"
        return ReplyError(message, request_id=status.request_id)
    error = service_error(status.code, text, request_id=status.request_id, retry_after=retry_after)
    return as_billed(error, timing, http_status, status.code, is_own=_is_own(document))


def as_billed(error: OCRError, timing: Timing, *codes: int, is_own: bool = False) -> OCRError:
    """Return *error*, marked if the request that failed with it may have been billed.

    Args:
        error: What the request failed with.
        timing: What the time of the response proves.
        codes: Its status, and those in its JSON; those of success say nothing here.
        is_own: Whether it is in the service's own JSON.
    """
    failing = [code for code in codes if not Status(code=code).ok]
    if isinstance(error, AuthError) or not any(
        timing.may_be_billed(code, is_own=is_own) for code in failing
    ):
        return error
    # What is worth another attempt has to cost one that is counted.
    return as_lost(error) if isinstance(error, ServiceUnavailable) else marked(error)


def _is_own(document: Any) -> bool:
    """Whether a failing response is the service's own: only it has such a status."""
    status = document.get("status") if isinstance(document, Mapping) else None
    code = status.get("code") if isinstance(status, Mapping) else None
    return isinstance(code, int) and not isinstance(code, bool) and not Status(code=code).ok


def as_lost(error: OCRError) -> ReplyLost:
    """Return *error* for a request whose own response a gateway may have lost."""
    return ReplyLost(
        str(error),
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
    )


def _detail(document: Any) -> str:
    """Return the text of an error, in whatever shape the service's frameworks report it."""
    match document:
        case {"detail": str(text)} | [str(text), *_]:
            return text
        case Mapping():
            lists = ((k, v[0]) for k, v in document.items() if isinstance(v, list) and v)
            texts = (f"{k[:SNIPPET]}: {v}" for k, v in lists if isinstance(v, str))
            return next(texts, "")
        case _:
            return ""


def service_error(
    code: int, text: str, *, request_id: str | None = None, retry_after: float | None = None
) -> OCRError:
    """Return the error for the failing status of a whole request."""
    return _error_class(code, text)(
        _say(code, text) if text else f"the service responded with {shown(str(code), MAX_CODE)}",
        status=code,
        request_id=request_id,
        retry_after=retry_after,
    )


def _say(code: int, text: str) -> str:
    return f"{shown(str(code), MAX_CODE)}: {shown(text)}"


_NO_CREDITS = re.compile(
    r"\bcredits? (limits?|exceeded|exhausted)\b"
    r"|\b(no|not enough|insufficient|out of)( \w+)? credits?\b",
    re.IGNORECASE,
)
_NOT_IN_PLAN = re.compile(
    r"\bnot allowed to access service\b"
    r"|\b(plan|subscription) (does not|doesn't) (include|allow|support|contain)\b"
    r"|\bnot (included|available|allowed|supported) (in|on|by|with|for) (your|this|the) "
    r"(\w+ )?(plan|subscription)\b",
    re.IGNORECASE,
)
_NOT_ALLOWED = re.compile(r"\bauthorization\b|\binvalid token\b|\bnot allowed to\b", re.IGNORECASE)
"""Phrases that are more specific than their status: "no credits" comes with 401, 402, 403, 429 or
200. Source: public clients of the service, read in 2026-08."""


def name_plan(error: OCRError, endpoint: str) -> OCRError:
    """Return *error*, as a `PlanError` if the account's plan seems not to include *endpoint*."""
    plan, message = PLANS.get(endpoint), str(error)
    if plan is None or not isinstance(error, AuthError) or isinstance(error, CreditsExhausted):
        return error
    if error.status != 403 and not _NOT_IN_PLAN.search(message):  # noqa: PLR2004 - HTTP's own
        return error
    message = f"{message}; {endpoint} needs {plan} plan"
    return PlanError(message, status=error.status, request_id=error.request_id)


_NOT_TAKEN = frozenset({408, 425, 503, 521, 522, 523})
"""Statuses that prove that a failing service did not accept the request."""


def as_ambiguous(error: OCRError) -> OCRError:
    """Return *error*, as a `ReplyLost` if the service may have accepted the submission."""
    if isinstance(error, ServiceUnavailable) and error.status not in _NOT_TAKEN:
        return as_lost(error)
    return error


PERMANENT = frozenset({501, 505, 506, 508, 510})
"""Statuses of a server that does not know how, now or later [RFC 9110, 15.6; RFC 2295, 8.1;
RFC 5842, 7.2; RFC 2774, 7]."""

SIGN_IN = 511
"""The status of a network that wants a sign-in first [RFC 6585, 6]."""


def _concerns_account(text: str) -> bool:
    text = text[:MAX_SHOWN]
    phrases = (_NO_CREDITS, _NOT_IN_PLAN, _NOT_ALLOWED)
    return any(phrase.search(text) for phrase in phrases)


def _error_class(code: int, text: str) -> type[OCRError]:  # noqa: PLR0911 - one for each kind
    if code in {504, 520, 524, 598, 599}:
        return ReplyLost  # a gateway gave up, but the service may have continued
    if code in {408, 425} or _is_transient(code):
        return ServiceUnavailable
    if code == 402 or _NO_CREDITS.search(text[:MAX_SHOWN]):  # noqa: PLR2004 - Payment Required
        return AuthError if _NOT_IN_PLAN.search(text[:MAX_SHOWN]) else CreditsExhausted
    if code in {401, 403} or _concerns_account(text):
        return AuthError
    if code == SIGN_IN:
        return AddressError
    if code // 100 == 3:  # noqa: PLR2004 - HTTP's class of redirects
        return AddressError
    return RateLimited if code == 429 else RequestRejected  # noqa: PLR2004 - HTTP's own number


def _is_transient(code: int) -> bool:
    """Whether a server fails that may do better later."""
    return code >= 500 and code not in {*PERMANENT, SIGN_IN}  # noqa: PLR2004 - HTTP's class of them


def record_error(status: Status) -> ServiceError:
    """Return the error for the failing status of a single record."""
    transient = status.code == 429 or _is_transient(status.code)  # noqa: PLR2004 - HTTP's own
    # A record's own 401 or 403 is about its URL, whatever its text says: that may be the words of
    # the host of the image.
    cls: type[ServiceError] = ServiceUnavailable if transient else RequestRejected
    text = _say(status.code, status.text or "no reason given")
    return cls(text, status=status.code, request_id=status.request_id)

"""A failing answer in, its error out, in all shapes that the service's frameworks give it.

Source: the vendor's clients and those of others found in public, read in 2026-08.
"""

import re
from collections.abc import Mapping
from typing import Any

from ximilar_ocr_async._constants import PLANS
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    OCRError,
    PlanError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceError,
    ServiceUnavailable,
)
from ximilar_ocr_async.models import Status

SNIPPET = 120
"""[characters] of an answer that makes no sense, for the error's message."""


def whole_failure(
    http_status: int, status: Status, document: Any, retry_after: float | None, *, missing: str
) -> OCRError:
    """Return the error of a request that failed as a whole, *missing* what was asked for."""
    text = status.text or _detail(document)
    if Status(code=http_status).ok and status.ok and not _is_of_account(text):
        message = f"the answer has no {missing}: {text or 'it says nothing'}"
        return ReplyError(message, request_id=status.request_id)
    return service_error(status.code, text, request_id=status.request_id, retry_after=retry_after)


def _detail(document: Any) -> str:
    """Find the words of an error in the shapes that the service's frameworks give it."""
    match document:
        case {"detail": str(text)} | [str(text), *_]:
            return text
        case Mapping():
            lists = ((k, v[0]) for k, v in document.items() if isinstance(v, list) and v)
            return next(
                (f"{k}: {word}"[:SNIPPET] for k, word in lists if isinstance(word, str)), ""
            )
        case _:
            return ""


def service_error(
    code: int, text: str, *, request_id: str | None = None, retry_after: float | None = None
) -> OCRError:
    """Turn a failing status of a whole request into its error."""
    return _error_class(code, text)(
        f"{code}: {text}" if text else f"the service answered {code}",
        status=code,
        request_id=request_id,
        retry_after=retry_after,
    )


_NO_CREDITS = re.compile(
    r"\bcredits? (limits?|exceeded|exhausted)\b"
    r"|\b(no|not enough|insufficient|out of)( \w+)? credits?\b",
    re.IGNORECASE,
)
_NOT_ALLOWED = re.compile(r"\bauthorization\b|\binvalid token\b|\bnot allowed to\b", re.IGNORECASE)
"""Words that tell more than the code beside them: "no credits" comes as 401, 402, 403, 429 or 200.
Source: clients of the service found in public, read in 2026-08."""


def name_plan(error: OCRError, endpoint: str) -> OCRError:
    """Return *error*, or one that names the plan, where the account's own is without *endpoint*."""
    needed, told = PLANS.get(endpoint), str(error)
    is_refused = isinstance(error, AuthError) and error.status == 403  # noqa: PLR2004 - HTTP's own
    if needed is None or not is_refused or _NO_CREDITS.search(told):
        return error
    told = f"{told}; {endpoint} needs {needed} plan"
    return PlanError(told, status=error.status, request_id=error.request_id)


_NOT_TAKEN = frozenset({408, 425, 503, 521, 522, 523})
"""Statuses of a failing service by which it surely took nothing."""


def as_ambiguous(error: OCRError) -> OCRError:
    """Return *error*, or the one that says so where the service may have taken a submission."""
    if isinstance(error, ServiceUnavailable) and error.status not in _NOT_TAKEN:
        return ReplyLost(str(error), request_id=error.request_id)
    return error


def _is_of_account(text: str) -> bool:
    return bool(_NO_CREDITS.search(text) or _NOT_ALLOWED.search(text))


def _error_class(code: int, text: str) -> type[OCRError]:
    if code in {504, 524}:
        return ReplyLost  # a gateway gave up on a service that may have gone on
    if code in {408, 425} or code >= 500:  # noqa: PLR2004 - HTTP's class of server errors
        return ServiceUnavailable
    if code in {401, 402, 403} or _is_of_account(text):
        return AuthError
    if code // 100 == 3:  # noqa: PLR2004 - HTTP's class of redirects
        return AddressError
    return RateLimited if code == 429 else RequestRejected  # noqa: PLR2004 - HTTP's own number


def record_error(status: Status) -> ServiceError:
    """Return the error of one record that failed."""
    transient = status.code == 429 or status.code >= 500  # noqa: PLR2004 - HTTP's own numbers
    cls: type[ServiceError] = ServiceUnavailable if transient else RequestRejected
    # A record's own 401 or 403 tells of its URL, not of the account, unless its words do.
    if _NO_CREDITS.search(status.text):
        cls = AuthError
    text = f"{status.code}: {status.text or 'no reason given'}"
    return cls(text, status=status.code, request_id=status.request_id)

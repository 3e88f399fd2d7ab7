"""The service's JSON, both ways: images to a request body, an answer to records or errors.

Here cattrs knows the service's classes, in `structuring` the user's. Decoding is tolerant: unknown
keys are kept, null means absent, and only what cannot be understood at all becomes an error, for
that record alone.
Source: https://docs.ximilar.com/text/ocr and the vendor's clients, read in 2026-08.
"""

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from attrs import evolve, fields
from cattrs import Converter, transform_error
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ImageError,
    OCRError,
    PlanError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceError,
    ServiceUnavailable,
)
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.limits import PLANS
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text
from ximilar_ocr_async.outcomes import Outcome

_log = logging.getLogger(__name__)
_SNIPPET = 120
"""[characters] of an answer that is no JSON, for the error's message."""

# ---------------------------------------------------------------------------------- out


def encode_record(
    record_id: str,
    image: Image,
    data: bytes | None,
    *,
    prompt: str | None = None,
    lang: str | None = None,
) -> tuple[bytes, ...]:
    """Encode one image as a record, in pieces: by URL, or by *data* where there is some.

    Its *lang* need not stand here, for its request has it too.

    Raises:
        ImageError: Its ``extra`` is not JSON.
    """
    fields_: dict[str, Any] = {**image.extra, "_id": record_id}
    if prompt is not None:
        fields_["prompt"] = prompt
    if lang is not None:
        fields_["lang"] = lang
    if data is None:
        fields_["_url"] = image.source
    try:
        head = json.dumps(fields_, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(f"extra of {image.name} is not JSON: {error}") from None
    if data is None:
        return (head,)
    # Base64 needs no escapes, so it is spliced in: json.dumps would walk and copy all of it.
    return (head[:-1] + b', "_base64": "', base64.b64encode(data), b'"}')


def encode_batch(records: Sequence[Sequence[bytes]], lang: str) -> tuple[bytes, ...]:
    """Join encoded records of one language into a request body, still in pieces."""
    pieces = [b'{"lang": "%s", "records": [' % lang.encode()]
    for place, record in enumerate(records):
        if place:
            pieces.append(b", ")
        pieces.extend(record)
    return (*pieces, b"]}")


# ---------------------------------------------------------------------------------- in

_NAMES: Mapping[type, Mapping[str, str]] = {
    Record: {
        "id": "_id",
        "url": "_url",
        "width": "_width",
        "height": "_height",
        "status": "_status",
        "ocr": "_ocr",
        "gpt": "_gpt",
    },
}
"""Where an attribute's key on the wire differs from its name."""

_DROPPED = frozenset({"_base64"})
"""An image that the service sends back is not worth its memory."""

_converter = Converter()


def _keys(cls: type) -> dict[str, str]:
    names = _NAMES.get(cls, {})
    return {a.name: names.get(a.name, a.name) for a in fields(cls) if a.name != "extra"}


def _overrides(cls: type) -> dict[str, Any]:
    renames = {name: override(rename=key) for name, key in _keys(cls).items()}
    return {**renames, "extra": override(omit=True)}


def _structure_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
    structure = make_dict_structure_fn(cls, _converter, **_overrides(cls))
    known = frozenset(_keys(cls).values())

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        given = {k: v for k, v in value.items() if k in known and v is not None}
        extra = {k: v for k, v in value.items() if k not in known and k not in _DROPPED}
        parsed = structure(given, cls)
        return evolve(parsed, extra=extra) if extra else parsed

    return hook


def _unstructure_hook(cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
    unstructure: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls, _converter, **_overrides(cls)
    )
    return lambda value: unstructure(value) | value.extra


def _structure_str(value: Any, _: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"expected a string, got {type(value).__name__}")


def _structure_finite(value: Any, _: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    raise TypeError("expected a finite number")


_converter.register_structure_hook(str, _structure_str)
_converter.register_structure_hook(float, _structure_finite)
for _class in (Text, OCR, GPT, Status, Record):
    _converter.register_structure_hook(_class, _structure_hook(_class))
    _converter.register_unstructure_hook(_class, _unstructure_hook(_class))


def _status(value: Any, default: Status) -> Status:
    """Read a status of any type the service uses: object, number or string."""
    match value:
        case Mapping():
            inherited = {"code": default.code, "request_id": default.request_id}
            given = {k: v for k, v in value.items() if k not in inherited or v is not None}
            return _converter.structure(inherited | given, Status)
        case int() if not isinstance(value, bool):
            return Status(code=value)
        case str() if value.isdecimal():
            return Status(code=int(value))
        case str():
            return evolve(default, text=value)
        case _:
            return default


def decode(
    http_status: int, body: bytes, ids: Sequence[str], *, retry_after: float | None = None
) -> list[Record | OCRError]:
    """Decode the answer to a batch.

    Args:
        http_status: Of the answer.
        body: The answer, JSON or whatever came instead.
        ids: (n) ids of the records that were sent.
        retry_after: [s] that the answer asks to wait.

    Returns:
        (n) for each id its record, or what went wrong with it.

    Raises:
        OCRError: The request failed as a whole.
    """
    http = Status(code=http_status)
    try:
        document = json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        document, status = None, evolve(http, text=f"the answer is not JSON: {_snippet(body)}")
    else:
        status = _document_status(document, http)
    rows = document.get("records") if isinstance(document, Mapping) else None
    if http.ok and isinstance(rows, list) and (status.ok or _have_verdicts(rows)):
        return _decode_rows(rows, ids, status)
    raise _whole_failure(http, status, document, retry_after)


def _snippet(body: bytes) -> str:
    text = body[:_SNIPPET].decode("ascii", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "nothing"


def _document_status(document: Any, http: Status) -> Status:
    value = document.get("status") if isinstance(document, Mapping) else None
    try:
        status = _status(value, http)
    except Exception:  # noqa: BLE001 - cattrs raises groups of many types
        # Records that were paid for are not given up for a status that makes no sense.
        return http
    # A failing HTTP status is believed over a body that claims success.
    return evolve(status, code=http.code) if status.ok and not http.ok else status


def _have_verdicts(rows: list[Any]) -> bool:
    return any(isinstance(row, Mapping) and "_status" in row for row in rows)


def _whole_failure(
    http: Status, status: Status, document: Any, retry_after: float | None
) -> OCRError:
    text = status.text or _detail(document)
    if http.ok and status.ok and not _is_of_account(text):
        message = f"the answer has no records: {text or 'it says nothing'}"
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
                (f"{k}: {word}"[:_SNIPPET] for k, word in lists if isinstance(word, str)), ""
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


def _decode_rows(rows: list[Any], ids: Sequence[str], default: Status) -> list[Record | OCRError]:
    found = dict(_match(rows, ids))
    if len(rows) != len(found):
        _log.warning("ignored %d records that were not asked for", len(rows) - len(found))
    return [
        _decode_row(found[i], f"$.records[{i}]", default)
        if i in found
        else ReplyError(
            f"the answer has {len(rows)} records for {len(ids)}, and not this one",
            request_id=default.request_id,
        )
        for i in ids
    ]


def _match(rows: list[Any], ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Pair rows with ids: by ``_id``; by place only when no row has one and the counts agree."""
    objects = [row for row in rows if isinstance(row, Mapping)]
    named = [(row["_id"], row) for row in objects if row.get("_id") is not None]
    if not named and len(rows) == len(ids):
        yield from zip(ids, rows, strict=True)
        return
    wanted = set(ids)
    for name, row in named:
        if isinstance(name, str) and name in wanted:
            wanted.remove(name)
            yield name, row


def _decode_row(row: Any, address: str, default: Status) -> Record | OCRError:
    try:
        if not isinstance(row, Mapping):
            raise TypeError(f"expected an object, got {type(row).__name__}")
        status = _status(row.get("_status"), default)
        if not status.ok:
            return _record_error(status)
        rest = {key: value for key, value in row.items() if key != "_status"}
        return evolve(_converter.structure(rest, Record), status=status)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups of many types
        return ReplyError(_address(error, address), request_id=default.request_id)


def _record_error(status: Status) -> ServiceError:
    transient = status.code == 429 or status.code >= 500  # noqa: PLR2004 - HTTP's own numbers
    cls: type[ServiceError] = ServiceUnavailable if transient else RequestRejected
    # A record's own 401 or 403 tells of its URL, not of the account, unless its words do.
    if _NO_CREDITS.search(status.text):
        cls = AuthError
    text = f"{status.code}: {status.text or 'no reason given'}"
    return cls(text, status=status.code, request_id=status.request_id)


def _address(error: Exception, path: str) -> str:
    return "; ".join(transform_error(error, path=path)[:3])


# ---------------------------------------------------------------------------------- for files


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return *outcome* as JSON types, its record in the service's own names."""
    common = {
        "index": outcome.index,
        "image": outcome.image.name,
        "ok": outcome.ok,
        "attempts": outcome.attempts,
        "maybe_billed": outcome.maybe_billed,
    }
    if outcome.ok:
        return common | {"record": _converter.unstructure(outcome.record)}
    error = outcome.error
    told = {"type": type(error).__name__, "message": str(error)}
    more = {"status": error.status, "request_id": error.request_id}
    return common | {"error": told | {k: v for k, v in more.items() if v is not None}}

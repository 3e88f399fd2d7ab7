"""Outcomes, records and instances of users' classes in; documents of JSON types or JSON out."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ximilar_ocr_async._protocol import Webhook, named_parts
from ximilar_ocr_async._validation import without_secrets
from ximilar_ocr_async.errors import ExtractionError, OCRError, OptionError
from ximilar_ocr_async.export.plain import plain
from ximilar_ocr_async.export.values import Pairs
from ximilar_ocr_async.models import GPT, OCR, Account, JobInfo, Record, Status, Text
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

_SECRET = re.compile("webhook|secret|authori[sz]ation|header", re.IGNORECASE)
"""What keys contain whose values may be secrets, or hold them."""

_RECORDS = "records"

_STEERING = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that end a line for some programs, or give orders to a terminal."""


def to_dict(value: Any, *, faults: list[str] | None = None) -> dict[str, Any]:
    """Return an outcome, a record or an instance of a user's class as JSON types.

    A record has the names of the service, such as ``_ocr``. An outcome has ``index``, ``image``,
    ``ok``, ``attempts`` and ``maybe_billed``, and then ``record``, and ``value`` for an instance of
    a class, or ``error``. Numbers that JSON does not have, such as NaN, become null; images and
    other bytes are named; what is nested deeper than 100 becomes the text of its JSON.

    Args:
        value: What to return so.
        faults: Where to add the names of errors that the user's classes raised, if it matters.

    Raises:
        OptionError: *value* has no named parts, such as a list.
    """
    document = to_plain(value, faults)
    if not isinstance(document, dict):
        kind = type(value).__name__
        raise OptionError(f"to_dict got a {kind}, expected an outcome, a record or an instance")
    return document


def to_json(value: Any) -> str:
    """Return *value*, of any type, as JSON in one line. It reads back as what `to_dict` returns."""
    text = json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False)
    return _STEERING.sub(lambda found: json.dumps(found[0])[1:-1], text)


def to_plain(value: Any, faults: list[str] | None = None) -> Any:
    """Return any value as JSON types; *faults* as for `to_dict`."""
    return plain(value, _expand, [] if faults is None else faults)


def _expand(value: Any) -> Pairs | None:
    """Return the names and values of what has a form of its own."""
    match value:
        case Success() | Failure():
            return _of_outcome(value)
        case OCRError():
            return _of_error(value)
        case Account() | JobInfo():
            return _without_secrets(dict(named_parts(value))).items()
        case Record() | OCR() | GPT() | Text() | Status():
            return named_parts(value)
        case Webhook():
            return [("url", without_secrets(value.url))]
        case _:
            return None


def _of_outcome(outcome: Outcome[Any]) -> Iterator[tuple[str, Any]]:
    for name in ("index", "image", "ok", "attempts", "maybe_billed"):
        yield name, outcome.image.name if name == "image" else getattr(outcome, name)
    if isinstance(outcome, Failure):
        yield "error", outcome.error
        return
    yield "record", outcome.record
    if outcome.value is not outcome.record:
        yield "value", outcome.value


def _of_error(error: OCRError) -> Iterator[tuple[str, Any]]:
    """Return what is known of an error; what is not is left out."""
    yield "type", type(error).__name__
    yield "message", str(error)
    details: dict[str, Any] = {
        "status": error.status,
        "request_id": error.request_id,
        "retry_after": error.retry_after,
        "retryable": error.retryable,
    }
    if isinstance(error, ExtractionError):
        details |= {"faults": error.faults, "answer": error.answer, "record": error.record}
    yield from ((name, value) for name, value in details.items() if value is not None)


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without what the service may repeat of a request's webhook, at any depth.

    Records stay as they are: what was read, or filled in, has keys of the user's.
    """
    whole: dict[str, Any] = {}
    left: list[tuple[Any, Any]] = [(document, whole)]
    while left:
        source, copy = left.pop()
        pairs = source.items() if isinstance(source, dict) else enumerate(source)
        for key, value in pairs:
            if isinstance(key, str) and _SECRET.search(key):
                continue
            is_open = isinstance(value, dict | list) and key != _RECORDS
            inner = type(value)() if is_open else value
            if isinstance(copy, dict):
                copy[key] = inner
            else:
                copy.append(inner)
            if is_open:
                left.append((value, inner))
    return whole

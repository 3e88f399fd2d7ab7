"""JSON forms of outcomes, accounts and jobs: an object in, a dict of JSON types out."""

import re
from typing import Any

from attrs import evolve

from ximilar_ocr_async._extraction import unstructure
from ximilar_ocr_async._protocol import unstructure as to_json_types
from ximilar_ocr_async.errors import ExtractionError, OCRError
from ximilar_ocr_async.models import Account, JobInfo, Record
from ximilar_ocr_async.outcomes import Outcome

_SECRET = re.compile("webhook|secret|authori[sz]ation|header", re.IGNORECASE)
"""What keys contain whose values may be secrets, or hold them."""

_RECORDS = "records"


def model_to_json(model: Account | JobInfo) -> dict[str, Any]:
    """Return *model* as JSON types, with the field names of the service."""
    return _without_secrets(to_json_types(model))


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


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return *outcome* as JSON types. Its record has the field names of the service."""
    if outcome.ok is True:
        return _common(outcome) | {"record": _record_to_json(outcome.record)}
    return _common(outcome) | {"error": _error_to_json(outcome.error)}


def extraction_to_json(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return *outcome* as JSON types. Its value is in the form that `structure` accepts.

    A value that its class does not let be written is null, and its line has the completion.
    """
    if outcome.ok is True:
        try:
            return _common(outcome) | {"value": unstructure(outcome.value)}
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the class is the user's
            problem = f"the value cannot be written: {type(error).__name__}"
            answer = outcome.record.gpt.result if outcome.record.gpt else None
            return _common(outcome) | {"value": None, "problem": problem, "answer": answer}
    return _common(outcome) | {"error": _error_to_json(outcome.error)}


def _record_to_json(record: Record) -> dict[str, Any]:
    gpt = record.gpt
    if gpt is None or gpt.json_result is None:
        return to_json_types(record)
    # These are JSON types already, and may be nested too deep to be walked through.
    document = to_json_types(evolve(record, gpt=evolve(gpt, json_result=None)))
    document["_gpt"]["json_result"] = gpt.json_result
    return document


def _common(outcome: Outcome[Any]) -> dict[str, Any]:
    return {
        "index": outcome.index,
        "image": outcome.image.name,
        "ok": outcome.ok,
        "attempts": outcome.attempts,
        "maybe_billed": outcome.maybe_billed,
    }


def _error_to_json(error: OCRError) -> dict[str, Any]:
    details: dict[str, Any] = {"status": error.status, "request_id": error.request_id}
    if isinstance(error, ExtractionError):
        details |= {"faults": [*error.faults], "answer": error.answer}
    document = {"type": type(error).__name__, "message": str(error)}
    return document | {k: v for k, v in details.items() if v is not None}

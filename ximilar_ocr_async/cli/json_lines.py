"""Lines of JSON: outcomes, accounts and jobs in; documents of JSON types and their text out."""

import json
from typing import Any

from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.outcomes import Outcome


def to_json(document: Any, *, indent: int | None = None) -> str:
    """Return JSON types as JSON, in one line unless an *indent* is given."""
    return json.dumps(document, ensure_ascii=False, indent=indent)


def outcome_to_json(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return *outcome* as JSON types. Its record has the field names of the service."""
    # A name that is not UTF-8 stays as it is, so that the file is found by it again.
    return to_dict(outcome) | {"image": outcome.image.name}


def extraction_to_json(outcome: Outcome[Any]) -> dict[str, Any]:
    """Return *outcome* as JSON types. Its value is in the form that `structure` accepts.

    A value that its class does not let be written is null, and its line has the completion.
    """
    faults: list[str] = []
    document = to_dict(outcome, faults=faults) | {"image": outcome.image.name}
    for part in (document, document.get("error", {})):
        part.pop("record", None)  # pyright: ignore[reportAttributeAccessIssue]
    if outcome.ok is True and faults:
        gpt = outcome.record.gpt
        document["value"] = None
        document["problem"] = f"the value cannot be written: {faults[0]}"
        document["answer"] = gpt.result if gpt else None
    return document

"""An outcome in, a flat row out: the same columns in the same order for every outcome."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any, TypeAlias

from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.export.documents import to_plain
from ximilar_ocr_async.export.plain import text_of
from ximilar_ocr_async.export.values import key_for, names_of, parts_of
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

Cell: TypeAlias = str | int | float | bool | None

COLUMNS = (
    "image",
    "index",
    "ok",
    "text",
    "lang",
    "mean_probability",
    "width",
    "height",
    "error",
    "error_type",
    "attempts",
    "maybe_billed",
)
"""The columns of every row."""


def to_row(outcome: Outcome[Any], cls: type | None = None) -> dict[str, Cell]:
    """Return *outcome* as a row of a table, whose keys are its columns.

    They are ``image``, ``index``, ``ok``, ``text``, ``lang``, ``mean_probability``, ``width``,
    ``height``, ``error``, ``error_type``, ``attempts`` and ``maybe_billed``. An outcome of
    `extract_all` and the like has one for each field of its class, too; where a field is called as
    a column above, its own begins with ``value_``. Arrays and objects are the text of their JSON.

    Args:
        outcome: What to return so.
        cls: The class that was asked for. Name it if any may be a failure, so that all
            rows have its columns.

    Raises:
        OptionError: *cls* has no fields.
    """
    record, error = _record_of(outcome), outcome.error if isinstance(outcome, Failure) else None
    known: dict[str, Any] = {
        "image": outcome.image.name,
        "index": outcome.index,
        "ok": outcome.ok,
        **(_of_record(record) if record else {}),
        "error": None if error is None else str(error),
        "error_type": None if error is None else type(error).__name__,
        "attempts": outcome.attempts,
        "maybe_billed": outcome.maybe_billed,
    }
    row = {name: _cell(known.get(name)) for name in COLUMNS}
    value = outcome.value if isinstance(outcome, Success) else None
    parts = {} if value is record else dict(parts_of(value) or ())
    for name in parts if cls is None else names_of(cls):
        row[_column(name, row)] = _cell(parts.get(name))
    return row


def _record_of(outcome: Outcome[Any]) -> Record | None:
    if isinstance(outcome, Success):
        return outcome.record
    error = outcome.error
    # Its image was read and billed; only the answer does not fit.
    found = error.record if isinstance(error, ExtractionError) else None
    return found if isinstance(found, Record) else None


def _of_record(record: Record) -> dict[str, Any]:
    probs = [text.prob for text in record.ocr.texts if text.prob is not None]
    return {
        "text": record.text,
        "lang": record.ocr.lang,
        "mean_probability": fmean(probs) if probs else None,
        "width": record.width,
        "height": record.height,
    }


def _column(name: Any, row: Mapping[str, Cell]) -> str:
    text = str(name)
    return key_for(f"value_{text}" if text in COLUMNS else text, row)


def _cell(value: Any) -> Cell:
    cell = to_plain(value)
    return text_of(cell) if isinstance(cell, dict | list) else cell

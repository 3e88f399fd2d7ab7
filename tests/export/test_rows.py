"""Outcomes as rows of a table."""

import csv
import dataclasses
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given

from tests.export.test_documents import OUTCOMES
from ximilar_ocr_async import ExtractionError, Image, OptionError, RequestRejected
from ximilar_ocr_async.export import to_row
from ximilar_ocr_async.models import OCR, Record, Text
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

COLUMNS = [
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
]


@attrs.frozen
class Invoice:
    """Fields that are flat, nested, and called as columns are."""

    number: str
    lines: tuple[dict[str, Decimal], ...] = ()
    text: str = ""


@dataclasses.dataclass
class Page:
    """A dataclass."""

    number: str


class Total(TypedDict):
    """A dict with names."""

    number: str


class Struct(msgspec.Struct):
    """Of msgspec."""

    number: str


class Model(pydantic.BaseModel):
    """Of pydantic."""

    number: str


def success(value: Any = None, **of_record: Any) -> Outcome[Any]:
    """Return a success, with a value if one is given."""
    typed = {} if value is None else {"value": value}
    return Success(index=1, image=Image(Path("a.png")), record=Record(**of_record), **typed)


def failure(error: Any = None) -> Outcome[Any]:
    """Return a failure."""
    return Failure(index=0, image=Image(b"12"), error=error or RequestRejected("no"), attempts=1)


@given(outcome=OUTCOMES)
def test_every_row_has_the_same_columns(outcome: Outcome[Any]) -> None:
    """Whatever became of an image, its row has the columns in order, and scalars in them."""
    row = to_row(outcome)
    assert [*row] == COLUMNS
    assert all(isinstance(cell, str | int | float | None) for cell in row.values())
    assert list(csv.DictReader(io.StringIO(",".join(row) + "\n"))) == []
    json.dumps(row, allow_nan=False, ensure_ascii=False).encode()


def test_a_success_fills_its_row() -> None:
    """The row of a success has its text, and the mean probability of the texts that have one."""
    texts = (Text("a", prob=0.5), Text("b", prob=1.0), Text("c"))
    row = to_row(success(ocr=OCR(texts, "a b c", "en"), width=8, height=9))
    assert [*row.values()] == ["a.png", 1, True, "a b c", "en", 0.75, 8, 9, None, None, 1, False]
    assert to_row(success())["mean_probability"] is None


def test_a_failure_says_why() -> None:
    """The row of a failure has its error."""
    row = to_row(failure())
    assert (row["ok"], row["error"], row["error_type"]) == (False, "no", "RequestRejected")
    assert (row["text"], row["attempts"], row["image"]) == (None, 1, "<2 bytes>")


def test_what_was_read_stands_in_the_row_although_the_answer_does_not_fit() -> None:
    """The text that was paid for is there, beside the error."""
    record = Record(ocr=OCR(full_text="tea"))
    assert to_row(failure(ExtractionError("no", record=record)))["text"] == "tea"
    assert to_row(failure(ExtractionError("no")))["text"] is None


def test_a_typed_answer_has_a_column_a_field() -> None:
    """Fields follow the columns; nested ones are JSON, and a name that is taken is told apart."""
    row = to_row(success(Invoice("7", ({"price": Decimal("1.10")},), "mine")))
    assert [*row] == [*COLUMNS, "number", "lines", "value_text"]
    assert (row["number"], row["lines"], row["text"], row["value_text"]) == (
        "7",
        '[{"price": "1.10"}]',
        "",
        "mine",
    )


@pytest.mark.parametrize("cls", [Invoice, Page, Total, Struct, Model])
def test_rows_of_a_class_have_its_columns(cls: Any) -> None:
    """Where the class is named, all rows have its columns, those of failures among them."""
    rows = [to_row(outcome, cls) for outcome in (success(cls(number="7")), failure())]
    assert [*rows[0]] == [*rows[1]]
    assert [row["number"] for row in rows] == ["7", None]
    assert to_row(success(cls(number="7")))["number"] == "7"


def test_a_class_without_fields_is_an_error() -> None:
    """What is no class of answers is refused by its name."""
    with pytest.raises(OptionError, match="int has no fields"):
        to_row(failure(), int)

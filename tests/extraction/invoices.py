"""Classes such as users write, instances of them, and records with answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NewType, NotRequired, TypedDict

import attrs
from hypothesis import strategies as st
from typing_extensions import TypeAliasType

from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.models import GPT, Record

Money = NewType("Money", Decimal)
Weight = TypeAliasType("Weight", float)


class Kind(Enum):
    """Told by text."""

    INVOICE = "invoice"
    CREDIT = "credit note"


class Colour(str, Enum):  # noqa: UP042 - as users write it
    """Told by text, and text itself."""

    RED = "r"
    BLUE = "b"


class Stars(IntEnum):
    """Told by name."""

    ONE = 1
    TWO = 2


@dataclass(frozen=True)
class Party:
    """Someone."""

    name: str
    city: str | None


@attrs.frozen
class Line:
    """Something."""

    text: str
    price: Decimal
    _amount: int = 1
    tags: tuple[Literal["a", "b", 3, None], ...] = ()  # noqa: PYI061 - as users write it


class Note(TypedDict):
    """Some words."""

    words: str
    when: "NotRequired[datetime]"


@attrs.frozen
class Invoice:
    """All there is."""

    number: str
    day: date
    at: time | None
    kind: Kind
    colour: Colour | None
    stars: Stars
    paid: bool
    share: float
    seller: Party
    buyer: Party | None
    lines: list[Line]
    notes: Sequence[Note]
    rates: Mapping[str, Money]
    corner: tuple[int, Weight] = (0, 0.0)


CENTS = st.decimals(allow_nan=False, allow_infinity=False, places=2)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PARTIES = st.builds(Party, name=st.text(), city=st.none() | st.text())
LINES = st.builds(
    Line,
    text=st.text(),
    price=CENTS,
    amount=st.integers(),
    tags=st.lists(st.sampled_from(["a", "b", 3, None]), max_size=2).map(tuple),
)
NOTES = st.fixed_dictionaries({"words": st.text()}, optional={"when": st.datetimes()})
INVOICES = st.builds(
    Invoice,
    number=st.text(),
    day=st.dates(),
    at=st.none() | st.times(),
    kind=st.sampled_from(Kind),
    colour=st.none() | st.sampled_from(Colour),
    stars=st.sampled_from(Stars),
    paid=st.booleans(),
    share=NUMBERS,
    seller=PARTIES,
    buyer=st.none() | PARTIES,
    lines=st.lists(LINES, max_size=2),
    notes=st.lists(NOTES, max_size=2).map(tuple),
    rates=st.dictionaries(st.text(), CENTS, max_size=2),
    corner=st.tuples(st.integers(), NUMBERS),
)

WRITERS = st.sampled_from([json.dumps, repr, lambda value: json.dumps(value, indent=1)])


def record_of(result: str | None = None, json_result: Any = None) -> Record:
    """Return a record with what a language model has written."""
    return Record(id="r", gpt=GPT(result=result, json_result=json_result))


def error_of(call: Callable[[], Any]) -> ExtractionError | None:
    """Return the ExtractionError that *call* raises, if it does; no other passes."""
    try:
        call()
    except ExtractionError as error:
        return error
    return None


def one_field(hint: Any) -> type[Any]:
    """Make a class whose one field is of the type *hint*."""
    return attrs.make_class("One", {"x": attrs.field(type=hint)})

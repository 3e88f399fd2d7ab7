"""JSON types become an instance of the user's class, or an error with the address of each fault."""

import json
from collections.abc import Sequence
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, TypedDict

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.extraction.invoices import (
    INVOICES,
    LINES,
    NOTES,
    NUMBERS,
    PARTIES,
    WRITERS,
    Colour,
    Invoice,
    Kind,
    Line,
    Money,
    Note,
    Party,
    Stars,
    Weight,
    error_of,
    one_field,
    record_of,
)
from ximilar_ocr_async._extraction.parsing import extract
from ximilar_ocr_async._extraction.schema import describe
from ximilar_ocr_async._extraction.structuring import MAX_FAULTS, structure, unstructure
from ximilar_ocr_async.errors import ExtractionError

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
LITERALS = st.sampled_from(["a", " a", 1, True, None])

HINTS: st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]] = st.deferred(
    lambda: st.sampled_from(_SIMPLE) | HINTS.flatmap(lambda below: st.sampled_from(_around(*below)))
)
"""Types that a field may have, each with the values of that type."""

_SIMPLE: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (int, st.integers()),
    (float, NUMBERS),
    (Decimal, DECIMALS),
    (bool, st.booleans()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.none() | st.just(UTC))),
    (time, st.times(timezones=st.none() | st.just(UTC))),
    (Kind, st.sampled_from(Kind)),
    (Colour, st.sampled_from(Colour)),
    (Stars, st.sampled_from(Stars)),
    (Literal["a", " a", 1, True, None], LITERALS),  # noqa: PYI061 - as users write it
    (Party, PARTIES),
    (Line, LINES),
    (Note, NOTES),
]


def _around(hint: Any, values: st.SearchStrategy[Any]) -> list[tuple[Any, Any]]:
    """Return the types that can be made around one."""
    lists = st.lists(values, max_size=2)
    return [
        (hint | None, st.none() | values),
        (Annotated[hint, "as printed"], values),
        (list[hint], lists),
        (tuple[hint, ...], lists.map(tuple)),
        (Sequence[hint], lists.map(tuple)),
        (tuple[hint, hint], st.tuples(values, values)),
        (dict[str, hint], st.dictionaries(st.text(), values, max_size=2)),
    ]


FORMS = st.sampled_from(
    [
        lambda name, hints: attrs.make_class(
            name, {key: attrs.field(type=hint) for key, hint in hints.items()}
        ),
        lambda name, hints: make_dataclass(name, hints.items()),
        TypedDict,
    ]
)
"""Ways to make a class with fields of given types."""

KEYS = st.sampled_from(["number", "day", "lines", "price", "rates", "notes", "words", "tags", "x"])
ODD = st.sampled_from(
    ["invoice", "1", "2026-01-31", "ONE", " True ", "1,234", 10**400, -0.0, "9" * 5000, 1e300]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | ODD
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=5),
    max_leaves=12,
)


@given(invoice=INVOICES, write=WRITERS, quoted=st.booleans())
def test_an_instance_survives_the_way_there_and_back(
    invoice: Invoice, write: Any, quoted: bool
) -> None:
    """What an instance looks like in JSON or in Python's style is read as that instance."""
    text = f"Here: {{}} ```{write(unstructure(invoice))}```"
    json_result = None if quoted else unstructure(invoice)
    assert extract(record_of(text, json_result), Invoice) == invoice


@given(data=st.data(), fields=st.lists(HINTS, min_size=1, max_size=4), form=FORMS)
def test_any_instance_survives_json(data: st.DataObject, fields: Any, form: Any) -> None:
    """Whatever class it is of, an instance is the same when it comes back from JSON."""
    hints = {name: hint for name, (hint, _) in zip("abcd", fields, strict=False)}
    cls = form("One", hints)
    assert describe(cls)
    values = zip(hints, (values for _, values in fields), strict=True)
    instance = cls(**{name: data.draw(drawn) for name, drawn in values})
    found = structure(json.loads(json.dumps(unstructure(instance), allow_nan=False)), cls)
    assert found == instance
    assert type(found) is type(instance)


@pytest.mark.parametrize(
    "value, plain",
    [
        (Line("tea", Decimal("1.20"), 2, ("a", 3)), None),
        (Kind.CREDIT, "credit note"),
        (Colour.RED, "r"),
        (Stars.ONE, "ONE"),
        (Decimal("12.50"), "12.50"),
        (Decimal("1.5e999"), "15" + "0" * 998),
        (Decimal("1e-1005"), "0." + "0" * 1004 + "1"),
        (datetime(2026, 1, 31, 14, 30, tzinfo=UTC), "2026-01-31T14:30:00+00:00"),
        (time(14, 30), "14:30:00"),
        ({"day": date(2026, 1, 31)}, {"day": "2026-01-31"}),
        ((True, None, 1.5), [True, None, 1.5]),
    ],
)
def test_an_instance_looks_in_json_as_the_model_would_write_it(value: Any, plain: Any) -> None:
    """Enums, decimals and dates are told as the prompt asks for them; a field by its name."""
    line = {"text": "tea", "price": "1.20", "_amount": 2, "tags": ["a", 3]}
    assert unstructure(value) == (line if plain is None else plain)


@given(value=JSON)
@example([[[[[]]]]])
def test_any_json_is_an_instance_or_an_error(value: Any) -> None:
    """Whatever JSON comes, faults have addresses, and no other error is raised."""
    head = {"number": 1, "day": "2026-01-01", "kind": "CREDIT", "stars": "ONE", "paid": "true"}
    rest = {"share": "1", "seller": {"name": 1}, "lines": [], "notes": [], "rates": {}}
    whole: dict[str, Any] = {**head, **rest}
    assert structure(whole, Invoice).buyer is None
    spoilt = [{**whole, key: value} for key in [*whole, "buyer", "corner", "x"]]
    inner = [{**whole, "lines": [value]}, {**whole, "rates": {"EUR": value}}]
    for document in [value, *spoilt, *inner]:
        error = error_of(partial(extract, record_of(json_result=document), Invoice))
        if error is not None and document is not None:
            assert 1 <= len(error.faults) <= MAX_FAULTS
            assert all(fault.startswith("$") for fault in error.faults)


@pytest.mark.parametrize(
    "hint, value, expected",
    [
        (str, " as it is ", " as it is "),
        (str, 180, "180"),
        (str, 1.5, "1.5"),
        (int, 3.0, 3),
        (int, " -3 ", -3),
        (int, 10**300, 10**300),
        (float, 3, 3.0),
        (float, " 12.50", 12.5),
        (float, "1e3", 1000.0),
        (Decimal, "12.50", Decimal("12.50")),
        (Decimal, 12.1, Decimal("12.1")),
        (Decimal, 1e22, Decimal(10**22)),
        (Money, 7, Decimal(7)),
        (bool, " True ", True),
        (bool, "false", False),
        (date, " 2026-01-31 ", date(2026, 1, 31)),
        (date, "2026-01-31T23:59:59Z", date(2026, 1, 31)),
        (datetime, "2026-01-31T14:30Z", datetime(2026, 1, 31, 14, 30, tzinfo=UTC)),
        (datetime, "2026-01-31", datetime(2026, 1, 31)),  # noqa: DTZ001 - none is said
        (time, "14:30", time(14, 30)),
        (Kind, " credit note ", Kind.CREDIT),
        (Kind, "CREDIT", Kind.CREDIT),
        (Colour, "b", Colour.BLUE),
        (Stars, "TWO", Stars.TWO),
        (Stars, 2, Stars.TWO),
        (Literal[1, True], True, True),
        (Literal[" a", "a"], " a", " a"),
        (int | None, None, None),
        (Colour | None, "RED", Colour.RED),
        (list[Annotated[int, "x"]], ["1"], [1]),
        (Annotated[int, {"a": 1}], 1, 1),
        (list[Weight | None], [1, None], [1.0, None]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (Sequence[int], [1], (1,)),
        (tuple[int, str], [1, 2], (1, "2")),
        (dict[str, Annotated[Money, "x"]], {"EUR": "1.00"}, {"EUR": Decimal("1.00")}),
        (Note, {"words": "w", "when": None, "unknown": 1}, {"words": "w"}),
    ],
)
def test_a_value_that_can_mean_one_thing_is_taken(hint: Any, value: Any, expected: Any) -> None:
    """Each type takes what models write for it, and the prompt can ask for it."""
    cls = one_field(hint)
    assert describe(cls)
    found = structure({"x": value, "unknown": 1}, cls).x
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "hint, value, fault",
    [
        (str, True, "expected text, got true"),
        (str, float("inf"), "expected text, got Infinity"),
        (str, [], "expected text, got an array"),
        (int, 3.5, "expected a whole number, got 3.5"),
        (int, "3.5", "expected a whole number, got '3.5'"),
        (int, True, "expected a whole number, got true"),
        (int, float("nan"), "expected a whole number, got NaN"),
        (int, "9" * 5000, f"expected a whole number, got '{'9' * 40}'..."),
        (int, "１２", "expected a whole number, got '１２'"),  # noqa: RUF001 - what OCR may read
        (list[str], 10**50, "expected an array, got a huge number"),
        (float, 10**400, "expected a number such as 1234.5, got a huge number"),
        (float, "9" * 400, f"expected a number such as 1234.5, got '{'9' * 40}'..."),
        (float, "1,234.56", "expected a number such as 1234.5, got '1,234.56'"),
        (Decimal, "1.234,56", "expected a number such as 1234.5, got '1.234,56'"),
        (Decimal, "€ 12", "expected a number such as 1234.5, got '€ 12'"),
        (Decimal, "NaN", "expected a number such as 1234.5, got 'NaN'"),
        (Decimal, {}, "expected a number such as 1234.5, got an object"),
        (bool, "yes", "expected true or false, got 'yes'"),
        (bool, 1, "expected true or false, got 1"),
        (date, "31.01.2026", "expected a date such as 2026-08-31, got '31.01.2026'"),
        (date, 20260131, "expected a date such as 2026-08-31, got 20260131"),
        (datetime, "now", "expected a date and time such as 2026-08-31T14:30:00, got 'now'"),
        (time, "2 pm", "expected a time such as 14:30:00, got '2 pm'"),
        (time, None, "expected a time such as 14:30:00, got null"),
        (Kind, "bill", 'expected one of "invoice", "credit note", got \'bill\''),
        (Stars, True, 'expected one of "ONE", "TWO", got true'),
        (Literal["a", 1], True, 'expected one of "a", 1, got true'),
        (list[str], "abc", "expected an array, got 'abc'"),
        (list[str], {}, "expected an array, got an object"),
        (tuple[int, int], [1], "expected 2 items, got 1"),
        (dict[str, int], [], "expected an object, got an array"),
        (Note, "words", "expected an object, got 'words'"),
    ],
)
def test_a_value_that_does_not_fit_says_so(hint: Any, value: Any, fault: str) -> None:
    """Nothing is guessed: the fault says what was expected and what was there."""
    with pytest.raises(ExtractionError) as caught:
        structure({"x": value}, one_field(hint))
    assert caught.value.faults == (f"$.x: {fault}",)


def test_each_fault_has_its_address() -> None:
    """Faults are told from the outside in, with fields, places and keys."""
    lines = [{"text": "a", "price": 1}, {"text": "b"}, {"text": [], "price": "x @ $.y: z"}, 7]
    document = {"lines": lines, "rates": {"EUR @ $": None}, "seller": {}}
    with pytest.raises(ExtractionError) as caught:
        structure(document, attrs.make_class("Some", [], bases=(Part,)))
    assert caught.value.faults == (
        "$.seller.name: expected text, got nothing",
        "$.lines[1].price: expected a number such as 1234.5, got nothing",
        "$.lines[2].text: expected text, got an array",
        "$.lines[2].price: expected a number such as 1234.5, got 'x @ $.y: z'",
        "$.lines[3]: expected an object, got 7",
        "$.rates['EUR @ $']: expected a number such as 1234.5, got null",
    )
    told = "; ".join(caught.value.faults[:3])
    assert str(caught.value) == f"the completion does not fit Some: {told}; and more"


@attrs.frozen
class Part:
    """Some of an invoice."""

    seller: Party
    lines: list[Line]
    rates: dict[str, float]


def test_faults_are_few_and_short() -> None:
    """A long list of wrong items gives a few faults, and a long key is cut."""
    with pytest.raises(ExtractionError) as caught:
        structure({"x": [None] * 100_000}, one_field(list[int]))
    assert caught.value.faults[-1] == "$.x[9]: expected a whole number, got null"
    assert len(caught.value.faults) == MAX_FAULTS
    with pytest.raises(ExtractionError) as caught:
        structure({"x": {"k" * 1000: []}}, one_field(dict[str, int]))
    assert caught.value.faults == (f"$.x['{'k' * 40}'...]: expected a whole number, got an array",)


def test_faults_are_lines_that_can_be_printed() -> None:
    """Neither a key nor the words of a validator can forge a line, colours or an order of text."""
    hostile = "a\nERROR \x1b[31m\u202e\ud800'"
    with pytest.raises(ExtractionError) as caught:
        structure({"x": {hostile: []}}, one_field(dict[str, int]))
    [of_key] = caught.value.faults

    def refuse(_: Any, __: Any, value: str) -> None:
        raise ValueError(value)

    fussy = attrs.make_class("One", {"x": attrs.field(type=str, validator=refuse)})
    with pytest.raises(ExtractionError) as caught:
        structure({"x": hostile}, fussy)
    [of_word] = caught.value.faults
    assert of_key == f"$.x[{hostile!r}]: expected a whole number, got an array"
    assert of_word == "$: ValueError: a ERROR [31m '"
    assert all(text.isprintable() for text in (of_key, of_word))


@attrs.frozen
class Odd:
    """One that looks after itself."""

    number: int = attrs.field(validator=attrs.validators.ge(0), default=1)
    word: str = attrs.field(validator=attrs.validators.in_(["a"]), default="a")

    def __attrs_post_init__(self) -> None:
        """Refuse one number, without a word."""
        if self.number == 13:
            raise RuntimeError


@pytest.mark.parametrize(
    "value, fault",
    [
        ({"number": -1}, "$: ValueError: 'number' must be >= 0: -1"),
        ({"word": "b"}, "$: ValueError: 'word' must be in ['a'] (got 'b')"),
        ({"number": 13}, "$: RuntimeError"),
    ],
)
def test_what_the_class_itself_refuses_is_a_fault(value: Any, fault: str) -> None:
    """A validator of the user's is heard like a type that does not fit."""
    with pytest.raises(ExtractionError) as caught:
        structure(value, Odd)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize("value", [{}, {"number": None, "word": None}])
def test_what_is_not_said_is_left_to_its_default(value: Any) -> None:
    """A key that is missing or null is the field's default, where the field has one."""
    assert structure(value, Odd) == Odd()


@attrs.frozen
class Wordy:
    """Remarks of others, which cannot be hashed."""

    a: list[Annotated[int, {"gt": 0}]]


def test_what_others_say_of_a_type_is_no_matter() -> None:
    """Remarks in Annotated, for other libraries and of any kind, are passed over."""
    assert describe(Wordy)
    assert structure({"a": ["1"]}, Wordy) == Wordy([1])


@attrs.frozen
class Choosy:
    """Defaults that are something, where None is allowed."""

    a: int | None = 1
    b: Literal["x", None] = "x"  # noqa: PYI061 - as users write it
    c: int | None = attrs.field(kw_only=True)


def test_null_is_none_where_that_is_meant() -> None:
    """A null goes before the default of a field that takes None; a missing key does not."""
    assert structure({}, Choosy) == Choosy(1, "x", c=None)
    assert structure({"a": None, "b": None}, Choosy) == Choosy(None, None, c=None)


@attrs.frozen
class Converted:
    """One whose own converter takes what `structure` does not."""

    a: str = attrs.field(converter=Decimal)


@pytest.mark.parametrize(
    "number", ["1e300000000", "-1e-300000000", "0e300000000", "0e-300000000", "1.5e999999999"]
)
def test_no_exponent_is_written_in_zeros_without_end(number: str) -> None:
    """A number that only the class's own converter takes is written with its exponent."""
    [written] = unstructure(structure({"a": number}, Converted)).values()
    assert len(written) < 20
    assert Decimal(written) == Decimal(number)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_written_in_words(number: str) -> None:
    """A class's own converter may make what has no digits."""
    assert unstructure(Converted(number)) == {"a": number}

"""Digits come into the user's class as the model wrote them, whichever way they took."""

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TypedDict

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.replies import decode, reply
from ximilar_ocr_async._extraction.digits import Written
from ximilar_ocr_async._extraction.parsing import MAX_CONTAINERS, extract, parse_completion
from ximilar_ocr_async._extraction.structuring import structure
from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.models import GPT, Record
from ximilar_ocr_async.testing import InProcessService, ScriptedGPT

NUMBERS = [
    "12345678901234567.89",
    "1.10",
    "0.1000000000000000000000000000001",
    "1E5",
    "1e+2",
    "2.50e-3",
    "-0.0",
    "-1.0",
    "7",
    "12345678901234567890123",
    "0.30000000000000004",
    "1e400",
    "100.00",
    "9" * 400 + ".5",
]


class Both(TypedDict):
    """A number, twice."""

    exact: Decimal
    word: str


@dataclass
class Row:
    """A row."""

    price: Decimal | None = None
    count: int = 0
    share: float = 0.0


@frozen
class Sheet:
    """Numbers at all depths."""

    both: Both
    rows: list[Row]
    pair: tuple[Decimal, str] | None = None
    by_name: dict[str, Decimal] = field(factory=dict)
    either: Decimal | None = None


def sheet(number: str) -> str:
    """Return a completion with a number at all depths."""
    both = f'{{"exact": {number}, "word": {number}}}'
    return (
        f'{{"both": {both}, "rows": [{{"price": {number}}}], "pair": [{number}, {number}],'
        f' "by_name": {{"a": {number}}}, "either": {number}}}'
    )


def record_with(**gpt: str) -> Record:
    """Return the record that a response has, given the JSON of members of its completion."""
    members = ", ".join(f'"{key}": {value}' for key, value in gpt.items())
    row = f'{{"_id": "r", "_gpt": {{{members}}}, "_ocr": {{"texts": []}}}}'
    [found] = decode(200, f'{{"records": [{row}]}}'.encode(), ["r"])
    assert isinstance(found, Record)
    return found


def ways(completion: str) -> list[Record]:
    """Return records with a completion: as text alone, as JSON alone, and as both."""
    text, quoted = json.dumps(completion), json.dumps(f"Sure:\n```json\n{completion}\n```")
    # The service reads what the model wrote as any program does.
    rounded = json.dumps(json.loads(completion))
    found = [record_with(result=text), record_with(json_result=completion)]
    found += [record_with(result=quoted, json_result=completion), record_with(result=quoted)]
    if "Infinity" not in rounded:
        found += [record_with(result=quoted, json_result=rounded)]
    return found


def check_sheet(made: Sheet, number: str) -> None:
    """Look that a number is at all depths of it, digit by digit."""
    exact = Decimal(number)
    exacts = [made.both["exact"], made.rows[0].price, made.by_name["a"], made.either]
    assert [str(each) for each in exacts] == [str(exact)] * 4
    assert made.both["word"] == number
    assert made.pair is not None
    assert (str(made.pair[0]), made.pair[1]) == (str(exact), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_digits_are_kept_at_all_depths(number: str) -> None:
    """A decimal has the value that was written, and a text its digits."""
    for record in ways(sheet(number)):
        check_sheet(extract(record, Sheet), number)


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
        lambda d: abs(d.adjusted()) < 300
    )
)
def test_any_decimal_is_kept(number: Decimal) -> None:
    """Whatever number a model writes, the digits stay."""
    digits = str(number)
    for record in ways(sheet(digits)):
        check_sheet(extract(record, Sheet), digits)


@pytest.mark.anyio
@pytest.mark.parametrize("number", ["12345678901234567.89", "1.10", "1E5", "7"])
async def test_a_session_keeps_digits(number: str) -> None:
    """All the way, through a service that rounds what it parses."""
    there = InProcessService(gpt=ScriptedGPT(sheet(number)))
    async with there.session() as session:
        check_sheet(await session.extract("https://x.example/a", Sheet), number)
        [outcome] = await session.extract_all(["https://x.example/a"], Sheet)
    check_sheet(outcome.unwrap(), number)


@pytest.mark.parametrize(
    "number, share, count",
    [("1.0", 1.0, 1), ("1e2", 100.0, 100), ("12345678901234567.0", 1.2345678901234568e16, None)],
)
def test_floats_stay_floats_and_whole_numbers_whole(
    number: str, share: float, count: int | None
) -> None:
    """They are Python's own types, and a whole number has all digits that were written."""
    for record in ways(f'{{"share": {number}, "count": {number}}}'):
        made = extract(record, Row)
        assert (type(made.share), type(made.count)) == (float, int)
        assert made.share == share
        assert made.count == (count or int(Decimal(number)))


@pytest.mark.parametrize("number", ["1.5", "12345678901234567.5"])
def test_a_part_is_no_whole_number(number: str) -> None:
    """Not even where a float would have lost it; and the fault shows what was written."""
    for record in ways(f'{{"count": {number}}}'):
        with pytest.raises(ExtractionError, match=f"expected a whole number, got {number}"):
            extract(record, Row)


def test_a_float_of_the_wrong_size_is_refused() -> None:
    """A float field cannot hold what only a decimal can."""
    with pytest.raises(ExtractionError, match="expected a number"):
        extract(record_with(result=json.dumps('{"share": 1e400}')), Row)


class Step(Enum):
    """A step."""

    HALF = 0.5


def test_what_is_chosen_by_a_float_is_found() -> None:
    """An enum of floats is met by its value."""
    made = extract(record_with(json_result='{"step": 0.50}'), frozen(_Stepped))
    assert made.step is Step.HALF


class _Stepped:
    step: Step


@pytest.mark.parametrize(
    "result, json_result",
    [
        ('{"exact": 2.50, "word": "b"}', '{"exact": 1.50, "word": "a"}'),
        ("no JSON 1.5", '{"exact": 1.50, "word": "a"}'),
        ('{"exact": 1.500', '{"exact": 1.50, "word": "a"}'),
        ("[" * 100_00 + "1.5", '{"exact": 1.50, "word": "a"}'),
        ('{"exact": NaN, "word": 1.0}', '{"exact": 1.50, "word": "a"}'),
    ],
)
def test_what_the_service_parsed_decides(result: str, json_result: str) -> None:
    """The text counts for its digits only where it says the same."""
    record = record_with(result=json.dumps(result), json_result=json_result)
    assert extract(record, Both) == {"exact": Decimal("1.50"), "word": "a"}


def test_what_the_service_may_not_parse_does_not_cost_the_rest() -> None:
    """A NaN in an answer is null, and the numbers beside it keep their digits."""
    record = record_with(json_result='{"price": NaN, "share": 0.1, "word": 1.10}')
    assert parse_completion(record.gpt or GPT())["word"].digits == "1.10"


def test_unusual_records_keep_digits_too() -> None:
    """Records that are decoded the long way lose none."""
    row = '{"_id": "r", "_gpt": {"json_result": {"exact": 1.10, "word": 1.10}, "more": 1}, %s}'
    for other in ('"_ocr": {"texts": [{"text": 1}]}', '"_width": 1e300', '"_ocr": null'):
        [record] = decode(200, f'{{"records": [{row % other}]}}'.encode(), ["r"])
        assert isinstance(record, Record)
        assert extract(record, Both) == {"exact": Decimal("1.10"), "word": "1.10"}


def test_a_record_shows_plain_numbers() -> None:
    """What users see of a record are Python's own types, and it is written as before."""
    record = record_with(json_result='{"a": 1.10, "b": [2.50]}')
    assert record.gpt
    assert record.gpt.json_result == {"a": 1.1, "b": [2.5]}
    assert type(record.gpt.json_result["a"]) is float
    assert record.gpt == GPT(json_result={"a": 1.1, "b": [2.5]})
    assert "1.10" not in repr(record)
    [again] = decode(200, reply({"_id": "r", "_gpt": {"json_result": {"a": 1.1}}}), ["r"])
    assert isinstance(again, Record)


def test_what_is_large_is_not_kept_twice() -> None:
    """Neither a long answer nor one of many parts costs more than it did."""
    long = record_with(json_result='{"a": 1.10, "b": "%s"}' % ("x" * 70_000))
    assert long.gpt
    assert long.gpt._written == b""
    deep = "[1.5]," * MAX_CONTAINERS + "1.5"
    gpt = GPT(json_result={"a": 1}, written=f"[{deep}]".encode())
    assert parse_completion(gpt) == {"a": 1}


def test_nesting_without_end_is_no_harm() -> None:
    """What is too deep to be parsed again is left as it was."""
    for text in ("[" * 1900 + "1.5" + "]" * 1900, '{"a":' * 1900 + "1.5" + "}" * 1900):
        assert parse_completion(GPT(json_result={"a": 1}, written=text.encode())) == {"a": 1}


def test_written_numbers_are_structured_like_any() -> None:
    """What is read with its digits needs no response around it."""
    assert structure({"exact": Written("1.50"), "word": Written("2.0")}, Both)["word"] == "2.0"

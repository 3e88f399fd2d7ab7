"""The fast path of decoding leads where the long way does."""

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.replies import KEYS, NUMBERS, SIZES, WORDS, decode
from ximilar_ocr_async._protocol.decode import Echo, decode_usual
from ximilar_ocr_async._protocol.fast_decode import (
    read_usual_record,
    read_usual_response,
    read_usual_texts,
)
from ximilar_ocr_async._protocol.json_values import Allowance
from ximilar_ocr_async.errors import ReplyError
from ximilar_ocr_async.models import GPT, Record, Status, Text

USUAL: dict[str, Any] = {"text": "tea", "polygon": [[1.0, 2.0]] * 4, "prob": 0.5}
UNUSUAL = [
    {"text": 7},
    {"prob": 1},
    {"prob": None},
    {"polygon": [[1.0, 2.0]] * 3},
    {"polygon": [[1.0, 2.0]] * 5},
    {"polygon": [[1, 2]] * 4},
    {"polygon": []},
    {"new": "key"},
]


def texts_of(*rows: Any) -> Any:
    """Decode a record with these texts."""
    body = json.dumps({"records": [{"_id": "a", "_ocr": {"texts": rows}}]}).encode()
    [record] = decode(200, body, ["a"])
    return record.ocr.texts if isinstance(record, Record) else record


@pytest.mark.parametrize("change", UNUSUAL)
def test_unusual_texts_are_decoded_as_the_usual_are(change: dict[str, Any]) -> None:
    """Whatever one text looks like, the others of its image are what they are without it."""
    usual, unusual = texts_of(USUAL, {**USUAL, **change})
    assert usual == Text("tea", ((1.0, 2.0),) * 4, 0.5)
    assert all(isinstance(x, float) for point in unusual.polygon for x in point)
    assert unusual.extra == ({"new": "key"} if "new" in change else {})


@pytest.mark.parametrize(
    "change",
    [
        {"polygon": [[1.0, "x"]] * 4},
        {"polygon": [[1.0]] * 4},
        {"polygon": [[1.0, 2.0, 3.0]] * 4},
        {"polygon": [7] * 4},
        {"polygon": [[1.0, 2e308 * 10]] * 4},
        {"polygon": 7},
        {"prob": "x"},
    ],
)
def test_a_text_that_makes_no_sense_is_an_error_with_its_address(change: dict[str, Any]) -> None:
    """The long way finds out where it stands."""
    error = texts_of(USUAL, {**USUAL, **change})
    assert isinstance(error, ReplyError)
    assert ".texts[1]" in str(error)


def test_a_number_that_no_float_can_hold_is_an_error_with_its_address() -> None:
    """Infinity is no place in an image."""
    body = json.dumps({"records": [{"_id": "a", "_ocr": {"texts": [USUAL]}}]})
    [error] = decode(200, body.replace("0.5", "1e400").encode(), ["a"])
    assert isinstance(error, ReplyError)
    assert ".texts[0].prob" in str(error)


STRANGE = st.sampled_from(
    [None, True, 1, -0.0, 1e400, 10**30, 2.0, "", "x", "\ud800", [], {}, {"a": 1}, [1, 2], [[1.5]]]
)


def or_odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual, or rarely something else."""
    return st.integers(0, 40).flatmap(lambda number: STRANGE if number == 17 else usual)


def objects(**cells: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects with these keys, of which some may be missing, odd, or more."""
    whole = st.fixed_dictionaries({key: or_odd(cell) for key, cell in cells.items()})
    rest = st.fixed_dictionaries({}, optional={key: or_odd(cell) for key, cell in cells.items()})
    more = st.builds(lambda first, key, value: {**first, key: value}, rest, KEYS, STRANGE)
    return st.integers(0, 20).flatmap(lambda number: {7: rest, 13: more}.get(number, whole))


POINT = or_odd(st.tuples(or_odd(NUMBERS), or_odd(NUMBERS)).map(list))
ROWS_OF_TEXT = objects(
    text=st.text(),
    polygon=st.lists(POINT, min_size=4, max_size=4),
    prob=NUMBERS,
)
VERDICT = objects(code=st.just(200), text=st.text(), request_id=st.text())


def row(record_id: str) -> st.SearchStrategy[Any]:
    """Draw what comes back of the record with this id, or mostly this."""
    read = objects(
        texts=st.lists(or_odd(ROWS_OF_TEXT), max_size=3),
        full_text=st.text(),
        lang=WORDS,
        lang_name=WORDS,
    )
    return objects(
        _id=st.just(record_id), _ocr=read, _status=VERDICT, _url=WORDS, _width=SIZES, _height=SIZES
    )


ANSWER = objects(
    records=(st.tuples(row("a")) | st.tuples(row("a"), row("b"))).map(list),
    status=VERDICT,
)


def doubled(text: str, *keys: str) -> str:
    """Return JSON in which something odd stands at *keys* before what counts, the last one there.

    Only the long way bears that.
    """
    for key in keys:
        text = text.replace(f'"{key}":', f'"{key}": [[]], "{key}":')
    return text


@given(ANSWER, st.sampled_from([200, 500]), st.sampled_from([[], ["_base64"]]))
def test_the_fast_path_of_answers_leads_where_the_long_way_does(
    answer: Any, http: int, more: list[str]
) -> None:
    """Whatever an answer is like, nobody can tell by its records how it was decoded."""
    rows = answer.get("records")
    ids = ["a", "b"][: len(rows) if isinstance(rows, list) else 1]
    if isinstance(rows, list):
        rows = [
            {**row, **dict.fromkeys(more, "x")} if isinstance(row, dict) else row for row in rows
        ]
        answer = {**answer, "records": rows}
    text = json.dumps(answer)
    ways = [text, doubled(text, "_id"), doubled(text, "_ocr"), doubled(text, "text", "prob")]
    fast, *slow = (repr(decode(http, way.encode(), ids)) for way in ways)
    assert slow == [fast] * 3


@given(objects(texts=st.lists(or_odd(ROWS_OF_TEXT), max_size=3), full_text=st.text(), lang=WORDS))
def test_the_fast_path_of_texts_leads_where_the_long_way_does(ocr: Any) -> None:
    """Whatever texts are like, an unknown key beside them changes only how they are decoded."""
    fast, slow = (
        decode(200, json.dumps({"records": [{"_id": "a", "_ocr": read}]}).encode(), ["a"])[0]
        for read in (ocr, {**ocr, "new": 0})
    )
    if isinstance(slow, Record):
        known = {key: value for key, value in slow.ocr.extra.items() if key != "new"}
        slow = evolve(slow, ocr=evolve(slow.ocr, extra=known))
    assert repr(fast) == repr(slow)


def test_long_completions_are_not_read_at_once() -> None:
    """They are left to a thread, and come out the same."""
    rows = [{"_id": "a", "_ocr": {"texts": []}, "_gpt": {"json_result": [0] * 9000}}]
    body = json.dumps({"records": rows}).encode()
    assert decode_usual(200, body, ["a"], echo=Echo()) is None
    [record] = decode(200, body, ["a"])
    assert isinstance(record, Record)
    assert record.gpt == GPT(json_result=[0] * 9000)
    assert decode_usual(200, body.replace(b"0, ", b""), ["a"], echo=Echo())


def test_what_stands_beside_the_records_of_an_answer_is_passed_over() -> None:
    """Keys that no record has anything to do with are not looked at, whatever is in them."""
    for more in (b"null", b'{"credits": 1}', b"1" * 5_000, b'"\xff"'):
        answer = b'{"records": [{"_id": "a", "_ocr": {"texts": []}}], "statistics": %s}' % more
        assert decode(200, answer, ["a"]) == [Record(id="a", status=Status(200))]


@pytest.mark.parametrize("number", ["1e300", "5E-324", "1" * 309])
@pytest.mark.parametrize("key", ["prob", "polygon"])
def test_extreme_numbers_take_the_long_way(number: str, key: str) -> None:
    """No typed decoder is given them, and texts have them all the same."""
    changed = {**USUAL, key: -1} if key == "prob" else {**USUAL, key: [[-1, 0.5]] * 4}
    text = json.dumps(changed).replace("-1", number).encode()
    record = b'{"_id":"a","_ocr":{"texts":[%b]}}' % text
    body = b'{"records":[%b]}' % record
    members = {"_ocr": memoryview(b"{}")}
    assert read_usual_response(200, body, ["a"]) is None
    assert read_usual_record(record, members, Status(200), Allowance()) is None
    assert read_usual_texts(b"[%b]" % text, Allowance()) is None
    [found] = decode(200, body, ["a"])
    if number != "1" * 309:
        assert isinstance(found, Record)
        assert float(number) in (found.ocr.texts[0].prob, found.ocr.texts[0].polygon[0][0])

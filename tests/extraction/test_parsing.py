"""What a model writes is found among prose and becomes an instance of the user's class."""

import copy
import json
import pickle
from decimal import Decimal
from functools import partial
from typing import Any, assert_type

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.extraction.invoices import (
    NUMBERS,
    WRITERS,
    Invoice,
    Line,
    Note,
    Party,
    error_of,
    one_field,
    record_of,
)
from ximilar_ocr_async._extraction.parsing import (
    MAX_COMPLETION,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_VALUES,
    extract,
    parse_completion,
)
from ximilar_ocr_async._extraction.schema import describe
from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.models import GPT, Record, Status

FINITE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), FINITE, max_size=4)
PROSE = st.text().map(lambda text: text.replace("{", "(").replace("[", "("))
PIECES = [*"{}[]\"'\\,: \n1aux", "None", "{'number': ", '{"lines": ', "```"]
DENSE = st.lists(st.sampled_from(PIECES)).map("".join)


def _find(text: str) -> Any:
    return parse_completion(GPT(result=text))


# ---- finding


def test_the_services_own_reading_goes_first() -> None:
    """What the service has parsed is the answer, whatever the text beside it is."""
    assert parse_completion(GPT(result='{"a": 1}', json_result={"a": 2})) == {"a": 2}
    assert parse_completion(GPT(result='{"a": 1}', json_result=[])) == []


@pytest.mark.parametrize(
    "text, value",
    [
        ("{'name': 'Mew V', 'type': 'Basic'}", {"name": "Mew V", "type": "Basic"}),
        ('{"a": 1}', {"a": 1}),
        ('Here you are:\n```json\n{"a": 1}\n```\nAnything else?', {"a": 1}),
        ("``` python\n{'a': (1)}```{'a': [1,],}", {"a": [1]}),
        ('{"a": true, \'b\': True, "c": null, "d": None, \'e\': false, "f": False , }', None),
        ("{'a': \"it's\", 'b': 'it\\'s', 'c': 'say \"hi\"'}", None),
        ('{"a": "}{", "b": "\\"}", "c": "\\\\"} }', {"a": "}{", "b": '"}', "c": "\\"}),
        ('{"a": "one\ntwo\ttabs"}', {"a": "one\ntwo\ttabs"}),
        (r"{'a': '\x41\xe9\u00e9\U0001f600\n\/'}", {"a": "Aéé😀\n/"}),
        (r"{'a': '\d\U99999999\xZZ\q\u0041000a'}", {"a": r"\d\U99999999\xZZ\qA000a"}),
        ('{"a": "True, None,]", "b": [True,]}', {"a": "True, None,]", "b": [True]}),
        ("It's {} they don't {'a': 1} isn't it", {"a": 1}),
        ('[1] see [note]: {"a": [2]} [3]', {"a": [2]}),
        ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ('{"a": 1} [ \n{"a": 2}]', [{"a": 2}]),
        ('}}]] {"a": 1} ]}', {"a": 1}),
        ("{}", {}),
        ('{"a": 1}{"a": 2}{"a": {"a": 3}}', {"a": {"a": 3}}),
        ('{"a": 1e999, "a": -5}', {"a": -5}),
    ],
)
def test_the_last_object_is_found_as_it_was_meant(text: str, value: Any) -> None:
    """JSON and Python's style are read alike, among prose, fences and other objects."""
    if value is None:
        value = eval(text, {"true": True, "false": False, "null": None})  # noqa: S307 - our own text
    assert _find(text) == value


@given(value=OBJECTS, write=WRITERS, before=PROSE, after=PROSE)
def test_an_object_is_found_among_prose(value: Any, write: Any, before: str, after: str) -> None:
    """An object in either style is read whole, whatever stands around it."""
    assert _find(f"{before}{write(value)}{after}") == value


@given(injected=OBJECTS, value=OBJECTS, write=WRITERS, between=PROSE)
def test_an_earlier_object_never_wins(injected: Any, value: Any, write: Any, between: str) -> None:
    """What the model quotes from the image before its answer is not taken for it."""
    assert _find(f"{write(injected)}{between}{write(value)}") == value


@given(injected=OBJECTS, value=OBJECTS, write=WRITERS, data=st.data())
def test_an_answer_that_is_cut_off_is_no_answer(
    injected: Any, value: Any, write: Any, data: st.DataObject
) -> None:
    """Neither an earlier object nor one inside it stands in for one that does not end."""
    whole = write({"quoted": injected, "last": value})
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(
        ExtractionError, match="the completion is cut off: its last object does not"
    ):
        _find(f"{write(injected)} so {whole[:cut]}")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("I see no invoice. [1]", "has no JSON object"),
        ('{"a": 1} {garbled}', "is neither JSON nor a Python dict"),
        ('{"a": {]}', "is neither JSON nor a Python dict"),
        ('{"a": 1, ,}', "is neither JSON nor a Python dict"),
        ("{1: 2}", "is neither JSON nor a Python dict"),
        ("{'a'}", "is neither JSON nor a Python dict"),
        ("{'a': 1+1}", "is neither JSON nor a Python dict"),
        ("{'a': __import__('os')}", "is neither JSON nor a Python dict"),
        ("{'a': b'c'}", "is neither JSON nor a Python dict"),
        ('{"a": %s}' % ("9" * 5000), "is neither JSON nor a Python dict"),
        ('{"a": "\\u12"}', "is neither JSON nor a Python dict"),
        ('{"a": 1} {"b": "', "is cut off: its last object does not end"),
        ("{'b': 'it's'}", "is cut off: its last object does not end"),
        ("{" * (MAX_DEPTH + 1), "is nested more than 64 deep"),
        ("x" * (MAX_COMPLETION + 1), "has 65,537 characters, the limit is 65,536"),
        ("{}" * MAX_VALUES, "has 1,000 objects or more"),
    ],
)
def test_what_is_no_answer_says_why(text: str, message: str) -> None:
    """An answer without an object that is whole and clean is an error with the text in it."""
    with pytest.raises(ExtractionError) as caught:
        _find(text)
    assert str(caught.value) == f"the completion {message}"
    assert caught.value.answer == text


SIZE = 60_000


@pytest.mark.parametrize(
    "piece",
    [
        *("{", "[{", "{}", "[", "[ ", "}", '{"', "{'", '"', "'", "\\", '\\"', "{'\\", ",", "{,"),
        *("{ ", '{"a":', '{"a":1}', '{"":[', "{'a':'\\x41'}", "{[", "{]", "{}[", "True", "{}\\'"),
    ],
)
@pytest.mark.parametrize("around", ["%s", "{%s}", '{"a": "%s', "{'a': '%s'}", "{'a': [%s]}"])
def test_a_hostile_answer_is_done_with(around: str, piece: str) -> None:
    """Text that is made to be slow or deep is read or refused, in time that grows with its size."""
    text = around % (piece * (SIZE // len(piece)))
    for hostile in (text, text.replace("{", "{ " * 3 + "\n", 1)):
        error = error_of(partial(_find, hostile))
        assert error is None or len(str(error)) < 100


@pytest.mark.parametrize("blanks", ["[" + " " * SIZE, "," + " " * SIZE, ("[," + " " * 99) * 2000])
def test_blanks_are_passed_once(blanks: str) -> None:
    """Long runs of blanks after a bracket or a comma are no trap."""
    assert _find(f"{blanks}{{}}"[-SIZE:]) in ({}, [{}])
    for text in (f"{{{blanks}", f"{{{blanks}}}", f"{blanks}{{{blanks}}}"):
        error = error_of(partial(_find, text))
        assert error is None or len(str(error)) < 100


def test_an_answer_that_the_service_parsed_is_bounded_too() -> None:
    """What comes as ``json_result`` is as long as text may be, and no longer."""
    fits, too_long = ["x" * 100] * 600, ["x" * 100] * 700
    assert parse_completion(GPT(json_result=fits)) == fits
    with pytest.raises(ExtractionError, match="has more than 65,536 characters"):
        parse_completion(GPT(json_result=too_long))


@pytest.mark.parametrize("item, each", [({}, 1), ([], 1), ({"a": [{}]}, 3), ([[1], "[[{{"], 2)])
def test_objects_and_arrays_have_a_limit(item: Any, each: int) -> None:
    """As many as a model can write are read; brackets in strings do not count."""
    for extra in (0, 1):
        document = {"a": [item] * ((MAX_CONTAINERS - 2) // each + extra)}
        for gpt in (GPT(json_result=document), GPT(result=json.dumps(document))):
            if not extra:
                assert parse_completion(gpt) == document
                continue
            with pytest.raises(ExtractionError, match="more than 2,000 objects and arrays"):
                parse_completion(gpt)


@pytest.mark.parametrize(
    "fits, too_long",
    [
        ({"a": "x" * 60_000}, {"a": "x" * 66_000}),
        ({"x" * 60_000: 1}, {"x" * 66_000: 1}),
        ([10**100] * 600, [10**100] * 700),
        ([None] * 10_000, [None] * 20_000),
        ([1] * 20_000, [1] * 40_000),
        ([{"a" * 50: None}] * 900, [{"a" * 50: None}] * 1500),
    ],
)
def test_whatever_the_service_parsed_is_bounded(fits: Any, too_long: Any) -> None:
    """Keys, numbers, and what is empty count, at any depth."""
    for wrap in (lambda value: value, lambda value: {"deep": [value]}):
        assert parse_completion(GPT(json_result=wrap(fits))) == wrap(fits)
        with pytest.raises(ExtractionError, match="has more than 65,536 characters"):
            parse_completion(GPT(json_result=wrap(too_long)))


def test_depth_is_bounded_in_each_style() -> None:
    """As many objects and arrays in one another as the limit says are read, and none more."""
    for open_, close in (('{"a":', "}"), ("{'a':", "}"), ('{"a":[', "]}")):
        levels = MAX_DEPTH // (open_.count("{") + open_.count("["))
        assert _find(open_ * levels + "1" + close * levels)
        with pytest.raises(ExtractionError, match="nested more than 64 deep"):
            _find(open_ * (levels + 1) + "1" + close * (levels + 1))


@given(text=st.text() | DENSE)
@example("{'a': '\ud800'}")
@example('{"a": "\\ud800"}')
def test_any_text_is_an_answer_or_an_error(text: str) -> None:
    """Whatever a model writes, it is an invoice or an ExtractionError, and nothing else."""
    error = error_of(lambda: extract(record_of(text), Invoice))
    assert error is None or error.answer == text


# ---- from the record


def test_what_is_extracted_has_the_type_asked_for() -> None:
    """The result is an instance of the class, to the type checker too."""
    assert describe(Party) != describe(Note)
    party = extract(record_of("{'name': 'Mew V'}"), Party)
    assert_type(party, Party)
    assert party == Party("Mew V", None)
    line = extract(record_of("{'text': 'Mew', 'price': 1, '_amount': 2}"), Line)
    assert_type(line, Line)
    assert line == Line("Mew", Decimal(1), 2)
    note = extract(record_of("{'words': 'Mew V'}"), Note)
    assert_type(note, Note)
    assert note == {"words": "Mew V"}


def test_an_error_has_what_was_paid_for() -> None:
    """The error carries answer, faults, record and request, and survives pickle and copy."""
    text = f"Sure! {{'name': {{}}, 'city': '{'x' * 200}'}}"
    record = attrs.evolve(record_of(text), status=Status(request_id="q"))
    with pytest.raises(ExtractionError) as caught:
        extract(record, Party)
    error = caught.value
    for twin in (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert twin.faults == ("$.name: expected text, got an object",)
        assert (twin.answer, twin.record, twin.request_id) == (text, record, "q")
        assert str(twin) == (
            "the completion does not fit Party: $.name: expected text, got an object; "
            f"it begins {text[:120]!r}"
        )
    assert text not in repr(error)


@pytest.mark.parametrize("record", [Record(), record_of(), record_of("")])
def test_a_record_without_an_answer_is_an_error(record: Record) -> None:
    """Where the model said nothing, the error says so, and has the record."""
    with pytest.raises(ExtractionError, match=r"^the completion is empty$") as caught:
        extract(record, Party)
    assert (caught.value.answer, caught.value.faults) == ("", ())
    assert caught.value.record is record


def test_a_class_that_cannot_be_made_keeps_the_record() -> None:
    """A class that `describe` would have refused is an error that still has what was paid for."""
    record = record_of("{'x': 1}")
    for cls in (one_field(complex), one_field(list), one_field(int | str)):
        with pytest.raises(ExtractionError) as caught:
            extract(record, cls)
        assert caught.value.record is record

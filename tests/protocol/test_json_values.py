"""Any JSON becomes Python's types, or text where those would do harm."""

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._protocol import json_values
from ximilar_ocr_async._protocol.json_values import (
    FLOOR,
    MAX_DEPTH,
    Allowance,
    has_extreme_numbers,
    read,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT,
    lambda below: st.lists(below, max_size=6) | st.dictionaries(ANY_TEXT, below, max_size=4),
    max_leaves=30,
)


@pytest.fixture(params=[64, json_values.PIECE])
def _piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have values cut that are large, and values that are not."""
    monkeypatch.setattr(json_values, "PIECE", request.param)


def value_of(text: str | bytes, allowance: Allowance | None = None) -> Any:
    """Return the value that JSON stands for."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return read(memoryview(data), allowance or Allowance())


@pytest.mark.usefixtures("_piece")
@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_a_value_is_what_a_parser_says(value: Any, indent: int | None, is_ascii: bool) -> None:
    """However large it is, it is whole, surrogates and all."""
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    assert value_of(text) == json.loads(text)


@given(st.text(alphabet='[]{}",:\\ua0 1') | st.binary())
def test_what_is_no_value_is_an_error(text: str | bytes) -> None:
    """Garbage raises `ValueError`, or is the text of a value that is not looked into."""
    try:
        value_of(text)
    except ValueError:
        return


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"é":', "}]")])
@pytest.mark.parametrize("levels", [60, 64, 65, 130, 330, 975])
def test_what_is_nested_too_deep_is_text_from_there(
    opening: str, closing: str, levels: int
) -> None:
    """The text is JSON, nothing is lost, and whatever recurses can handle the value."""
    levels //= len(closing)
    text = opening * levels + '"x"' + closing * levels
    found, depth = value_of(text), 0
    assert json.loads(json.dumps(found)) == copy.deepcopy(found)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301
    while not isinstance(found, str):
        [found] = found if isinstance(found, list) else found.values()
        depth += 1
    assert depth == min(levels * len(closing), MAX_DEPTH)
    assert found == "x" or found in text


def test_depth_is_that_of_brackets_outside_of_strings() -> None:
    """A string that is full of brackets is a string."""
    value = ["[" * 1000, {"{" * 1000: "]}" * 1000}]
    assert value_of(json.dumps(value)) == value


@pytest.mark.parametrize("digits", [4300, 4301, 100_000])
@pytest.mark.parametrize("form", ["%s", "-%s", "[1, %s]", '{"a": %s}'])
def test_no_digit_is_lost(digits: int, form: str) -> None:
    """A whole number of so many digits that Python converts no more is text."""
    text = form % ("7" * digits)
    found = value_of(text)
    number = found[-1] if isinstance(found, list) else found
    number = number["a"] if isinstance(number, dict) else number
    assert isinstance(number, int if digits == 4300 else str)
    assert str(number).lstrip("-") == "7" * digits
    json.dumps(found)


@pytest.mark.parametrize("text", ["9" * 100_000 + "x", "[" * 2000, '"%s' % ("a" * 100_000)])
def test_long_garbage_is_an_error(text: str) -> None:
    """What does not end, or is no number, is no value."""
    with pytest.raises(ValueError):  # noqa: PT011 - any is meant
        value_of(text)


@pytest.mark.parametrize(
    "text, value",
    [
        (b"NaN", None),
        (b"[Infinity, -Infinity, 1]", [None, None, 1]),
        (b'["a\xff", "\xe8\x8c"]', ["a\ufffd", "\ufffd"]),
        (b'"a\nb"', "a\nb"),
        (b'"\xed\xa0\x80"', "\ud800"),
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
    ],
)
def test_what_is_not_quite_json_is_read(text: bytes, value: Any) -> None:
    """NaN is null, a damaged character costs itself, and of two keys the last one counts."""
    assert value_of(text) == value


PARTS = [
    b"a",
    "é".encode(),
    "🍵".encode(),
    rb"\"",
    rb"\n",
    rb"\ud83c",
    rb"a\ud83c\udf75",
    rb"\u00e9",
]


@pytest.mark.parametrize("part", PARTS)
def test_a_long_string_is_put_together(part: bytes) -> None:
    """Wherever it is cut, no escape and no character is."""
    for before in range(13):
        text = b'"%b%b"' % (b"." * before, part * 50_000)
        assert value_of(text) == json.loads(text)


@pytest.mark.parametrize("escape", [r"\u12", r"\uzzzz"])
def test_a_long_string_with_a_garbled_escape_is_an_error(escape: str) -> None:
    """It is not read in part."""
    with pytest.raises(ValueError):  # noqa: PT011 - any is meant
        value_of(f'"{"a" * 70_000}{escape}"')


@pytest.mark.parametrize("item", ["[]", "{}", "[1,2]", '"ab"', '{"a":{"b":0}}', '["é"]'])
def test_what_would_take_much_memory_is_text(item: str) -> None:
    """Beyond ten times its size and what a record is allowed, a value is its own JSON."""
    few, many = f"[{','.join([item] * 500)}]", f"[{','.join([item] * 100_000)}]"
    assert value_of(few) == json.loads(few)
    assert value_of(many) == many


@pytest.mark.parametrize("item", ["1", "300", "0.5", "null", "true", '"A long word"', '""'])
def test_what_takes_little_memory_is_read(item: str) -> None:
    """Numbers, constants and words are what they are, however many there are."""
    text = f"[{','.join([item] * 40_000)}]"
    found = value_of(text)
    assert found == json.loads(text) or item == '""'


def test_strings_of_brackets_and_commas_take_no_memory_of_their_own() -> None:
    """A page of source code is a string, and is not taken for what is in it."""
    code = ["if a[b[c]]: f({1: [2, 3]}, [4, [5]])" * 100] * 100
    assert value_of(json.dumps(code)) == code
    assert value_of(json.dumps(code[:10])) == code[:10]


def test_an_allowance_is_used_up() -> None:
    """Many values that each take a little too much are text, too, once it is."""
    allowance, text = Allowance(), f"[{','.join(['[]'] * 200)}]"
    found = [value_of(text, allowance) for _ in range(200)]
    assert isinstance(found[0], list)
    assert found[-1] == text
    assert 0 <= allowance.left < FLOOR


@pytest.mark.parametrize("levels", [5, 9, 30])
def test_what_is_large_and_deep_is_cut_so_often_and_no_more(levels: int) -> None:
    """A large value below that is the text that it is."""
    text = '{"a":' * levels + json.dumps("x" * 70_000) + "}" * levels
    found = value_of(text)
    for _ in range(min(levels, 8)):
        found = found["a"]
    assert found == ("x" * 70_000 if levels < 8 else text[8 * 5 : -8])


EXTREME = ["1e300", "-1.5E+300", "0.001e300", "1e0000300", "5e-324", "1e-308", "1e1000", "1" * 309]
"""Numbers that msgspec takes long for, or may."""


@pytest.mark.parametrize("number", EXTREME)
@pytest.mark.parametrize("shape", ["[1,%s]", '{"a":%s}', "[%s ,2]", "[%s\n]"])
def test_extreme_numbers_are_found_and_read(number: str, shape: str) -> None:
    """Such numbers are seen before a parser is given them, and are read as any others."""
    text = shape % number
    assert has_extreme_numbers(text.encode())
    assert value_of(text) == value_of(text.replace("e1000", "e999"))
    if number != "1e1000":
        assert value_of(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        '["f9cec41f-dd6e-4aa9-93b3-4e2510fd5e300"]',
        '{"id":"4e300-1e308","price":"1e300"}',
        "[0.9564334750175476,1e99,-1E-99,1e+07]",
        "[%s]" % ("9" * 199),
    ],
)
def test_usual_numbers_are_not_extreme(text: str) -> None:
    """Ids of hexadecimal digits are not taken for numbers, so usual replies take the fast way."""
    assert not has_extreme_numbers(text.encode())

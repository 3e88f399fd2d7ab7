"""Whatever a value is, it is written as JSON."""

import json
import math
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.cli.json_text import to_json


class Silent:
    """Has no words for itself."""

    def __str__(self) -> str:
        raise RuntimeError


class Leaving:
    """Ends the program when it is asked for its words."""

    def __str__(self) -> str:
        raise SystemExit(0)


class Closed(dict[str, int]):
    """A mapping that shows nothing of what is in it."""

    def items(self) -> Any:
        """Raise."""
        raise LookupError


class Huge(IntEnum):
    """Has a number that Python refuses to write in digits."""

    ONE = 10**5000


def refuse(word: str) -> None:
    """Fail at a word that JSON does not have."""
    raise AssertionError(word)


def loaded(value: Any) -> Any:
    """Return what is read from what is written of *value*."""
    written = to_json(value)
    assert "\n" not in written
    return json.loads(written, parse_constant=refuse)


INNER = st.none() | st.booleans() | st.floats() | st.text() | st.integers()
KEYS = st.text() | st.floats()
ODD = st.binary() | st.builds(Silent) | st.builds(pow, st.just(10), st.integers(4290, 5000))
VALUES = st.recursive(
    INNER, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(KEYS, inner)
)
ODD_VALUES = st.recursive(
    INNER | ODD,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(KEYS | st.binary() | st.none() | st.booleans(), inner)
    ),
)


@given(value=VALUES | ODD_VALUES)
def test_what_is_written_is_json(value: Any) -> None:
    """Numbers that JSON has no words for become null, and all others stay."""
    read = loaded({"value": value})
    if isinstance(value, float):
        assert read == {"value": value if math.isfinite(value) else None}


@given(value=VALUES)
def test_what_is_odd_changes_nothing_beside_it(value: Any) -> None:
    """Beside a value that JSON has no word for, all others are written as they are without it."""
    try:
        alone = json.loads(json.dumps(value, allow_nan=False))
    except ValueError:
        return
    assert loaded([value, math.nan]) == [alone, None]
    assert loaded([value, Silent()]) == [alone, "<Silent>"]


@pytest.mark.parametrize("depth", [900, 975, 5_000, 100_000])
def test_nesting_of_any_depth_is_written(depth: int) -> None:
    """What is nested deeper than Python can follow is written whole."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": [value]}
    assert to_json(value) == '{"a": [' * depth + "1" + "]}" * depth


@pytest.mark.parametrize(
    "case",
    [
        (10**5000, hex(10**5000)),
        (-(10**5000), hex(-(10**5000))),
        (Huge.ONE, hex(10**5000)),
        (Silent(), "<Silent>"),
        (Leaving(), "<Leaving>"),
        (Closed(a=1), "<Closed>"),
        (b"\xff", "b'\\xff'"),
        ("\ud800", "\ud800"),
        ({"\ud800": math.nan}, {"\ud800": None}),
        ({b"k": 1, math.nan: 2, 7: 3, (1, 2): 4}, {"b'k'": 1, "null": 2, "7": 3, "(1, 2)": 4}),
        ({b"": {None: 1, True: 2}}, {"b''": {"null": 1, "true": 2}}),
        ({10**5000: 1}, {hex(10**5000): 1}),
        (({1}, [math.inf]), ["{1}", [None]]),
        ([{}, [], (), math.nan], [{}, [], [], None]),
    ],
)
def test_odd_values_are_said_in_a_string(case: tuple[Any, Any]) -> None:
    """What JSON has no type for becomes a string, without anything being raised."""
    value, written = case
    assert loaded(value) == written


def test_a_value_in_itself_has_an_end() -> None:
    """A value that contains itself is named where it comes again, and a twin is written twice."""
    ring: list[Any] = [1]
    ring.append({"ring": ring})
    assert loaded(ring) == [1, {"ring": "<list>"}]
    twin = [math.nan]
    assert loaded([twin, twin]) == [[None], [None]]

"""Whatever a value is, it is plain data."""

import array
import collections
import dataclasses
import fractions
import ipaddress
import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypedDict

import attrs
import httpx
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.export import to_dict, to_json
from ximilar_ocr_async.export.plain import MAX_DEPTH


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


class Kind(Enum):
    """Has values of which JSON has some."""

    NAMED = "invoice"
    NUMBERED = 7
    OTHER = Decimal(1)
    ENDLESS = math.inf


class Endless:
    """Always has another one in its place."""

    def tolist(self) -> "Endless":
        """Return another."""
        return Endless()

    def __len__(self) -> int:
        raise TypeError


class Longer(str):
    """Says of itself what it is not."""

    __slots__ = ()

    def __str__(self) -> str:
        return "longer"


@attrs.frozen
class Line:
    """Of attrs, with a field whose name is no parameter's."""

    text: str
    _price: Decimal = Decimal("1.20")


@dataclasses.dataclass
class Page:
    """A dataclass, with a field that is not given."""

    lines: list[Line]
    at: Path = dataclasses.field(default=Path("a.png"), init=False)


class Total(TypedDict):
    """A dict with names."""

    total: Decimal


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: float


class Struct(msgspec.Struct):
    """Of msgspec."""

    day: date


class Model(pydantic.BaseModel):
    """Of pydantic, with a secret that it hides."""

    when: datetime
    key: pydantic.SecretStr = pydantic.SecretStr("secret")


class Items(pydantic.RootModel[list[int]]):
    """Of pydantic, without names."""


@attrs.frozen
class Broken:
    """Has a field that cannot be had."""

    fine: int = 1

    def __getattribute__(self, name: str) -> Any:
        """Raise."""
        if name == "fine":
            raise LookupError(name)
        return super().__getattribute__(name)


def refuse(word: str) -> None:
    """Fail at a word that JSON does not have."""
    raise AssertionError(word)


def plain(value: Any) -> Any:
    """Return *value* as plain data, which is what is read from its JSON."""
    written = to_json({"value": value})
    assert len(written.splitlines()) == 1
    document = to_dict({"value": value})
    assert json.loads(written, parse_constant=refuse) == document
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    json.dumps(document, ensure_ascii=False).encode()
    return document["value"]


MOMENT = datetime(2026, 1, 31, 14, 30, tzinfo=UTC)
INNER = st.none() | st.booleans() | st.floats() | st.text() | st.integers()
SURROGATES = st.text(st.characters(categories=("Cs", "Ll", "Zl", "Cc", "So")))
KEYS = st.text() | st.floats()
ODD = st.one_of(
    st.binary(),
    st.builds(Silent),
    st.builds(pow, st.just(10), st.integers(4290, 5000)),
    SURROGATES,
    st.decimals(),
    st.dates() | st.datetimes() | st.times() | st.timedeltas(),
    st.sampled_from(Kind),
    st.frozensets(st.integers() | st.text()),
    st.fractions() | st.complex_numbers() | st.uuids(),
    st.builds(Line, text=st.text(), price=st.decimals()),
)
VALUES = st.recursive(
    INNER, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(KEYS, inner)
)
ODD_VALUES = st.recursive(
    INNER | ODD,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(KEYS | st.binary() | st.none() | st.booleans() | SURROGATES, inner)
    ),
)


@given(value=VALUES | ODD_VALUES)
def test_whatever_it_is_becomes_plain(value: Any) -> None:
    """What JSON has no words for becomes null, and all numbers else stay."""
    read = plain(value)
    if isinstance(value, float):
        assert read == (value if math.isfinite(value) else None)


@given(value=VALUES)
def test_what_is_odd_changes_nothing_beside_it(value: Any) -> None:
    """Beside a value that JSON has no word for, all others are as they are without it."""
    alone = plain(value)
    assert plain([value, math.nan]) == [alone, None]
    assert plain([value, Silent()]) == [alone, "<Silent>"]


@given(value=st.recursive(st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_what_is_plain_stays(value: Any) -> None:
    """Of what JSON has types for nothing changes."""
    assert plain(value) == value


@pytest.mark.parametrize("depth", [45, 50, 487, 20_000])
def test_nesting_has_an_end(depth: int) -> None:
    """What is nested deeper than most programs can follow is text from there, and all is there."""
    value: Any = [{"b": 'say "no"', "c": []}]
    for _ in range(depth):
        value = {"a": [value]}
    read, levels = plain(value), 1
    while isinstance(read, dict | list):
        levels += 1
        read = next(iter(read.values())) if isinstance(read, dict) else read[0]
    if depth == 45:
        assert (levels, read) == (93, 'say "no"')
        return
    assert levels == MAX_DEPTH
    left = 2 * depth + 2 - levels
    assert read.count("[") + read.count("{") == left + 2
    assert read.replace('{"a": [', "").startswith('[[{"b": "say \\"no\\"", "c": []}]]')


@pytest.mark.parametrize(
    "case",
    [
        (10**5000, hex(10**5000)),
        (-(10**5000), hex(-(10**5000))),
        (Huge.ONE, hex(10**5000)),
        (Silent(), "<Silent>"),
        (Leaving(), "<Leaving>"),
        (Closed(a=1), "<Closed>"),
        (Broken(), "<Broken>"),
        (Endless(), "<Endless>"),
        (b"\xff" * 1234, "<1,234 bytes>"),
        ([bytearray(2), memoryview(b"abc")], ["<2 bytes>", "<3 bytes>"]),
        ("\udcff\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\u2028\x85\x9b1m", "\u2028\x85\x9b1m"),
        (Path("scan\udce9.png"), "scan\ufffd.png"),
        ({"\ud800": math.nan}, {"\ufffd": None}),
        ({b"k": 1, math.nan: 2, 7: 3, (1, 2): 4}, {"b'k'": 1, "null": 2, "7": 3, "(1, 2)": 4}),
        ({b"": {None: 1, True: 2}}, {"b''": {"null": 1, "true": 2}}),
        ({1: 1, "1": 2, Decimal(1): 3}, {"1": 3, "1 (2)": 2}),
        (
            {"1": 1, None: 2, "null": 3, Kind.NAMED: 4},
            {"1": 1, "null": 2, "null (2)": 3, "invoice": 4},
        ),
        ({10**5000: 1, Silent(): 2}, {hex(10**5000): 1, "<Silent>": 2}),
        (({1}, [math.inf]), [[1], [None]]),
        ([{}, [], (), math.nan], [{}, [], [], None]),
        ([{3, 1, 2}, frozenset({"b", 1})], [[1, 2, 3], ["b", 1]]),
        ([*Kind], ["invoice", 7, "OTHER", "ENDLESS"]),
        ([Decimal("1.10"), Decimal("1E+3"), Decimal("1E+9999")], ["1.10", "1000", "1E+9999"]),
        ([Decimal("nan"), Decimal("-inf"), -math.inf], [None, None, None]),
        ([MOMENT, MOMENT.date(), time(14, 30)], [MOMENT.isoformat(), "2026-01-31", "14:30:00"]),
        (timedelta(minutes=1.5), 90.0),
        (Line("tea"), {"text": "tea", "_price": "1.20"}),
        (Page([]), {"lines": [], "at": "a.png"}),
        (Total(total=Decimal("1.0")), {"total": "1.0"}),
        (Point(1, math.nan), [1, None]),
        (Struct(date(2026, 1, 31)), {"day": "2026-01-31"}),
        (Model(when=MOMENT), {"when": MOMENT.isoformat(), "key": "**********"}),
        (Items([1]), {"root": [1]}),
        (MappingProxyType({"a": range(2)}), {"a": [0, 1]}),
        (collections.deque([1]), [1]),
        (array.array("i", [1, 2]), [1, 2]),
        ([np.int64(3), np.float64("nan"), np.bool_(1), np.float32(0.5)], [3, None, True, 0.5]),
        (np.array([[1.5, math.inf]]), [[1.5, None]]),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (
            [ipaddress.ip_address("::1"), httpx.URL("https://x.example")],
            ["::1", "https://x.example"],
        ),
        (Longer("short"), "short"),
        (True, True),
    ],
)
def test_each_type_has_a_form(case: tuple[Any, Any]) -> None:
    """What JSON has no type for has a form all the same, without anything being raised."""
    value, written = case
    assert plain(value) == written
    assert type(plain(value)) is type(written)


def test_a_real_number_of_another_library_is_a_number() -> None:
    """What says that it is a real number becomes one."""
    number = np.longdouble("0.5")
    assert plain(number) == 0.5
    assert plain(np.longdouble("inf")) is None


def test_a_value_in_itself_has_an_end() -> None:
    """A value that contains itself is named where it comes again, and a twin is written twice."""
    ring: list[Any] = [1]
    ring.append({"ring": ring})
    assert plain(ring) == [1, {"ring": "<list>"}]
    page = Page([])
    page.lines.append(page)  # type: ignore[arg-type]
    assert plain(page)["lines"] == ["<Page>"]
    twin = [math.nan]
    assert plain([twin, twin]) == [[None], [None]]

"""Values are found in JSON of any kind, and in what is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._protocol import scan

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=4), below),
    max_leaves=20,
)
WINDOWS = [7, 13, 64, scan.WINDOW]


@pytest.fixture(params=WINDOWS, autouse=True)
def _window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have windows end anywhere in a value."""
    monkeypatch.setattr(scan, "WINDOW", request.param)


def rebuilt(data: memoryview) -> Any:
    """Return a value, put together from the values that are found in it."""
    match scan.kind(data):
        case b"[":
            return [rebuilt(data[start:end]) for start, end in scan.items(data)]
        case b"{":
            return {json.loads(bytes(key)): rebuilt(value) for key, value in scan.members(data)}
        case b'"':
            assert b"".join(scan.parts(data)) == data[1:-1]
    return json.loads(bytes(data))


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_every_value_is_found(value: Any, indent: int | None, is_ascii: bool) -> None:
    """What is found in JSON, with or without white space, is what a parser finds."""
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
    data = scan.strip(memoryview(b" \n" + text.encode("utf-8", "surrogatepass")))
    assert rebuilt(data) == value


@given(st.lists(JSON), st.integers(2, 40))
def test_items_are_found_in_chunks(values: list[Any], size: int) -> None:
    """Chunks hold all items in their order, and are no larger than asked unless an item is."""
    found: list[Any] = []
    for chunk, count in scan.chunks(memoryview(json.dumps(values).encode()), size):
        items = json.loads(scan.array(chunk))
        assert len(items) == count
        assert count == 1 or len(chunk) <= size
        found += items
    assert found == values


@given(st.text(alphabet='[]{}",:\\ua0 1') | st.binary())
def test_whatever_is_no_json_is_broken(text: str | bytes) -> None:
    """Garbage raises nothing else, and what is told of its size is told all the same."""
    data = memoryview(text.encode() if isinstance(text, str) else text)
    scan.measure(data)
    for look in (scan.items, scan.members, scan.parts):
        try:
            list(look(data))
        except scan.BrokenJSONError:
            continue


@pytest.mark.parametrize(
    "text, found",
    [
        (b'{"a":[1,2],"b":[3', [b"[1,2]", b"[3"]),
        (b'{"a":1,"b":"x', [b"1", b'"x']),
        (b'{"a":1} x', [b"1"]),
        (b'{"a":1 "b":2}', [b"1"]),
        (b'{"a" 1}', []),
        (b"{a:1}", []),
        (b"[1]", []),
        (b"", []),
    ],
)
def test_members_are_found_until_the_object_breaks(text: bytes, found: list[bytes]) -> None:
    """What stands before the end of a cut or garbled object is found, then the error is raised."""
    values: list[bytes] = []
    with pytest.raises(scan.BrokenJSONError):
        values.extend(bytes(value) for _, value in scan.members(memoryview(text)))
    assert values == found


@pytest.mark.parametrize("text", [b"[1,]", b"[1 2]", b"[,1]", b"[1}", b"[[1]", b'["a', b"[1]]"])
def test_broken_arrays_are_told(text: bytes) -> None:
    """An array that is cut or garbled raises an error."""
    with pytest.raises(scan.BrokenJSONError):
        list(scan.items(memoryview(text)))


def test_brackets_in_strings_count_for_nothing() -> None:
    """Only what takes memory once it is parsed is counted."""
    data = json.dumps({"[[[{{{,,,": ["]]", 1234, 1.5e-7, [{}]], "é": [-12]}).encode()
    assert scan.measure(memoryview(data)) == scan.Size(
        arrays=3, objects=2, members=2, commas=4, strings=3, numbers=2, is_wide=True
    )
    assert not scan.measure(memoryview(b'["a"]')).is_wide

"""JSON in, the places of its values out: pure, without recursion, a window at a time.

A call into C holds up all threads for as long as it takes, and a parser of JSON is one call. So
what is large is cut into values here, which are parsed alone. Only brackets, commas and strings
are looked at: garbage within a value leaves the values beside it as they are.
"""

import re
from collections.abc import Iterator

from attrs import define

WINDOW = 16 * 1024
"""[bytes] looked at in one call. Source: judgement; that takes less than a millisecond."""

# Possessive quantifiers, so that nothing is looked at twice.
_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_STRING = rb'"' + _INSIDE + rb'"'
_FLAT = rb'[^"\[\]{}]'

_IN_STRING = re.compile(_INSIDE, re.DOTALL)
_STRINGS = re.compile(_STRING, re.DOTALL)
_TO_CUT_STRING = re.compile(rb'(?:[^"]++|' + _STRING + rb")*+", re.DOTALL)
_SPACE = re.compile(rb"[ \t\n\r]*+")
_SCALAR = re.compile(rb'[^ \t\n\r,:"\[\]{}]*+')
_ESCAPES = re.compile(rb"(?:[^\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+", re.DOTALL)
_WIDE = re.compile(rb"[\x80-\xff]|\\u")
_NUMBER = re.compile(rb"[-+.0-9eE]{4,}+")
_TO_BRACKETS = re.compile(
    # First what leaves the depth as it is, such as a point of a polygon; then brackets of one
    # kind, or a string that does not end in this window.
    rb"(?:"
    + _FLAT
    + rb"++|"
    + _STRING
    + rb"|[\[{](?:"
    + _FLAT
    + rb"++|"
    + _STRING
    + rb")*+[\]}])*+"
    rb'(?:([\[{]++)|([\]}]++)|("))?',
    re.DOTALL,
)
_OPENED, _CLOSED, _CUT = 1, 2, 3
"""The groups of that pattern."""

_QUOTE, _COMMA, _COLON = b'",:'
_OPENING = frozenset(b"[{")

_CONTINUATIONS = 3
"""The most bytes of a character in UTF-8 behind its first."""


class BrokenJSONError(ValueError):
    """The JSON ends too early or is garbled."""


def members(data: memoryview) -> Iterator[tuple[memoryview, memoryview]]:
    """Yield key and value of each member of an object, both as JSON.

    Raises:
        BrokenJSONError: It is no object, or is garbled from here on. A value that does not end is
            yielded before, as far as it goes.
    """
    position = _enter(data, b"{}")
    while position >= 0:
        end = _string_end(data, position)
        key, colon = data[position:end], _skip(_SPACE, data, end)
        if _at(data, colon) != _COLON:
            raise BrokenJSONError
        start = _skip(_SPACE, data, colon + 1)
        try:
            end = _value_end(data, start)
        except BrokenJSONError:
            yield key, data[start:]
            raise
        yield key, data[start:end]
        position = _next(data, end, b"}")


def items(data: memoryview) -> Iterator[tuple[int, int]]:
    """Yield where each item of an array begins and ends.

    Raises:
        BrokenJSONError: It is no array, or is garbled from here on.
    """
    position = _enter(data, b"[]")
    while position >= 0:
        end = _value_end(data, position)
        yield position, end
        position = _next(data, end, b"]")


def chunks(data: memoryview, size: int) -> Iterator[tuple[memoryview, int]]:
    """Yield the items of an array, as many together as are *size* [bytes], and how many they are.

    Raises:
        BrokenJSONError: It is no array, or is garbled from here on.
    """
    first, last, count = 0, 0, 0
    for start, end in items(data):
        if count and end - first > size:
            yield data[first:last], count
            count = 0
        if not count:
            first = start
        last, count = end, count + 1
    if count:
        yield data[first:last], count


def kind(data: memoryview) -> bytes:
    """Return the first byte of a value, which tells what it is."""
    return bytes(data[:1])


def array(items_: memoryview) -> bytes:
    """Return an array with these items."""
    return b"".join([b"[", items_, b"]"])


def check(data: memoryview) -> None:
    """Raise `BrokenJSONError` unless *data* is one value; what is in it is not looked at."""
    if _skip(_SPACE, data, _value_end(data, 0)) < len(data):
        raise BrokenJSONError


def strip(data: memoryview) -> memoryview:
    """Return *data* without white space at its beginning."""
    return data[_skip(_SPACE, data, 0) :]


def parts(data: memoryview) -> Iterator[memoryview]:
    """Yield what a string holds, in parts that cut neither an escape nor a character.

    Raises:
        BrokenJSONError: An escape is garbled.
    """
    position, last = 1, len(data) - 1
    while position < last:
        match = _ESCAPES.match(data, position, min(position + WINDOW, last))
        end = match.end() if match else position
        for _ in range(_CONTINUATIONS):
            if end < last and data[end] & 0xC0 == 0x80:  # noqa: PLR2004 - as UTF-8 continues
                end -= 1
        if end <= position:
            raise BrokenJSONError
        yield data[position:end]
        position = end


@define
class Size:
    """How much there is of what takes memory once it is parsed.

    Attributes:
        arrays: Brackets that open an array.
        objects: Braces that open an object.
        members: Colons.
        commas: Commas.
        strings: Strings, keys among them.
        numbers: Numbers of so many characters that Python makes an object for each.
        is_wide: Whether some characters may take more than a byte each.
    """

    arrays: int = 0
    objects: int = 0
    members: int = 0
    commas: int = 0
    strings: int = 0
    numbers: int = 0
    is_wide: bool = False


def measure(data: memoryview) -> Size:
    """Count what there is in *data*."""
    size = Size()
    for part in _without_strings(data):
        size.arrays += part.count(b"[")
        size.objects += part.count(b"{")
        size.members += part.count(b":")
        size.commas += part.count(b",")
        size.strings += part.count(b'"')
        size.numbers += len(_NUMBER.findall(part))
    starts = range(0, len(data), WINDOW)
    size.is_wide = any(_WIDE.search(data, start, start + WINDOW) for start in starts)
    return size


def _without_strings(data: memoryview) -> Iterator[bytes]:
    """Yield *data* in windows, with a quote in place of each string."""
    position = 0
    while position < len(data):
        end = _end(_TO_CUT_STRING, data, position)
        rest = _STRINGS.sub(b'"', data[position:end])
        if _at(data, end) == _QUOTE:
            try:
                end = _string_end(data, end)
            except BrokenJSONError:
                end = len(data)
            rest += b'"'
        yield rest
        position = end


# ---- steps


def _at(data: memoryview, position: int) -> int:
    """Return the byte at *position*; -1 at the end."""
    return data[position] if position < len(data) else -1


def _end(pattern: "re.Pattern[bytes]", data: memoryview, position: int) -> int:
    """Return the end of what matches within a window; such a pattern matches nothing, too."""
    match = pattern.match(data, position, position + WINDOW)
    return match.end() if match else position


def _skip(pattern: "re.Pattern[bytes]", data: memoryview, position: int) -> int:
    """Return the end of what matches, in any number of windows."""
    while True:
        end = _end(pattern, data, position)
        if end < position + WINDOW:
            return end
        position = end


def _enter(data: memoryview, brackets: bytes) -> int:
    """Return where the first value in a pair of brackets begins; -1 if there is none."""
    position = _skip(_SPACE, data, 0)
    if _at(data, position) != brackets[0]:
        raise BrokenJSONError
    position = _skip(_SPACE, data, position + 1)
    return _leave(data, position) if _at(data, position) == brackets[1] else position


def _leave(data: memoryview, position: int) -> int:
    """Return -1, for there is no further value behind the last bracket."""
    if _skip(_SPACE, data, position + 1) < len(data):
        raise BrokenJSONError
    return -1


def _next(data: memoryview, end: int, bracket: bytes) -> int:
    """Return where the value after the one that ends at *end* begins; -1 if there is none."""
    position = _skip(_SPACE, data, end)
    code = _at(data, position)
    if code == bracket[0]:
        return _leave(data, position)
    if code != _COMMA:
        raise BrokenJSONError
    return _skip(_SPACE, data, position + 1)


def _value_end(data: memoryview, start: int) -> int:
    code = _at(data, start)
    if code == _QUOTE:
        return _string_end(data, start)
    if code in _OPENING:
        return _container_end(data, start)
    end = _skip(_SCALAR, data, start)
    if end == start:
        raise BrokenJSONError
    return end


def _string_end(data: memoryview, start: int) -> int:
    """Return the end of the string that begins at *start*."""
    if _at(data, start) != _QUOTE:
        raise BrokenJSONError
    position = start + 1
    while True:
        end = _end(_IN_STRING, data, position)
        if _at(data, end) == _QUOTE:
            return end + 1
        if position + WINDOW >= len(data):
            raise BrokenJSONError
        position = end


def _container_end(data: memoryview, start: int) -> int:
    """Return the end of the array or object that begins at *start*; the kinds are not compared."""
    position, depth = start + 1, 1
    while position < len(data):
        match = _TO_BRACKETS.match(data, position, position + WINDOW)
        position = match.end() if match else len(data)
        kind = match.lastindex if match else None
        if match and kind == _OPENED:
            depth += position - match.start(_OPENED)
        elif match and kind == _CLOSED:
            first = match.start(_CLOSED)
            if first + depth <= position:
                return first + depth
            depth -= position - first
        elif kind == _CUT:
            position = _string_end(data, position - 1)
    raise BrokenJSONError

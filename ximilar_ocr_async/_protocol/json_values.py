"""A value of any JSON in, Python's own types out, at a bounded cost of time, memory and depth.

Nothing is lost. What Python cannot hold, or not without harm, is kept as its JSON text.
"""

import json
import re
from codecs import getincrementaldecoder
from functools import partial
from typing import Any

import msgspec
from attrs import define

from ximilar_ocr_async._protocol import scan

MAX_DEPTH = 64
"""How deep a value is nested before the rest is text. Source: judgement; what writes and copies
values recurses, and Python gives up after 1,000 calls in all."""

FACTOR = 10
"""How many times its size a value may take in memory before it is text. Source: judgement; texts of
the service take 8 times theirs."""

FLOOR = 256 * 1024
"""[bytes] that the values of a record may take beyond that. Source: judgement."""

MOST = 8 * 1024 * 1024
"""[bytes] that all unknown values of a record may take. Source: judgement; the garbage collector
looks at each list and each dictionary now and then, and no thread runs while it does."""

PIECE = 64 * 1024
"""[bytes] parsed in one call. Source: judgement; that takes 4 ms at most."""

MAX_VALUE = 8 * 1024 * 1024
"""[bytes] of a string, of a number, or of JSON that is kept as text. Source: judgement; to copy as
much takes 10 ms, in which no other thread runs."""

ARRAY, OBJECT, MEMBER, ITEM, STRING, NUMBER = 88, 128, 60, 9, 56, 28
"""[bytes] of memory. Source: `sys.getsizeof`, CPython 3.11, with room to grow."""

_WIDEST = 4
"""[bytes] that Python takes for each character of a string with an emoji in it."""

_CUTS = 8
"""How deep what is larger than a piece is cut. Source: judgement; each time it is looked at once
more, and a polygon in the answer about a job is that deep."""

_loads = msgspec.json.Decoder().decode
_FLOAT = re.compile(rb"[0-9](?:\.[0-9]|[eE])")

MAX_WRITTEN = 64 * 1024
"""[bytes] of JSON that is kept beside its value. Source: judgement; a completion is no longer."""

_CONTAINERS, _ENDS = frozenset({b"[", b"{"}), frozenset({b"]", b"}"})
_NUMBER_PARTS = b"-+.0123456789eE"
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_DELIMITED = rb"[-+]?[0-9]{3,}+[,\]}\s]"
# One letter each, because a pattern that begins with one is searched for ten times as fast.
_EXPONENT, _UPPER_EXPONENT = re.compile(b"e" + _DELIMITED), re.compile(b"E" + _DELIMITED)
_TO_NINES = bytes(b"9"[0] if chr(code) in "0123456789" else code for code in range(256))
_LONG_NUMBER = b"9" * 200
_STRIDE = 16
_SPARSE_NUMBER = b"9" * (len(_LONG_NUMBER) // _STRIDE)
"""What is left of that at least when every so many bytes are looked at, which is soon done."""
_PARTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


class TooLargeError(ValueError):
    """A value is larger than any that is kept."""


@define
class Allowance:
    """The memory that is left for the values of a record.

    Attributes:
        left: What is left for those that take more than their size allows [bytes].
        total: What is left for all that is not known [bytes].
    """

    left: int = FLOOR
    total: int = MOST

    def covers(self, cost: int, size: int) -> bool:
        """Whether there is memory for what costs so much and is so large, both in [bytes]."""
        excess = cost - FACTOR * size
        if excess > self.left:
            return False
        self.left -= max(0, excess)
        return True

    def holds(self, cost: int, size: int) -> bool:
        """Whether there is memory for something that is not known."""
        if cost > self.total or not self.covers(cost, size):
            return False
        self.total -= cost
        return True


def read(data: memoryview, allowance: Allowance) -> Any:
    """Return a value.

    Args:
        data: The value as JSON in UTF-8, without white space around it.
        allowance: That of the record that it belongs to.

    Raises:
        TooLargeError: It has a part that is larger than `MAX_VALUE`.
        ValueError: It is no JSON.
    """
    if scan.kind(data) not in _CONTAINERS:
        return _build(data, 0)
    size = len(data)
    is_affordable = size <= PIECE and allowance.holds(_bound(bytes(data)), size)
    # Strings may hold brackets and commas: counted without them, it may be affordable yet.
    if is_affordable or allowance.holds(_cost(scan.measure(data), size), size):
        return _build(data, 0)
    return text_of(data)


def written(data: memoryview) -> bytes:
    """Return JSON as it came, if it is short and may have a float, which loses digits; else none.

    12345678901234567.89 and 1.10 are other numbers, and other texts, as floats.
    """
    return bytes(data) if len(data) <= MAX_WRITTEN and _FLOAT.search(data) else b""


def read_unknown(data: memoryview, allowance: Allowance) -> Any:
    """Return a value that nothing depends on: as text if it is no JSON."""
    try:
        return read(data, allowance)
    except TooLargeError:
        raise
    except ValueError:
        return text_of(data)


def _bound(piece: bytes) -> int:
    """Return more memory than a piece takes [bytes], strings counted as if they were none."""
    arrays, objects, commas = piece.count(b"["), piece.count(b"{"), piece.count(b",")
    cost = arrays * ARRAY + objects * OBJECT + piece.count(b":") * MEMBER
    cost += piece.count(b'"') // 2 * STRING + commas * (ITEM + NUMBER)
    return cost + len(piece) * _WIDEST


def _cost(size: scan.Size, length: int) -> int:
    """Return how much memory a value takes at most [bytes], once it is parsed."""
    cost = size.arrays * ARRAY + size.objects * OBJECT + size.members * MEMBER
    cost += size.strings * STRING + size.commas * ITEM + size.numbers * NUMBER
    return cost + length * (_WIDEST if size.is_wide else 1)


def text_of(data: memoryview) -> str:
    """Return JSON as text; what is no UTF-8 is replaced."""
    decoder = getincrementaldecoder("utf-8")("replace")
    starts = range(0, len(data), PIECE)
    _check_size(data)
    parts = [decoder.decode(data[start : start + PIECE]) for start in starts]
    return "".join([*parts, decoder.decode(b"", final=True)])


def _check_size(data: memoryview) -> None:
    if len(data) > MAX_VALUE:
        message = f"a value has {len(data):,} bytes, the limit is {MAX_VALUE:,}"
        raise TooLargeError(message)


# ---- containers


def _build(data: memoryview, depth: int) -> Any:
    """Return a value that is *depth* deep in one that there is memory for."""
    code = scan.kind(data)
    if len(data) <= PIECE:
        return _parse(_shallow(bytes(data), MAX_DEPTH - depth))
    if code == b'"':
        return _read_long_string(data)
    if code not in _CONTAINERS:
        return _read_long_number(data)
    if depth == _CUTS:
        return text_of(data)
    if code == b"{":
        members = scan.members(data)
        return {_build(key, depth): _build(value, depth + 1) for key, value in members}
    values: list[Any] = []
    for chunk, count in scan.chunks(data, PIECE - 2):
        if count == 1:
            values.append(_build(chunk, depth + 1))
        else:
            values += _build(memoryview(scan.array(chunk)), depth)
    return values


def _shallow(piece: bytes, levels: int) -> bytes:
    """Return JSON with a string in place of each container that is deeper than *levels*."""
    if piece.count(b"[") + piece.count(b"{") <= levels:
        return piece
    parts: list[bytes] = []
    done, start, depth = 0, 0, 0
    for part in _PARTS.finditer(piece):
        if part[0] in _CONTAINERS:
            depth += 1
            if depth == levels + 1:
                start = part.start()
        elif part[0] in _ENDS:
            if depth == levels + 1:
                text = piece[start : part.end()].decode("utf-8", "replace")
                parts += piece[done:start], json.dumps(text).encode()
                done = part.end()
            depth -= 1
    return b"".join([*parts, piece[done:]])


# ---- the rest


def has_extreme_numbers(data: bytes) -> bool:
    """Whether *data* may have floats near the ends of their range, or very long numbers.

    msgspec 0.22 takes 8 to 25 µs for each, and holds up all threads; `json` takes 1 µs at most.
    """
    may_be_long = _SPARSE_NUMBER in data[::_STRIDE].translate(_TO_NINES)
    is_long = may_be_long and _LONG_NUMBER in data.translate(_TO_NINES)
    return bool(is_long or _EXPONENT.search(data) or _UPPER_EXPONENT.search(data))


def _parse(piece: bytes) -> Any:
    try:
        if not has_extreme_numbers(piece):
            return _loads(piece)
    except (ValueError, RecursionError):
        pass
    # What is not quite JSON, such as NaN or a line break in a string, or a number that is too long
    # or takes too long for the other parser.
    constant: Any = {}.get
    parse = partial(json.loads, strict=False, parse_constant=constant, parse_int=_integer)
    try:
        text = piece.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        # A damaged character costs itself, and not the record that was paid for.
        text = piece.decode("utf-8", "replace")
    try:
        return parse(text)
    except RecursionError:
        raise scan.BrokenJSONError from None


def _integer(digits: str) -> int | str:
    """Return a whole number, as text if Python refuses to convert so many digits."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _read_long_number(data: memoryview) -> str:
    windows = (data[start : start + PIECE] for start in range(0, len(data), PIECE))
    if any(bytes(window).translate(None, _NUMBER_PARTS) for window in windows):
        raise scan.BrokenJSONError
    return text_of(data)


def _read_long_string(data: memoryview) -> str:
    if scan.kind(data[-1:]) != b'"':
        raise scan.BrokenJSONError
    _check_size(data)
    parts: list[str] = []
    for part in scan.parts(data):
        text = _parse(b"".join([b'"', part, b'"']))
        if parts and _PAIR.fullmatch(parts[-1][-1:] + text[:1]):
            # Two escapes that stand for one character.
            pair = (parts[-1][-1:] + text[:1]).encode("utf-16", "surrogatepass")
            parts[-1] = parts[-1][:-1] + pair.decode("utf-16")
            text = text[1:]
        parts.append(text)
    return "".join(parts)

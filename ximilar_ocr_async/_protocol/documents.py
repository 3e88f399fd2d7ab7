"""A reply of the service as bytes in, a document out, which is read a piece at a time."""

import json
from codecs import getincrementaldecoder
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

from ximilar_ocr_async._protocol import scan
from ximilar_ocr_async._protocol.fast_decode import split_array
from ximilar_ocr_async._protocol.json_values import PIECE, Allowance, read, read_unknown
from ximilar_ocr_async._protocol.records import CUT, Members, Row, read_status

MAX_ROWS = 100
"""The most records of a reply that are looked at. Source: judgement; 10 are asked for."""

MAX_PAGE = 10_000
"""The most rows of a page of a list. Source: judgement; the service's own have 10 to 100."""

FLOOR, MOST = 2 * 1024 * 1024, 32 * 1024 * 1024
"""[bytes] that a document may take beyond ten times its size, and in all, beside its records.

Source: judgement; what is told of a job has its results, which are ten records.
"""

_BOM = b"\xef\xbb\xbf"
_NOTHING = memoryview(b"")


@frozen
class Rows:
    """The records of a reply.

    Attributes:
        rows: (n) records.
        is_whole: Whether there are no more, and the array that holds them ends.
    """

    rows: Sequence[Row]
    is_whole: bool = True


@define
class Document:
    """The JSON of a reply.

    Attributes:
        data: The JSON, in UTF-8.
        members: Its members, if it is an object.
        value: What it is, if it is none.
    """

    data: memoryview
    members: Members
    value: Any = None
    _allowance: Allowance = field(init=False, factory=lambda: Allowance(FLOOR, MOST), repr=False)

    @classmethod
    def of(cls, body: bytes) -> "Document":
        """Return the document in a body; raise `ValueError` if it is no JSON from the beginning."""
        data = scan.strip(_as_utf8(memoryview(body)))
        if scan.kind(data) == b"{":
            return cls(data, Members.of(data))
        scan.check(data)
        return cls(data, Members({}), read(data, Allowance(FLOOR, MOST)))

    @property
    def is_object(self) -> bool:
        """Whether it is an object, as all of the service's own are."""
        return scan.kind(self.data) == b"{"

    @property
    def size(self) -> int:
        """How large it is [bytes]."""
        return len(self.data)

    def get(self, key: str) -> Any:
        """Return a member as JSON types; None if there is none, or if it is garbled."""
        try:
            return read(self.members.values[key], self._allowance)
        except (KeyError, ValueError):
            return None

    def status(self) -> Any:
        """Return its status as JSON types, whatever it is; None if it has none."""
        try:
            return read_status(self.members.values["status"], self._allowance)
        except (KeyError, ValueError):
            return None

    def read(self) -> dict[str, Any]:
        """Return the object as JSON types; raise `TooLargeError` if a part is too large."""
        return {k: read_unknown(v, self._allowance) for k, v in self.members.values.items()}

    def small(self) -> Any:
        """Return as JSON types what may say why a request failed: all but what is large."""
        if not self.is_object:
            return self.value
        values = self.members.values.items()
        return {key: self.get(key) for key, value in values if len(value) <= PIECE}

    def read_rows(self, key: str) -> list[Any] | None:
        """Return the items of an array as JSON types; None if there is none, or it is garbled."""
        rows = self.rows(key, most=MAX_PAGE)
        if not rows or not rows.is_whole:
            return None
        try:
            return [read(row.data, self._allowance) for row in rows.rows]
        except ValueError:
            return None

    def rows(self, *path: str, most: int = MAX_ROWS) -> Rows | None:
        """Return the first *most* records in the array at a path of keys; None if there is none."""
        *outer, last = path
        members = self.members
        for key in outer:
            members = Members.of(members.values.get(key, _NOTHING))
        data = members.values.get(last, _NOTHING)
        return _cut(data, most) if scan.kind(data) == b"[" else None


def _cut(data: memoryview, most: int) -> Rows:
    usual = split_array(bytes(data)) if len(data) <= CUT else None
    if usual is not None:
        rows = [Row(memoryview(row)) for row in usual[:most]]
        return Rows(rows, is_whole=len(rows) == len(usual))
    rows = []
    try:
        for start, end in scan.items(data):
            if len(rows) == most:
                return Rows(rows, is_whole=False)
            rows.append(Row(data[start:end]))
    except scan.BrokenJSONError:
        # What came before it was cut off or garbled is whole, and was paid for.
        return Rows(rows, is_whole=False)
    return Rows(rows)


def _as_utf8(body: memoryview) -> memoryview:
    """Return JSON in UTF-8 without a byte order mark, in whatever encoding of Unicode it is."""
    if body[: len(_BOM)] == _BOM:
        return body[len(_BOM) :]
    encoding = json.detect_encoding(bytes(body[:4]))
    if encoding == "utf-8":
        return body
    try:
        return _transcoded(body, encoding, "surrogatepass")
    except UnicodeDecodeError:
        return _transcoded(body, encoding, "replace")


def _transcoded(body: memoryview, encoding: str, errors: str) -> memoryview:
    decoder, encoded = getincrementaldecoder(encoding)(errors), bytearray()
    for start in range(0, len(body), PIECE):
        text = decoder.decode(body[start : start + PIECE], final=start + PIECE >= len(body))
        encoded += text.encode("utf-8", "surrogatepass")
    return memoryview(encoded).toreadonly()

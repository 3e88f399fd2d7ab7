"""One record of a reply as JSON in, a `Record` or its error out: a record's oddity is its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from ximilar_ocr_async._protocol import scan
from ximilar_ocr_async._protocol.converter import (
    DROPPED,
    Faults,
    UnfitError,
    known_keys,
    structure,
    structure_status,
)
from ximilar_ocr_async._protocol.error_mapping import record_error
from ximilar_ocr_async._protocol.fast_decode import (
    read_usual_record,
    read_usual_texts,
    split_object,
)
from ximilar_ocr_async._protocol.json_values import (
    FACTOR,
    MEMBER,
    OBJECT,
    PIECE,
    STRING,
    Allowance,
    read,
)
from ximilar_ocr_async.errors import OCRError, ReplyError
from ximilar_ocr_async.models import Record, Status, Text

MAX_KEYS = 10_000
"""The most keys of an object that is looked into. Source: judgement; a record has about 10."""

CUT = 128 * 1024
"""[bytes] of an object that is cut in one call. Source: judgement; that takes 0.3 ms at most."""

FEW = 50
"""Keys of a record that are found once and for all. Source: judgement; most records have fewer."""

TEXT, POINT = 200, 112
"""[bytes] of memory of a text and of a point of its polygon. Source: as those of `json_values`."""

_NULL = memoryview(b"null")
_TEXT_KEYS = known_keys(Text)


@define
class Members:
    """The members of an object, each as JSON; the last one where a key comes twice.

    Attributes:
        values: By key.
        fault: Why those are not all.
    """

    values: Mapping[str, memoryview]
    fault: str = ""

    @classmethod
    def of(cls, data: memoryview) -> "Members":
        """Return the members of the object that *data* is; none with a fault if it is none."""
        usual = split_object(bytes(data)) if len(data) <= CUT else None
        if usual is not None:
            return cls({key: memoryview(value) for key, value in usual.items()})
        values: dict[str, memoryview] = {}
        try:
            for key, value in scan.members(data):
                values[read(key, Allowance())] = value
                if len(values) > MAX_KEYS:
                    return cls(values, f"an object with more than {MAX_KEYS:,} keys")
        except ValueError:
            return cls(values, "not JSON")
        return cls(values)

    def check(self, path: str) -> None:
        """Raise `UnfitError` unless those are all."""
        if self.fault:
            raise UnfitError(f"{self.fault} @ {path}")


@define
class Row:
    """A record of a reply that is not decoded yet.

    Attributes:
        data: The record as JSON, whatever it is.
    """

    data: memoryview
    _few: Members | None = field(init=False, default=None, repr=False)

    @property
    def members(self) -> Members:
        """What it has, if it is an object."""
        if self._few:
            return self._few
        members = Members.of(self.data)
        self._few = members if len(members.values) <= FEW else None
        return members

    def word(self, key: str) -> str | None:
        """Return the string at *key*, if one is there."""
        data = self.members.values.get(key, _NULL)
        try:
            return str(read(data, Allowance())) if scan.kind(data) == b'"' else None
        except ValueError:
            return None

    def decode(self, path: str, default: Status) -> Record | OCRError:
        """Return the record, or what went wrong with it.

        Args:
            path: Its place in the reply, for messages.
            default: The status that it inherits where it has none of its own.
        """
        try:
            return self._decode(path, default)
        except UnfitError as error:
            message = str(error)
        except ValueError:
            message = f"not JSON @ {path}"
        return ReplyError(message, request_id=default.request_id)

    def _decode(self, path: str, default: Status) -> Record | OCRError:
        faults, allowance, members = Faults(), Allowance(), self.members
        if scan.kind(self.data) != b"{":
            faults.add("an object", read(self.data, allowance), path)
            faults.check()
        verdict = members.values.get("_status", _NULL)
        status = structure_status(read(verdict, allowance), default, f"{path}.status")
        if not status.ok:
            return record_error(status)
        members.check(path)
        size = len(self.data)
        if size <= PIECE:
            usual = read_usual_record(bytes(self.data), members.values, status, allowance)
            if usual is not None:
                return usual
        kept = {key: value for key, value in members.values.items() if key not in DROPPED}
        _pay(OBJECT + len(kept) * (MEMBER + STRING), size, path, allowance)
        values = {key: _value(key, value, path, allowance) for key, value in kept.items()}
        record = structure({**values, "_status": status}, Record, path, faults)
        faults.check()
        return record


def _value(key: str, data: memoryview, path: str, allowance: Allowance) -> Any:
    """Return the value of a member of a record, parts of which may be decoded already."""
    if key == "_status":
        return None
    if key not in {"_ocr", "_gpt"} or scan.kind(data) != b"{":
        return read(data, allowance)
    members, path = Members.of(data), f"{path}.{key[1:]}"
    members.check(path)
    _pay(OBJECT + len(members.values) * (MEMBER + STRING), len(data), path, allowance)
    return {
        name: _read_texts(value, f"{path}.texts", allowance)
        if (key, name) == ("_ocr", "texts") and scan.kind(value) == b"["
        else read(value, allowance)
        for name, value in members.values.items()
    }


def _read_texts(data: memoryview, path: str, allowance: Allowance) -> tuple[Text, ...]:
    """Return the texts in an array, of which there may be very many.

    Raises:
        UnfitError: Some do not fit, or they would take too much memory.
        ValueError: They are no JSON.
    """
    texts: list[Text] = []
    faults = Faults()
    for chunk, _ in scan.chunks(data, PIECE - 2):
        array = memoryview(scan.array(chunk)) if len(chunk) <= PIECE - 2 else chunk
        usual = read_usual_texts(bytes(array)) if array is not chunk else None
        if usual is not None:
            _pay(_cost(usual), len(chunk), path, allowance)
            texts += usual
            continue
        for start, end in scan.items(array) if array is not chunk else [(0, len(chunk))]:
            text = _read_text(array[start:end], f"{path}[{len(texts)}]", faults, allowance)
            _pay(_cost([text]), end - start, path, allowance)
            texts.append(text)
    faults.check()
    return tuple(texts)


def _cost(texts: Sequence[Text]) -> int:
    """Return the memory that texts take, in [bytes]."""
    extras = [len(text.extra) for text in texts if text.extra]
    points = sum(len(text.polygon) for text in texts)
    cost = len(texts) * TEXT + points * POINT
    return cost + len(extras) * OBJECT + sum(extras) * (MEMBER + STRING)


def _pay(cost: int, size: int, path: str, allowance: Allowance) -> None:
    """Count memory for what is *size* [bytes] of JSON; raise `UnfitError` if that is too much."""
    if not allowance.covers(cost, size):
        raise UnfitError(f"more than {FACTOR} times its size in memory @ {path}")


def _read_text(data: memoryview, path: str, faults: Faults, allowance: Allowance) -> Text:
    usual = read_usual_texts(scan.array(data)) if len(data) <= PIECE else None
    if usual:
        return usual[0]
    if scan.kind(data) != b"{":
        return structure(read(data, Allowance()), Text, path, faults)
    members = Members.of(data)
    members.check(path)
    # What becomes a part of the text is not kept as it is read here.
    values = {
        key: read(value, Allowance() if key in _TEXT_KEYS else allowance)
        for key, value in members.values.items()
    }
    return structure(values, Text, path, faults)

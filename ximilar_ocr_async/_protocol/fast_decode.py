"""Usual JSON in, records and texts out, in one step with msgspec.

The classes here accept only what is usual. Anything else is left to `records` and `converter`,
which keep it or tell its address: null, a number for a string, an unknown key in a text. Both ways
give the same result, but this one is ten times as fast.
"""

from collections.abc import Mapping, Sequence
from itertools import starmap
from operator import attrgetter
from sys import float_info
from typing import Annotated, Any, TypeAlias

import msgspec

from ximilar_ocr_async._protocol.converter import DROPPED, known_keys, structure_status
from ximilar_ocr_async._protocol.json_values import (
    Allowance,
    has_extreme_numbers,
    read,
    written,
)
from ximilar_ocr_async.models import GPT, NO_KEYS, OCR, Record, Status, Text

AT_ONCE, IN_ONE = 256 * 1024, 512 * 1024
"""[bytes] of a response that is decoded in one call, on the event loop and in a thread.

Source: judgement; that takes 3 and 6 ms, and a call in a thread holds up the event loop, too.
"""

ANY_AT_ONCE = 16 * 1024
"""[bytes] of any JSON in that, such as completions. Source: judgement; that takes 5 ms at most."""

_Finite: TypeAlias = Annotated[float, msgspec.Meta(ge=-float_info.max, le=float_info.max)]
_Point: TypeAlias = tuple[_Finite, _Finite]

_ABSENT = msgspec.Raw(b"null")


class _KnownText(msgspec.Struct, gc=False):
    """What is known of a text, whatever stands beside it."""

    text: str
    polygon: tuple[_Point, _Point, _Point, _Point]
    prob: _Finite


class _Text(_KnownText, forbid_unknown_fields=True, gc=False):
    """A text and nothing else."""


class _OCR(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[_Text]
    full_text: str = ""
    lang: str | None = None
    lang_name: str | None = None

    def make(self) -> OCR:
        return OCR(_make_texts(self.texts), self.full_text, self.lang, self.lang_name)


class _GPT(msgspec.Struct, forbid_unknown_fields=True):
    full_prompt: str | None = None
    result: str | None = None
    json_result: msgspec.Raw = _ABSENT

    def make(self, allowance: Allowance) -> GPT:
        data = memoryview(self.json_result)
        json_result = read(data, allowance)
        return GPT(self.full_prompt, self.result, json_result, written=written(data))


class _KnownRecord(msgspec.Struct):
    """What is known of a record, whatever stands beside it."""

    ocr: _OCR = msgspec.field(name="_ocr")
    id: str | None = msgspec.field(name="_id", default=None)
    url: str | None = msgspec.field(name="_url", default=None)
    width: int | None = msgspec.field(name="_width", default=None)
    height: int | None = msgspec.field(name="_height", default=None)
    gpt: _GPT | None = msgspec.field(name="_gpt", default=None)
    status: msgspec.Raw = msgspec.field(name="_status", default=_ABSENT)

    def make(
        self, status: Status, others: Mapping[str, memoryview], allowance: Allowance
    ) -> Record:
        extra = {key: read(value, allowance) for key, value in others.items()}
        gpt = self.gpt.make(allowance) if self.gpt else None
        ocr = self.ocr.make()
        return Record(
            self.id, self.url, self.width, self.height, status, ocr, gpt, extra or NO_KEYS
        )


class _Record(_KnownRecord, forbid_unknown_fields=True):
    """A record and nothing else, but for the prompt, which the service sends back."""

    prompt: msgspec.Raw = _ABSENT

    @property
    def others_size(self) -> int:
        """How much JSON [bytes] it holds that may be anything."""
        parts = [self.prompt, self.status, *([self.gpt.json_result] if self.gpt else ())]
        return sum(len(memoryview(part)) for part in parts)

    @property
    def others(self) -> Mapping[str, memoryview]:
        return {} if self.prompt is _ABSENT else {"prompt": memoryview(self.prompt)}


class _Response(msgspec.Struct):
    """A whole response. Keys other than these are ignored."""

    records: list[_Record]
    status: msgspec.Raw = _ABSENT


_decode_response = msgspec.json.Decoder(_Response).decode
_decode_record = msgspec.json.Decoder(_KnownRecord).decode
_decode_texts = msgspec.json.Decoder(list[_Text]).decode
_decode_known_texts = msgspec.json.Decoder(list[_KnownText]).decode
_decode_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_cells = attrgetter("text", "polygon", "prob")
_TEXT_KEYS = known_keys(Text)
_KEYS = known_keys(Record) | DROPPED


def _make_texts(texts: list[_Text]) -> tuple[Text, ...]:
    return tuple(starmap(Text, map(_cells, texts)))


def read_usual_response(http_status: int, body: bytes, ids: Sequence[str]) -> list[Record] | None:
    """Return the records with these *ids* if all of them were read; None if anything is unusual."""
    if has_extreme_numbers(body):
        return None
    try:
        response = _decode_response(body)
        if [row.id for row in response.records] != list(ids):
            return None
        others = sum(row.others_size for row in response.records)
        if others + len(memoryview(response.status)) > ANY_AT_ONCE:
            return None
        http = Status(http_status)
        default = structure_status(_read(response.status), http)
        # One instance for all equal statuses, because nearly always all of them are equal.
        given = {bytes(row.status) for row in response.records}
        statuses = {raw: structure_status(_read(raw), default) for raw in given}
        if not all(status.ok for status in (http, default, *statuses.values())):
            return None
        rows = response.records
        return [row.make(statuses[bytes(row.status)], row.others, Allowance()) for row in rows]
    except (ValueError, RecursionError):
        return None


def _read(raw: "msgspec.Raw | bytes") -> Any:
    return read(memoryview(raw), Allowance())


def read_usual_record(
    data: bytes, members: Mapping[str, memoryview], status: Status, allowance: Allowance
) -> Record | None:
    """Return a record; None if anything but unknown keys of its own is unusual.

    Args:
        data: The record.
        members: Its members, each as JSON.
        status: Its status.
        allowance: The memory for what takes more than its size allows.
    """
    if has_extreme_numbers(data):
        return None
    try:
        known = _decode_record(data)
    except (ValueError, RecursionError):
        return None
    others = {key: value for key, value in members.items() if key not in _KEYS}
    return known.make(status, others, allowance)


def read_usual_texts(data: bytes, allowance: Allowance) -> tuple[Text, ...] | None:
    """Return the texts in an array; None if anything but unknown keys of theirs is unusual.

    Args:
        data: The array.
        allowance: The memory for what takes more than its size allows.
    """
    if has_extreme_numbers(data):
        return None
    try:
        return _make_texts(_decode_texts(data))
    except (ValueError, RecursionError):
        pass
    try:
        texts, rows = _decode_known_texts(data), _decode_objects(data)
        extras = [
            {key: read(memoryview(row[key]), allowance) for key in row if key not in _TEXT_KEYS}
            for row in rows
        ]
    except (ValueError, RecursionError):
        return None
    cells = zip(map(_cells, texts), extras, strict=True)
    return tuple([Text(*known, extra or NO_KEYS) for known, extra in cells])


def split_object(data: bytes) -> Mapping[str, Any] | None:
    """Return the members of an object, each as JSON; None if it is none, or is not quite JSON."""
    try:
        return _decode_members(data)
    except (ValueError, RecursionError):
        return None


def split_array(data: bytes) -> Sequence[Any] | None:
    """Return the items of an array, each as JSON; None if it is none, or is not quite JSON."""
    try:
        return _decode_items(data)
    except (ValueError, RecursionError):
        return None

"""Usual JSON in, records and texts out, in one step with msgspec.

The classes here accept only what is usual, and keys that nobody knows beside it. Anything else is
left to `records` and `converter`, which keep it or tell its address: null, a number for a string.
Both ways give the same result, but this one is ten times as fast.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from attrs import define, field, frozen

from ximilar_ocr_async._protocol.converter import DROPPED, known_keys
from ximilar_ocr_async._protocol.fast_parts import (
    BROKEN,
    GPT_PART,
    NO_OTHERS,
    NULL,
    OCR_PART,
    Budget,
    Reader,
    UsualGPT,
    UsualOCR,
    decode_members,
    decoder,
    size_of,
)
from ximilar_ocr_async._protocol.json_values import has_extreme_numbers
from ximilar_ocr_async.models import NO_KEYS, OCR, Record, Status

AT_ONCE, IN_ONE = 256 * 1024, 512 * 1024
"""[bytes] of a response that is decoded in one call, on the event loop and in a thread.

Source: judgement; that takes 3 and 6 ms, and a call in a thread holds up the event loop, too.
"""


class _Frame(msgspec.Struct):
    """What is known of a record beside its text and its completion."""

    id: str | None = msgspec.field(name="_id", default=None)
    url: str | None = msgspec.field(name="_url", default=None)
    width: int | None = msgspec.field(name="_width", default=None)
    height: int | None = msgspec.field(name="_height", default=None)
    status: msgspec.Raw = msgspec.field(name="_status", default=NULL)


class _Record(_Frame, forbid_unknown_fields=True):
    """A record and nothing else, but for the prompt, which the service sends back."""

    ocr: UsualOCR | None = msgspec.field(name="_ocr", default=None)
    gpt: UsualGPT | None = msgspec.field(name="_gpt", default=None)
    prompt: str | msgspec.UnsetType = msgspec.UNSET

    def make(self, status: Status, budget: Budget) -> Record:
        reader = Reader(budget)
        extra = NO_KEYS if self.prompt is msgspec.UNSET else {"prompt": self.prompt}
        ocr = self.ocr.make(NO_OTHERS, reader) if self.ocr else OCR()
        gpt = self.gpt.make(NO_OTHERS, reader) if self.gpt else None
        return Record(self.id, self.url, self.width, self.height, status, ocr, gpt, extra)


class _OpenFrame(_Frame):
    """What is known of a record whose parts are looked at one by one."""

    ocr: msgspec.Raw = msgspec.field(name="_ocr", default=NULL)
    gpt: msgspec.Raw = msgspec.field(name="_gpt", default=NULL)


class _Answer(msgspec.Struct):
    """A whole answer, all of whose records are usual. Keys other than these are ignored."""

    records: list[_Record]
    status: msgspec.Raw = NULL


class _SplitAnswer(msgspec.Struct):
    """A whole answer, whatever its records are."""

    records: list[msgspec.Raw]
    status: msgspec.Raw = NULL


_decode_answer, _decode_split = decoder(_Answer), decoder(_SplitAnswer)
_decode_record, _decode_open_record = decoder(_Record), decoder(_OpenFrame)
_decode_items = decoder(list[msgspec.Raw])
_RECORD_KEYS = known_keys(Record) | DROPPED


@frozen
class _OpenRecord:
    """A record with unknown keys, its own or of its parts."""

    known: _OpenFrame
    data: bytes

    @property
    def id(self) -> str | None:
        return self.known.id

    @property
    def status(self) -> msgspec.Raw:
        return self.known.status

    def make(self, status: Status, budget: Budget) -> Record:
        known, reader = self.known, Reader(budget)
        ocr, of_ocr = OCR_PART.decode(known.ocr, budget)
        gpt, of_gpt = GPT_PART.decode(known.gpt, budget)
        budget.spend(max(0, len(self.data) - size_of(known.ocr) - size_of(known.gpt)))
        members = decode_members(self.data).items()
        others = {key: value for key, value in members if key not in _RECORD_KEYS}
        return Record(
            known.id,
            known.url,
            known.width,
            known.height,
            status,
            ocr.make(of_ocr, reader) if ocr else OCR(),
            gpt.make(of_gpt, reader) if gpt else None,
            reader.read_all(others),
        )


UsualRecord: TypeAlias = _Record | _OpenRecord
"""What has an id, a status as JSON, and makes a `Record` of a status and a `Budget`.

It raises `OverBudgetError` or, where something turns out to be unusual after all, `ValueError`.
"""


@define
class UsualAnswer:
    """A response whose records are still to be made.

    Attributes:
        records: (n) records; None for one that is unusual.
        status: That of the response, as JSON.
    """

    records: Sequence[UsualRecord | None]
    status: msgspec.Raw
    _body: bytes = field(repr=False)
    _split: Sequence[msgspec.Raw] = field(default=(), repr=False)

    @classmethod
    def of(cls, body: bytes, count: int) -> "UsualAnswer | None":
        """Return the answer in a body; None unless it has just so many records."""
        is_extreme = has_extreme_numbers(body)
        try:
            whole = None if is_extreme else _decode_answer(body)
        except BROKEN:
            whole = None
        if whole:
            return cls(whole.records, whole.status, body) if len(whole.records) == count else None
        try:
            split = _decode_split(body) if len(body) <= AT_ONCE else None
        except BROKEN:
            return None
        if not split or len(split.records) != count:
            return None
        read_one = read_usual_record if is_extreme else _read_record
        rows = [read_one(bytes(row)) for row in split.records]
        return cls(rows, split.status, body, split.records)

    def json_of(self, place: int) -> memoryview:
        """Return the record at a place as JSON."""
        self._split = self._split or _decode_split(self._body).records
        return memoryview(self._split[place])


def read_usual_record(data: bytes) -> UsualRecord | None:
    """Return a record; None if something but unknown keys is unusual."""
    return None if has_extreme_numbers(data) else _read_record(data)


def _read_record(data: bytes) -> UsualRecord | None:
    try:
        usual: UsualRecord = _decode_record(data)
    except BROKEN:
        pass
    else:
        return usual
    try:
        return _OpenRecord(_decode_open_record(data), data)
    except BROKEN:
        return None


def split_object(data: bytes) -> Mapping[str, Any] | None:
    """Return the members of an object, each as JSON; None if it is none, or is not quite JSON."""
    try:
        members: Mapping[str, Any] = decode_members(data)
    except BROKEN:
        return None
    return members


def split_array(data: bytes) -> Sequence[Any] | None:
    """Return the items of an array, each as JSON; None if it is none, or is not quite JSON."""
    try:
        items: Sequence[Any] = _decode_items(data)
    except BROKEN:
        return None
    return items

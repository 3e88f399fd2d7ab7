"""The parts of a usual record: JSON in, texts, completions and statuses out, with msgspec.

Texts are found to be usual when they arrive, and made when they are asked for.
"""

from collections.abc import Callable, Mapping
from itertools import starmap
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec
from attrs import define, field, frozen

from ximilar_ocr_async._protocol.converter import known_keys
from ximilar_ocr_async._protocol.json_values import Allowance, has_extreme_numbers, read, written
from ximilar_ocr_async.models import GPT, NO_KEYS, OCR, Status, Text, make_later

S = TypeVar("S", bound="_Known")
BROKEN = (ValueError, RecursionError)

ANY_AT_ONCE = 16 * 1024
"""[bytes] of any JSON, such as completions, in a response that is decoded in one call.

Source: judgement; that takes 5 ms at most.
"""

TRIAL = 100
"""How soon after a record whose texts were asked for there is one whose texts are late again.

Source: judgement; ten answers.
"""

# Not infinite: what may hold an extreme number is not decoded here.
_Point: TypeAlias = tuple[float, float]
Others: TypeAlias = Mapping[str, msgspec.Raw]

NULL, _NO_TEXTS = msgspec.Raw(b"null"), msgspec.Raw(b"[]")
NO_OTHERS: Others = {}


def size_of(data: msgspec.Raw) -> int:
    """Return how large a value is as JSON [bytes]."""
    return len(memoryview(data))


class OverBudgetError(Exception):
    """There is more JSON of any kind than is read in one call."""


@define
class Budget:
    """How much JSON of any kind may yet be read in one call [bytes]."""

    left: int = ANY_AT_ONCE

    def spend(self, size: int) -> None:
        """Count so many [bytes]; raise `OverBudgetError` if they are too many."""
        self.left -= size
        if self.left < 0:
            raise OverBudgetError


@define
class Reader:
    """Reads what may be anything, of one record.

    Attributes:
        budget: That of the call.
        allowance: The memory for what takes more than its size allows.
    """

    budget: Budget
    allowance: Allowance = field(init=False, factory=Allowance)

    def read_all(self, others: Others) -> Mapping[str, Any]:
        """Return what has been counted already."""
        if not others:
            return NO_KEYS
        return {key: read(memoryview(data), self.allowance) for key, data in others.items()}


class _Known(Protocol):
    """What is known of an object, whatever stands beside it."""

    @property
    def size(self) -> int:  # pyright: ignore[reportReturnType]
        """How large that is as JSON, at least [bytes]."""


class _KnownText(msgspec.Struct, gc=False):
    """What is known of a text, whatever stands beside it."""

    text: str
    polygon: tuple[_Point, _Point, _Point, _Point]
    prob: float


class _Text(_KnownText, forbid_unknown_fields=True, gc=False):
    """A text and nothing else."""


def _make_texts(texts: list[_Text]) -> tuple[Text, ...]:
    return tuple(starmap(Text, map(_cells, texts)))


@define
class _Habit:
    """Whether this program looks at texts: then they are made at once, and not decoded twice.

    Attributes:
        left: The records whose texts are still to be made at once.
    """

    left: int = 0

    def is_to_look(self) -> bool:
        """Whether texts will probably be looked at; one record in many is always a trial."""
        self.left = max(0, self.left - 1)
        return self.left > 0


_HABIT = _Habit()


class _LateTexts(msgspec.Struct, gc=False):
    """Makes texts of JSON that has been found to be usual."""

    data: bytes

    def __call__(self) -> tuple[Text, ...]:
        _HABIT.left = TRIAL
        return _decode_late_texts(self.data)


class _KnownOCR(msgspec.Struct):
    """What is known of all text, whatever stands beside it."""

    texts: msgspec.Raw = _NO_TEXTS
    full_text: str = ""
    lang: str | None = None
    lang_name: str | None = None

    @property
    def size(self) -> int:
        return size_of(self.texts) + len(self.full_text)

    def make(self, others: Others, reader: Reader) -> OCR:
        extra, texts, is_late = reader.read_all(others), tuple[Text, ...](), False
        try:
            rows = _decode_texts(self.texts)
        except BROKEN:
            data = bytes(self.texts)
            reader.budget.spend(len(data))
            texts = _make_open_texts(data, reader.allowance)
        else:
            is_late = bool(rows) and not _HABIT.is_to_look()
            texts = () if is_late else _make_texts(rows)
        ocr = OCR(texts, self.full_text, self.lang, self.lang_name, extra)
        # A copy of its own, so that a record that is kept does not keep its whole answer.
        return make_later(ocr, _LateTexts(bytes(self.texts))) if is_late else ocr


class UsualOCR(_KnownOCR, forbid_unknown_fields=True):
    """All text and nothing else."""


class _KnownGPT(msgspec.Struct):
    """What is known of a completion, whatever stands beside it."""

    full_prompt: str | None = None
    result: str | None = None
    json_result: msgspec.Raw = NULL

    @property
    def size(self) -> int:
        strings = len(self.full_prompt or "") + len(self.result or "")
        return strings + size_of(self.json_result)

    def make(self, others: Others, reader: Reader) -> GPT:
        reader.budget.spend(size_of(self.json_result))
        extra = reader.read_all(others)
        data = memoryview(self.json_result)
        json_result = read(data, reader.allowance)
        return GPT(self.full_prompt, self.result, json_result, extra, written=written(data))


class UsualGPT(_KnownGPT, forbid_unknown_fields=True):
    """A completion and nothing else."""


class _KnownStatus(msgspec.Struct):
    """What is known of a status that is whole, whatever stands beside it."""

    code: int
    text: str
    request_id: str

    @property
    def size(self) -> int:
        return len(self.text)


class _Status(_KnownStatus, forbid_unknown_fields=True):
    """A status and nothing else."""


D = TypeVar("D")
_Decode: TypeAlias = Callable[[Any], D]


def decoder(cls: Any) -> Callable[[Any], Any]:
    return msgspec.json.Decoder(cls).decode


_decode_texts, _decode_known_texts = decoder(list[_Text]), decoder(list[_KnownText])
_decode_late_texts: _Decode[tuple[Text, ...]] = decoder(tuple[Text, ...])
_cells = attrgetter("text", "polygon", "prob")
decode_members = decoder(dict[str, msgspec.Raw])
_decode_objects = decoder(list[dict[str, msgspec.Raw]])


@frozen
class _Part(Generic[S]):
    """Decodes an object that may have unknown keys.

    Attributes:
        usual: Decodes one that has none.
        known: Decodes what is known of any.
        keys: What is known.
    """

    usual: _Decode[S | None]
    known: _Decode[S]
    keys: frozenset[str]

    def decode(self, data: msgspec.Raw, budget: Budget) -> tuple[S | None, Others]:
        """Return what is known, if there is anything, and the rest.

        Raises:
            ValueError: Something is unusual.
            OverBudgetError: The rest is more than may be read in one call.
        """
        try:
            return self.usual(data), NO_OTHERS
        except ValueError:
            known = self.known(data)
        budget.spend(size_of(data) - known.size)
        members = decode_members(data).items()
        return known, {key: value for key, value in members if key not in self.keys}


OCR_PART: "_Part[_KnownOCR]" = _Part(decoder(UsualOCR | None), decoder(_KnownOCR), known_keys(OCR))
GPT_PART: "_Part[_KnownGPT]" = _Part(decoder(UsualGPT | None), decoder(_KnownGPT), known_keys(GPT))
_STATUS_PART: "_Part[_KnownStatus]" = _Part(
    decoder(_Status | None), decoder(_KnownStatus), known_keys(Status)
)
_TEXT_KEYS = known_keys(Text)


def read_usual_status(data: msgspec.Raw, budget: Budget) -> Status | None:
    """Return a status that is whole; None if it is not, or if something in it is unusual.

    Raises:
        OverBudgetError: It has more than may be read in one call.
    """
    try:
        known, others = _STATUS_PART.decode(data, budget)
        extra = Reader(budget).read_all(others)
    except BROKEN:
        return None
    return Status(known.code, known.text, known.request_id, extra) if known else None


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
    except BROKEN:
        pass
    try:
        return _make_open_texts(data, allowance)
    except BROKEN:
        return None


def _make_open_texts(data: bytes, allowance: Allowance) -> tuple[Text, ...]:
    texts, rows = _decode_known_texts(data), _decode_objects(data)
    extras = [
        {key: read(memoryview(row[key]), allowance) for key in row if key not in _TEXT_KEYS}
        for row in rows
    ]
    pairs = zip(texts, extras, strict=True)
    return tuple([Text(t.text, t.polygon, t.prob, extra or NO_KEYS) for t, extra in pairs])

"""One record of a reply as JSON in, a `Record` or its error out: a record's oddity is its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

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
from ximilar_ocr_async._protocol.fast_decode import UsualRecord, read_usual_record, split_object
from ximilar_ocr_async._protocol.fast_parts import Budget, read_usual_texts
from ximilar_ocr_async._protocol.json_values import (
    FACTOR,
    MEMBER,
    NUMBER,
    OBJECT,
    PIECE,
    STRING,
    Allowance,
    TooLargeError,
    read,
    read_unknown,
    written,
)
from ximilar_ocr_async.errors import OCRError, ReplyError
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text

MAX_KEYS = 10_000
"""The most keys of an object that is looked into. Source: judgement; a record has about 10."""

MAX_REASON = 1000
"""[characters] of a reason that are shown, and searched for phrases. Source: judgement."""

CUT = 128 * 1024
"""[bytes] of an object that is cut in one call. Source: judgement; that takes 0.3 ms at most."""

MAX_TEXTS = 20_000
"""The most texts of a record. Source: judgement; a page of a newspaper has 10,000 words. The
garbage collector looks at each of them now and then, and no thread runs while it does."""

FEW = 50
"""Keys of a record that are found once and for all. Source: judgement; most records have fewer."""

TEXT, POLYGON, POINT = 80, 64, 112
"""[bytes] of memory: a text and its place in a tuple, its polygon, and each point of that.

Source: as those of `json_values`.
"""

_NULL = memoryview(b"null")
_STATUS_KEYS, _RECORD_KEYS = known_keys(Status), known_keys(Record)
_SCALARS = {"_ocr": known_keys(OCR), "_gpt": known_keys(GPT) - {"json_result"}}
_STAND_INS: Mapping[bytes, Any] = {b"[": [None], b"{": {"": None}}
_SMALL = 64
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
        except TooLargeError as error:
            message = f"{error} @ {path}"
        except ValueError:
            message = f"not JSON @ {path}"
        return ReplyError(message, request_id=default.request_id)

    def _decode(self, path: str, default: Status) -> Record | OCRError:
        faults, allowance, members = Faults(), Allowance(), self.members
        if scan.kind(self.data) != b"{":
            faults.add("an object", read(self.data, allowance), path)
            faults.check()
        verdict = read_status(members.values.get("_status", _NULL), allowance)
        status = structure_status(verdict, default, f"{path}.status")
        if not status.ok:
            return failure_of(status)
        members.check(path)
        size = len(self.data)
        usual = read_usual_record(bytes(self.data)) if size <= PIECE else None
        record = make_usual(usual, status, Budget(2 * PIECE)) if usual else None
        if record is not None:
            return record
        kept = {key: value for key, value in members.values.items() if key not in DROPPED}
        _pay(OBJECT + len(kept) * (MEMBER + STRING), size, path, allowance)
        values = {key: _value(key, value, path, allowance) for key, value in kept.items()}
        record = structure({**values, "_status": status}, Record, path, faults)
        faults.check()
        return _with_digits(record, kept.get("_gpt", _NULL))


def _with_digits(record: Record, data: memoryview) -> Record:
    """Return *record* with the numbers of its completion as they were written in *data*."""
    if record.gpt is None or record.gpt.json_result is None:
        return record
    digits = written(Members.of(data).values.get("json_result", _NULL))
    return evolve(record, gpt=evolve(record.gpt, written=digits)) if digits else record


def failure_of(status: Status) -> OCRError:
    """Return what a failing status says of its record."""
    return record_error(evolve(status, text=status.text[:MAX_REASON]))


def make_usual(usual: UsualRecord, status: Status, budget: Budget) -> Record | None:
    """Return a record of this status; None if something turns out to be unusual.

    Raises:
        OverBudgetError: It has more than may be read in one call.
    """
    try:
        return usual.make(status, budget)
    except (ValueError, RecursionError):
        return None


def read_status(data: memoryview, allowance: Allowance) -> Any:
    """Return a status as JSON types, whatever it is."""
    if scan.kind(data) != b"{":
        return _scalar(data)
    members = Members.of(data).values
    return {
        key: _scalar(value) if key in _STATUS_KEYS else read_unknown(value, allowance)
        for key, value in members.items()
    }


def _value(key: str, data: memoryview, path: str, allowance: Allowance) -> Any:
    """Return a member of a record as JSON types; its texts may be texts already."""
    if key not in _RECORD_KEYS:
        return read_unknown(data, allowance)
    scalars = _SCALARS.get(key)
    if scalars is None or scan.kind(data) != b"{":
        return _scalar(data)
    members, path = Members.of(data), f"{path}.{key[1:]}"
    members.check(path)
    _pay(OBJECT + len(members.values) * (MEMBER + STRING), len(data), path, allowance)
    return {
        name: _read_texts(value, f"{path}.texts", allowance)
        if (key, name) == ("_ocr", "texts") and scan.kind(value) == b"["
        else (_scalar(value) if name in scalars else read_unknown(value, allowance))
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
    for chunk, count in scan.chunks(data, PIECE - 2):
        if len(texts) > MAX_TEXTS:
            raise UnfitError(f"more than {MAX_TEXTS:,} texts @ {path}")
        usual = read_usual_texts(scan.array(chunk), allowance) if len(chunk) < PIECE else None
        if usual is not None:
            _pay(_cost(usual), len(chunk), path, allowance)
            texts += usual
            continue
        for item in [chunk] if count == 1 else _items(chunk):
            text = _read_text(item, f"{path}[{len(texts)}]", faults, allowance)
            if not faults.told:
                _pay(_cost([text]), len(item), path, allowance)
            texts.append(text)
    faults.check()
    return tuple(texts)


def _items(chunk: memoryview) -> Iterator[memoryview]:
    array = memoryview(scan.array(chunk))
    return (array[start:end] for start, end in scan.items(array))


def _cost(texts: Sequence[Text]) -> int:
    """Return the memory that texts take, in [bytes]."""
    extras = [len(text.extra) for text in texts if text.extra]
    polygons = [len(text.polygon) for text in texts if text.polygon]
    cost = len(texts) * TEXT + len(polygons) * POLYGON + sum(polygons) * POINT
    cost += sum((len(t.text) > 1) * STRING + (t.prob is not None) * NUMBER for t in texts)
    return cost + len(extras) * OBJECT + sum(extras) * (MEMBER + STRING)


def _pay(cost: int, size: int, path: str, allowance: Allowance) -> None:
    """Count memory for what is *size* [bytes] of JSON; raise `UnfitError` if that is too much."""
    if not allowance.covers(cost, size):
        raise UnfitError(f"more than {FACTOR} times its size in memory @ {path}")


def _read_text(data: memoryview, path: str, faults: Faults, allowance: Allowance) -> Text:
    usual = read_usual_texts(scan.array(data), allowance) if len(data) <= PIECE else None
    if usual:
        return usual[0]
    if scan.kind(data) != b"{":
        return structure(read(data, Allowance()), Text, path, faults)
    members = Members.of(data)
    members.check(path)
    values = {
        # What a polygon is made of is not kept as it is read here.
        key: read(value, Allowance())
        if key == "polygon"
        else (_scalar(value) if key in _TEXT_KEYS else read_unknown(value, allowance))
        for key, value in members.values.items()
    }
    return structure(values, Text, path, faults)


def _scalar(data: memoryview) -> Any:
    """Return what is to be a string or a number; anything else only by its type, unless small."""
    is_small = len(data) <= _SMALL or scan.kind(data) not in _STAND_INS
    return read(data, Allowance()) if is_small else _STAND_INS[scan.kind(data)]

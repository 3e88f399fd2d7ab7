"""JSON types in, instances of the service's classes out.

Unknown keys are kept. A null value counts as absent. What does not fit is told with its address.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, field, frozen

from ximilar_ocr_async.models import (
    GPT,
    NO_KEYS,
    OCR,
    Account,
    JobInfo,
    Point,
    Record,
    Status,
    Text,
)

T = TypeVar("T")

MAX_FAULTS = 10
"""Faults that are told of a reply. Source: judgement; nobody reads more of them."""

DROPPED = frozenset({"_base64"})
"""Keys that are not kept. An image that the service sends back is not worth its memory."""


class UnfitError(ValueError):
    """What the service sent does not fit its class; the message tells its faults."""


@frozen
class Faults:
    """What does not fit, and where.

    Attributes:
        told: (n) faults, each with its address.
    """

    told: list[str] = field(factory=list)

    def add(self, expected: str, value: Any, path: str) -> None:
        """Add a fault; raise `UnfitError` if there are enough."""
        self.told.append(f"expected {expected}, got {_kind(value)} @ {path}")
        if len(self.told) == MAX_FAULTS:
            self.check()

    def check(self) -> None:
        """Raise `UnfitError` if there are any."""
        if self.told:
            raise UnfitError("; ".join(self.told))


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


_SINCE_1970 = re.compile(r"[+-]?(?![0-9]{8}$|[0-9]{14}$)[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
"""A number in a string, unless it may be the date or the moment 20260131143000."""

_1970 = datetime(1970, 1, 1, tzinfo=UTC)

_UNITS = (10**11, 10**14, 10**17)
"""From where on a number is in milliseconds, microseconds and nanoseconds since 1970. Source:
judgement; it is the year 5138 in seconds, and 1973 in each of the others."""

_Read: TypeAlias = Callable[[Any, str, Faults], Any]
"""Makes an attribute of a value that is not null; adds a fault if that cannot be."""


def _string(value: Any, path: str, faults: Faults) -> str | None:
    if isinstance(value, str | int | float):
        return str(value)
    faults.add("a string", value, path)
    return None


def _integer(value: Any, path: str, faults: Faults) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        faults.add("a whole number", value, path)
        return None


def _finite(value: Any, path: str, faults: Faults) -> Any:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            return float(value)
    except OverflowError:
        pass  # a whole number of more than 308 digits
    faults.add("a finite number", value, path)
    return None


def _time(value: Any, _: str, __: Faults) -> datetime | None:
    """Return a moment in ISO 8601, or since 1970 in UTC, in whatever unit makes it one of our days.

    One bad time must not make a whole list fail.
    """
    try:
        if isinstance(value, str) and not _SINCE_1970.fullmatch(value.strip()):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, bool):
            return None
        since = Decimal(value if isinstance(value, str) else str(value))
        unit = sum(abs(since) >= limit for limit in _UNITS)
        return _1970 + timedelta(microseconds=int(since.scaleb(6 - 3 * unit)))
    except (ArithmeticError, TypeError, ValueError):
        return None


def _as_it_is(value: Any, _: str, __: Faults) -> Any:
    return value


def _list(value: Any, path: str, faults: Faults) -> list[Any]:
    if isinstance(value, list):
        return value
    if value not in ("", {}):
        faults.add("an array", value, path)
    return []


def _point(value: Any, path: str, faults: Faults) -> Point:
    pair = _list(value, path, faults)
    if len(pair) != 2:  # noqa: PLR2004 - x and y
        faults.add("an array of two numbers", value, path)
        return 0.0, 0.0
    x, y = (_finite(number, f"{path}[{i}]", faults) for i, number in enumerate(pair))
    return x, y


def _polygon(value: Any, path: str, faults: Faults) -> tuple[Point, ...]:
    points = enumerate(_list(value, path, faults))
    return tuple([_point(point, f"{path}[{i}]", faults) for i, point in points])


def _texts(value: Any, path: str, faults: Faults) -> tuple[Text, ...]:
    if isinstance(value, tuple):
        return value  # they have been read already, because there may be many
    rows = enumerate(_list(value, path, faults))
    return tuple([structure(row, Text, f"{path}[{i}]", faults) for i, row in rows])


def _object(cls: type[Any]) -> _Read:
    return lambda value, path, faults: structure(value, cls, path, faults)


_KEYS: Mapping[Any, Mapping[str, tuple[str, _Read]]] = {
    Text: {
        "text": ("text", _string),
        "polygon": ("polygon", _polygon),
        "prob": ("prob", _finite),
    },
    OCR: {
        "texts": ("texts", _texts),
        "full_text": ("full_text", _string),
        "lang": ("lang", _string),
        "lang_name": ("lang_name", _string),
    },
    GPT: {
        "full_prompt": ("full_prompt", _string),
        "result": ("result", _string),
        "json_result": ("json_result", _as_it_is),
    },
    Status: {
        "code": ("code", _integer),
        "text": ("text", _string),
        "request_id": ("request_id", _string),
    },
    Record: {
        "_id": ("id", _string),
        "_url": ("url", _string),
        "_width": ("width", _integer),
        "_height": ("height", _integer),
        # It has been read already, because it falls back on that of the whole reply.
        "_status": ("status", _as_it_is),
        "_ocr": ("ocr", _object(OCR)),
        "_gpt": ("gpt", _object(GPT)),
    },
    Account: {
        "credits_counter": ("credits_counter", _integer),
        "credits_limit": ("credits_limit", _integer),
    },
    JobInfo: {
        "id": ("id", _string),
        "status": ("status", _string),
        "type": ("type", _string),
        "created": ("created", _time),
    },
}
"""The keys that each class knows: the attribute, and what makes it."""

_NEEDED: Mapping[Any, Mapping[str, Any]] = {JobInfo: {"id": ""}}
"""Keys without which there is no instance, each with what stands for it in a void one."""


def known_keys(cls: type) -> frozenset[str]:
    """Return the keys on the wire that a class knows."""
    return frozenset(_KEYS[cls])


def structure(value: Any, cls: Callable[..., T], path: str, faults: Faults) -> T:
    """Return an instance of one of the service's classes.

    Args:
        value: A mapping of JSON types, or whatever the service sent in its place.
        cls: The class.
        path: The address of the value.
        faults: Where to add what does not fit; where there are any, the instance is void.

    Raises:
        UnfitError: There are too many faults, or there is no instance to go on with.
    """
    keys, needed = _KEYS[cls], _NEEDED.get(cls, {})
    if not isinstance(value, Mapping) or any(value.get(key) is None for key in needed):
        faults.add(" with ".join(["an object", *needed]), value, path)
        return cls(**needed)
    given: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, part in value.items():
        if key not in keys:
            extra[key] = part
        elif part is not None:
            name, read = keys[key]
            given[name] = read(part, f"{path}.{name}", faults)
            if read is _time and given[name] is None:
                extra[key] = part  # what cannot be understood is kept
    return cls(**given, extra=extra or NO_KEYS)


def structure_status(value: Any, default: Status, path: str = "$") -> Status:
    """Return a status of any type that the service uses: object, number or string.

    Args:
        value: The status as JSON types, or None.
        default: What it inherits where it says nothing.
        path: Its address.

    Raises:
        UnfitError: It cannot be understood.
    """
    match value:
        case Mapping():
            inherited = {"code": default.code, "request_id": default.request_id}
            # Neither null nor a boolean says anything of these.
            given = {
                k: v
                for k, v in value.items()
                if k not in inherited or not (v is None or isinstance(v, bool))
            }
            faults = Faults()
            status = structure(inherited | given, Status, path, faults)
            faults.check()
            return status
        case int() if not isinstance(value, bool):
            return Status(code=value)
        case str() if value.isdecimal():
            faults = Faults()
            code = _integer(value, path, faults)
            faults.check()
            return Status(code or 0)
        case str():
            return evolve(default, text=value)
        case _:
            return default


def named_parts(model: Any) -> list[tuple[str, Any]]:
    """Return the parts of an instance of one of the service's classes, in the service's names."""
    cls = next(cls for cls in type(model).__mro__ if cls in _KEYS)
    own = [(key, getattr(model, name)) for key, (name, _) in _KEYS[cls].items()]
    # A time that was not understood is in both.
    told = [(key, value) for key, value in own if value is not None or key not in model.extra]
    return [*told, *model.extra.items()]

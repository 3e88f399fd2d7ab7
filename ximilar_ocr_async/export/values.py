"""One value in; a scalar of JSON, or the parts of an array or an object out. Nothing raises."""

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Rational, Real
from typing import Any, TypeAlias

import attrs
from attrs import frozen

from ximilar_ocr_async.errors import OptionError

STRANGE = (Exception, SystemExit, GeneratorExit)
"""What the code of a user's class may raise."""

_MOST_ZEROS = 1100
"""The most digits that a number with an exponent is written out with. Source: judgement; those that
an answer may have in the user's class are written out."""

_MOST_UNWRAPPED = 8
"""How often a value may have another in its place. Source: judgement; one that has a new one in its
place each time would have no end."""

_SCALARS = (bool, Enum, str, int, float, Decimal)

Pairs: TypeAlias = Iterable[tuple[Any, Any]]

Expand: TypeAlias = Callable[[Any], Pairs | None]
"""Returns the keys and values of what has a form of its own; None for all else."""


@frozen
class Array:
    """What becomes an array.

    Attributes:
        items: (n) what is in it.
    """

    items: Sequence[Any]

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return the items, with no keys."""
        return [(None, item) for item in self.items]


@frozen
class Object:
    """What becomes an object.

    Attributes:
        named: (n) keys and values.
    """

    named: list[tuple[Any, Any]]

    def pairs(self) -> list[tuple[Any, Any]]:
        """Return keys and values."""
        return self.named


def look_at(value: Any, expand: Expand, faults: list[str]) -> Any:
    """Return what *value* becomes: an `Array`, an `Object` or a scalar of JSON.

    Args:
        value: The value.
        expand: Knows the classes that have a form of their own.
        faults: Where to add the name of an error that the value's class raised.
    """
    # What most values are, which need no look at their class.
    kind = type(value)
    if kind is str or kind is float:
        return scalar(value)
    if kind is list or kind is tuple:
        return Array(value)
    try:
        for _ in range(_MOST_UNWRAPPED):
            found = _look_at(value, expand)
            if not isinstance(found, _Another):
                return found
            value = found.value
    except STRANGE as error:
        faults.append(type(error).__name__)
    return f"<{type(value).__name__}>"


@frozen
class _Another:
    value: Any


def _look_at(value: Any, expand: Expand) -> Any:
    if value is None or isinstance(value, _SCALARS):
        return scalar(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{memoryview(value).nbytes:,} bytes>"
    if isinstance(value, date | time | timedelta | os.PathLike):
        return _written(value)
    named = expand(value)
    if named is None:
        named = parts_of(value)
    return _unnamed(value) if named is None else Object([*named])


def _unnamed(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return Array(_sorted(value))
    if isinstance(value, Real) and not isinstance(value, Rational):
        return scalar(float(value))
    if callable(getattr(type(value), "tolist", None)):
        return _Another(value.tolist())  # numpy's and the like  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, Collection):
        return Array([*value])
    return clean(str(value))


def parts_of(value: Any) -> Pairs | None:
    """Return names and values of a mapping or an instance with fields; None for all else."""
    if isinstance(value, Mapping):
        return value.items()
    if (names := _fields_of(type(value))) is not None:
        return [(name, getattr(value, name)) for name in names]
    if callable(getattr(type(value), "model_dump", None)):  # pydantic's
        dumped = value.model_dump()
        return dumped.items() if isinstance(dumped, Mapping) else [("root", dumped)]
    return None


def names_of(cls: type) -> list[str]:
    """Return the names of a class's fields; raise `OptionError` if it has none."""
    # The last two are pydantic's and a TypedDict's.
    others = getattr(cls, "model_fields", None) or getattr(cls, "__annotations__", {})
    names = _fields_of(cls) or [*others]
    if not names:
        raise OptionError(f"{getattr(cls, '__name__', cls)} has no fields")
    return names


def _fields_of(cls: Any) -> list[str] | None:
    if attrs.has(cls):
        return [a.name for a in attrs.fields(cls)]
    if dataclasses.is_dataclass(cls):
        return [f.name for f in dataclasses.fields(cls)]
    names = getattr(cls, "__struct_fields__", None)  # msgspec's
    return None if names is None else [*names]


def _sorted(values: Collection[Any]) -> list[Any]:
    try:
        return sorted(values)
    except STRANGE:
        return sorted(values, key=repr)


def _written(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, os.PathLike):
        return clean(os.fsdecode(value))
    return value.isoformat()


def scalar(value: Any) -> Any:
    """Return the scalar of JSON for one of Python's, or for what is derived from it."""
    match value:
        case float():
            return float.__float__(value) if isfinite(value) else None
        case None | True | False:
            return value
        case Enum():
            # As `_extraction` writes it into prompts, and reads it from answers.
            is_plain = type(value.value) in {str, int, float, bool}
            found = scalar(value.value) if is_plain else None
            return clean(value.name) if found is None else found
        case str():
            return clean(str.__str__(value))
        case int():
            return _whole(int.__int__(value))
        case _:
            return _decimal(value)


def _whole(value: int) -> int | str:
    try:
        str(value)
    except ValueError:
        return hex(value)  # too long for Python to write or read in digits
    return value


def _decimal(value: Decimal) -> str | None:
    """Return a decimal with its digits; None if it is no number."""
    if not value.is_finite():
        return None
    is_short = abs(value.adjusted()) + len(value.as_tuple().digits) <= _MOST_ZEROS
    return f"{value:f}" if is_short else str(value)


def clean(text: str) -> str:
    """Return *text* with a sign in place of each character that UTF-8 does not have."""
    if text.isascii():
        return text
    # Halves that stand beside each other are one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def key_for(key: Any, taken: Mapping[str, Any]) -> str:
    """Return *key* as a key of JSON that is not *taken*."""
    try:
        is_scalar = key is None or isinstance(key, _SCALARS)
        found = scalar(key) if is_scalar else clean(str(key))
        name = found if isinstance(found, str) else json.dumps(found)
    except STRANGE:
        name = f"<{type(key).__name__}>"
    # Keys that are different here, such as 1 and "1", are the same in JSON.
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free

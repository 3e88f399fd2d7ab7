"""JSON types in, an instance of the user's class or the address of each fault out.

This module teaches cattrs the user's classes; `_protocol.converter` teaches it the service's. It is
lenient where a value can only mean one thing, and it never guesses.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from itertools import repeat
from math import isfinite
from typing import Any, Literal, TypeVar, get_args, get_origin

from attrs import NOTHING
from cattrs import Converter

from ximilar_ocr_async._extraction.digits import Written
from ximilar_ocr_async._extraction.faults import (
    Fault,
    Misfit,
    faults_of,
    misfit,
    mismatch,
)
from ximilar_ocr_async._extraction.schema import Field, fields_of, has_fields, label, unwrap
from ximilar_ocr_async.errors import ExtractionError

T = TypeVar("T")

MAX_FAULTS = 10
"""The most faults that are collected in one array or object, and that an error holds. Source:
judgement; the error also holds the completion, and 100,000 faults would take 100 MB."""

_FAULTS_IN_MESSAGE = 3
"""The most faults in an error message. ``ExtractionError.faults`` holds more."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
"""Thousands separators are not allowed: 1,234 is a different number in English and in German."""


def _digits(value: Any) -> str:
    """Return a number as it is written, in quotes or not."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    if isinstance(value, Written):
        digits = value.digits
    else:
        digits = value.strip() if isinstance(value, str) else repr(value)
    if not _NUMBER.fullmatch(digits):
        raise ValueError
    return digits


def _read_str(value: Any) -> str:
    return value if isinstance(value, str) else _digits(value)


def _read_int(value: Any) -> int:
    digits = _digits(value)
    if not isinstance(value, float):
        return int(digits)
    number = Decimal(digits)
    if number != int(number):
        raise ValueError
    return int(number)


def _read_float(value: Any) -> float:
    number = float(_digits(value))
    if not isfinite(number):
        raise ValueError
    return number


def _read_decimal(value: Any) -> Decimal:
    return Decimal(_digits(value))  # a float's binary value would differ from what was written


def _read_bool(value: Any) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[_lowered(value)]


def _lowered(value: Any) -> str:
    return str.strip(value).lower()


def _read_date(value: Any) -> date:
    return _read_datetime(value).date()


def _read_datetime(value: Any) -> datetime:
    return datetime.fromisoformat(str.strip(value))


def _read_time(value: Any) -> time:
    return time.fromisoformat(str.strip(value))


_READERS: Mapping[type, tuple[Callable[[Any], Any], str]] = {
    str: (_read_str, "text"),
    int: (_read_int, "a whole number"),
    float: (_read_float, "a number such as 1234.5"),
    Decimal: (_read_decimal, "a number such as 1234.5"),
    bool: (_read_bool, "true or false"),
    date: (_read_date, "a date such as 2026-08-31"),
    datetime: (_read_datetime, "a date and time such as 2026-08-31T14:30:00"),
    time: (_read_time, "a time such as 14:30:00"),
}
"""The types that are a single value in JSON, each with its reader and what the reader expects."""


def _structure_scalar(value: Any, kind: Any) -> Any:
    # cattrs finds hooks by base class, so an enum that is also a str arrives here.
    if issubclass(kind, Enum):
        return _structure_member(value, kind)
    read, expected = _READERS[kind]
    try:
        return read(value)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise mismatch(expected, value) from None


def _structure_member(value: Any, kind: type[Enum]) -> Enum:
    by_value = [(member.value, member) for member in kind]
    member: Enum = _choose(value, [*by_value, *kind.__members__.items()], map(label, kind))
    return member


def _structure_literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    return _choose(value, [(choice, choice) for choice in choices], choices)


def _choose(value: Any, choices: Sequence[tuple[Any, Any]], expected: Iterable[Any]) -> Any:
    if isinstance(value, Written):
        value = float(value)
    forms = (value, value.strip()) if isinstance(value, str) else (value,)
    for form in forms:
        for key, choice in choices:
            if type(key) is type(form) and key == form:  # in Python, 1 == True == 1.0
                return choice
    raise mismatch(f"one of {json.dumps([*expected], ensure_ascii=False)[1:-1]}", value)


def _array_hook(kind: Any) -> Callable[[Any, Any], Any]:
    origin, args = get_origin(kind), get_args(kind)
    make = list if origin is list else tuple
    is_row = origin is tuple and args[-1] is not Ellipsis

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise mismatch("an array", value)
        if is_row and len(value) != len(args):
            raise misfit(f"{len(args)} items", f"{len(value)}")
        parts = zip(range(len(value)), value, args if is_row else repeat(args[0]), strict=False)
        return make(_structure_parts(parts, Fault.in_item).values())

    return hook


def _map_hook(kind: Any) -> Callable[[Any, Any], Any]:
    _, hint = get_args(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch("an object", value)
        parts = ((str(key), item, hint) for key, item in value.items())
        return _structure_parts(parts, Fault.in_key)

    return hook


def _class_hook(kind: Any) -> Callable[[Any, Any], Any]:
    # The hooks of cattrs keep the unknown keys of a TypedDict, and miss its NotRequired if
    # annotations are strings.
    fields = fields_of(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch("an object", value)
        given = [field for field in fields if not _uses_default(field, value)]
        items = ((field.name, _item(field, value), field.hint) for field in given)
        parts = _structure_parts(items, Fault.in_field)
        return kind(**{field.parameter: parts[field.name] for field in given})

    return hook


def _uses_default(field: Field, value: Mapping[str, Any]) -> bool:
    """Whether *field* gets its default: it is missing, or null although its type excludes None."""
    is_given = value.get(field.name) is not None or (field.name in value and field.takes_null)
    return field.has_default and not is_given


def _item(field: Field, value: Mapping[str, Any]) -> Any:
    return value.get(field.name, None if field.takes_null else NOTHING)


def _structure_parts(
    parts: Iterable[tuple[Any, Any, Any]], inside: Callable[[Fault, Any], Fault]
) -> dict[Any, Any]:
    """Structure parts, each (key, value, type). Raise all their faults together.

    Args:
        parts: The parts of one value.
        inside: Adds the key of a part to the address of a fault in it.
    """
    done: dict[Any, Any] = {}
    faults: list[Fault] = []
    for key, value, hint in parts:
        try:
            done[key] = _converter.structure(value, hint)
        except Exception as error:  # noqa: BLE001 - cattrs and the user's classes raise many types
            faults += [inside(fault, key) for fault in faults_of(error)]
            if len(faults) >= MAX_FAULTS:
                break
    if faults:
        raise Misfit(*faults[:MAX_FAULTS])
    return done


def _wrapped_hook(kind: Any) -> Callable[[Any, Any], Any]:
    inner, _, _ = unwrap(kind)
    return lambda value, _: _converter.structure(value, inner)


def _is_made_from(*origins: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) in origins


_converter = Converter()
for _class in (*_READERS, Enum):
    _converter.register_structure_hook(_class, _structure_scalar)
_converter.register_structure_hook_func(_is_made_from(Literal), _structure_literal)
_converter.register_structure_hook_factory(_is_made_from(list, tuple, Sequence), _array_hook)
_converter.register_structure_hook_factory(_is_made_from(dict, Mapping), _map_hook)
_converter.register_structure_hook_factory(has_fields, _class_hook)
_converter.register_structure_hook_factory(lambda kind: unwrap(kind)[0] is not kind, _wrapped_hook)


def structure(value: Any, cls: type[T]) -> T:
    """Make an instance of *cls* from JSON types. `describe` must accept the class.

    Unknown keys are ignored. A missing or null value becomes the field's default, or None if the
    field has no default but allows None. Numbers may be in quotes, and may stand for text. Dates
    are ISO 8601, enums are values or names. NaN, infinity and thousands separators are refused.

    Raises:
        ExtractionError: *value* does not fit *cls*. ``faults`` and ``hints`` say where.
    """
    try:
        return _converter.structure(value, cls)
    except Exception as error:  # noqa: BLE001 - as above
        found = faults_of(error)
    faults = tuple(map(str, found))
    more = "; and more" if len(faults) > _FAULTS_IN_MESSAGE else ""
    listed = "; ".join(faults[:_FAULTS_IN_MESSAGE])
    message = f"the completion does not fit {cls.__name__}: {listed}{more}"
    hints = tuple(fault.hint for fault in found)
    raise ExtractionError(message, faults=faults, hints=hints)

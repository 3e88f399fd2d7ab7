"""JSON types in, an instance of the user's class out, or the address of each fault; and back.

Here cattrs knows the user's classes, and in `wire` the service's. It is lenient where a value can
mean one thing only, and guesses nowhere.
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
from cattrs import Converter, transform_error
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    IterableValidationError,
    IterableValidationNote,
)

from ximilar_ocr_async._extraction.schema import (
    Field,
    fields_of,
    is_shaped,
    label,
    unwrap,
)
from ximilar_ocr_async.errors import ExtractionError

T = TypeVar("T")

MAX_FAULTS = 10
"""Looked for in one array or object, and told in all. Source: judgement; who wants more has the
answer, and a list of 100,000 faults would take 100 MB."""

_SHOWN_FAULTS = 3
"""In a message; an error's ``faults`` has them all."""

_SHOWN_FAULT, _SHOWN_VALUE = 200, 40
"""[characters] of an address or a reason, and of what the model wrote."""


class _Misfit(ValueError):
    """A value does not fit; the message says what was expected, and what was there."""


def _misfit(expected: str, value: Any) -> _Misfit:
    return _Misfit(f"expected {expected}, got {_told(value)}")


def _told(value: Any) -> str:
    match value:
        case str():
            return _shown(value, _SHOWN_VALUE)
        case None | bool() | float():
            return json.dumps(value)
        case int():
            return str(value) if abs(value) < 10**_SHOWN_VALUE else "a huge number"
        case Mapping():
            return "an object"
        case list():
            return "an array"
        case _:
            return "nothing"


def _shown(text: str, most: int) -> str:
    return repr(text) if len(text) <= most else f"{text[:most]!r}..."


_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)
"""No separators of thousands: 1,234 is one number in English and another in German."""


def _digits(value: Any) -> str:
    """Return a number as it is written, be it in quotes or not."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    digits = value.strip() if isinstance(value, str) else repr(value)
    if not _NUMBER.fullmatch(digits):
        raise ValueError
    return digits


def _read_str(value: Any) -> str:
    return value if isinstance(value, str) else _digits(value)


def _read_int(value: Any) -> int:
    return int(value if isinstance(value, float) and value.is_integer() else _digits(value))


def _read_float(value: Any) -> float:
    number = float(_digits(value))
    if not isfinite(number):
        raise ValueError
    return number


def _read_decimal(value: Any) -> Decimal:
    return Decimal(_digits(value))  # of a float too: in binary it is not quite what was written


def _read_bool(value: Any) -> bool:
    return value if isinstance(value, bool) else {"true": True, "false": False}[_word(value)]


def _word(value: Any) -> str:
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
"""For each type that is one value in JSON: how it is read, and what is expected."""


def _structure_scalar(value: Any, kind: Any) -> Any:
    # cattrs finds a hook by a class's bases, so an enum of texts comes by as a text.
    if issubclass(kind, Enum):
        return _structure_member(value, kind)
    read, expected = _READERS[kind]
    try:
        return read(value)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise _misfit(expected, value) from None


def _structure_member(value: Any, kind: type[Enum]) -> Enum:
    by_value = [(member.value, member) for member in kind]
    member: Enum = _choose(value, [*by_value, *kind.__members__.items()], map(label, kind))
    return member


def _structure_literal(value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    return _choose(value, [(choice, choice) for choice in choices], choices)


def _choose(value: Any, choices: Sequence[tuple[Any, Any]], told: Iterable[Any]) -> Any:
    forms = (value, value.strip()) if isinstance(value, str) else (value,)
    for form in forms:
        for key, choice in choices:
            if type(key) is type(form) and key == form:  # for Python, 1 is also True and 1.0
                return choice
    raise _misfit(f"one of {json.dumps([*told], ensure_ascii=False)[1:-1]}", value)


def _array_hook(kind: Any) -> Callable[[Any, Any], Any]:
    origin, args = get_origin(kind), get_args(kind)
    make = list if origin is list else tuple
    is_row = origin is tuple and args[-1] is not Ellipsis

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise _misfit("an array", value)
        if is_row and len(value) != len(args):
            raise _Misfit(f"expected {len(args)} items, got {len(value)}")
        parts = zip(range(len(value)), value, args if is_row else repeat(args[0]), strict=False)
        return make(_structure_parts(parts, kind).values())

    return hook


def _map_hook(kind: Any) -> Callable[[Any, Any], Any]:
    _, hint = get_args(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit("an object", value)
        return _structure_parts(((str(key), item, hint) for key, item in value.items()), kind)

    return hook


def _class_hook(kind: Any) -> Callable[[Any, Any], Any]:
    # Not cattrs's own, which keep the unknown keys of a TypedDict, and overlook its NotRequired
    # where annotations are strings.
    fields = fields_of(kind)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _misfit("an object", value)
        given = [field for field in fields if not _is_left_out(field, value)]
        parts = _structure_parts(((f.name, _item(f, value), f.hint) for f in given), kind)
        return kind(**{field.parameter: parts[field.name] for field in given})

    return hook


def _is_left_out(field: Field, value: Mapping[str, Any]) -> bool:
    """Whether *field* is left to its default: null says so too, where it cannot mean None."""
    is_said = value.get(field.name) is not None or (field.name in value and field.takes_null)
    return field.has_default and not is_said


def _item(field: Field, value: Mapping[str, Any]) -> Any:
    return value.get(field.name, None if field.takes_null else NOTHING)


def _structure_parts(parts: Iterable[tuple[Any, Any, Any]], kind: Any) -> dict[Any, Any]:
    """Structure the parts of *kind*, each (key, value, type), and collect what does not fit."""
    is_class = is_shaped(kind)
    done, errors = {}, []
    for key, value, hint in parts:
        try:
            done[key] = _converter.structure(value, hint)
        except Exception as error:  # noqa: BLE001 - cattrs and the user's classes raise many types
            note = AttributeValidationNote if is_class else IterableValidationNote
            error.add_note(note("", key, hint))
            errors.append(error)
            if len(errors) == MAX_FAULTS:
                break
    if errors:
        raise (ClassValidationError if is_class else IterableValidationError)("", errors, kind)
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
_converter.register_structure_hook_factory(is_shaped, _class_hook)
_converter.register_structure_hook_factory(lambda kind: unwrap(kind)[0] is not kind, _wrapped_hook)


def structure(value: Any, cls: type[T]) -> T:
    """Make an instance of *cls*, which `describe` takes, from JSON types.

    Unknown keys are ignored. What is missing or null becomes the field's default, else None where
    the field takes that. Numbers may stand in quotes, and be where text is expected; dates are ISO
    8601, enums are told by value or name. NaN, infinity and separators of thousands fit nowhere.

    Raises:
        ExtractionError: *value* does not fit; ``faults`` says where.
    """
    try:
        return _converter.structure(value, cls)
    except Exception as error:  # noqa: BLE001 - as above
        faults = _faults(error)
    more = "; and more" if len(faults) > _SHOWN_FAULTS else ""
    told = "; ".join(faults[:_SHOWN_FAULTS])
    raise ExtractionError(f"the answer does not fit {cls.__name__}: {told}{more}", faults=faults)


def unstructure(value: Any) -> Any:
    """Return JSON types from which `structure` makes *value* again, which it has made.

    Decimals keep their digits, in quotes; dates are ISO 8601, enums as the model is told of them.
    What a class's own converter has made of a field, and JSON lacks, stays as it is.
    """
    if is_shaped(type(value)):
        value = {field.name: getattr(value, field.name) for field in fields_of(type(value))}
    match value:
        case Enum():
            return label(value)
        case Mapping():
            return {key: unstructure(item) for key, item in value.items()}
        case list() | tuple():
            return [unstructure(item) for item in value]
        case Decimal():
            return f"{value:f}"  # its exponent may be longer than `structure` takes
        case date() | time():
            return value.isoformat()
    return value


def _faults(error: Exception) -> tuple[str, ...]:
    reasons: list[str] = []

    # Reasons go another way than addresses, because neither can be told from the other once
    # cattrs has put them into one text: both may hold what the model wrote.
    def keep_reason(error: BaseException, _: Any) -> str:
        reasons.append(_reason(error))
        return ""

    places = transform_error(error, format_exception=keep_reason)
    told = zip(places[:MAX_FAULTS], reasons, strict=False)
    return tuple(f"{_cut(place.removeprefix(' @ '))}: {_cut(reason)}" for place, reason in told)


def _reason(error: BaseException) -> str:
    if isinstance(error, _Misfit):
        return str(error)
    # Of a validator of the user's; those of attrs put their message first of several arguments.
    return ": ".join([type(error).__name__, *map(str, error.args[:1])])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_FAULT else f"{line[:_SHOWN_FAULT]}..."

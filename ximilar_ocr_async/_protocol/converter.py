"""JSON types in, instances of the service's classes out; and back.

This module teaches cattrs the service's classes; `_extraction.structuring` teaches it the user's.
Unknown keys are kept. A null value counts as absent.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from attrs import evolve, fields
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from ximilar_ocr_async._protocol.fast_decode import structure_usual_ocr
from ximilar_ocr_async.models import GPT, OCR, Account, JobInfo, Record, Status, Text

_NAMES: Mapping[type, Mapping[str, str]] = {
    Record: {
        "id": "_id",
        "url": "_url",
        "width": "_width",
        "height": "_height",
        "status": "_status",
        "ocr": "_ocr",
        "gpt": "_gpt",
    },
}
"""The attributes whose key on the wire differs from their name."""

_DROPPED = frozenset({"_base64"})
"""Keys that are not kept. An image that the service sends back is not worth its memory."""

converter = Converter()


def _keys(cls: type) -> dict[str, str]:
    names = _NAMES.get(cls, {})
    return {a.name: names.get(a.name, a.name) for a in fields(cls) if a.name != "extra"}


def _overrides(cls: type) -> dict[str, Any]:
    renames = {name: override(rename=key) for name, key in _keys(cls).items()}
    if cls is Record:
        # The caller has built the status already, because it falls back on the response's status.
        renames["status"] = override(rename="_status", struct_hook=lambda value, _: value)
    return {**renames, "extra": override(omit=True)}


def _structure_hook(cls: type[Any]) -> Callable[[Any, Any], Any]:
    structure = make_dict_structure_fn(cls, converter, **_overrides(cls))
    known = frozenset(_keys(cls).values())

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected an object, got {type(value).__name__}")
        if value.keys() <= known and None not in value.values():
            return structure(value, cls)
        given = {k: v for k, v in value.items() if k in known and v is not None}
        extra = {k: v for k, v in value.items() if k not in known and k not in _DROPPED}
        parsed = structure(given, cls)
        return evolve(parsed, extra=extra) if extra else parsed

    return hook


def _unstructure_hook(cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
    unstructure: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
        cls, converter, **_overrides(cls)
    )
    return lambda value: {**unstructure(value), **value.extra}


def _structure_str(value: Any, _: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(f"expected a string, got {type(value).__name__}")


def _structure_finite(value: Any, _: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    raise TypeError("expected a finite number")


def _structure_time(value: Any, _: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None  # one bad time must not make a whole list fail


def _structure_ocr(value: Any, cls: Any) -> OCR:
    # The slow path keeps whatever is unusual, or reports its address.
    return structure_usual_ocr(value) or _ocr_hook(value, cls)


converter.register_structure_hook(str, _structure_str)
converter.register_structure_hook(float, _structure_finite)
# None stands for an absent key. Absent keys never get here, so the value must be a string.
converter.register_structure_hook(str | None, _structure_str)
converter.register_structure_hook(datetime, _structure_time)
converter.register_unstructure_hook(datetime, datetime.isoformat)
# Parts come before the classes that contain them, because compiling a hook inlines their hooks.
for _class in (Text, Status, GPT):
    converter.register_structure_hook(_class, _structure_hook(_class))
_ocr_hook = _structure_hook(OCR)
converter.register_structure_hook(OCR, _structure_ocr)
converter.register_structure_hook(Record, _structure_hook(Record))

# Compiled when they are first needed, which is never in most programs.
_RARE = frozenset({Account, JobInfo})
_ALL = frozenset({Text, OCR, GPT, Status, Record}) | _RARE
converter.register_structure_hook_factory(lambda kind: kind in _RARE, _structure_hook)
converter.register_unstructure_hook_factory(lambda kind: kind in _ALL, _unstructure_hook)

"""Values in, JSON out, whatever they are: those of the service and those of the user's classes."""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

_STRANGE = (Exception, SystemExit, GeneratorExit)
"""What the code of a user's class may raise."""


def to_json(document: Any, *, indent: int | None = None) -> str:
    """Return *document* as JSON, in one line unless an *indent* is given.

    A user's class may contain values that JSON has no type for, which become strings. Numbers that
    it has no words for become null, and whole numbers too long for Python to write in digits become
    strings in hexadecimal digits. Nesting may be of any depth, and is then in one line.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str, indent=indent)
    try:
        return encoder.encode(document)
    except _STRANGE:
        return "".join(_pieces(document))


def _pieces(document: Any) -> Iterator[str]:
    """Yield the JSON of *document* in pieces, without recursion."""
    # The parts to come of what is open, how it closes, and its identity.
    stack: list[tuple[Iterator[tuple[str, Any]], str, int]] = []
    parts, is_open = iter([("", document)]), set[int]()
    closing, own = "", 0
    while True:
        for before, value in parts:
            yield before
            inner = None if id(value) in is_open else _parts(value)
            if inner is None:
                yield _scalar(value)
                continue
            stack.append((parts, closing, own))
            is_open.add(id(value))
            parts, own = iter(inner), id(value)
            opening, closing = "{}" if isinstance(value, dict) else "[]"
            yield opening
            break
        else:
            yield closing
            is_open.discard(own)
            if not stack:
                return
            parts, closing, own = stack.pop()


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """Return the parts of an array or object, each after its comma and key; None if it is none."""
    try:
        if isinstance(value, dict):
            named = [(f"{_key(key)}: ", item) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            named = [("", item) for item in value]
        else:
            return None
    except _STRANGE:
        return None
    return [(f"{', ' if place else ''}{name}", item) for place, (name, item) in enumerate(named)]


def _key(key: Any) -> str:
    written = _scalar(key)
    return written if written.startswith('"') else f'"{written}"'


def _scalar(value: Any) -> str:
    """Return the JSON of a value that is neither array nor object, or cannot be written as one."""
    if isinstance(value, float) and not isfinite(value):
        return "null"
    try:
        if isinstance(value, str | int | float | None):
            return json.dumps(value, ensure_ascii=False)
        # One that contains itself is not shown again.
        text = f"<{type(value).__name__}>" if isinstance(value, dict | list) else str(value)
    except _STRANGE:
        text = hex(value) if isinstance(value, int) else f"<{type(value).__name__}>"
    return json.dumps(text, ensure_ascii=False)

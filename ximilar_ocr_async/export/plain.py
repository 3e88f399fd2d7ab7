"""Any value in, JSON types out: dicts with keys of str, lists, str, int, float, bool and None.

Nothing raises and nothing recurses, for the value may be of a user's class and of any depth.
"""

import json
from collections.abc import Iterator
from typing import Any

from ximilar_ocr_async.export.values import Array, Expand, Object, key_for, look_at

MAX_DEPTH = 100
"""How deep a value is nested before the rest is the text of its JSON. Source: judgement; what is
decoded is nested 64 deep in its record, and what others write JSON with recurses."""


def plain(value: Any, expand: Expand, faults: list[str]) -> Any:
    """Return *value* as JSON types.

    Objects of attrs classes, dataclasses, msgspec and pydantic become objects. Decimals become
    strings, to keep their digits. Dates and times become ISO 8601, durations seconds, enums their
    value if JSON has its type, else their name. NaN and infinity become null. Bytes are named.
    What UTF-8 does not have is replaced. All else becomes what `str` makes of it.

    Args:
        value: The value.
        expand: Knows the classes that have a form of their own.
        faults: Where to add the names of errors that a class raised. What raised is named.
    """
    top: list[Any] = []
    depth, is_open = 0, set[int]()
    # What is open: its parts to come, what they are put into, and its identity.
    stack: list[tuple[Iterator[tuple[Any, Any]], Any, int]] = [(iter([(None, value)]), top, 0)]
    while stack:
        parts, target, own = stack[-1]
        for key, item in parts:
            found = look_at(item, expand, faults)
            if not isinstance(found, Array | Object):
                _put(target, key, found)
            elif id(item) in is_open:
                faults.append(RecursionError.__name__)
                _put(target, key, f"<{type(item).__name__}>")
            else:
                inner: Any = [] if isinstance(found, Array) else {}
                _put(target, key, inner)
                stack.append((iter(found.pairs()), inner, id(item)))
                is_open.add(id(item))
                depth = max(depth, len(stack))
                break
        else:
            stack.pop()
            is_open.discard(own)
    # The first of what is open is `top`.
    return _shallow(top[0]) if depth > MAX_DEPTH + 1 else top[0]


def _put(target: Any, key: Any, value: Any) -> None:
    if isinstance(target, dict):
        target[key_for(key, target)] = value
    else:
        target.append(value)


def _shallow(top: Any) -> Any:
    """Return JSON types with text in place of what is nested deeper than `MAX_DEPTH`."""
    level = [top]
    for depth in range(1, MAX_DEPTH + 1):
        below: list[Any] = []
        for container in level:
            is_object = isinstance(container, dict)
            pairs = [*(container.items() if is_object else enumerate(container))]
            for key, value in pairs:
                if not isinstance(value, dict | list):
                    continue
                if depth == MAX_DEPTH:
                    container[key] = text_of(value)
                else:
                    below.append(value)
        level = below
    return top


def text_of(value: Any) -> str:
    """Return the JSON of JSON types of any depth, in one line."""
    written: list[str] = []
    # What is a tuple is written already.
    left: list[Any] = [value]
    while left:
        match left.pop():
            case tuple() as done:
                written += done
            case dict() as named:
                left.append(("}",))
                for place, (key, item) in reversed([*enumerate(named.items())]):
                    left += [item, (f"{', ' if place else ''}{_dumps(key)}: ",)]
                left.append(("{",))
            case list() as items:
                left.append(("]",))
                for place, item in reversed([*enumerate(items)]):
                    left += [item, (", ",)] if place else [item]
                left.append(("[",))
            case scalar:
                written.append(_dumps(scalar))
    return "".join(written)


def _dumps(scalar: Any) -> str:
    return json.dumps(scalar, ensure_ascii=False, allow_nan=False)

r"""A record in, the language model's completion as an instance of the user's class out.

The completion is free text around JSON or around a Python dict. Parts of it may come from the
image, so it is untrusted data: its size and depth are limited before it is parsed, parsing takes
linear time, and nothing in it is evaluated. ``ast.literal_eval`` would warn about ``'\d'`` and can
exhaust the stack. Source of the two forms: https://docs.ximilar.com/text/ocr, whose sample is in
Python's form, read in 2026-08.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar

from ximilar_ocr_async._extraction.digits import loads, may_lose_digits
from ximilar_ocr_async._extraction.structuring import structure
from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.models import GPT, Record

T = TypeVar("T")

MAX_COMPLETION = 64 * 1024
"""The longest completion [characters]. Source: judgement; gpt-4o writes at most 16,384 tokens."""

MAX_VALUES = 1000
"""The most objects that may stand side by side. Source: judgement; a completion has one or two."""

MAX_CONTAINERS = 2000
"""The most objects and arrays. Source: judgement; gpt-4o writes at most 16,384 tokens, a row of two
cells takes 8, and the garbage collector looks at each of them now and then, for all records."""

MAX_DEPTH = 64
"""The deepest nesting. Source: judgement; a prompt of 1,000 tokens cannot ask for more."""

_TOO_MANY = f"has more than {MAX_CONTAINERS:,} objects and arrays"

_SNIPPET = 120
"""How much of the completion an error message shows [characters]."""

# Possessive quantifiers, so that an unterminated string fails after one pass.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"' + "|" + r"'[^'\\]*+(?:\\.[^'\\]*+)*+'"

_START = re.compile(r"\{|\[(?=\s*\{)")
"""The start of an object or of an array of objects. Other brackets may be prose."""

_PART = re.compile(rf"[{{}}\[\]]|{_STRING}|[\"']", re.DOTALL)
"""The tokens that decide where an object ends. A lone quote begins an unterminated string."""

_FOREIGN = re.compile(rf"{_STRING}|,(?=\s*[}}\]])|\b(?:True|False|None)\b", re.DOTALL)
"""The tokens that may differ from JSON: strings, Python's constants and trailing commas."""

_CONSTANTS = {"True": "true", "False": "false", "None": "null", ",": ""}

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(rf'\\x({_HEX}{{2}})|\\U(00(?:0{_HEX}|10){_HEX}{{4}})|\\(.)|"', re.DOTALL)
"""The two character escapes that only Python has, any other escape, and a bare double quote."""


def extract(record: Record, cls: type[T]) -> T:
    """Return the completion in *record* as an instance of *cls*.

    Raises:
        ExtractionError: The completion does not fit. The error holds it, its faults and the record.
    """
    gpt = record.gpt or GPT()
    try:
        return structure(parse_completion(gpt), cls)
    except ExtractionError as error:
        completion = gpt.result or ""
        beginning = f"; it begins {completion[:_SNIPPET]!r}" if completion else ""
        raise ExtractionError(
            f"{error}{beginning}",
            faults=error.faults,
            hints=error.hints,
            answer=completion,
            record=record,
            request_id=record.status.request_id,
        ) from None


def parse_completion(gpt: GPT) -> Any:
    """Return the JSON in a completion: ``json_result``, else the last object in ``result``.

    Floats are `Written` where their digits are known.

    The last object counts, because a model that quotes the image does so before it answers. If the
    last object is cut off or garbled, no other takes its place: an earlier object, or one inside
    it, may be whole but is not what was asked for.

    Raises:
        ExtractionError: The completion has no object, is cut off, garbled, too long or too deep.
    """
    text = gpt.result or ""
    if len(text) > MAX_COMPLETION:
        reason = f"has {len(text):,} characters, the limit is {MAX_COMPLETION:,}"
        raise _unusable(reason, text)
    if gpt.json_result is not None:
        if fault := _fault_of_size(gpt.json_result):
            raise _unusable(fault, text)
        return _with_digits(gpt)
    try:
        return loads(_rewrite(text))
    except ValueError:
        raise _unusable("is neither JSON nor a Python dict", text) from None


def _rewrite(text: str) -> str:
    return _FOREIGN.sub(_to_json, _last_value(text))


def _with_digits(gpt: GPT) -> Any:
    """Return ``json_result`` with the digits that the model wrote, or else that came.

    The service reads ``result`` as any program does, and may have lost digits when it did.
    """
    for read in (_read_result, _read_written):
        with suppress(ExtractionError, ValueError, RecursionError):
            value = read(gpt)
            if value is not None and value == gpt.json_result:
                return value
    return gpt.json_result


def _read_result(gpt: GPT) -> Any:
    text = gpt.result or ""
    return loads(_rewrite(text), {}) if may_lose_digits(text) else None


def _read_written(gpt: GPT) -> Any:
    data = gpt._written  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - kept for this
    is_small = data.count(b"[") + data.count(b"{") <= MAX_CONTAINERS
    return loads(data, {}) if data and is_small else None


def _unusable(reason: str, completion: str) -> ExtractionError:
    return ExtractionError(f"the completion {reason}", answer=completion)


def _fault_of_size(value: Any) -> str | None:
    """Return what is too large about JSON types; their characters are those as JSON, but escapes.

    To write them as JSON would hold up all threads, for a second if they are large.
    """
    left, containers, rest = MAX_COMPLETION, 0, [value]
    while rest and left >= 0 and containers <= MAX_CONTAINERS:
        item = rest.pop()
        if isinstance(item, Mapping | list):
            # Brackets and commas, of which there are too many before any item is looked at.
            left -= 2 + 2 * len(item)
            containers += 1
            if left >= 0:
                rest.extend(item)
                rest.extend(item.values() if isinstance(item, Mapping) else ())
        else:
            left -= len(item) + 2 if isinstance(item, str) else len(str(item))
    if containers > MAX_CONTAINERS:
        return _TOO_MANY
    return f"has more than {MAX_COMPLETION:,} characters" if left < 0 else None


def _last_value(text: str) -> str:
    """Return the last object, or array of objects, that is not inside another one."""
    found, end = "", 0
    for _ in range(MAX_VALUES):
        start = _START.search(text, end)
        if start is None:
            break
        end = _end_of_value(text, start.start())
        found = text[start.start() : end]
    else:
        raise _unusable(f"has {MAX_VALUES:,} objects or more", text)
    if not found:
        raise _unusable("has no JSON object" if text.strip() else "is empty", text)
    return found


def _end_of_value(text: str, start: int) -> int:
    """Return the end of the object or array that begins at *start*."""
    depth, containers = 0, 0
    for part in _PART.finditer(text, start):
        match part[0]:
            case "{" | "[":
                depth += 1
                containers += 1
            case "}" | "]":
                depth -= 1
            case '"' | "'":
                break
        if not depth:
            return part.end()
        if depth > MAX_DEPTH:
            raise _unusable(f"is nested more than {MAX_DEPTH} deep", text)
        if containers > MAX_CONTAINERS:
            raise _unusable(_TOO_MANY, text)
    raise _unusable("is cut off: its last object does not end", text)


def _to_json(part: re.Match[str]) -> str:
    """Rewrite a string, a constant or a comma as JSON. A string that is JSON stays as it is."""
    token = part[0]
    return _CONSTANTS[token] if token in _CONSTANTS else f'"{_ESCAPE.sub(_escape, token[1:-1])}"'


def _escape(part: re.Match[str]) -> str:
    code, character = part[1] or part[2], part[3]
    if code:
        return json.dumps(chr(int(code, 16)))[1:-1]
    if character == "'":
        return character
    # A bare double quote needs a backslash. So does a backslash that escapes nothing, as in Python.
    return part[0] if character and character in '"\\/bfnrtu' else f"\\{part[0]}"

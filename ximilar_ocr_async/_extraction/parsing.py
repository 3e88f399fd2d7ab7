r"""A record in, the language model's answer as an instance of the user's class out.

The answer is free text around JSON, or around a dict as Python writes it, and parts of it may come
from the image: so it is data to the last sign. It is bounded in size and depth before it is parsed,
parsing takes linear time, and nothing in it is ever evaluated: ``ast.literal_eval`` would warn of
``'\d'`` and can be made to exhaust the stack. Source of the two forms:
https://docs.ximilar.com/text/ocr, whose sample has Python's, read in 2026-08.
"""

import json
import re
from typing import Any, TypeVar

from ximilar_ocr_async._extraction.structuring import structure
from ximilar_ocr_async.errors import ExtractionError
from ximilar_ocr_async.models import GPT, Record

T = TypeVar("T")

MAX_ANSWER = 64 * 1024
"""[characters] Source: judgement; 16,384 tokens, gpt-4o's longest answer, take about as many."""

MAX_VALUES = 1000
"""Objects beside one another. Source: judgement; in an answer there are one or two."""

MAX_DEPTH = 64
"""Objects and arrays in one another. Source: judgement; no prompt of 1,000 tokens asks for more."""

_SHOWN_ANSWER = 120
"""[characters] of the answer in a message."""

# Possessive, so that a string that never ends is given up after one pass.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"' + "|" + r"'[^'\\]*+(?:\\.[^'\\]*+)*+'"

_START = re.compile(r"\{|\[(?=\s*\{)")
"""Of an object, or of an array of them; other brackets may be prose."""

_PART = re.compile(rf"[{{}}\[\]]|{_STRING}|[\"']", re.DOTALL)
"""What tells where an object ends; a quote that matches alone begins a string that does not end."""

_FOREIGN = re.compile(rf"{_STRING}|,(?=\s*[}}\]])|\b(?:True|False|None)\b", re.DOTALL)
"""What may be written otherwise than in JSON: strings, Python's words, a comma before the end."""

_WORDS = {"True": "true", "False": "false", "None": "null", ",": ""}

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(rf'\\x({_HEX}{{2}})|\\U(00(?:0{_HEX}|10){_HEX}{{4}})|\\(.)|"', re.DOTALL)
"""Python's two own ways to write a sign by its code, any other escape, and a bare double quote."""


def extract(record: Record, cls: type[T]) -> T:
    """Return the answer in *record* as an instance of *cls*.

    Raises:
        ExtractionError: It does not fit. The error has the answer, its faults, and the record.
    """
    gpt = record.gpt or GPT()
    try:
        return structure(find_answer(gpt), cls)
    except ExtractionError as error:
        answer = gpt.result or ""
        begins = f"; it begins {answer[:_SHOWN_ANSWER]!r}" if answer else ""
        raise ExtractionError(
            f"{error}{begins}",
            faults=error.faults,
            answer=answer,
            record=record,
            request_id=record.status.request_id,
        ) from None


def find_answer(gpt: GPT) -> Any:
    """Return what the model answered: ``json_result``, else the last object in ``result``.

    The last, because what the model quotes from the image comes before its answer. For the same
    reason nothing stands in for a last object that is cut off or garbled: an earlier one, or one
    inside it, may be whole without being the answer.

    Raises:
        ExtractionError: There is no answer, or it is cut off, garbled, too long or too deep.
    """
    text = gpt.result or ""
    _check_length(text, text)
    if gpt.json_result is not None:
        _check_length(json.dumps(gpt.json_result, ensure_ascii=False), text)
        return gpt.json_result
    try:
        # Models write line breaks into strings as they are, which strict JSON forbids.
        return json.loads(_FOREIGN.sub(_to_json, _last_value(text)), strict=False)
    except ValueError:
        raise _no_answer("is neither JSON nor a Python dict", text) from None


def _no_answer(reason: str, text: str) -> ExtractionError:
    return ExtractionError(f"the answer {reason}", answer=text)


def _check_length(written: str, text: str) -> None:
    if len(written) > MAX_ANSWER:
        raise _no_answer(f"has {len(written):,} characters, the limit is {MAX_ANSWER:,}", text)


def _last_value(text: str) -> str:
    """Return the last object, or array of objects, that does not stand in another one."""
    found, end = "", 0
    for _ in range(MAX_VALUES):
        start = _START.search(text, end)
        if start is None:
            break
        end = _end(text, start.start())
        found = text[start.start() : end]
    else:
        raise _no_answer(f"has {MAX_VALUES:,} objects or more", text)
    if not found:
        raise _no_answer("has no JSON object" if text.strip() else "is empty", text)
    return found


def _end(text: str, start: int) -> int:
    """Return where the object or array ends that begins at *start*."""
    depth = 0
    for part in _PART.finditer(text, start):
        match part[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
            case '"' | "'":
                break
        if not depth:
            return part.end()
        if depth > MAX_DEPTH:
            raise _no_answer(f"is nested more than {MAX_DEPTH} deep", text)
    raise _no_answer("is cut off: its last object does not end", text)


def _to_json(part: re.Match[str]) -> str:
    """Rewrite a string, a word or a comma; a string that is JSON stays as it is."""
    token = part[0]
    return _WORDS[token] if token in _WORDS else f'"{_ESCAPE.sub(_escape, token[1:-1])}"'


def _escape(part: re.Match[str]) -> str:
    code, sign = part[1] or part[2], part[3]
    if code:
        return json.dumps(chr(int(code, 16)))[1:-1]
    if sign == "'":
        return sign
    # A bare double quote needs a backslash; and so does one that escapes nothing, as in Python.
    return part[0] if sign and sign in '"\\/bfnrtu' else f"\\{part[0]}"

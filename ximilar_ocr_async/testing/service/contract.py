"""The service's contract as pure functions: a request in, a reply out, with the reading between.

What is known of the real service is followed; where nothing is known (codes and words of most
errors), the shapes are those of its sibling services.
Source: https://docs.ximilar.com/text/ocr, read in 2026-08.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from attrs import field, frozen

from ximilar_ocr_async._constants import (
    CREDITS,
    DEFAULT_LANGUAGE,
    LANGUAGES,
    MAX_RECORDS,
)
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Reading, Unreadable

READ = "/ocr/v2/read"
READ_GPT = "/ocr/v2/read_gpt"
DETAILS = "/account/v2/details/"

_METHODS = {READ: {"POST"}, READ_GPT: {"POST"}, DETAILS: {"GET"}}
_ENDPOINTS = {READ: "read", READ_GPT: "read_gpt"}


@frozen
class Request:
    """What is looked at of an HTTP request; *origin* is the URL before the path."""

    method: str
    path: str
    authorization: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    query: str = ""
    origin: str = "http://localhost"


@frozen
class Reply:
    """An HTTP status, the JSON document under it, and headers beyond those of every answer."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def body(self) -> bytes:
        """The document as JSON."""
        # All ASCII: UTF-8 breaks on half of a surrogate pair where a string has one.
        return json.dumps(self.document).encode()


NOT_FOUND = Reply(404, {"detail": "Not found."})


@frozen
class Task:
    """One record to read: an image as bytes or by URL, or what is wrong with the record.

    *key* names the image, the same each time it is sent: its URL, or the SHA-256 of its bytes as
    hexadecimal digits, which takes no memory to speak of.
    """

    endpoint: str
    fields: dict[str, Any]
    lang: str
    image: bytes | None = field(default=None, repr=False)
    url: str | None = None
    key: str = ""
    prompt: str | None = None
    fault: Unreadable | None = None

    @property
    def credits(self) -> int:
        """What reading it costs."""
        return CREDITS[self.endpoint]


class Invalid(Exception):
    """A body cannot be taken as a whole: its field, or nothing for all of it, and the reason."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


def accept(request: Request, *, token: str | None = None, spent: int = 0) -> Reply | list[Task]:
    """Check a request, and answer it unless there are records to read.

    Args:
        request: The request.
        token: The one that is allowed; any if there is none.
        spent: Credits so far, for the account's details.
    """
    if request.path not in _METHODS:
        return NOT_FOUND
    if refusal := turn_away(request, _METHODS[request.path], token):
        return refusal
    if request.path == DETAILS:
        return Reply(200, _details(spent))
    try:
        return read_tasks(parse(request.body), _ENDPOINTS[request.path])
    except Invalid as fault:
        return refuse(400, fault.text)


def turn_away(request: Request, methods: AbstractSet[str], token: str | None) -> Reply | None:
    """Return what a request is answered that has a wrong method or token, if it has."""
    if request.method not in methods:
        return Reply(405, {"detail": f'Method "{request.method}" not allowed.'})
    if not _is_authorized(request.authorization, token):
        return Reply(401, {"detail": "Invalid token."})
    return None


def _is_authorized(header: str | None, token: str | None) -> bool:
    scheme, _, given = (header or "").partition(" ")
    return scheme == "Token" and bool(given) and token in {None, given}


def _details(spent: int) -> dict[str, Any]:
    return {
        "id": 1,
        "email": "local@example.com",
        "first_name": "Local",
        "last_name": "Service",
        "verified": True,
        "credits_counter": spent,
        "credits_limit": 2147483647,
    }


def refuse(code: int, text: str, headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
    """Make the reply to a request that is refused as a whole."""
    return Reply(code, {"status": {"code": code, "text": text}}, headers)


def parse(text: bytes | str) -> Any:
    """Return the JSON document in *text*; raise `Invalid` if there is none."""
    try:
        return json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Invalid("", "the body is not JSON") from None


def read_tasks(document: Any, endpoint: str) -> list[Task]:
    """Return what is to be done for a request's *document*; raise `Invalid` if it cannot be."""
    records = read_records(document)
    lang = document.get("lang", DEFAULT_LANGUAGE)
    if not _is_language(lang):
        raise Invalid("lang", f"lang is {lang!r}, allowed are {', '.join(LANGUAGES)}")
    return [_task(record, lang, endpoint) for record in records]


def read_records(document: Any) -> list[dict[str, Any]]:
    """Return the records in a request's *document*; raise `Invalid` if there are none."""
    records = document.get("records") if isinstance(document, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Invalid("records", "records must be a list of objects")
    if not 1 <= len(records) <= MAX_RECORDS:
        raise Invalid("records", f"{len(records)} records, allowed are 1 to {MAX_RECORDS}")
    return records


def _finite(number: str) -> float:
    # What JSON has no number for could be taken, but not be given back.
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number of JSON")
    return value


def _is_language(lang: object) -> bool:
    return isinstance(lang, str) and lang in LANGUAGES


def _task(record: dict[str, Any], lang: str, endpoint: str) -> Task:
    fields = {key: value for key, value in record.items() if key != "_base64"}
    lang = record.get("lang", lang)
    try:
        if not _is_language(lang):
            raise Unreadable(400, f"lang is {lang!r}, allowed are {', '.join(LANGUAGES)}")
        prompt = _prompt(record) if endpoint == "read_gpt" else None
        image, url = _source(record)
    except Unreadable as fault:
        return Task(endpoint, fields, lang, fault=fault)
    key = str(url) if image is None else sha256(image).hexdigest()
    return Task(endpoint, fields, lang, image=image, url=url, key=key, prompt=prompt)


def _prompt(record: dict[str, Any]) -> str | None:
    prompt = record.get("prompt") or None
    if not isinstance(prompt, str | None):
        raise Unreadable(400, "prompt must be a string")
    return prompt


def _source(record: dict[str, Any]) -> tuple[bytes | None, str | None]:
    match record:
        case {"_url": _, "_base64": _}:
            raise Unreadable(400, "a record has either _url or _base64, not both")
        case {"_url": str(url)}:
            return None, url
        case {"_base64": str(encoded)}:
            return _decode(encoded), None
        case _:
            raise Unreadable(400, "a record needs _url or _base64, a string")


def _decode(encoded: str) -> bytes:
    # Both forms are taken by the real service: the vendor's client sends one or the other.
    plain = encoded.partition(",")[2] if encoded.startswith("data:") else encoded
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(400, "_base64 is not base64") from None


def compose(
    tasks: Sequence[Task],
    readings: Sequence[Reading | Unreadable],
    *,
    request_id: str,
    seconds: float,
) -> Reply:
    """Make the reply to a request whose records were read, each well or not."""
    pairs = enumerate(zip(tasks, readings, strict=True))
    status = {"code": 200, "text": "OK", "request_id": request_id}
    return Reply(
        200,
        {
            "records": [
                {"_id": _name(request_id, place), **_record(task, reading, status)}
                for place, (task, reading) in pairs
            ],
            "status": {**status, "proc_id": request_id},
            "statistics": {"processing time": seconds},
        },
    )


def _name(request_id: str, place: int) -> str:
    """Name a record that has no ``_id`` of its own, as the service does."""
    return str(uuid5(NAMESPACE_OID, f"{request_id}/{place}"))


def _record(task: Task, reading: Reading | Unreadable, status: dict[str, Any]) -> dict[str, Any]:
    if isinstance(reading, Unreadable):
        fault = {**status, "code": reading.code, "text": reading.text}
        return {**task.fields, "_status": fault}
    read = {
        **task.fields,
        "_status": status,
        "_width": reading.width,
        "_height": reading.height,
        "_ocr": {
            "texts": [_text(text) for text in reading.texts],
            "full_text": reading.full_text,
            "lang": task.lang,
            "lang_name": LANGUAGES[task.lang],
        },
    }
    return read if reading.answer is None else {**read, "_gpt": _gpt(task, reading)}


def _text(text: Text) -> dict[str, Any]:
    polygon = [list(point) for point in text.polygon]
    return {"polygon": polygon, "text": text.text, "prob": text.prob}


def full_prompt(prompt: str | None, text: str) -> str:
    """Return what a language model is asked of the *text* of an image. Source: the docs' sample."""
    return f"Instruction: {prompt} \nInput: {text} \nResult:"


def _gpt(task: Task, reading: Reading) -> dict[str, Any]:
    answer = reading.answer or ""
    told = {"full_prompt": full_prompt(task.prompt, reading.full_text), "result": answer}
    try:
        parsed = parse(answer)
    except Invalid:
        parsed = None
    # Models often answer with something else, and the service with no such key.
    return {**told, "json_result": parsed} if isinstance(parsed, dict) else told

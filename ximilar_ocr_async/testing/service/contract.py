"""The service's contract as pure functions: a request in, tasks out; readings in, a reply out.

It follows the real service where its behaviour is known. Where it is unknown, as are the codes and
texts of most errors, replies look like those of Ximilar's other services.
Source: https://docs.ximilar.com/text/ocr, read in 2026-08.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from itertools import chain
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

MAX_DEPTH = 64
"""How deep a body is nested. Source: judgement; what repeats parts of it recurses, and they stand
deeper in a reply."""

_METHODS = {READ: {"POST"}, READ_GPT: {"POST"}, DETAILS: {"GET"}}
_ENDPOINTS = {READ: "read", READ_GPT: "read_gpt"}


@frozen
class Request:
    """The parts of an HTTP request that the service uses.

    Attributes:
        method: HTTP method.
        path: Path of the URL.
        authorization: The Authorization header.
        body: The whole body.
        query: Query string of the URL, without the question mark.
        origin: The URL up to the path.
    """

    method: str
    path: str
    authorization: str | None = field(default=None, repr=False)
    body: bytes = field(default=b"", repr=False)
    query: str = ""
    origin: str = "http://localhost"


@frozen
class Reply:
    """The service's response to a request.

    Attributes:
        status: HTTP status.
        document: JSON document of the body.
        headers: Headers other than those of every response.
    """

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str] = field(factory=dict)

    @property
    def body(self) -> bytes:
        """The document encoded as JSON."""
        # ASCII only, because a lone surrogate in a string cannot be encoded as UTF-8.
        return json.dumps(self.document).encode()


NOT_FOUND = Reply(404, {"detail": "Not found."})


@frozen
class Task:
    """One record to read, or the reason why it cannot be read.

    Attributes:
        endpoint: Name of the endpoint, "read" or "read_gpt".
        fields: Fields of the record to repeat in the reply, without the image's bytes.
        lang: Language of the text.
        image: The encoded image, if the record contains it.
        url: URL of the image, if the record gives one instead.
        key: Identifies the image each time it is sent: its URL, or the SHA-256 of its bytes as
            hexadecimal digits.
        prompt: Question for the language model.
        fault: Why the record cannot be read.
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
        """Price of reading the record [credits]."""
        return CREDITS[self.endpoint]


class InvalidBody(Exception):
    """The body of a request is invalid, so the request is refused as a whole.

    Attributes:
        field: Name of the invalid field. Empty if the whole body is invalid.
        text: What is wrong.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(field, text)
        self.field = field
        self.text = text


def accept(request: Request, *, token: str | None = None, spent: int = 0) -> Reply | list[Task]:
    """Check a request. Return the records to read, or the reply if there are none.

    Args:
        request: The request to check.
        token: The only token that is accepted. None accepts every token.
        spent: Credits spent so far, which the account's details show.
    """
    if request.path not in _METHODS:
        return NOT_FOUND
    if refusal := check_access(request, _METHODS[request.path], token):
        return refusal
    if request.path == DETAILS:
        return Reply(200, _details(spent))
    try:
        return read_tasks(parse(request.body), _ENDPOINTS[request.path])
    except InvalidBody as error:
        return refuse(400, error.text)


def check_access(request: Request, methods: AbstractSet[str], token: str | None) -> Reply | None:
    """Return the refusal of a request with a wrong method or token; None if both are right."""
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
    """Return the reply to a request that is refused as a whole."""
    return Reply(code, {"status": {"code": code, "text": text}}, headers)


def parse(text: bytes | str) -> Any:
    """Return the JSON document in *text*; raise `InvalidBody` if it is not JSON, or too deep."""
    try:
        document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        raise InvalidBody("", "the body is not JSON") from None
    level = [document]
    for _ in range(MAX_DEPTH):
        values = chain.from_iterable(_parts(value) for value in level)
        level = [value for value in values if isinstance(value, dict | list)]
    if level:
        raise InvalidBody("", f"the body is nested more than {MAX_DEPTH} deep")
    return document


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def read_tasks(document: Any, endpoint: str) -> list[Task]:
    """Return the tasks in the *document* of a body; raise `InvalidBody` if it is wrong."""
    records = read_records(document)
    lang = document.get("lang", DEFAULT_LANGUAGE)
    if not _is_language(lang):
        raise InvalidBody("lang", f"lang is {lang!r}, allowed are {', '.join(LANGUAGES)}")
    return [_task(record, lang, endpoint) for record in records]


def read_records(document: Any) -> list[dict[str, Any]]:
    """Return the raw records in the *document* of a body; raise `InvalidBody` if it is wrong."""
    records = document.get("records") if isinstance(document, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InvalidBody("records", "records must be a list of objects")
    if not 1 <= len(records) <= MAX_RECORDS:
        raise InvalidBody("records", f"{len(records)} records, allowed are 1 to {MAX_RECORDS}")
    return records


def _finite(number: str) -> float:
    # Infinity and NaN can be parsed, but a reply that repeats them would not be JSON.
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a JSON number")
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
    except Unreadable as error:
        return Task(endpoint, fields, lang, fault=error)
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
    # The real service accepts data URLs as well: the vendor's client sends either form.
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
    """Return the reply to a request whose records have been read.

    Args:
        tasks: The records.
        readings: The reading of each record, or the reason why it failed.
        request_id: Id of the request.
        seconds: How long the service worked on the request [s].
    """
    pairs = enumerate(zip(tasks, readings, strict=True))
    status = {"code": 200, "text": "OK", "request_id": request_id}
    return Reply(
        200,
        {
            "records": [
                {"_id": _record_id(request_id, index), **_record(task, reading, status)}
                for index, (task, reading) in pairs
            ],
            "status": {**status, "proc_id": request_id},
            "statistics": {"processing time": seconds},
        },
    )


def _record_id(request_id: str, index: int) -> str:
    """Return the id of a record that has no ``_id`` of its own."""
    return str(uuid5(NAMESPACE_OID, f"{request_id}/{index}"))


def _record(task: Task, reading: Reading | Unreadable, status: dict[str, Any]) -> dict[str, Any]:
    if isinstance(reading, Unreadable):
        failure = {**status, "code": reading.code, "text": reading.text}
        return {**task.fields, "_status": failure}
    record = {
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
    return record if reading.answer is None else {**record, "_gpt": _gpt(task, reading)}


def _text(text: Text) -> dict[str, Any]:
    polygon = [list(point) for point in text.polygon]
    return {"polygon": polygon, "text": text.text, "prob": text.prob}


def full_prompt(prompt: str | None, text: str) -> str:
    """Return the prompt with the *text* of an image. Source: the sample in the service's docs."""
    return f"Instruction: {prompt} \nInput: {text} \nResult:"


def _gpt(task: Task, reading: Reading) -> dict[str, Any]:
    answer = reading.answer or ""
    gpt = {"full_prompt": full_prompt(task.prompt, reading.full_text), "result": answer}
    try:
        parsed = parse(answer)
    except InvalidBody:
        parsed = None
    # The real service leaves the key out if the completion is not a JSON object.
    return {**gpt, "json_result": parsed} if isinstance(parsed, dict) else gpt

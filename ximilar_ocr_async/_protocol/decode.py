"""A response of the service in; records, documents or errors out.

Decoding is tolerant: only what cannot be understood at all becomes an error, for its record alone.
Source: https://docs.ximilar.com/text/ocr and the vendor's clients, read in 2026-08.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, TypeVar

from attrs import evolve

from ximilar_ocr_async._http import Timing
from ximilar_ocr_async._protocol.converter import Faults, UnfitError, structure, structure_status
from ximilar_ocr_async._protocol.decode_usual import Echo, decode_usual
from ximilar_ocr_async._protocol.documents import Document, Rows
from ximilar_ocr_async._protocol.error_mapping import SNIPPET, as_billed, whole_failure
from ximilar_ocr_async._protocol.fast_decode import IN_ONE
from ximilar_ocr_async._protocol.json_values import TooLargeError
from ximilar_ocr_async._protocol.records import (
    MAX_REASON,
    Members,
    Row,
)
from ximilar_ocr_async.errors import AddressError, OCRError, ReplyError
from ximilar_ocr_async.models import Account, JobInfo, Record, Status

M = TypeVar("M", Account, JobInfo)

MISADDRESSED = frozenset({400, 404, 405, 421, 426})
"""Statuses that say, in HTML, that no such service is here: the service itself speaks JSON. A front
says 400 to plain HTTP on a port of TLS, and to a host that it does not serve."""

FAILING = range(400, 600)
"""Codes of failures [RFC 9110, 15.5 and 15.6]."""

READ = {"_ocr": {"texts", "full_text"}, "_gpt": {"result", "json_result"}}
"""Keys of what was read, in the parts of a record that hold it."""

SENT = frozenset({"_id", "_url", "_base64", "_status", "prompt"})
"""Keys of a record that is only echoed."""

FREE = Timing()
"""That of a response of which nothing was billed, whatever it is."""

_log = logging.getLogger("ximilar_ocr_async")


def decode_model(document: Any, cls: type[M]) -> M:
    """Return an instance of one of the service's classes; raise `ReplyError` if it does not fit."""
    faults = Faults()
    try:
        model = structure(document, cls, "$", faults)
        faults.check()
    except UnfitError as error:
        raise ReplyError(str(error)) from None
    return model


def decode_whole(document: Document, cls: type[M], **defaults: Any) -> M:
    """Return an instance of the class that a whole document is about; as `decode_model`."""
    try:
        return decode_model({**defaults, **document.read()}, cls)
    except TooLargeError as error:
        raise ReplyError(str(error)) from None


def decode_account(document: Document) -> Account:
    """Return the account that a document is about; raise `ReplyError` if it does not fit."""
    return decode_whole(document, Account)


def decode(
    http_status: int,
    body: bytes,
    ids: Sequence[str],
    *,
    echo: Echo,
    retry_after: float | None = None,
    timing: Timing = FREE,
    is_early: bool = False,
) -> list[Record | OCRError]:
    """Decode the response to a batch; where it is large, in a thread.

    Args:
        http_status: The status of the response.
        body: Its body, JSON or whatever came instead.
        ids: (n) ids of the records that were sent.
        echo: What earlier responses told; it learns from this one.
        retry_after: [s] that the response asks to wait.
        timing: What the time of the response proves.
        is_early: Whether it came before the request was sent: then only ids show that it is ours.

    Returns:
        (n) records, or what went wrong, one for each id.

    Raises:
        OCRError: The request failed as a whole.
    """
    usual = decode_usual(http_status, body, ids, echo=echo, most=IN_ONE)
    if usual is not None:
        return usual
    document, status = _parse(http_status, body)
    rows = document.rows("records") if document else None
    if document and document.members.fault and rows and not rows.rows:
        rows = None
    is_success = Status(code=http_status).ok
    if rows and is_success and status.ok and not is_early:
        return _decode_rows(rows, ids, echo, status)
    # Records under our own ids are ours whatever the status around them says.
    read = _read_anyhow(rows, ids, echo, status, is_success=is_success) if rows else {}
    if rows and is_success and not is_early and _have_verdicts(rows):
        decoded = zip(ids, _decode_rows(rows, ids, echo, status), strict=True)
        return [read[i] if i in read else _inherited(one, status, timing) for i, one in decoded]
    told, status = _abridge(document, status, http_status, body)
    failure = whole_failure(
        http_status, status, told, retry_after, timing=timing, missing="records"
    )
    if not read:
        raise failure
    return [read[i] if i in read else copy(failure) for i in ids]


def _read_anyhow(
    rows: Rows, ids: Sequence[str], echo: Echo, status: Status, *, is_success: bool
) -> dict[str, Record | OCRError]:
    """Return by id the records that were read, in a response whose *status* says otherwise.

    A refusal may echo what was sent. So a record counts only if it has a good verdict of its own,
    or what only the service can have read; in a success of HTTP whose code is none of a failure,
    anything that was not sent will do.
    """
    read: dict[str, Record | OCRError] = {}
    is_odd = is_success and status.code not in FAILING
    for name, row in _match_by_id(rows, ids, echo):
        record = row.decode("$", status)
        if isinstance(record, OCRError) and _is_read(row, is_odd=is_odd):
            record = row.decode("$", evolve(status, code=Status().code))
        if isinstance(record, Record):
            read[name] = record
    return read


def _is_read(row: Row, *, is_odd: bool) -> bool:
    """Whether a record has what was read from its image, or if the code *is_odd*, anything new."""
    values = row.members.values
    is_found = any(
        not keys.isdisjoint(Members.of(values[part]).values)
        for part, keys in READ.items()
        if part in values
    )
    return is_found or (is_odd and not values.keys() <= SENT)


def _inherited(one: Record | OCRError, status: Status, timing: Timing) -> Record | OCRError:
    """Return what came of a record, marked as its whole request would be if it failed with that."""
    if isinstance(one, OCRError) and one.status == status.code:
        return as_billed(one, timing, status.code)
    return one


def decode_document(
    http_status: int,
    body: bytes,
    *,
    retry_after: float | None = None,
    timing: Timing = FREE,
) -> Document:
    """Return the JSON object in a response that is not about a batch.

    Raises:
        OCRError: The request failed, or the response holds no object.
    """
    document, status = _parse(http_status, body)
    is_object = document and document.is_object and not document.members.fault
    if document and is_object and Status(code=http_status).ok and status.ok:
        return document
    shown, status = _abridge(document, status, http_status, body)
    raise whole_failure(http_status, status, shown, retry_after, timing=timing, missing="object")


def _parse(http_status: int, body: bytes) -> tuple[Document | None, Status]:
    """Return the document in a response, and the status of the request as a whole."""
    http = Status(code=http_status)
    try:
        document = Document.of(body)
    except ValueError:
        return None, http
    return document, _document_status(document.status(), http)


def _document_status(value: Any, http: Status) -> Status:
    try:
        status = structure_status(value, http)
    except UnfitError:
        # Records that were paid for are kept even if the status makes no sense.
        return http
    # A failing HTTP status wins over a body that claims success.
    return evolve(status, code=http.code) if status.ok and not http.ok else status


def _abridge(
    document: Document | None, status: Status, http_status: int, body: bytes
) -> tuple[Any, Status]:
    """Return what a response that failed as a whole says, as short as it is shown.

    Raises:
        AddressError: It is a web page, and the status of one that is no service.
    """
    fault = document.members.fault if document and document.is_object else ""
    if document is None or fault:
        if http_status in MISADDRESSED and body[:SNIPPET].lstrip().startswith(b"<"):
            message = f"{http_status}: the response is a web page: {_snippet(body)}"
            raise AddressError(message, status=http_status)
        text = f"the response is {fault or 'not JSON'}: {_snippet(body)}"
        return None, Status(code=http_status, text=text)
    shown = document.small()
    if isinstance(shown, Mapping):
        shown = {key: _cut(value) for key, value in shown.items()}
    elif isinstance(shown, list):
        shown = [_cut(value) for value in shown[:1]]
    return shown, evolve(status, text=_cut(status.text))


def _cut(value: Any) -> Any:
    return value[:MAX_REASON] if isinstance(value, str) else value


def _snippet(body: bytes) -> str:
    text = body[:SNIPPET].decode("ascii", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "nothing"


def _have_verdicts(rows: Rows) -> bool:
    return any("_status" in row.members.values for row in rows.rows)


def _decode_rows(
    rows: Rows, ids: Sequence[str], echo: Echo, default: Status
) -> list[Record | OCRError]:
    found = dict(_match(rows, ids, echo, default))
    count = len(rows.rows)
    if count != len(found):
        _log.warning("ignored %d records that were not asked for", count - len(found))
    many = f"{count}" if rows.is_whole else f"at least {count}"
    return [
        found[i].decode(f"$.records[{i}]", default)
        if i in found
        else ReplyError(
            f"the response has {many} records for {len(ids)}, and not this one",
            request_id=default.request_id,
        )
        for i in ids
    ]


def _match(
    rows: Rows, ids: Sequence[str], echo: Echo, default: Status
) -> Iterator[tuple[str, Row]]:
    """Pair rows with ids: by ``_id``, or by place if no row has one and the counts agree."""
    named = [row for row in rows.rows if row.members.values.get("_id", b"null") != b"null"]
    if not named and rows.is_whole and len(rows.rows) == len(ids):
        if echo.is_heard:
            # It may be the response to another request.
            message = f"the response has {len(ids)} records without ids, unlike earlier ones"
            raise ReplyError(message, request_id=default.request_id)
        yield from zip(ids, rows.rows, strict=True)
        return
    yield from _match_by_id(rows, ids, echo)


def _match_by_id(rows: Rows, ids: Sequence[str], echo: Echo) -> Iterator[tuple[str, Row]]:
    wanted = set(ids)
    for row in rows.rows:
        name = row.word("_id")
        if name in wanted:
            wanted.remove(name)
            echo.is_heard = True
            yield name, row

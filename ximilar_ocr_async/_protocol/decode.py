"""A response of the service in; records, documents or errors out.

Decoding is tolerant: only what cannot be understood at all becomes an error, for its record alone.
Source: https://docs.ximilar.com/text/ocr and the vendor's clients, read in 2026-08.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import define, evolve

from ximilar_ocr_async._protocol.error_mapping import (
    SNIPPET,
    record_error,
    whole_failure,
)
from ximilar_ocr_async._protocol.fast_decode import decode_usual, loads
from ximilar_ocr_async.errors import AddressError, OCRError, ReplyError
from ximilar_ocr_async.models import Account, JobInfo, Record, Status

M = TypeVar("M", Account, JobInfo, Record, Status)

MISADDRESSED = frozenset({400, 404, 405, 421, 426})
"""Statuses that say, in HTML, that no such service is here: the service itself speaks JSON. A front
says 400 to plain HTTP on a port of TLS, and to a host that it does not serve."""

_log = logging.getLogger("ximilar_ocr_async")


@define
class Echo:
    """Whether the service sends ids back. Lives as long as its session.

    Attributes:
        is_heard: Whether an id came back in any response so far.
    """

    is_heard: bool = False


def decode_model(document: Mapping[str, Any], cls: type[M]) -> M:
    """Return an instance of one of the service's classes; raise `ReplyError` if it does not fit."""
    try:
        return _structure(document, cls)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups of many types
        raise ReplyError(_address(error, "$")) from None


def _status(value: Any, default: Status) -> Status:
    """Read a status of any type the service uses: object, number or string."""
    match value:
        case Mapping():
            inherited = {"code": default.code, "request_id": default.request_id}
            given = {k: v for k, v in value.items() if k not in inherited or v is not None}
            return _structure(inherited | given, Status)
        case int() if not isinstance(value, bool):
            return Status(code=value)
        case str() if value.isdecimal():
            return Status(code=int(value))
        case str():
            return evolve(default, text=value)
        case _:
            return default


def decode(
    http_status: int,
    body: bytes,
    ids: Sequence[str],
    *,
    echo: Echo,
    retry_after: float | None = None,
    maybe_billed: bool = False,
) -> list[Record | OCRError]:
    """Decode the response to a batch.

    Args:
        http_status: The status of the response.
        body: Its body, JSON or whatever came instead.
        ids: (n) ids of the records that were sent.
        echo: What earlier responses told; it learns from this one.
        retry_after: [s] that the response asks to wait.
        maybe_billed: Whether a gateway may have lost the service's own response.

    Returns:
        (n) records, or what went wrong, one for each id.

    Raises:
        OCRError: The request failed as a whole.
    """
    usual = decode_usual(http_status, body, ids)
    if usual is not None:
        echo.is_heard = True
        return list(usual)
    document, status = _parse(http_status, body)
    rows = document.get("records") if isinstance(document, Mapping) else None
    is_read = Status(code=http_status).ok and isinstance(rows, list)
    if rows is not None and is_read and (status.ok or _have_verdicts(rows)):
        return _decode_rows(rows, ids, echo, status)
    raise whole_failure(
        http_status, status, document, retry_after, maybe_billed=maybe_billed, missing="records"
    )


def decode_document(
    http_status: int, body: bytes, *, retry_after: float | None = None
) -> Mapping[str, Any]:
    """Return the JSON object in a response that is not about a batch.

    Raises:
        OCRError: The request failed, or the response holds no object.
    """
    document, status = _parse(http_status, body)
    if Status(code=http_status).ok and status.ok and isinstance(document, Mapping):
        return document
    raise whole_failure(
        http_status, status, document, retry_after, maybe_billed=False, missing="object"
    )


def _parse(http_status: int, body: bytes) -> tuple[Any, Status]:
    """Return the document in a response, and the status of the request as a whole."""
    http = Status(code=http_status)
    try:
        document = _load(body)
    except (ValueError, RecursionError):
        if http_status in MISADDRESSED and body.lstrip().startswith(b"<"):
            message = f"{http_status}: the response is a web page: {_snippet(body)}"
            raise AddressError(message, status=http_status) from None
        return None, evolve(http, text=f"the response is not JSON: {_snippet(body)}")
    return document, _document_status(document, http)


def _snippet(body: bytes) -> str:
    text = body[:SNIPPET].decode("ascii", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or "nothing"


def _load(body: bytes) -> Any:
    """Parse JSON; raise `ValueError` or `RecursionError` if it is none."""
    try:
        return loads(body)
    except ValueError:
        # What is not quite JSON, such as NaN, or is in UTF-16.
        parse = partial(json.loads, parse_constant=lambda _: None)
    try:
        return parse(body)
    except UnicodeDecodeError:
        # A damaged character costs itself, and not the records that were paid for.
        return parse(body.decode(json.detect_encoding(body), "replace"))


def _document_status(document: Any, http: Status) -> Status:
    value = document.get("status") if isinstance(document, Mapping) else None
    try:
        status = _status(value, http)
    except Exception:  # noqa: BLE001 - cattrs raises groups of many types
        # Records that were paid for are kept even if the status makes no sense.
        return http
    # A failing HTTP status wins over a body that claims success.
    return evolve(status, code=http.code) if status.ok and not http.ok else status


def _have_verdicts(rows: Any) -> bool:
    return any(isinstance(row, Mapping) and "_status" in row for row in rows)


def _decode_rows(
    rows: list[Any], ids: Sequence[str], echo: Echo, default: Status
) -> list[Record | OCRError]:
    found = dict(_match(rows, ids, echo, default))
    if len(rows) != len(found):
        _log.warning("ignored %d records that were not asked for", len(rows) - len(found))
    return [
        decode_row(found[i], f"$.records[{i}]", default)
        if i in found
        else ReplyError(
            f"the response has {len(rows)} records for {len(ids)}, and not this one",
            request_id=default.request_id,
        )
        for i in ids
    ]


def _match(
    rows: list[Any], ids: Sequence[str], echo: Echo, default: Status
) -> Iterator[tuple[str, Any]]:
    """Pair rows with ids: by ``_id``, or by place if no row has one and the counts agree."""
    objects = [row for row in rows if isinstance(row, Mapping)]
    named = [(row["_id"], row) for row in objects if row.get("_id") is not None]
    if not named and len(rows) == len(ids):
        if echo.is_heard:
            # It may be the response to another request.
            message = f"the response has {len(rows)} records without ids, unlike earlier ones"
            raise ReplyError(message, request_id=default.request_id)
        yield from zip(ids, rows, strict=True)
        return
    wanted = set(ids)
    for name, row in named:
        if isinstance(name, str) and name in wanted:
            wanted.remove(name)
            echo.is_heard = True
            yield name, row


def decode_row(row: Any, address: str, default: Status) -> Record | OCRError:
    """Decode one record of a response.

    Args:
        row: The record as JSON types, whatever they are.
        address: Its place in the document, for messages.
        default: The status that it inherits where it has none of its own.
    """
    try:
        if not isinstance(row, Mapping):
            raise TypeError(f"expected an object, got {type(row).__name__}")
        status = _status(row.get("_status"), default)
        if not status.ok:
            return record_error(status)
        return _structure({**row, "_status": status}, Record)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups of many types
        return ReplyError(_address(error, address), request_id=default.request_id)


def _structure(value: Mapping[str, Any], cls: type[M]) -> M:
    # Loaded when it is first needed: it takes longer than all the rest, and usual responses do
    # without it.
    from ximilar_ocr_async._protocol.converter import converter  # noqa: PLC0415

    return converter.structure(value, cls)


def _address(error: Exception, path: str) -> str:
    from cattrs import transform_error  # noqa: PLC0415 - as above

    return "; ".join(transform_error(error, path=path)[:3])


def unstructure(model: Any) -> dict[str, Any]:
    """Return one of the service's classes as JSON types, in the service's own names."""
    from ximilar_ocr_async._protocol.converter import converter  # noqa: PLC0415 - as above

    document: dict[str, Any] = converter.unstructure(model)
    return document

"""Asynchronous requests on the wire: ids, states and results.

A record's ``_id`` holds its image's place and name, so that another process, which never saw the
images, still knows which results belong to which.
Source: https://docs.ximilar.com/async-api, read in 2026-08.
"""

import os
import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit

from attrs import evolve

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._http import Timing
from ximilar_ocr_async._protocol.decode import FREE, decode_document, decode_model, decode_whole
from ximilar_ocr_async._protocol.documents import Document
from ximilar_ocr_async._protocol.records import MAX_REASON, Row
from ximilar_ocr_async._validation import check_request_id
from ximilar_ocr_async.errors import JobFailed, OptionError, ReplyError, shown
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import JobInfo, Record, Status
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

REQUESTS = "/account/v2/request/"

DONE = "DONE"

_TRY = "try submit(type=, endpoint=), for the vendor has not published what they are for OCR"

_BAD_ENDS = {
    "FAILED": "it failed as often as the service tried",
    "API_LIMIT_EXCEEDED": "too many requests, or not enough credits",
    "NOT_SUPPORTED": _TRY,
}
"""Final states of failure, and what they mean. Source: docs.ximilar.com/platform/vlm, 2026-08."""

_QUERY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]*")
"""What a query may hold: other characters cannot be sent, not even escaped."""

_ID = re.compile(r"(?P<index>[0-9]{1,9})\.[0-9a-f]{8}\.(?P<name>.*)", re.ASCII | re.DOTALL)


def make_id(index: int, name: str | None) -> str:
    """Return a record id that holds an image's place and the caller's name for it."""
    return f"{index}.{os.urandom(4).hex()}.{name or ''}"


def _read_id(text: str | None) -> tuple[int, str | None] | None:
    """Return the place and the name in an id that `make_id` made; None for any other id."""
    made = _ID.fullmatch(text) if text else None
    return (int(made["index"]), made["name"] or None) if made else None


def decode_submitted(
    http_status: int, body: bytes, *, retry_after: float | None = None, timing: Timing = FREE
) -> str:
    """Return the id of the asynchronous request that a submission was answered with.

    Raises:
        OCRError: The submission was not taken, or that cannot be told.
    """
    document = decode_document(http_status, body, retry_after=retry_after, timing=timing)
    request_id = _name_in(document)
    if request_id is None:
        raise ReplyError("the response to a submission does not name the asynchronous request")
    return request_id


def _name_in(document: Document) -> str | None:
    """Return the id in a document if it can be asked after, and stand in lists and commands."""
    told = document.get("id")
    if isinstance(told, bool) or not isinstance(told, str | int):
        return None
    request_id = str(told)
    try:
        check_request_id(request_id)
    except OptionError:
        return None
    # A command takes - for an option, and @ for a list.
    return None if request_id.startswith(("-", "@")) or " " in request_id else request_id


def path_of(request_id: str) -> str:
    """Return the path of an asynchronous request."""
    return REQUESTS + quote(request_id, safe="", errors="surrogatepass")


def state_of(document: Document) -> str:
    """Return the state of an asynchronous request; empty if the service does not name it."""
    state = document.get("status")
    return state if isinstance(state, str) else ""


def bad_end(document: Document, request_id: str) -> JobFailed | None:
    """Return why an asynchronous request failed, if it did."""
    state, detail = state_of(document), document.get("detail")
    if state not in _BAD_ENDS:
        return None
    reason = f" ({detail[:MAX_REASON]})" if isinstance(detail, str) and detail else ""
    message = f"asynchronous request {request_id} ended as {state}{reason}: {_BAD_ENDS[state]}"
    return JobFailed(message, request_id=request_id)


def decode_outcomes(
    document: Document, request_id: str, places: Sequence[int]
) -> list[Outcome] | ReplyError:
    """Decode the results of an asynchronous request that is done.

    Args:
        document: The request, or what its webhook received.
        request_id: Its id.
        places: The places of its images, for records that do not name theirs; a range if the
            number of images is not known.

    Returns:
        (n) outcomes. All that is known of an image is its name, and its URL if it had one. If
        some records name their places, the others are not guessed. An error if it has no records,
        too many, or records that cannot be told apart.
    """
    found = document.rows("response", "records")
    if found is None:
        message = f"asynchronous request {request_id} is done and has no records"
        return ReplyError(message, request_id=request_id)
    rows = found.rows
    if not 1 <= len(rows) <= MAX_RECORDS:
        many = "" if found.is_whole else "at least "
        message = f"asynchronous request {request_id} has {many}{len(rows):,} records"
        return ReplyError(message, request_id=request_id)
    ids = [_read_id(row.word("_id")) for row in rows]
    if not any(ids):
        is_whole = len(rows) == len(places) or isinstance(places, range)
        if not found.is_whole or not is_whole or len(rows) > len(places):
            message = f"which records of asynchronous request {request_id} are whose cannot be told"
            return ReplyError(message, request_id=request_id)
        ids = [(place, row.word("_id")) for place, row in zip(places, rows, strict=False)]
    outcomes: dict[int, Outcome] = {}
    for i, (row, own) in enumerate(zip(rows, ids, strict=True)):
        if own and own[0] not in outcomes:
            path = f"$.response.records[{i}]"
            outcomes[own[0]] = _decode_outcome(row, request_id, own, path)
    return list(outcomes.values())


def _decode_outcome(row: Row, request_id: str, own: tuple[int, str | None], path: str) -> Outcome:
    index, name = own
    image = Image(row.word("_url") or b"", id=name)
    result = row.decode(path, Status(request_id=request_id))
    if isinstance(result, Record):
        record = result if name is None else evolve(result, id=name)
        return Success(index=index, image=image, record=record)
    is_lost = isinstance(result, ReplyError)
    return Failure(index=index, image=image, error=result, attempts=1, maybe_billed=is_lost)


def page_path(**filters: str | None) -> str:
    """Return the path of the list of the account's asynchronous requests, filtered."""
    given = {key: value for key, value in filters.items() if value is not None}
    return f"{REQUESTS}?{urlencode({'page': 1, **given}, errors='surrogatepass')}"


def decode_info(document: Document, request_id: str) -> JobInfo:
    """Return how a request stands; raise `ReplyError` if that cannot be understood."""
    return decode_whole(document, JobInfo, id=request_id)


def decode_page(document: Document) -> tuple[list[JobInfo], str | None]:
    """Return the requests on a page, and the path of the next page.

    Only the query of the link is used: the vendor's own client knows links with the wrong host,
    scheme and path, and the token goes nowhere else.
    """
    rows, link = document.read_rows("results"), document.get("next")
    if rows is None or not isinstance(link, str | None):
        raise ReplyError("the response is not a page of asynchronous requests")
    jobs = [decode_model(row, JobInfo) for row in rows]
    return jobs, _next_path(link) if link else None


def _next_path(link: str) -> str:
    try:
        query = urlsplit(link).query
    except ValueError as error:
        raise ReplyError(f"the link to the next page is no URL: {error}") from None
    if not _QUERY.fullmatch(query):
        told = shown(repr(query))
        raise ReplyError(f"the link to the next page is no URL: its query is {told}")
    return f"{REQUESTS}?{query}"

"""Asynchronous requests as pure functions: a body in, a submission out; jobs in, documents out.

Source: https://docs.ximilar.com/async-api, read in 2026-08. That page has no type for OCR, although
the page on OCR recommends asynchronous requests: ``ocr`` is a guess. So are the order of the list,
the length of its pages, and that errors look like those of the account's other endpoints.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, urlencode

from attrs import define, evolve, field, frozen

from ximilar_ocr_async._constants import CREDITS
from ximilar_ocr_async.testing.service.contract import (
    NOT_FOUND,
    Invalid,
    Reply,
    Request,
    Task,
    parse,
    read_records,
    read_tasks,
)

REQUESTS = "/account/v2/request/"

PATH = re.compile(r"/account/v2/request(/(?P<id>[^/]+)(?P<status>/status)?)?/?")
"""Where asynchronous requests are. The vendor's client leaves out slashes that the page has."""

OCR = "ocr"
TYPES = (OCR, "upscaler", "flows", "collectibles-recognition", "card-grader")

PAGE_SIZE = 10
"""Jobs on one page of the list."""

KEPT = timedelta(weeks=2)
"""How long a job is kept. Source: the vendor's page on VLM, read in 2026-08."""

WORKSPACE = "00000000-0000-4000-8000-000000000000"

_PAGE_NUMBER = re.compile("[1-9][0-9]{0,8}", re.ASCII)


class State(StrEnum):
    """Where a job stands."""

    CREATED = "CREATED"
    PROCESSING = "PROCESSING"
    RETRY = "RETRY"
    DONE = "DONE"
    FAILED = "FAILED"
    API_LIMIT_EXCEEDED = "API_LIMIT_EXCEEDED"
    NOT_SUPPORTED = "NOT_SUPPORTED"


_ENDS = {200: State.DONE, 403: State.API_LIMIT_EXCEEDED, 501: State.NOT_SUPPORTED}
"""What a job comes to by the status that a request with its records would have got."""


@frozen
class Webhook:
    """Where to tell that a job is done, and the headers to send there, which may be secret."""

    endpoint: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)


@frozen
class Submission:
    """What an asynchronous request asks for; *tasks* are empty unless it is of OCR."""

    type: str
    endpoint: str
    tasks: Sequence[Task] = field(repr=False)
    webhook: Webhook | None = None

    @property
    def is_supported(self) -> bool:
        """Whether it can be done here."""
        return self.type == OCR and self.endpoint in CREDITS


@define(eq=False)
class Job:
    """A submission, and what became of it.

    Attributes:
        id: Its name.
        created: When it was submitted.
        owner: The Authorization header that it was submitted with.
        submission: What is asked for, without its records.
        state: Where it stands.
        detail: Why it came to no good end.
        response: The reply to its records when it is done.
    """

    id: str
    created: datetime
    owner: str | None = field(repr=False)
    submission: Submission
    state: State = field(init=False, default=State.CREATED)
    detail: str | None = field(init=False, default=None)
    response: dict[str, Any] | None = field(init=False, default=None, repr=False)

    def end(self, reply: Reply) -> None:
        """Bring it to its end by the *reply* that a request with its records would have got."""
        self.state = _ENDS.get(reply.status, State.FAILED)
        if self.state == State.DONE:
            self.response = reply.document
        else:
            self.detail = reply.document["status"]["text"]

    @property
    def row(self) -> dict[str, Any]:
        """What the list says of it."""
        return {
            "id": self.id,
            "status": self.state,
            "type": self.submission.type,
            "created": f"{self.created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "workspace": WORKSPACE,
        }

    @property
    def document(self) -> dict[str, Any]:
        """All that is told of it."""
        told = {} if self.detail is None else {"detail": self.detail}
        return {**self.row, **told, "response": self.response}

    @property
    def news(self) -> dict[str, Any]:
        """What its webhook is told when it is done."""
        records = (self.response or {}).get("records")
        told = {"status": self.state, "id": self.id, "type": self.submission.type}
        return {**told, "response": {"records": records}}


def methods(path: str) -> frozenset[str]:
    """Return those of a *path* that is like `PATH`."""
    is_list = path.rstrip("/") == REQUESTS.rstrip("/")
    return frozenset({"GET", "POST"} if is_list else {"GET"})


def read_submission(body: bytes) -> Submission:
    """Return what *body* asks for; raise `Invalid` if it cannot be taken."""
    document = parse(body)
    if not isinstance(document, dict):
        raise Invalid("", "the body is no object")
    kind, endpoint = document.get("type"), document.get("endpoint")
    if kind not in TYPES:
        raise Invalid("type", f"type is {kind!r}, allowed are {', '.join(TYPES)}")
    if not isinstance(endpoint, str | None):
        raise Invalid("endpoint", "endpoint must be a string")
    if endpoint is None:
        endpoint = "read" if kind == OCR else ""
    wanted = Submission(kind, endpoint, (), _webhook(document.get("webhook")))
    if not wanted.is_supported:
        read_records(document)
        return wanted
    return evolve(wanted, tasks=read_tasks(document, endpoint))


def _webhook(value: Any) -> Webhook | None:
    if value is None:
        return None
    given: dict[str, Any] = value if isinstance(value, dict) else {}
    endpoint, headers = given.get("endpoint", ""), given.get("headers") or {}
    is_address = isinstance(endpoint, str) and endpoint.startswith(("http://", "https://"))
    is_table = isinstance(headers, dict) and all(isinstance(v, str) for v in headers.values())
    if is_address and is_table:
        return Webhook(endpoint, headers)
    raise Invalid("webhook", "webhook must be an object: endpoint, a URL; headers, all strings")


def show(job: Job | None, request: Request) -> Reply:
    """Return what is answered to a *request* for one *job*."""
    path = PATH.fullmatch(request.path)
    if job is None or path is None or job.owner != request.authorization:
        return NOT_FOUND
    return Reply(200, {"status": job.state} if path["status"] else job.document)


def show_page(jobs: Sequence[Job], request: Request) -> Reply:
    """Return the page of *jobs* that *request* asks for; the last, which are the newest, first."""
    asked = dict(parse_qsl(request.query))
    rows = [
        job.row
        for job in reversed(jobs)
        if job.owner == request.authorization
        and asked.get("type", job.submission.type) == job.submission.type
        and asked.get("status", job.state) == job.state
    ]
    page, last = asked.get("page", "1"), max(1, ceil(len(rows) / PAGE_SIZE))
    if not _PAGE_NUMBER.fullmatch(page) or int(page) > last:
        return Reply(404, {"detail": "Invalid page."})

    def link(number: int) -> str | None:
        query = urlencode({**asked, "page": number})
        return f"{request.origin}{REQUESTS}?{query}" if 1 <= number <= last else None

    number = int(page)
    start = (number - 1) * PAGE_SIZE
    links = {"next": link(number + 1), "previous": link(number - 1)}
    return Reply(200, {"count": len(rows), **links, "results": rows[start : start + PAGE_SIZE]})

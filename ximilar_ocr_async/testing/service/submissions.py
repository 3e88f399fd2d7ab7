"""Asynchronous requests as pure functions: a body in, a submission out; jobs in, replies out.

Source: https://docs.ximilar.com/async-api, read in 2026-08. That page has no type for OCR, although
the page on OCR recommends asynchronous requests, so the type ``ocr`` is a guess. The order of the
list, the length of its pages and the format of errors are guesses, too.
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
from ximilar_ocr_async._validation import without_secrets
from ximilar_ocr_async.testing.service.contract import (
    NOT_FOUND,
    InvalidBody,
    Reply,
    Request,
    Task,
    parse,
    read_records,
    read_tasks,
)

REQUESTS = "/account/v2/request/"

PATH = re.compile(r"/account/v2/request(/(?P<id>[^/]+)(?P<status>/status)?)?/?")
"""Paths of asynchronous requests. The vendor's client leaves out slashes that the docs have."""

OCR = "ocr"
TYPES = (OCR, "upscaler", "flows", "collectibles-recognition", "card-grader")

PAGE_SIZE = 10
"""Number of jobs on a page of the list."""

RETENTION = timedelta(weeks=2)
"""How long a job is kept. Source: the vendor's page on VLM, read in 2026-08."""

WORKSPACE = "00000000-0000-4000-8000-000000000000"

_PAGE_NUMBER = re.compile("[1-9][0-9]{0,8}", re.ASCII)


class State(StrEnum):
    """State of a job."""

    CREATED = "CREATED"
    PROCESSING = "PROCESSING"
    RETRY = "RETRY"
    DONE = "DONE"
    FAILED = "FAILED"
    API_LIMIT_EXCEEDED = "API_LIMIT_EXCEEDED"
    NOT_SUPPORTED = "NOT_SUPPORTED"


_FINAL_STATES = {200: State.DONE, 403: State.API_LIMIT_EXCEEDED, 501: State.NOT_SUPPORTED}
"""Final state of a job, by the HTTP status that a synchronous request would have got."""


@frozen
class Webhook:
    """Where to send the result of a job.

    Attributes:
        endpoint: URL of the receiver.
        headers: Headers to send, which may be secret.
    """

    endpoint: str = field(repr=without_secrets)
    headers: Mapping[str, str] = field(factory=dict, repr=False)


@frozen
class Submission:
    """The content of an asynchronous request.

    Attributes:
        type: Type of the request.
        endpoint: Endpoint of that type.
        tasks: Records to read. Empty if the type or endpoint is not supported.
        webhook: Where to send the result.
    """

    type: str
    endpoint: str
    tasks: Sequence[Task] = field(repr=False)
    webhook: Webhook | None = None

    @property
    def is_supported(self) -> bool:
        """Whether the local service can process it."""
        return self.type == OCR and self.endpoint in CREDITS


@define(eq=False)
class Job:
    """A submission and its progress.

    Attributes:
        id: Id of the job.
        created: When it was submitted.
        owner: The Authorization header that it was submitted with.
        submission: The submission, without its tasks.
        state: Present state.
        detail: Why the job failed.
        response: The reply with its records, once it is done.
    """

    id: str
    created: datetime
    owner: str | None = field(repr=False)
    submission: Submission
    state: State = field(init=False, default=State.CREATED)
    detail: str | None = field(init=False, default=None)
    response: dict[str, Any] | None = field(init=False, default=None, repr=False)

    def finish(self, reply: Reply) -> None:
        """Set the final state by the *reply* that a synchronous request would have got."""
        self.state = _FINAL_STATES.get(reply.status, State.FAILED)
        if self.state == State.DONE:
            self.response = reply.document
        else:
            self.detail = reply.document["status"]["text"]

    @property
    def summary(self) -> dict[str, Any]:
        """Its entry in the list of jobs."""
        return {
            "id": self.id,
            "status": self.state,
            "type": self.submission.type,
            "created": f"{self.created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "workspace": WORKSPACE,
        }

    @property
    def document(self) -> dict[str, Any]:
        """The reply to a request for this job."""
        detail = {} if self.detail is None else {"detail": self.detail}
        return {**self.summary, **detail, "response": self.response}

    @property
    def webhook_body(self) -> dict[str, Any]:
        """The JSON body of its webhook."""
        return {
            "status": self.state,
            "id": self.id,
            "type": self.submission.type,
            "response": {"records": (self.response or {}).get("records")},
        }


def allowed_methods(path: str) -> frozenset[str]:
    """Return the HTTP methods that a *path* of asynchronous requests allows."""
    is_list = path.rstrip("/") == REQUESTS.rstrip("/")
    return frozenset({"GET", "POST"} if is_list else {"GET"})


def read_submission(body: bytes) -> Submission:
    """Return the submission in *body*; raise `InvalidBody` if it is wrong."""
    document = parse(body)
    if not isinstance(document, dict):
        raise InvalidBody("", "the body is not an object")
    kind, endpoint = document.get("type"), document.get("endpoint")
    if kind not in TYPES:
        raise InvalidBody("type", f"type is {kind!r}, allowed are {', '.join(TYPES)}")
    if not isinstance(endpoint, str | None):
        raise InvalidBody("endpoint", "endpoint must be a string")
    if endpoint is None:
        endpoint = "read" if kind == OCR else ""
    submission = Submission(kind, endpoint, (), _webhook(document.get("webhook")))
    if not submission.is_supported:
        # Its records are checked, but never read.
        read_records(document)
        return submission
    return evolve(submission, tasks=read_tasks(document, endpoint))


def _webhook(value: Any) -> Webhook | None:
    if value is None:
        return None
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    endpoint, headers = fields.get("endpoint", ""), fields.get("headers") or {}
    is_url = isinstance(endpoint, str) and endpoint.startswith(("http://", "https://"))
    are_strings = isinstance(headers, dict) and all(isinstance(v, str) for v in headers.values())
    if is_url and are_strings:
        return Webhook(endpoint, headers)
    raise InvalidBody(
        "webhook", "webhook must be an object with a URL as endpoint and strings as headers"
    )


def show(job: Job | None, request: Request) -> Reply:
    """Return the reply to a *request* for one *job*."""
    path = PATH.fullmatch(request.path)
    if job is None or path is None or job.owner != request.authorization:
        return NOT_FOUND
    return Reply(200, {"status": job.state} if path["status"] else job.document)


def show_page(jobs: Sequence[Job], request: Request) -> Reply:
    """Return the page of *jobs* that *request* asks for, the newest jobs first.

    Args:
        jobs: All jobs, the oldest first.
        request: The request, whose query may have ``page``, ``type`` and ``status``.
    """
    query = dict(parse_qsl(request.query))
    found = [job.summary for job in reversed(jobs) if _matches(job, request, query)]
    page, last = query.get("page", "1"), max(1, ceil(len(found) / PAGE_SIZE))
    if not _PAGE_NUMBER.fullmatch(page) or int(page) > last:
        return Reply(404, {"detail": "Invalid page."})

    def link(number: int) -> str | None:
        other = urlencode({**query, "page": number})
        return f"{request.origin}{REQUESTS}?{other}" if 1 <= number <= last else None

    number = int(page)
    start = (number - 1) * PAGE_SIZE
    links = {"next": link(number + 1), "previous": link(number - 1)}
    return Reply(200, {"count": len(found), **links, "results": found[start : start + PAGE_SIZE]})


def _matches(job: Job, request: Request, query: Mapping[str, str]) -> bool:
    return (
        job.owner == request.authorization
        and query.get("type", job.submission.type) == job.submission.type
        and query.get("status", job.state) == job.state
    )

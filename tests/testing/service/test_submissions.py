"""Asynchronous requests: any body gets a submission or a reason, any question a document."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._constants import LANGUAGES, MAX_RECORDS
from ximilar_ocr_async.testing.service.contract import (
    NOT_FOUND,
    InvalidBody,
    Reply,
    Request,
    refuse,
)
from ximilar_ocr_async.testing.service.submissions import (
    OCR,
    PAGE_SIZE,
    PATH,
    REQUESTS,
    TYPES,
    Job,
    State,
    Submission,
    Webhook,
    allowed_methods,
    read_submission,
    show,
    show_page,
)

NOON = datetime(2026, 8, 28, 12, tzinfo=UTC)
OWNER = "Token abc"
RECORD = {"_url": "https://images.example/a.jpg"}

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECORDS = st.lists(st.just(RECORD) | st.dictionaries(st.text(), LEAVES, max_size=3), max_size=12)
DOCUMENTS = VALUES | st.fixed_dictionaries(
    {"type": st.sampled_from(TYPES) | VALUES, "records": RECORDS | VALUES},
    optional={
        "endpoint": st.sampled_from(["read", "read_gpt", "grade"]) | VALUES,
        "lang": st.sampled_from(list(LANGUAGES)) | VALUES,
        "webhook": VALUES
        | st.fixed_dictionaries(
            {"endpoint": st.just("https://hook.example") | VALUES},
            optional={"headers": st.dictionaries(st.text(), st.text()) | VALUES},
        ),
    },
)
STATES = st.sampled_from(State)
QUERIES = st.text() | st.dictionaries(
    st.sampled_from(["page", "type", "status", "mine"]),
    st.text() | STATES | st.sampled_from(TYPES) | st.integers().map(str),
).map(lambda asked: "&".join(f"{key}={value}" for key, value in asked.items()))


def submitted(**fields: Any) -> Submission:
    """Return what a body of these fields asks for."""
    return read_submission(json.dumps(fields).encode())


def invalid(body: bytes) -> tuple[str, str]:
    """Return the field and the words with which *body* is refused."""
    with pytest.raises(InvalidBody) as caught:
        read_submission(body)
    return caught.value.field, caught.value.text


def job(number: int = 0, **fields: Any) -> Job:
    """Make a job, *number* minutes after noon."""
    submission = Submission(**{"type": OCR, "endpoint": "read", "tasks": (), **fields})
    return Job(f"job-{number}", NOON + timedelta(minutes=number), OWNER, submission)


def ask(path: str = REQUESTS, query: str = "", owner: str = OWNER) -> Request:
    """Make a request for what there is at *path*."""
    return Request("GET", path, owner, query=query, origin="https://service.example")


def page(jobs: list[Job], query: str = "", **options: Any) -> dict[str, Any]:
    """Return a page of *jobs*."""
    reply = show_page(jobs, ask(query=query, **options))
    assert reply.status == 200
    return reply.document


# --- Submissions


@given(body=st.binary() | DOCUMENTS.map(json.dumps).map(str.encode))
@example(body=b'{"type": {}, "records": [{}]}')
@example(body=b'{"type": "ocr", "records": [{}], "webhook": {"endpoint": "http://"}}')
def test_whatever_is_submitted_is_taken_or_refused(body: bytes) -> None:
    """Any body is a submission of up to ten tasks, or invalid, and there is no other error."""
    try:
        taken = read_submission(body)
    except InvalidBody:
        return
    assert taken.type in TYPES
    assert taken.is_supported == (0 < len(taken.tasks) <= MAX_RECORDS)
    assert all(task.endpoint == taken.endpoint for task in taken.tasks)


def test_ocr_reads_unless_told() -> None:
    """A submission of OCR has an endpoint, whose tasks are those of a request to it."""
    plain = submitted(type="ocr", records=[RECORD, RECORD], lang="ja")
    asked = submitted(type="ocr", endpoint="read_gpt", records=[{**RECORD, "prompt": "what?"}])
    assert (plain.endpoint, [task.lang for task in plain.tasks]) == ("read", ["ja", "ja"])
    assert [task.prompt for task in asked.tasks] == ["what?"]
    assert plain.webhook is None


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != OCR])
def test_other_services_are_known_and_not_supported(kind: str) -> None:
    """The other documented types are taken, with records of any kind, and cannot be done."""
    taken = submitted(type=kind, endpoint="grade", records=[{"_any": 1}])
    assert (taken.is_supported, taken.tasks) == (False, ())
    assert not submitted(type=kind, records=[{}]).is_supported
    assert not submitted(type="ocr", endpoint="detect", records=[{}]).is_supported


@pytest.mark.parametrize(
    "body, name, text",
    [
        (b"", "", "the body is not JSON"),
        (b"[]", "", "the body is not an object"),
        (b"{}", "type", "type is None, allowed are ocr, upscaler, "),
        (b'{"type": "cards"}', "type", "type is 'cards', allowed are ocr, upscaler, "),
        (b'{"type": ["ocr"]}', "type", "type is ['ocr'], allowed are ocr, upscaler, "),
        (b'{"type": "ocr", "endpoint": 1}', "endpoint", "endpoint must be a string"),
        (b'{"type": "ocr"}', "records", "records must be a list of objects"),
        (b'{"type": "flows", "records": []}', "records", "0 records, allowed are 1 to 10"),
        (b'{"type": "ocr", "records": [{}], "lang": "de"}', "lang", "lang is 'de', allowed are en"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, name: str, text: str) -> None:
    """A body that cannot be taken is refused by its field."""
    told = invalid(body)
    assert told[0] == name
    assert told[1].startswith(text)


def test_a_webhook_is_an_address_with_headers() -> None:
    """A webhook is kept with its headers, which may be left out and are not shown."""
    headers = {"X-Secret": "hush"}
    told = {"endpoint": "https://hook.example", "headers": headers}
    taken = submitted(type="ocr", records=[RECORD], webhook=told)
    assert taken.webhook == Webhook("https://hook.example", headers)
    assert "hush" not in repr(taken)
    bare = submitted(type="ocr", records=[RECORD], webhook={"endpoint": "http://hook.example"})
    assert bare.webhook == Webhook("http://hook.example")


@pytest.mark.parametrize(
    "webhook",
    [
        1,
        "https://hook.example",
        {},
        {"endpoint": 1},
        {"endpoint": "hook.example"},
        {"endpoint": "file:///etc/passwd"},
        {"endpoint": "https://hook.example", "headers": ["X-Secret"]},
        {"endpoint": "https://hook.example", "headers": {"X-Secret": 1}},
    ],
)
def test_what_is_no_webhook_is_refused(webhook: Any) -> None:
    """A webhook without an address, or with headers that are no strings, is refused."""
    body = json.dumps({"type": "ocr", "records": [RECORD], "webhook": webhook}).encode()
    assert invalid(body)[0] == "webhook"


# --- Paths


@pytest.mark.parametrize(
    "path, name, is_status, allowed",
    [
        ("/account/v2/request/", None, False, {"GET", "POST"}),
        ("/account/v2/request", None, False, {"GET", "POST"}),
        ("/account/v2/request/a-1", "a-1", False, {"GET"}),
        ("/account/v2/request/a-1/", "a-1", False, {"GET"}),
        ("/account/v2/request/a-1/status", "a-1", True, {"GET"}),
        ("/account/v2/request/a-1/status/", "a-1", True, {"GET"}),
    ],
)
def test_paths_go_with_a_slash_and_without(
    path: str, name: str | None, is_status: bool, allowed: set[str]
) -> None:
    """Both spellings of each path lead to the same."""
    found = PATH.fullmatch(path)
    assert found
    assert (found["id"], found["status"] is not None) == (name, is_status)
    assert allowed_methods(path) == allowed


@pytest.mark.parametrize(
    "path", ["/account/v2/requests", "/account/v2/request//", "/account/v2/request/a/b", "/ocr"]
)
def test_other_paths_are_none_of_these(path: str) -> None:
    """What is spelt otherwise is not about asynchronous requests."""
    assert PATH.fullmatch(path) is None


# --- One job


def test_a_new_job_tells_its_name_and_state() -> None:
    """The row of a job has the keys and forms of the service's own."""
    assert job(1).summary == {
        "id": "job-1",
        "status": "CREATED",
        "type": "ocr",
        "created": "2026-08-28T12:01:00.000000Z",
        "workspace": "00000000-0000-4000-8000-000000000000",
    }
    assert job(1).document == {**job(1).summary, "response": None}


@pytest.mark.parametrize(
    "status, state",
    [
        (400, "FAILED"),
        (500, "FAILED"),
        (403, "API_LIMIT_EXCEEDED"),
        (501, "NOT_SUPPORTED"),
    ],
)
def test_a_bad_end_has_its_reason(status: int, state: str) -> None:
    """A job whose records are refused tells why, and has no response."""
    ended = job()
    ended.finish(refuse(status, "no"))
    assert ended.document == {**ended.summary, "detail": "no", "response": None}
    assert ended.state == state


def test_a_good_end_has_its_response() -> None:
    """A job that is done tells the reply to its records, and its webhook the records."""
    done = job()
    done.finish(Reply(200, {"records": [RECORD], "status": {"code": 200}}))
    assert done.document["response"] == {"records": [RECORD], "status": {"code": 200}}
    assert done.document["status"] == "DONE"
    told = {"status": "DONE", "id": "job-0", "type": "ocr", "response": {"records": [RECORD]}}
    assert json.loads(json.dumps(done.webhook_body)) == told


def test_a_job_is_shown_to_its_owner() -> None:
    """The owner sees all of a job or its state alone; a job of others is none."""
    mine, path = job(), REQUESTS + "job-0"
    assert show(mine, ask(path)) == Reply(200, mine.document)
    assert show(mine, ask(path + "/status")) == Reply(200, {"status": "CREATED"})
    assert show(None, ask(path)) == NOT_FOUND
    assert show(mine, ask(path, owner="Token xyz")) == NOT_FOUND
    assert "abc" not in repr(mine)


# --- The list


@given(
    states=st.lists(st.tuples(st.sampled_from(TYPES), STATES), max_size=35),
    kind=st.none() | st.sampled_from(TYPES),
    state=st.none() | STATES,
)
def test_pages_hold_every_job_once(
    states: list[tuple[str, State]], kind: str | None, state: State | None
) -> None:
    """Links lead through all jobs that are asked for, the newest first, and back again."""
    jobs = [job(number, type=of) for number, (of, _) in enumerate(states)]
    for one, (_, stands) in zip(jobs, states, strict=True):
        one.state = stands
    wanted = [
        one.id
        for one in reversed(jobs)
        if kind in {None, one.submission.type} and state in {None, one.state}
    ]
    query = "&".join(f"{k}={v}" for k, v in (("type", kind), ("status", state)) if v)
    for way in ("next", "previous"):
        pages = [page(jobs, query)]
        while link := pages[-1][way]:
            parts = urlsplit(link)
            assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
                "https://service.example/account/v2/request/"
            )
            query = parts.query
            pages.append(page(jobs, query))
        seen = [[row["id"] for row in one["results"]] for one in pages]
        rows = [row for one in (seen if way == "next" else reversed(seen)) for row in one]
        assert rows == wanted
        assert {one["count"] for one in pages} == {len(wanted)}
        assert all(len(one) == PAGE_SIZE for one in seen[1:-1])


@given(query=QUERIES)
@example(query="page=" + "9" * 5000)
@example(query="page=\u0661")
@example(query="page=0")
def test_any_question_is_answered(query: str) -> None:
    """Any query gets a page, or is told that there is none such."""
    reply = show_page([job(number) for number in range(15)], ask(query=query))
    assert reply.status in {200, 404}
    assert json.loads(reply.body)
    if reply.status == 404:
        assert reply.document == {"detail": "Invalid page."}
        assert parse_qs(query)["page"] != ["1"]


def test_the_list_is_the_owners() -> None:
    """Another token's list is empty, and so is that of a state that does not exist."""
    jobs = [job(number) for number in range(3)]
    nothing: Any = {"count": 0, "next": None, "previous": None, "results": []}
    assert page(jobs, owner="Token xyz") == nothing
    assert page(jobs, "status=QUEUED") == nothing
    assert page(jobs, "type=&status=")["count"] == 3
    assert all("response" not in row for row in page(jobs)["results"])

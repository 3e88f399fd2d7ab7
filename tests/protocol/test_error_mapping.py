"""A failing answer becomes its error, in whatever shape it comes."""

import json
from typing import Any

import pytest

from tests.protocol.replies import decode, reply
from ximilar_ocr_async._protocol.error_mapping import name_plan, service_error
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    CreditsExhausted,
    OCRError,
    PlanError,
    RateLimited,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)
from ximilar_ocr_async.models import OCR, Record


@pytest.mark.parametrize(
    "status, cls, message",
    [
        ({"code": 400, "text": "bad image", "request_id": "q"}, RequestRejected, "400: bad image"),
        ({"code": 401, "text": "no access to URL"}, RequestRejected, "401: no access to URL"),
        ({"code": 403, "text": "forbidden URL"}, RequestRejected, "403: forbidden URL"),
        ({"code": 429, "text": "slow down"}, ServiceUnavailable, "429: slow down"),
        ({"code": 500, "text": "'_tags'"}, ServiceUnavailable, "500: '_tags'"),
        (504, ServiceUnavailable, "504: no reason given"),
        ("404", RequestRejected, "404: no reason given"),
    ],
)
def test_one_failed_record_leaves_the_others_alone(
    status: Any, cls: type[OCRError], message: str
) -> None:
    """A failing status of a record is that record's error only, and never one of the account."""
    body = reply({"_id": "b", "_status": status}, {"_id": "a", "_ocr": {"full_text": "A"}})
    good, bad = decode(200, body, ["a", "b"])
    assert good == Record(id="a", ocr=OCR(full_text="A"))
    assert type(bad) is cls
    assert str(bad) == message
    assert isinstance(bad, OCRError)
    assert bad.request_id == (status.get("request_id") if isinstance(status, dict) else None)


def test_a_failing_whole_is_believed_where_a_record_says_nothing() -> None:
    """Under HTTP 200 with a failing status, records with a status of their own keep it."""
    status = {"code": 500, "text": "half of it failed", "request_id": "q"}
    rows = {"_id": "a", "_status": 200}, {"_id": "b"}, {"_id": "c", "_status": {"text": "lost"}}
    good, silent, wordy = decode(200, reply(*rows, status=status), ["a", "b", "c"])
    assert isinstance(good, Record)
    assert str(silent) == "500: half of it failed"
    assert isinstance(silent, ServiceUnavailable)
    assert silent.request_id == "q"
    assert str(wordy) == "500: lost"


@pytest.mark.parametrize(
    "http_status, cls",
    [
        (300, AddressError),
        (302, AddressError),
        (400, RequestRejected),
        (401, AuthError),
        (402, CreditsExhausted),
        (403, AuthError),
        (404, RequestRejected),
        (408, ServiceUnavailable),
        (413, RequestRejected),
        (425, ServiceUnavailable),
        (429, RateLimited),
        (500, ServiceUnavailable),
        (502, ServiceUnavailable),
        (503, ServiceUnavailable),
        (504, ReplyLost),
        (524, ReplyLost),
    ],
)
def test_a_failing_request_fails_each_record(http_status: int, cls: type[OCRError]) -> None:
    """A failing code, of HTTP or of the status in a good answer, is the error of every record."""
    status = {"code": http_status, "text": "no", "request_id": "q"}
    bodies = {
        http_status: reply({"_id": "a"}, status={"code": 200, "text": "no", "request_id": "q"}),
        200: json.dumps({"status": status}).encode(),
    }
    for code, body in bodies.items():
        for error in decode(code, body, ["a", "b"], retry_after=7.5):
            assert isinstance(error, OCRError)
            assert type(error) is cls
            assert str(error) == f"{http_status}: no"
            assert (error.status, error.request_id, error.retry_after) == (http_status, "q", 7.5)


@pytest.mark.parametrize(
    "document, message",
    [
        ({"detail": "no such task"}, "no such task"),
        ({"records": ["This field is required."]}, "records: This field is required."),
        (["too large"], "too large"),
        ({"status": {"text": "bad lang"}, "detail": "unheard"}, "bad lang"),
        ({"status": "REFUSED"}, "REFUSED"),
    ],
)
def test_the_words_of_a_failure_are_found(document: Any, message: str) -> None:
    """The service's words are found in each shape that its frameworks give an error."""
    [error] = decode(400, json.dumps(document).encode(), ["r"])
    assert isinstance(error, RequestRejected)
    assert str(error) == f"400: {message}"


@pytest.mark.parametrize("code", [200, 400, 401, 402, 403, 404, 429])
@pytest.mark.parametrize(
    "text",
    ["Credit limits reached", "no credits left", "Invalid token.", "not allowed to access service"],
)
def test_words_about_the_account_go_before_the_code(code: int, text: str) -> None:
    """No credits, a wrong token and a plan without OCR are told by words under several codes."""
    inner = {"code": 403 if code == 200 else code, "text": text}
    [error] = decode(code, json.dumps({"status": inner}).encode(), ["r"])
    assert isinstance(error, AuthError)


@pytest.mark.parametrize(
    "code, text, cls",
    [
        *((code, "Credit limits reached", CreditsExhausted) for code in (400, 401, 403, 429)),
        *((code, "not enough API credits", CreditsExhausted) for code in (400, 402, 403, 429)),
        *((402, text, CreditsExhausted) for text in ("", "Payment Required", "pay first")),
        *((code, "Your plan does not include GPT", AuthError) for code in (400, 402, 403, 429)),
        *((402, text, AuthError) for text in ("not available in your plan",)),
        *((code, "not allowed to access service OCR", AuthError) for code in (401, 402, 403)),
        *((code, "Invalid token.", AuthError) for code in (400, 401, 403)),
        *((code, "Not implemented", RequestRejected) for code in (501, 505, 506, 508, 510)),
        (511, "Sign in", AddressError),
        *((code, "no credits left", ServiceUnavailable) for code in (500, 503, 507)),
    ],
)
def test_why_the_account_is_refused_has_a_class(code: int, text: str, cls: type[OCRError]) -> None:
    """Credits that are used up, a plan or a token, and what no later attempt mends, are apart."""
    [error] = decode(code, json.dumps({"status": {"code": code, "text": text}}).encode(), ["r"])
    assert type(error) is cls


@pytest.mark.parametrize(
    "status, text, cls",
    [
        (403, "Forbidden", PlanError),
        (402, "your plan does not include this service", PlanError),
        (400, "GPT is not included in your current plan", PlanError),
        (402, "Payment Required", CreditsExhausted),
        (403, "credit limits reached", CreditsExhausted),
        (401, "Invalid token.", AuthError),
    ],
)
def test_a_plan_without_the_endpoint_is_named(status: int, text: str, cls: type[OCRError]) -> None:
    """The error names the plan that has the language model, unless it is about something else."""
    error = name_plan(service_error(status, text), "read_gpt")
    assert type(error) is cls
    assert ("Business or Professional" in str(error)) is (cls is PlanError)


@pytest.mark.parametrize("code", [500, 503])
def test_a_failing_service_is_no_failing_account(code: int) -> None:
    """Words about authorization do not make a crash of the service the account's fault."""
    document = {"detail": "the authorization service is down"}
    [error] = decode(code, json.dumps(document).encode(), ["r"])
    assert isinstance(error, ServiceUnavailable)


@pytest.mark.parametrize(
    "code, text, cls",
    [
        (403, "Forbidden", RequestRejected),
        (401, "Authorization required", RequestRejected),
        (400, "cannot download https://x.example/credit-card.jpg", RequestRejected),
        (403, "403 Client Error: not enough credits for url", RequestRejected),
        (429, "slow down", ServiceUnavailable),
        (429, "no credits left", ServiceUnavailable),
        (402, "no credits left", RequestRejected),
        *((code, "no model", RequestRejected) for code in (501, 505, 506, 508, 510, 511)),
        *((code, "later", ServiceUnavailable) for code in (500, 502, 503, 504, 507, 529)),
    ],
)
def test_a_record_tells_of_its_url_whatever_it_says(
    code: int, text: str, cls: type[OCRError]
) -> None:
    """The server of one image's URL may refuse it, in words that seem to be about the account."""
    row = {"_id": "r", "_status": {"code": code, "text": text}}
    [error] = decode(200, reply(row), ["r"])
    assert type(error) is cls


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7"])
def test_a_failure_without_words_says_its_code(body: bytes) -> None:
    """A failing answer that says nothing is told by its code."""
    [error] = decode(503, body, ["r"])
    assert str(error) == "the service responded with 503"


@pytest.mark.parametrize(
    "code, cls", [(401, AuthError), (429, RateLimited), (500, ServiceUnavailable)]
)
def test_records_without_verdicts_share_the_answers_own(code: int, cls: type[OCRError]) -> None:
    """HTTP 200 with a failing status and records that are only echoed is a failure of them all."""
    document = {"records": [{"_id": "r", "_url": "u"}], "status": {"code": code, "text": "no"}}
    [error] = decode(200, json.dumps(document).encode(), ["r"])
    assert isinstance(error, cls)

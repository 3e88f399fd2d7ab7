"""A failing answer becomes its error, in whatever shape it comes."""

import json
from typing import Any

import pytest

from tests.protocol.replies import decode, reply
from ximilar_ocr_async._http import Timing
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
    is_marked,
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


# ---- what may have been billed

LATE, SOON = Timing(was_sent=True, is_late=True), Timing(was_sent=True)


def is_maybe_billed(error: Any) -> bool:
    """Whether the books count it as billed, maybe."""
    return isinstance(error, ReplyLost) or is_marked(error)


@pytest.mark.parametrize(
    "document",
    [
        {"timestamp": "2026-11-27T10:00:00", "status": 503, "error": "Service Unavailable"},
        {"status": "error", "message": "upstream timed out"},
        {"status": "503"},
        {"status": None},
        {"status": {}},
        {"status": {"code": "503"}},
        {"status": {"code": True}},
        {"status": {"code": 200}},
        {"status": [503]},
        {"error": {"code": 503, "status": "UNAVAILABLE"}},
        [],
    ],
    ids=str,
)
def test_a_late_503_is_free_only_in_the_services_own_words(document: Any) -> None:
    """Gateways write JSON, too; the service alone has a status with a failing code in it."""
    [error] = decode(503, json.dumps(document).encode(), ["r"], timing=LATE)
    assert is_maybe_billed(error)
    [own] = decode(503, b'{"status": {"code": 503, "text": "busy"}}', ["r"], timing=LATE)
    [soon] = decode(503, json.dumps(document).encode(), ["r"], timing=SOON)
    assert type(own) is type(soon) is ServiceUnavailable


@pytest.mark.parametrize("timing", [LATE, SOON, Timing(is_late=True)], ids=["late", "soon", "cut"])
@pytest.mark.parametrize(
    "status",
    [
        *(0, 99, 101, 199, 300, 301, 302, 303, 307, 308, 409, 418, 423, 451, 460, 499),
        *(501, 502, 503, 505, 507, 511, 529, 530, 561, 600, 999, 10**6),
    ],
)
def test_a_status_that_nobody_listed_is_free_if_it_came_soon(status: int, timing: Timing) -> None:
    """What a gateway may say over a response that it lost is marked, of HTTP or in its JSON."""
    page = decode(status, b"<html>no</html>", ["r"], timing=timing)
    inner = json.dumps({"status": {"code": status, "text": "no"}}).encode()
    within = decode(200, inner, ["r"], timing=timing) if status != 503 else page
    unread = decode(200, reply({"_id": "r"}, status=status), ["r"], timing=timing)
    assert [is_maybe_billed(e) for e in page + within + unread] == [timing is LATE] * 3
    # What is sent again for as long as the policy allows is never billed.
    assert not any(isinstance(e, ServiceUnavailable) for e in page + within if timing is LATE)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 521, 522, 523])
def test_a_refusal_is_free_whenever_it_comes(status: int) -> None:
    """These say that the request was not taken, or failed."""
    [error] = decode(status, b"no", ["r"], timing=LATE)
    [inner] = decode(200, json.dumps({"status": {"code": status}}).encode(), ["r"], timing=LATE)
    assert not is_maybe_billed(error)
    assert not is_maybe_billed(inner)


READ = {"_ocr": {"full_text": "tea", "texts": []}}


@pytest.mark.parametrize("status", [301, 302, 400, 401, 409, 429, 500, 502, 503, 504, 600])
@pytest.mark.parametrize("more", [READ, {"_status": {"code": 200}, "_full_text": "tea"}], ids=str)
@pytest.mark.parametrize("code", [200, 400, 401, 500])
def test_records_under_our_ids_are_read_whatever_the_status_says(
    status: int, more: Any, code: int
) -> None:
    """They were paid for; a record that is missing, or failed, ends as the request did."""
    rows = {"_id": "b", **more}, {"_id": "a", **more}, {"_id": "c", "_status": {"code": 500}}
    body = reply(*rows, {"_id": "z", **more}, status={"code": code, "text": "no"})
    a, b, c, d = decode(status, body, ["a", "b", "c", "d"], timing=LATE)
    assert [r.id for r in (a, b) if isinstance(r, Record)] == ["a", "b"]
    assert isinstance(c, OCRError)
    assert isinstance(d, OCRError)
    assert c is not d


@pytest.mark.parametrize("code", [0, 1, -1, 100, 302, 600, 10**6])
def test_a_code_of_no_failure_costs_no_record(code: int) -> None:
    """Under HTTP 200 a code that HTTP does not fail with says nothing against what was read."""
    rows = {"_id": "a", "_full_text": "hi"}, {"_id": "b", **READ}, {"_id": "c", "_status": 200}
    body = reply(*rows, {"_id": "d", "_url": "u"}, status={"code": code, "text": "OK"})
    *read, echoed = decode(200, body, [*"abcd"], timing=LATE)
    assert [r.id for r in read if isinstance(r, Record)] == [*"abc"]
    assert is_maybe_billed(echoed)
    alone = decode(200, reply(*rows[:2], status=code), [*"ab"])
    assert [r.id for r in alone if isinstance(r, Record)] == [*"ab"]


@pytest.mark.parametrize("status", [200, 301, 400, 401, 500, 503])
@pytest.mark.parametrize(
    "row",
    [
        {"_url": "u", "prompt": "p"},
        {"_url": "u", "error": "cannot be fetched"},
        {"_width": 10, "_height": 10},
        {"_ocr": {}},
        {"_ocr": None, "_gpt": None},
        {"_ocr": "no"},
        {**READ, "_status": {"code": 400}},
    ],
    ids=str,
)
def test_what_a_refusal_echoes_is_no_record(status: int, row: Any) -> None:
    """A failing request may say back what it was sent, or how far it came."""
    body = reply({"_id": "r", **row}, status={"code": 401 if status == 200 else status})
    assert isinstance(decode(status, body, ["r"])[0], OCRError)
    unnamed = reply(READ, status={"code": 401 if status == 200 else status})
    assert isinstance(decode(status, unnamed, ["r"])[0], OCRError)


def test_what_came_early_is_ours_by_its_id_alone() -> None:
    """What was said before all was sent may be to somebody else's request."""
    assert isinstance(decode(200, reply({**READ}), ["r"], is_early=True)[0], OCRError)
    named = reply({"_id": "r", **READ})
    assert isinstance(decode(200, named, ["r"], is_early=True)[0], Record)
    some = decode(200, reply({"_id": "r", **READ, "new": 1}), ["q", "r"], is_early=True)
    assert [isinstance(one, Record) for one in some] == [False, True]

"""Images go out as the service's JSON, and whatever comes back becomes one result per image."""

import base64
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from ximilar_ocr_async._constants import LANGUAGES
from ximilar_ocr_async._protocol.decode import decode as decode_batch
from ximilar_ocr_async._protocol.encode import encode_record, make_body
from ximilar_ocr_async._protocol.request_body import Base64Image
from ximilar_ocr_async.cli.json_lines import outcome_to_json
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ConnectionFailed,
    ImageError,
    OCRError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)
from ximilar_ocr_async.images import FileFingerprint, Image
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text
from ximilar_ocr_async.outcomes import Failure, Success

# ---- what is drawn

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text(max_size=8).map("x_".__add__)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)
EXTRA = st.dictionaries(KEYS, JSON, max_size=2)
SIZES = st.none() | st.integers(0, 20_000)
WORDS = st.none() | st.text(max_size=9)
TEXTS = st.builds(
    Text,
    text=st.text(),
    polygon=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5).map(tuple),
    prob=st.none() | st.floats(0, 1),
    extra=EXTRA,
)
OCRS = st.builds(
    OCR,
    texts=st.lists(TEXTS, max_size=2).map(tuple),
    full_text=st.text(),
    lang=WORDS,
    lang_name=WORDS,
    extra=EXTRA,
)
GPTS = st.builds(GPT, full_prompt=WORDS, result=WORDS, json_result=JSON, extra=EXTRA)
STATUSES = st.builds(
    Status, code=st.integers(200, 299), text=st.text(), request_id=WORDS, extra=EXTRA
)
RECORDS = st.builds(
    Record,
    id=st.text(),
    url=WORDS,
    width=SIZES,
    height=SIZES,
    status=STATUSES,
    ocr=OCRS,
    gpt=st.none() | GPTS,
    extra=EXTRA,
)
BATCHES = st.lists(RECORDS, min_size=1, max_size=10, unique_by=lambda record: record.id)


def decode(status: int, body: bytes, ids: Sequence[str], **more: Any) -> list[Record | OCRError]:
    """Decode an answer; where it failed as a whole, so did each of its records."""
    try:
        return decode_batch(status, body, ids, **more)
    except OCRError as error:
        return [error for _ in ids]


# ---- what is sent


@given(
    data=st.data(),
    ids=st.lists(st.text(), min_size=1, max_size=10, unique=True),
    lang=st.sampled_from(sorted(LANGUAGES)),
)
def test_a_batch_says_in_json_what_was_given(
    data: st.DataObject, ids: list[str], lang: str
) -> None:
    """The body holds each image with its id, prompt, extra keys, and its URL or its bytes."""
    pieces, expected = [], []
    for record_id in ids:
        extra, prompt = data.draw(EXTRA), data.draw(WORDS)
        source = data.draw(st.binary() | st.text().map("http://x.example/".__add__))
        image = Image(source, id="the caller's", extra=extra)
        fingerprint = FileFingerprint(len(source)) if isinstance(source, bytes) else None
        picture = None if fingerprint is None else Base64Image(record_id, image, fingerprint)
        pieces.append(encode_record(record_id, image, picture, prompt=prompt))
        record = extra | {"_id": record_id} | ({} if prompt is None else {"prompt": prompt})
        if isinstance(source, bytes):
            record["_base64"] = base64.b64encode(source).decode()
        else:
            record["_url"] = source
        expected.append(record)
    upload = make_body(pieces, {"lang": lang})
    body = b"".join(upload)
    assert len(upload) == len(body)
    assert json.loads(body) == {"lang": lang, "records": expected}


def _endless() -> list[Any]:
    """Make a list that holds itself."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("value", [b"secret", {1, 2}, float("nan"), {(1, 2): 3}, _endless()])
def test_an_extra_that_is_no_json_is_refused(value: Any) -> None:
    """An extra value that JSON cannot say is an error of that image alone."""
    image = Image("http://x.example/a.png", extra={"mine": value})
    with pytest.raises(ImageError, match=r"extra of 'http://x\.example/a\.png' is not JSON: ") as e:
        encode_record("r", image, None)
    assert "secret" not in str(e.value)


# ---- what comes back when all is well

READ_REPLY = b"""{
  "records": [{
    "_url": "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg",
    "_status": {"code": 200, "text": "OK", "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6"},
    "_id": "4d903663-a348-4d9b-be76-4df38df7d66a",
    "_width": 1140,
    "_height": 1520,
    "_ocr": {
      "texts": [{
        "polygon": [[285.0, 221.0], [384.0, 229.0], [382.0, 256.0], [283.0, 248.0]],
        "text": "BASIC",
        "prob": 0.9564334750175476
      }],
      "full_text": "BASIC MewV 180 ASTRIKE EnergyMix...",
      "lang": "en",
      "lang_name": "english"
    }
  }],
  "status": {
    "code": 200,
    "text": "OK",
    "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6",
    "proc_id": "1a088e14-714a-41bd-9a89-4d732becafcd"
  },
  "statistics": {"processing time": 5.054640769958496}
}"""
"""Source: https://docs.ximilar.com/text/ocr, OCR Reading, read in 2026-08."""

READ_GPT_REPLY = rb"""{
  "records": [{
    "_url": "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg",
    "prompt": "what is the name and type of the card as json result ({'name':'', 'type': ''})",
    "_status": {"code": 200, "text": "OK", "request_id": "5d735c9b-71e7-425f-a4c7-4423230b3748"},
    "_id": "903ae611-2df4-4385-989e-146fa4d0fd7a",
    "_width": 1140,
    "_height": 1520,
    "_ocr": {
      "texts": [],
      "full_text": "BASIC MewV 180 ASTRIKE EnergyMix...",
      "lang": "en",
      "lang_name": "english"
    },
    "_gpt": {
      "full_prompt": "Instruction: ... \nInput: BASIC MewV 180 ASTRIKE EnergyMix... \nResult:",
      "result": "{'name': 'Mew V', 'type': 'Basic'}",
      "json_result": {"name": "Mew V", "type": "Basic"}
    }
  }],
  "status": {
    "code": 200,
    "text": "OK",
    "request_id": "5d735c9b-71e7-425f-a4c7-4423230b3748",
    "proc_id": "b366485a-8ed9-462d-9ade-cdb817cae03a"
  },
  "statistics": {"processing time": 6.970479965209961}
}"""
"""Source: the same page, OCR Reading With GPT Analysis; its prompt and texts are shortened."""

CARD = "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg"
FULL_TEXT = "BASIC MewV 180 ASTRIKE EnergyMix..."
CORNERS = ((285.0, 221.0), (384.0, 229.0), (382.0, 256.0), (283.0, 248.0))


def test_the_sample_of_read_is_understood() -> None:
    """The reply that the service's page shows for read decodes to what it says."""
    [record] = decode(200, READ_REPLY, ["4d903663-a348-4d9b-be76-4df38df7d66a"])
    assert record == Record(
        id="4d903663-a348-4d9b-be76-4df38df7d66a",
        url=CARD,
        width=1140,
        height=1520,
        status=Status(200, "OK", "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6"),
        ocr=OCR((Text("BASIC", CORNERS, 0.9564334750175476),), FULL_TEXT, "en", "english"),
    )


def test_the_sample_of_read_gpt_is_understood() -> None:
    """The reply that the service's page shows for read_gpt decodes, answer and prompt and all."""
    [record] = decode(200, READ_GPT_REPLY, ["903ae611-2df4-4385-989e-146fa4d0fd7a"])
    assert record == Record(
        id="903ae611-2df4-4385-989e-146fa4d0fd7a",
        url=CARD,
        width=1140,
        height=1520,
        status=Status(200, "OK", "5d735c9b-71e7-425f-a4c7-4423230b3748"),
        ocr=OCR((), FULL_TEXT, "en", "english"),
        gpt=GPT(
            f"Instruction: ... \nInput: {FULL_TEXT} \nResult:",
            "{'name': 'Mew V', 'type': 'Basic'}",
            {"name": "Mew V", "type": "Basic"},
        ),
        extra={
            "prompt": "what is the name and type of the card as json result "
            "({'name':'', 'type': ''})"
        },
    )


def _reply(*rows: Any, **more: Any) -> bytes:
    """Write an answer with *rows* as its records."""
    return json.dumps({"records": rows, **more}).encode()


def _decode_one(row: Any, **more: Any) -> Record | OCRError:
    """Decode an answer to one record, ``r``, that is *row*."""
    [result] = decode(200, _reply(row, **more), ["r"])
    return result


def _row(record: Record) -> Any:
    """Write *record* as the service does."""
    return outcome_to_json(Success(index=0, image=Image(b""), record=record))["record"]


@settings(max_examples=50)
@given(records=BATCHES, data=st.data())
def test_records_come_back_in_the_order_asked(records: list[Record], data: st.DataObject) -> None:
    """Whatever the order of the rows, each id gets its record back whole, unknown keys included."""
    rows = data.draw(st.permutations([_row(record) for record in records]))
    assert decode(200, _reply(*rows), [record.id or "" for record in records]) == records


@given(
    texts=st.lists(st.text(), min_size=1, max_size=10),
    nameless=st.sampled_from([{}, {"_id": None}]),
)
def test_rows_without_ids_are_matched_by_place(texts: list[str], nameless: dict[str, Any]) -> None:
    """Where no row has an id, a full answer is taken in the order of the request."""
    rows = [nameless | {"_ocr": {"full_text": text}} for text in texts]
    ids = [f"sent-{place}" for place, _ in enumerate(texts)]
    assert decode(200, _reply(*rows), ids) == [Record(ocr=OCR(full_text=text)) for text in texts]


@pytest.mark.parametrize(
    "row, record",
    [
        ({}, Record(id="r")),
        (dict.fromkeys(["_url", "_width", "_status", "_ocr", "_gpt"]), Record(id="r")),
        ({"_ocr": {"texts": None, "full_text": None}}, Record(id="r")),
        ({"_ocr": {"texts": [{"text": None, "prob": None}]}}, Record(id="r", ocr=OCR((Text(),)))),
        ({"_gpt": {"json_result": None}}, Record(id="r", gpt=GPT())),
        ({"_base64": "AAAA", "side": None}, Record(id="r", extra={"side": None})),
    ],
)
def test_null_and_missing_mean_absent(row: dict[str, Any], record: Record) -> None:
    """A key that is missing or null is as if unsaid, and an image sent back is dropped."""
    assert _decode_one({"_id": "r"} | row) == record


def test_a_number_where_text_is_expected_is_text() -> None:
    """A text that the service sends as a number is taken as its digits."""
    record = _decode_one({"_id": "r", "_ocr": {"texts": [{"text": 180}], "full_text": 1.5}})
    assert record == Record(id="r", ocr=OCR((Text("180"),), "1.5"))


# ---- statuses


@pytest.mark.parametrize(
    "status, expected",
    [
        ({"code": 206, "text": "OK", "new": 1}, Status(206, "OK", extra={"new": 1})),
        ({"text": "fine"}, Status(200, "fine")),
        (201, Status(201)),
        ("201", Status(201)),
        ("DONE", Status(200, "DONE")),
        ([], Status(200)),
        (None, Status(200)),
    ],
)
def test_a_good_status_of_any_type_is_read(status: Any, expected: Status) -> None:
    """A record's status is an object, a number or text, and else as that of the whole answer."""
    assert _decode_one({"_id": "r", "_status": status}) == Record(id="r", status=expected)
    assert _decode_one({"_id": "r"}, status=status) == Record(id="r", status=expected)


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
    body = _reply({"_id": "b", "_status": status}, {"_id": "a", "_ocr": {"full_text": "A"}})
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
    good, silent, wordy = decode(200, _reply(*rows, status=status), ["a", "b", "c"])
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
        (402, AuthError),
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
        http_status: _reply({"_id": "a"}, status={"code": 200, "text": "no", "request_id": "q"}),
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
        (403, "credit limits reached", AuthError),
        (429, "slow down", ServiceUnavailable),
    ],
)
def test_a_record_tells_of_its_url_unless_it_tells_of_credits(
    code: int, text: str, cls: type[OCRError]
) -> None:
    """The server of one image's URL may refuse it, which says nothing of the account."""
    row = {"_id": "r", "_status": {"code": code, "text": text}}
    [error] = decode(200, _reply(row), ["r"])
    assert type(error) is cls


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7"])
def test_a_failure_without_words_says_its_code(body: bytes) -> None:
    """A failing answer that says nothing is told by its code."""
    [error] = decode(503, body, ["r"])
    assert str(error) == "the service answered 503"


# ---- answers that make no sense


@pytest.mark.parametrize(
    "body, shown",
    [
        (b"<html>\n  <h1>Bad   Gateway</h1>", "<html> <h1>Bad Gateway</h1>"),
        (b"", "nothing"),
        (b" \n", "nothing"),
        (READ_REPLY[:-1], '{ "records": [{ "_url"'),
        (b'{"records": ["\xff\xfe"]}', '{"records": ["��"]}'),
        (b"[" * 10_000, "[" * 120),
        (b'{"records": %s}' % (b"9" * 5000), '{"records": 9999'),
    ],
)
def test_an_answer_that_is_no_json_is_shown_in_part(body: bytes, shown: str) -> None:
    """An answer that is no JSON fails every record, and its beginning stands in the message."""
    for error in decode(200, body, ["a", "b"]):
        assert isinstance(error, ReplyError)
        assert str(error).startswith(f"the answer has no records: the answer is not JSON: {shown}")
        assert len(str(error)) < 200
    [unavailable] = decode(502, body, ["a"])
    assert isinstance(unavailable, ServiceUnavailable)
    assert str(unavailable).startswith(f"502: the answer is not JSON: {shown}")


@pytest.mark.parametrize(
    "document, message",
    [
        ({}, "it says nothing"),
        ({"status": {"code": 200, "text": "OK"}}, "OK"),
        ({"records": {"_id": "r"}, "status": 200}, "it says nothing"),
        ({"status": {"code": "x"}}, "it says nothing"),
    ],
)
def test_a_good_status_without_records_is_no_success(document: Any, message: str) -> None:
    """An answer that claims success and has no records is an error of the reply."""
    [error] = decode(200, json.dumps(document).encode(), ["r"])
    assert isinstance(error, ReplyError)
    assert str(error) == f"the answer has no records: {message}"


def test_a_status_that_makes_no_sense_costs_no_record() -> None:
    """Records are kept when the answer's own status cannot be understood."""
    body = b'{"records": [{"_id": "r", "_width": 7}], "status": {"code": "fine"}}'
    assert decode(200, body, ["r"]) == [Record(id="r", width=7)]


@pytest.mark.parametrize(
    "code, cls", [(401, AuthError), (429, RateLimited), (500, ServiceUnavailable)]
)
def test_records_without_verdicts_share_the_answers_own(code: int, cls: type[OCRError]) -> None:
    """HTTP 200 with a failing status and records that are only echoed is a failure of them all."""
    document = {"records": [{"_id": "r", "_url": "u"}], "status": {"code": code, "text": "no"}}
    [error] = decode(200, json.dumps(document).encode(), ["r"])
    assert isinstance(error, cls)


@pytest.mark.parametrize("prob", ["1e999", '"0.5"', "true", "{}"])
def test_a_prob_that_is_no_finite_number_fails_its_record(prob: str) -> None:
    """What is no number is not taken for one."""
    body = b'{"records": [{"_id": "r", "_ocr": {"texts": [{"prob": %s}]}}]}' % prob.encode()
    [error] = decode(200, body, ["r"])
    assert isinstance(error, ReplyError)
    assert "$.records[r].ocr.texts[0].prob" in str(error)


def test_nan_means_absent() -> None:
    """NaN, which is no JSON but what Python's servers may write, is as if unsaid."""
    body = b'{"records": [{"_id": "r", "_ocr": {"texts": [{"text": "A", "prob": NaN}]}}]}'
    assert decode(200, body, ["r"]) == [Record(id="r", ocr=OCR((Text("A"),)))]


@pytest.mark.parametrize(
    "rows, read, warned",
    [
        ([], "", False),
        ([{"_id": "a"}], "a", False),
        ([{"_id": "b"}, {"_id": "b", "late": 1}], "b", True),
        ([{"_id": "b"}, {"_id": "z"}], "b", True),
        ([{"_id": "a"}, {"_id": "b"}, {"_id": "c"}], "ab", True),
        ([{"_id": "a"}, {}], "a", True),
        ([{"_id": 1}, {"_id": ["a"]}], "", True),
        ([{}, {}, {}], "", True),
    ],
)
def test_rows_are_never_guessed_at(
    caplog: pytest.LogCaptureFixture,
    rows: list[Any],
    read: str,
    warned: bool,
) -> None:
    """Rows that are missing, doubled, unknown or too many leave no record with another's text."""
    with caplog.at_level(logging.WARNING):
        results = decode(200, _reply(*rows, status={"request_id": "q"}), ["a", "b"])
    assert [result.id for result in results if isinstance(result, Record)] == list(read)
    assert all(result.extra == {} for result in results if isinstance(result, Record))
    for error in results:
        if isinstance(error, OCRError):
            assert isinstance(error, ReplyError)
            assert f"has {len(rows)} records for 2, and not this one" in str(error)
            assert error.request_id == "q"
    assert bool(caplog.records) is warned


@pytest.mark.parametrize(
    "row, address",
    [
        ({"_ocr": []}, "$.records[r].ocr"),
        ({"_ocr": {"texts": [[]]}}, "$.records[r].ocr.texts[0]"),
        ({"_ocr": {"texts": [{}, {"text": {}}]}}, "$.records[r].ocr.texts[1].text"),
        ({"_ocr": {"texts": [{"polygon": [["a", "b"]]}]}}, "$.records[r].ocr.texts[0].polygon[0]"),
        ({"_ocr": {"texts": [{"polygon": [[1, 2, 3]]}]}}, "$.records[r].ocr.texts[0].polygon[0]"),
        ({"_width": "wide"}, "$.records[r].width"),
        ({"_gpt": "Mew"}, "$.records[r].gpt"),
        ({"_status": {"code": "x"}}, "$.records[r]"),
    ],
)
def test_a_malformed_record_fails_alone(row: dict[str, Any], address: str) -> None:
    """A record that cannot be understood fails with the place of the fault, beside good ones."""
    body = _reply({"_id": "good"}, {"_id": "r"} | row, status={"request_id": "q"})
    good, bad = decode(200, body, ["good", "r"])
    assert good == Record(id="good", status=Status(request_id="q"))
    assert isinstance(bad, ReplyError)
    assert f"@ {address}" in str(bad)
    assert bad.request_id == "q"


@pytest.mark.parametrize("row", [[1], "text", 7, None])
def test_a_row_that_is_no_object_fails_alone(row: Any) -> None:
    """Where rows go by place, one that is no object is the error of its own image."""
    bad, good = decode(200, _reply(row, {"_width": 3}), ["r", "good"])
    assert isinstance(bad, ReplyError)
    assert "$.records[r]" in str(bad)
    assert good == Record(width=3)


def _assert_one_result_each(http_status: int, body: bytes, ids: Sequence[str]) -> None:
    results = decode(http_status, body, ids)
    assert len(results) == len(ids)
    if http_status not in range(200, 300):
        assert all(isinstance(result, OCRError) for result in results)


IDS = st.lists(st.sampled_from("abcdefghij"), max_size=10, unique=True)
HTTP_STATUSES = st.just(200) | st.integers(100, 599)


@given(http_status=HTTP_STATUSES, body=st.binary(), ids=IDS)
def test_any_bytes_give_one_result_each(http_status: int, body: bytes, ids: list[str]) -> None:
    """Whatever bytes come back, decoding gives a result for each id and never raises."""
    _assert_one_result_each(http_status, body, ids)


KNOWN = st.sampled_from(
    ["records", "status", "detail", "code", "_id", "_status", "_ocr", "texts", "text", "polygon"]
)
ODD = JSON | st.sampled_from(["a", "200", "500", 200, 500, -1, 10**400, "9" * 5000, "\ud800", [[]]])
LIKELY = st.recursive(
    ODD,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KNOWN, below, max_size=5),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(KNOWN, LIKELY, max_size=5) | LIKELY, max_size=4)
DOCUMENTS = LIKELY | st.fixed_dictionaries({"records": ROWS}, optional={"status": LIKELY})


@given(http_status=HTTP_STATUSES, document=DOCUMENTS, ids=IDS)
def test_any_json_gives_one_result_each(http_status: int, document: Any, ids: list[str]) -> None:
    """Whatever JSON comes back, decoding gives a result for each id and never raises."""
    _assert_one_result_each(http_status, json.dumps(document).encode(), ids)


@pytest.mark.parametrize(
    "around", ["%s", '{"status": %s}', '{"records": [{"_id": "a", "_ocr": %s}]}']
)
@pytest.mark.parametrize("depth", [10, 100, 300, 900, 950, 980, 1000, 100_000])
def test_deep_nesting_gives_one_result_each(around: str, depth: int) -> None:
    """An answer nested about as deep as Python can follow, or deeper, does not raise."""
    for open_, close in (("[", "]"), ('{"text":', "}")):
        body = (around % (open_ * depth + "1" + close * depth)).encode()
        for http_status in (200, 500):
            _assert_one_result_each(http_status, body, ["a", "b"])


# ---- outcomes for files


@given(record=RECORDS)
def test_a_success_is_written_in_the_services_names(record: Record) -> None:
    """A success becomes JSON from which its record can be read again."""
    outcome = Success(index=3, image=Image(Path("a.png")), record=record, attempts=2)
    written = json.loads(json.dumps(outcome_to_json(outcome), allow_nan=False))
    row = written.pop("record")
    assert written == {
        "index": 3,
        "image": "a.png",
        "ok": True,
        "attempts": 2,
        "maybe_billed": False,
    }
    assert decode(200, _reply(row), [record.id or ""]) == [record]


def test_a_failure_is_written_with_what_is_known() -> None:
    """A failure becomes JSON with its error's class, its words, and numbers where there are any."""
    error = RequestRejected("400: bad image", status=400, request_id="q")
    failure = Failure(index=0, image=Image(b"1234"), error=error, attempts=1, maybe_billed=True)
    assert outcome_to_json(failure) == {
        "index": 0,
        "image": "<4 bytes>",
        "ok": False,
        "attempts": 1,
        "maybe_billed": True,
        "error": {
            "type": "RequestRejected",
            "message": "400: bad image",
            "status": 400,
            "request_id": "q",
        },
    }
    bare = Failure(index=0, image=Image(b""), error=ConnectionFailed("no route"))
    told = outcome_to_json(bare)["error"]
    assert told == {"type": "ConnectionFailed", "message": "no route"}


# ---- the short way

USUAL: dict[str, Any] = {"text": "tea", "polygon": [[1.0, 2.0]] * 4, "prob": 0.5}
UNUSUAL = [
    {"text": 7},
    {"prob": 1},
    {"prob": None},
    {"polygon": [[1.0, 2.0]] * 3},
    {"polygon": [[1.0, 2.0]] * 5},
    {"polygon": [[1, 2]] * 4},
    {"polygon": []},
    {"new": "key"},
]


def texts_of(*rows: Any) -> Any:
    """Decode a record with these texts."""
    body = json.dumps({"records": [{"_id": "a", "_ocr": {"texts": rows}}]}).encode()
    [record] = decode(200, body, ["a"])
    return record.ocr.texts if isinstance(record, Record) else record


@pytest.mark.parametrize("change", UNUSUAL)
def test_unusual_texts_are_decoded_as_the_usual_are(change: dict[str, Any]) -> None:
    """Whatever one text looks like, the others of its image are what they are without it."""
    usual, unusual = texts_of(USUAL, {**USUAL, **change})
    assert usual == Text("tea", ((1.0, 2.0),) * 4, 0.5)
    assert all(isinstance(x, float) for point in unusual.polygon for x in point)
    assert unusual.extra == ({"new": "key"} if "new" in change else {})


@pytest.mark.parametrize(
    "change",
    [
        {"polygon": [[1.0, "x"]] * 4},
        {"polygon": [[1.0]] * 4},
        {"polygon": [[1.0, 2.0, 3.0]] * 4},
        {"polygon": [7] * 4},
        {"polygon": [[1.0, 2e308 * 10]] * 4},
        {"polygon": 7},
        {"prob": "x"},
    ],
)
def test_a_text_that_makes_no_sense_is_an_error_with_its_address(change: dict[str, Any]) -> None:
    """The long way finds out where it stands."""
    error = texts_of(USUAL, {**USUAL, **change})
    assert isinstance(error, ReplyError)
    assert ".texts[1]" in str(error)


def test_a_number_that_no_float_can_hold_is_an_error_with_its_address() -> None:
    """Infinity is no place in an image."""
    body = json.dumps({"records": [{"_id": "a", "_ocr": {"texts": [USUAL]}}]})
    [error] = decode(200, body.replace("0.5", "1e400").encode(), ["a"])
    assert isinstance(error, ReplyError)
    assert ".texts[0].prob" in str(error)


def test_no_digit_of_a_models_answer_is_lost() -> None:
    """Whole numbers of any length are whole numbers."""
    answer = {"account": 10**30}
    body = json.dumps({"records": [{"_id": "a", "_gpt": {"json_result": answer}}]}).encode()
    [record] = decode(200, body, ["a"])
    assert isinstance(record, Record)
    assert record.gpt
    assert record.gpt.json_result == answer


@pytest.mark.parametrize("number", [10**30, -(10**25), 2**64, 2**63 - 1, 7])
def test_no_digit_of_the_callers_own_keys_is_lost(number: int) -> None:
    """What the service hands back comes back as it was given, however long a number is."""
    body = json.dumps({"records": [{"_id": "a", "key": [number], "more": number}]}).encode()
    for text in (body, body.replace(b" ", b""), body.replace(b" ", b"\n")):
        [record] = decode(200, text, ["a"])
        assert isinstance(record, Record)
        assert record.extra == {"key": [number], "more": number}
        assert type(record.extra["more"]) is int


# ---- the fast path and the long way

ODD = st.sampled_from(
    [None, True, 1, -0.0, 1e400, 10**30, 2.0, "", "x", "\ud800", [], {}, {"a": 1}, [1, 2], [[1.5]]]
)


def or_odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual, or rarely something else."""
    return st.integers(0, 40).flatmap(lambda number: ODD if number == 17 else usual)


def objects(**cells: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects with these keys, of which some may be missing, odd, or more."""
    whole = st.fixed_dictionaries({key: or_odd(cell) for key, cell in cells.items()})
    rest = st.fixed_dictionaries({}, optional={key: or_odd(cell) for key, cell in cells.items()})
    more = st.builds(lambda first, key, value: {**first, key: value}, rest, KEYS, ODD)
    return st.integers(0, 20).flatmap(lambda number: {7: rest, 13: more}.get(number, whole))


POINT = or_odd(st.tuples(or_odd(NUMBERS), or_odd(NUMBERS)).map(list))
ROWS_OF_TEXT = objects(
    text=st.text(),
    polygon=st.lists(POINT, min_size=4, max_size=4),
    prob=NUMBERS,
)
VERDICT = objects(code=st.just(200), text=st.text(), request_id=st.text())


def row(record_id: str) -> st.SearchStrategy[Any]:
    """Draw what comes back of the record with this id, or mostly this."""
    read = objects(
        texts=st.lists(or_odd(ROWS_OF_TEXT), max_size=3),
        full_text=st.text(),
        lang=WORDS,
        lang_name=WORDS,
    )
    return objects(
        _id=st.just(record_id), _ocr=read, _status=VERDICT, _url=WORDS, _width=SIZES, _height=SIZES
    )


ANSWER = objects(
    records=(st.tuples(row("a")) | st.tuples(row("a"), row("b"))).map(list),
    status=VERDICT,
)


def the_long_way(document: Any) -> Any:
    """Return *document* with something unusual in each record that leaves no trace."""
    rows = document.get("records")
    if not isinstance(rows, list):
        return document
    return document | {
        "records": [{**row, "_base64": "x"} if isinstance(row, dict) else row for row in rows]
    }


@given(ANSWER, st.sampled_from([200, 500]))
def test_the_fast_path_of_answers_leads_where_the_long_way_does(answer: Any, http: int) -> None:
    """Whatever an answer is like, nobody can tell by its records how it was decoded."""
    rows = answer.get("records")
    ids = ["a", "b"][: len(rows) if isinstance(rows, list) else 1]
    fast, slow = (
        repr(decode(http, json.dumps(document).encode(), ids))
        for document in (answer, the_long_way(answer))
    )
    assert fast == slow


@given(objects(texts=st.lists(or_odd(ROWS_OF_TEXT), max_size=3), full_text=st.text(), lang=WORDS))
def test_the_fast_path_of_texts_leads_where_the_long_way_does(ocr: Any) -> None:
    """Whatever texts are like, an unknown key beside them changes only how they are decoded."""
    fast, slow = (
        decode(200, json.dumps({"records": [{"_id": "a", "_ocr": read}]}).encode(), ["a"])[0]
        for read in (ocr, {**ocr, "new": 0})
    )
    if isinstance(slow, Record):
        known = {key: value for key, value in slow.ocr.extra.items() if key != "new"}
        slow = evolve(slow, ocr=evolve(slow.ocr, extra=known))
    assert repr(fast) == repr(slow)


def test_what_stands_beside_the_records_of_an_answer_is_passed_over() -> None:
    """Keys that no record has anything to do with are not looked at, whatever is in them."""
    for more in (b"null", b'{"credits": 1}', b"1" * 5_000, b'"\xff"'):
        answer = b'{"records": [{"_id": "a", "_ocr": {"texts": []}}], "statistics": %s}' % more
        assert decode(200, answer, ["a"]) == [Record(id="a", status=Status(200))]

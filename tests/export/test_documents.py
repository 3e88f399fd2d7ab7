"""Outcomes, records and instances as plain data."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.replies import RECORDS, decode, reply
from ximilar_ocr_async import Account, Image, JobInfo, Webhook
from ximilar_ocr_async.errors import (
    ExtractionError,
    OCRError,
    OptionError,
    RateLimited,
    RequestRejected,
)
from ximilar_ocr_async.export import to_dict, to_json
from ximilar_ocr_async.models import GPT, OCR, Record, Text
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

SOURCES = st.binary(max_size=9) | st.text() | st.builds(Path, st.just("a.png"))
ERRORS = st.builds(
    OCRError,
    st.text(),
    status=st.none() | st.integers(100, 599),
    request_id=st.none() | st.text(),
    retry_after=st.none() | st.floats(),
)
OUTCOMES: st.SearchStrategy[Outcome[Any]] = st.builds(
    Success,
    index=st.integers(0),
    image=st.builds(Image, SOURCES),
    record=RECORDS,
    attempts=st.integers(0, 7),
    maybe_billed=st.booleans(),
) | st.builds(Failure, index=st.integers(0), image=st.builds(Image, SOURCES), error=ERRORS)


@frozen
class Invoice:
    """What a user has filled in."""

    number: str
    total: Decimal


@given(value=OUTCOMES | RECORDS)
def test_what_is_written_reads_back(value: Any) -> None:
    """JSON reads back as the document, in one line that UTF-8 can hold."""
    written = to_json(value)
    assert json.loads(written) == to_dict(value)
    assert len(written.encode().splitlines()) == len(written.splitlines()) == 1


@given(record=RECORDS)
def test_a_record_has_the_names_of_the_service(record: Record) -> None:
    """A record becomes a document from which it can be decoded again."""
    assert decode(200, reply(to_dict(record)), [record.id or ""]) == [record]


def test_a_success_says_what_came_of_its_image() -> None:
    """A success has its place, its image by name, and its record."""
    record = Record(
        id="a", ocr=OCR((Text("tea", ((0.0, 1.0),), 0.5),), "tea", "en"), extra={"x": 1}
    )
    outcome = Success(index=3, image=Image(b"1234"), record=record, attempts=2, maybe_billed=True)
    text = {"text": "tea", "polygon": [[0.0, 1.0]], "prob": 0.5}
    ocr = {"texts": [text], "full_text": "tea", "lang": "en", "lang_name": None}
    assert to_dict(outcome) == {
        "index": 3,
        "image": "<4 bytes>",
        "ok": True,
        "attempts": 2,
        "maybe_billed": True,
        "record": {
            "_id": "a",
            "_url": None,
            "_width": None,
            "_height": None,
            "_status": {"code": 200, "text": "", "request_id": None},
            "_ocr": ocr,
            "_gpt": None,
            "x": 1,
        },
    }


def test_a_typed_success_has_its_value_too() -> None:
    """An instance of a class stands beside the record that it was made from."""
    invoice = Invoice("7", Decimal("1.10"))
    outcome = Success(index=0, image=Image(Path("a.png")), record=Record(), value=invoice)
    document = to_dict(outcome)
    assert document["value"] == to_dict(invoice) == {"number": "7", "total": "1.10"}
    assert document["record"] == to_dict(Record())
    assert (document["image"], document["ok"]) == ("a.png", True)


def test_a_failure_says_what_is_known_of_its_error() -> None:
    """An error has its class, its words, and numbers where there are any."""
    error = RateLimited("too many", status=429, request_id="q", retry_after=2.0)
    failure = Failure(index=0, image=Image("https://x.example/1"), error=error, maybe_billed=True)
    document = to_dict(failure)
    told = document.pop("error")
    assert "https://x.example/1" in document.pop("image")
    assert document == {"index": 0, "ok": False, "attempts": 0, "maybe_billed": True}
    assert told == to_dict(error) | told
    assert told == {
        "type": "RateLimited",
        "message": "too many",
        "status": 429,
        "request_id": "q",
        "retry_after": 2.0,
        "retryable": True,
    }
    bare = to_dict(RequestRejected("no"))
    assert bare == {"type": "RequestRejected", "message": "no", "retryable": False}


def test_an_answer_that_does_not_fit_is_not_lost() -> None:
    """What was billed stands in the error: the completion, its faults, and the record."""
    error = ExtractionError("no", faults=("$.a: expected text",), answer="?", record=Record(id="a"))
    document = to_dict(Failure(index=0, image=Image(b""), error=error))["error"]
    assert document["faults"] == ["$.a: expected text"]
    assert document["answer"] == "?"
    assert document["record"]["_id"] == "a"


def test_what_is_odd_in_a_record_stays_in_it() -> None:
    """Whatever a program puts into a record or gets into it, the document is plain."""
    deep: Any = []
    for _ in range(975):
        deep = [deep]
    odd: dict[Any, Any] = {"when": datetime(2026, 1, 31, tzinfo=UTC), 1: float("nan"), "_id": {1}}
    record = Record(
        id="\ud800",
        gpt=GPT(json_result=deep),
        ocr=OCR(extra=odd),
        extra={"_id": b"bytes", "path": Path("a")},
    )
    document = to_dict(record)
    assert json.loads(to_json(record)) == document
    json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    assert (document["_id"], document["_id (2)"], document["path"]) == ("\ufffd", "<5 bytes>", "a")
    assert document["_ocr"]["1"] is None


def test_no_secret_of_a_webhook_is_written() -> None:
    """Neither a webhook nor a job that repeats one shows what proves deliveries."""
    webhook = Webhook("https://u:pass@me.example/?key=1", {"X-Key": "s3cret"})
    info = JobInfo("r1", extra={"webhook": {"headers": "s3cret"}, "a": [{"secret": "s3cret"}, 1]})
    account = Account(1, extra={"Authorization": "s3cret", "name": "me"})
    for value in (webhook, {"one": webhook}, info, account):
        assert "s3cret" not in to_json(value)
        assert "pass" not in to_json(value)
    assert to_dict(info)["a"] == [{}, 1]
    assert to_dict(account) == {"credits_counter": 1, "credits_limit": None, "name": "me"}


def test_models_of_a_subclass_are_written_as_theirs() -> None:
    """A class of the user's that is a record is written as one."""

    class Scan(Record):
        """A record by another name."""

    assert to_dict(Scan(id="a")) == to_dict(Record(id="a"))


@pytest.mark.parametrize("value", [[], "text", None, 1, [Record()]])
def test_what_has_no_names_is_no_document(value: Any) -> None:
    """What is no object is an error that says what would do; as JSON it can be written."""
    with pytest.raises(OptionError, match="expected an outcome, a record or an instance"):
        to_dict(value)
    assert json.loads(to_json(value)) == ([to_dict(Record())] if value == [Record()] else value)

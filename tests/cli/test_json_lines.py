"""Outcomes are written as JSON, in the service's names."""

import json
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.command_line import CLI
from tests.loopback import Site, answer
from tests.protocol.replies import RECORDS, decode, reply
from ximilar_ocr_async.cli.json_lines import extraction_to_json, outcome_to_json
from ximilar_ocr_async.errors import ConnectionFailed, RequestRejected
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import GPT, Record
from ximilar_ocr_async.outcomes import Failure, Success


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
    assert decode(200, reply(row), [record.id or ""]) == [record]


def test_what_the_service_says_is_written_as_json(
    cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number without an end in an answer is no word that JSON does not have."""
    told = b'{"status": {"code": 200}, "id": "x", "score": 1e400, "rate": [-1e400]}'
    with Site(answer(told)).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        ran = cli("account", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert "Infinity" not in ran.out
    [line] = ran.lines
    assert (line["score"], line["rate"]) == (None, [None])


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
            "retryable": False,
        },
    }
    bare = Failure(index=0, image=Image(b""), error=ConnectionFailed("no route"))
    told = outcome_to_json(bare)["error"]
    assert told == {"type": "ConnectionFailed", "message": "no route", "retryable": True}


DEEP = "[" * 850 + "]" * 850


@pytest.mark.parametrize("format_", ["jsonl", "text"])
def test_an_odd_record_is_a_line_of_its_own(
    cli: CLI, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """A record that is nested too deep for Python's JSON is written, and so are its neighbours."""
    rows = [
        '{"_ocr": {"full_text": "one", "texts": [{"text": "one"}]}}',
        f'{{"odd": {DEEP}, "_ocr": {{"full_text": "two", "texts": [{{"text": "two"}}]}}}}',
        f'{{"_gpt": {{"result": "three", "json_result": {DEEP}}}}}',
        '{"odd": %s, "_gpt": {"result": "four", "odd": 1e999}}' % ("9" * 4000),
    ]
    told = '{{"status": {{"code": 200}}, "records": [{}]}}'.format(", ".join(rows))
    with Site(answer(told.encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        names = [f"https://x.example/{number}" for number in range(4)]
        ran = cli("read", *names, "--format", format_, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    for word in ("one", "two", "three", "four"):
        assert ran.out.count(word) >= 1
    if format_ == "jsonl":
        first, second, third, fourth = sorted(ran.out.splitlines())
        assert json.loads(first)["record"]["_ocr"]["full_text"] == "one"
        # How much of it is kept is up to decoding.
        assert f'"odd": {DEEP[:60]}' in second
        assert f'"json_result": {DEEP[:60]}' in third
        assert json.loads(fourth)["record"]["odd"] == int("9" * 4000)


def test_a_value_that_its_class_does_not_show_is_null() -> None:
    """A value that cannot be written costs its line no more than the value."""

    class Shy(Enum):
        """Has neither a value for JSON nor a name."""

        ONE = object()

        @property
        def name(self) -> str:
            """Raise."""
            raise SystemExit(0)

    record = Record(id="a", gpt=GPT(result='{"a": 1}'))
    outcome = Success(index=0, image=Image(b""), record=record, value=[Shy.ONE])
    line = extraction_to_json(outcome)
    assert line["ok"]
    assert line["value"] is None
    assert line["problem"] == "the value cannot be written: SystemExit"
    assert line["answer"] == '{"a": 1}'
    ring: list[Any] = []
    ring.append(ring)
    line = extraction_to_json(Success(index=0, image=Image(b""), record=Record(), value=ring))
    assert line["problem"] == "the value cannot be written: RecursionError"
    assert line["answer"] is None

"""Outcomes are written as JSON, in the service's names."""

import json
from pathlib import Path

from hypothesis import given

from tests.protocol.replies import RECORDS, decode, reply
from ximilar_ocr_async.cli.json_lines import outcome_to_json
from ximilar_ocr_async.errors import ConnectionFailed, RequestRejected
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record
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

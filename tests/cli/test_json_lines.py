"""Outcomes are written as JSON, in the service's names."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command_line import CLI
from tests.loopback import Site, answer
from tests.protocol.replies import RECORDS, decode, reply
from ximilar_ocr_async.cli.console import to_json
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


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.floats(), inner)
    ),
)


@given(value=VALUES)
def test_what_is_written_is_json(value: Any) -> None:
    """Numbers that JSON has no words for become null, and all others stay."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    written = to_json({"value": value})
    loaded = json.loads(written, parse_constant=refuse)
    assert "\n" not in written
    if isinstance(value, float):
        assert loaded == {"value": value if math.isfinite(value) else None}


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
        },
    }
    bare = Failure(index=0, image=Image(b""), error=ConnectionFailed("no route"))
    told = outcome_to_json(bare)["error"]
    assert told == {"type": "ConnectionFailed", "message": "no route"}

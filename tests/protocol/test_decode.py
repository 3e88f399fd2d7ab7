"""Whatever comes back becomes one result for each image."""

import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.replies import BATCHES, JSON, READ_REPLY, decode, decode_one, reply
from ximilar_ocr_async._protocol.decode_usual import Echo
from ximilar_ocr_async.cli.json_lines import outcome_to_json
from ximilar_ocr_async.errors import AddressError, OCRError, ReplyError, ServiceUnavailable
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import OCR, Record
from ximilar_ocr_async.outcomes import Success


def _row(record: Record) -> Any:
    """Write *record* as the service does."""
    return outcome_to_json(Success(index=0, image=Image(b""), record=record))["record"]


# ---- what comes back when all is well


@settings(max_examples=50)
@given(records=BATCHES, data=st.data())
def test_records_come_back_in_the_order_asked(records: list[Record], data: st.DataObject) -> None:
    """Whatever the order of the rows, each id gets its record back whole, unknown keys included."""
    rows = data.draw(st.permutations([_row(record) for record in records]))
    assert decode(200, reply(*rows), [record.id or "" for record in records]) == records


@given(
    texts=st.lists(st.text(), min_size=1, max_size=10),
    nameless=st.sampled_from([{}, {"_id": None}]),
)
def test_rows_without_ids_are_matched_by_place(texts: list[str], nameless: dict[str, Any]) -> None:
    """Where no row has an id, a full answer is taken in the order of the request."""
    rows = [nameless | {"_ocr": {"full_text": text}} for text in texts]
    ids = [f"sent-{place}" for place, _ in enumerate(texts)]
    assert decode(200, reply(*rows), ids) == [Record(ocr=OCR(full_text=text)) for text in texts]


@pytest.mark.parametrize(
    "row",
    [
        {"_id": "a", "_ocr": {"texts": []}},
        {"_id": "a", "new": 1},
        {"_id": "a", "_status": {"code": 500}},
    ],
    ids=["usual", "unusual", "failed"],
)
def test_rows_without_ids_are_refused_once_an_id_came_back(row: dict[str, Any]) -> None:
    """They may be of another request, and are given to no image by their place."""
    echo = Echo()
    decode(200, reply({"_id": "nobody"}), ["a"], echo=echo)
    assert not echo.is_heard
    decode(200, reply(row), ["a"], echo=echo)
    assert echo.is_heard
    results = decode(200, reply({}, {}, status={"request_id": "q"}), ["b", "c"], echo=echo)
    assert [str(result) for result in results] == [
        "the response has 2 records without ids, unlike earlier ones"
    ] * 2
    assert all(isinstance(r, ReplyError) and r.request_id == "q" for r in results)


# ---- answers whose text is not plain UTF-8


@pytest.mark.parametrize(
    "encoding",
    ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_json_is_read_in_every_encoding_of_unicode(encoding: str) -> None:
    """A byte order mark, UTF-16 and UTF-32 are recognized."""
    text = READ_REPLY.decode().replace("BASIC", "茶 é 🍵")
    plain, encoded = (
        decode(200, text.encode(name), ["4d903663-a348-4d9b-be76-4df38df7d66a"])
        for name in ("utf-8", encoding)
    )
    assert isinstance(plain[0], Record)
    assert encoded == plain


WORDS_OF_A_TEXT = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]))


@given(
    before=WORDS_OF_A_TEXT,
    after=WORDS_OF_A_TEXT,
    other=WORDS_OF_A_TEXT,
    damage=st.sampled_from([b"\xff", b"\x80", b"\xc3", b"\xe8\x8c", b"\xf0\x9f\x8d"]),
)
def test_a_damaged_character_costs_itself(
    before: str, after: str, other: str, damage: bytes
) -> None:
    """Bytes that are no UTF-8 become U+FFFD; what stands beside them is what it was."""
    texts = {"a": f"{before}*{after}", "b": other}
    rows = [{"_id": name, "_ocr": {"full_text": text}} for name, text in texts.items()]
    body = json.dumps({"records": rows}, ensure_ascii=False).encode().replace(b"*", damage)
    assert decode(200, body, ["a", "b"]) == [
        Record(id="a", ocr=OCR(full_text=f"{before}\ufffd{after}")),
        Record(id="b", ocr=OCR(full_text=other)),
    ]


def test_half_of_a_pair_is_kept() -> None:
    """An escape for half of a pair of surrogates is JSON, and stays what it is."""
    assert decode_one({"_id": "r", "_ocr": {"full_text": "\ud800"}}) == Record(
        id="r", ocr=OCR(full_text="\ud800")
    )


# ---- answers that make no sense


@pytest.mark.parametrize(
    "body, shown",
    [
        (b"<html>\n  <h1>Bad   Gateway</h1>", "<html> <h1>Bad Gateway</h1>"),
        (b"", "nothing"),
        (b" \n", "nothing"),
        (b'{"records": [', '{"records": ['),
        (b'{"records": [{"_id": "a"', '{"records": [{"_id": "a"'),
        (b'{"records": []\xff}', '{"records": []�}'),
        (b'{"records": ["\xff', '{"records": ["�'),
        ("[7]".encode("utf-16-le")[:-1], "[ 7 ]"),
        (b"[" * 10_000, "[" * 120),
        (b"9" * 100_000 + b"x", "9999"),
    ],
)
def test_an_answer_that_is_no_json_is_shown_in_part(body: bytes, shown: str) -> None:
    """An answer that is no JSON fails every record, and its beginning stands in the message."""
    for error in decode(200, body, ["a", "b"]):
        assert isinstance(error, ReplyError)
        assert str(error).startswith(
            f"the response has no records: the response is not JSON: {shown}"
        )
        assert len(str(error)) < 200
    [unavailable] = decode(502, body, ["a"])
    assert isinstance(unavailable, ServiceUnavailable)
    assert str(unavailable).startswith(f"502: the response is not JSON: {shown}")


def test_a_web_page_is_told_from_the_service() -> None:
    """HTML with the status of one that is no service is an error of the address."""
    [error] = decode(404, b"\n<html>", ["a"])
    assert isinstance(error, AddressError)
    assert str(error) == "404: the response is a web page: <html>"


@pytest.mark.parametrize(
    "document, message",
    [
        ({}, "no reason given"),
        ({"status": {"code": 200, "text": "OK"}}, "OK"),
        ({"records": {"_id": "r"}, "status": 200}, "no reason given"),
        ({"status": {"code": "x"}}, "no reason given"),
    ],
)
def test_a_good_status_without_records_is_no_success(document: Any, message: str) -> None:
    """An answer that claims success and has no records is an error of the reply."""
    [error] = decode(200, json.dumps(document).encode(), ["r"])
    assert isinstance(error, ReplyError)
    assert str(error) == f"the response has no records: {message}"


def test_a_status_that_makes_no_sense_costs_no_record() -> None:
    """Records are kept when the answer's own status cannot be understood."""
    body = b'{"records": [{"_id": "r", "_width": 7}], "status": {"code": "fine"}}'
    assert decode(200, body, ["r"]) == [Record(id="r", width=7)]


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
        results = decode(200, reply(*rows, status={"request_id": "q"}), ["a", "b"])
    assert [result.id for result in results if isinstance(result, Record)] == list(read)
    assert all(result.extra == {} for result in results if isinstance(result, Record))
    for error in results:
        if isinstance(error, OCRError):
            assert isinstance(error, ReplyError)
            assert f"has {len(rows)} records for 2, and not this one" in str(error)
            assert error.request_id == "q"
    assert bool(caplog.records) is warned


def test_a_reply_that_is_cut_off_says_nothing_of_records_too_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is logged as ignored was there."""
    with caplog.at_level(logging.WARNING):
        decode(200, b'{"records":[{"_id":"a"},{"_id":"b"},', ["a", "b", "c"])
    assert caplog.messages == []
    with caplog.at_level(logging.WARNING):
        decode(200, b'{"records":[{"_id":"a"},{"_id":"z"},', ["a", "b"])
    assert caplog.messages == ["ignored 1 records that were not asked for"]


def _assert_one_result_each(http_status: int, body: bytes, ids: Sequence[str]) -> None:
    results = decode(http_status, body, ids)
    assert len(results) == len(ids)
    if http_status not in range(200, 300):
        assert all(isinstance(r, OCRError) or r.id in ids for r in results)


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

"""What is odd about one record costs no other, whatever it is; and it can be handled like any."""

import copy
import gc
import json
import pickle
import tracemalloc

import pytest
from _lib.hostile import KINDS, OCR, STATUS, record

from tests.protocol.replies import decode
from ximilar_ocr_async._protocol.decode import decode_account, decode_document
from ximilar_ocr_async._protocol.jobs import decode_info, decode_outcomes
from ximilar_ocr_async.cli.json_lines import outcome_to_json, to_json
from ximilar_ocr_async.errors import OCRError, ReplyError
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Success

IDS = [f"{place}.0123abcd." for place in range(10)]
ODD = 3
USUAL = [record(name.encode()) for name in IDS]
GOOD = decode(200, b'{"records":[%b]}' % b",".join(USUAL), IDS)

LOST = (
    "texts: polygons",
    "texts: bad",
    "texts: numbers",
    "texts: arrays",
    "texts: an object",
    "texts: one deep",
    "full_text: an",
    "lang: an",
    "ocr: an array",
    "ocr: a string",
    "gpt: a string",
    "id:",
    "status: a number",
    "status: failed",
    "width: an array",
    "record: null",
    "record: an",
    "record: a string",
    "record: a number",
    "record: a bad",
    "record: no colon",
)
"""What begins the kinds of records that make no sense, at least where they are small."""


def rows(kind: str, size: int) -> bytes:
    """Return ten records, one of which is odd."""
    found = [*USUAL]
    found[ODD] = KINDS[kind](IDS[ODD].encode(), size)
    return b",".join(found)


def handle(result: Record | OCRError) -> None:
    """Do with a result what programs do."""
    image = Image("https://images.example/1.jpg")
    outcome = (
        Success(index=0, image=image, record=result)
        if isinstance(result, Record)
        else Failure(index=0, image=image, error=result, attempts=1, maybe_billed=True)
    )
    json.loads(to_json(outcome_to_json(outcome)))
    assert repr(copy.deepcopy(result)) == repr(pickle.loads(pickle.dumps(result)))  # noqa: S301
    assert len(repr(result)) > 0


def test_there_are_many_kinds() -> None:
    """The table does not shrink unseen."""
    assert len(KINDS) >= 60


@pytest.mark.parametrize("size", [300, 9_000, 140_000])
@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_record_costs_no_neighbour(kind: str, size: int) -> None:
    """Nine records are as they are without it; it is read, or is an error of its own."""
    results = decode(200, b'{"records":[%b]}' % rows(kind, size), IDS)
    odd = results.pop(ODD)
    assert results == GOOD[:ODD] + GOOD[ODD + 1 :]
    handle(odd)
    if isinstance(odd, OCRError):
        assert len(str(odd)) < 3000
    elif size == 300:
        assert not kind.startswith(LOST)


@pytest.mark.parametrize("size", [300, 60_000])
@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_record_of_a_job_costs_no_neighbour(kind: str, size: int) -> None:
    """Nor does it in the results of a job; and what is told of the job can be handled, too."""
    body = b'{"id":"r1","status":"DONE","response":{"records":[%b]}}' % rows(kind, size)
    if kind == "record: no colon":
        body = body.replace(b'"odd" [', b'"odd":[')
    outcomes = decode_outcomes(decode_document(200, body), "r1", range(10))
    assert isinstance(outcomes, list)
    found = {o.index: o.record.ocr for o in outcomes if o.ok and o.index != ODD}
    assert found == {i: r.ocr for i, r in enumerate(GOOD) if isinstance(r, Record) and i != ODD}
    info = decode_info(decode_document(200, body), "r1")
    json.loads(to_json(to_dict(info)))
    assert repr(info) == repr(pickle.loads(pickle.dumps(info)))  # noqa: S301


@pytest.mark.parametrize(
    "kind",
    [
        "unknown key: empty arrays",
        "json_result: short strings",
        "json_result: emoji",
        "texts: small",
        "texts: with unknown arrays",
        "texts: empty",
        "texts: one polygon",
        "record: many keys",
        "status: an array",
    ],
)
def test_memory_is_bounded_by_the_size_of_a_reply(kind: str) -> None:
    """Decoding takes ten times the size of a reply at most, beside a few megabytes."""
    body = b'{"records":[%b]}' % rows(kind, 1_000_000)
    gc.collect()
    tracemalloc.start()
    try:
        decode(200, body, IDS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 11 * len(body) + 3_000_000


def test_ten_faults_are_told_and_no_more() -> None:
    """Each has its address."""
    bad = json.dumps({"texts": [{"prob": "x"}] * 100_000}).encode()
    [error] = decode(200, b'{"records":[%b]}' % record(b"a", _ocr=bad), ["a"])
    assert isinstance(error, ReplyError)
    told = str(error).split("; ")
    assert told == [
        f"expected a finite number, got str @ $.records[a].ocr.texts[{i}].prob" for i in range(10)
    ]


# ---- replies that are cut off, garbled or too large


@pytest.mark.parametrize("whole", [0, 1, 9, 10])
@pytest.mark.parametrize("end", [b"", b',{"_id":"x', b",[1,", b"@", b"]}}", b'],"status":', b"] x"])
def test_what_came_whole_of_a_cut_reply_is_kept(whole: int, end: bytes) -> None:
    """Records before the place where a reply ends too early, or is garbled, were paid for."""
    body = b'{"records":[%b%b' % (b",".join(USUAL[:whole]), end if whole else b"")
    results = decode(200, body, IDS)
    assert results[:whole] == GOOD[:whole]
    for error in results[whole:]:
        assert isinstance(error, ReplyError)
        assert ("and not this one" if whole else "not JSON") in str(error)


def test_records_of_a_cut_reply_without_ids_are_not_guessed_at() -> None:
    """As many as were asked for may have been more."""
    [error] = decode(200, b'{"records":[{"_width":1},', ["a"])
    assert isinstance(error, ReplyError)


def test_a_record_has_so_many_texts_and_no_more() -> None:
    """The message names the limit."""
    texts = b"[%b]" % b",".join([b'{"text":"tea time"}'] * 30_000)
    [error] = decode(200, b'{"records":[%b]}' % record(b"a", _ocr=b'{"texts":%b}' % texts), ["a"])
    assert str(error) == "more than 20,000 texts @ $.records[a].ocr.texts"


def test_a_hundred_records_are_looked_at() -> None:
    """What is behind them was not asked for, and costs nothing."""
    many = b",".join([*(record(b"other") for _ in range(99)), record(b"a"), record(b"b")])
    a, b = decode(200, b'{"records":[%b]}' % many, ["a", "b"])
    assert isinstance(a, Record)
    assert str(b) == "the response has at least 100 records for 2, and not this one"
    few = b",".join([b"0"] * 200)
    [error] = decode(200, b'{"records":[%b]}' % few, ["a"])
    assert "at least 100 records" in str(error)


@pytest.mark.parametrize("key", ["status", "statistics", "detail", "records"])
@pytest.mark.parametrize(
    "value", [b'"%b"' % (b"no credits " * 50_000), b"[%b0]" % (b"[]," * 99_999)]
)
@pytest.mark.parametrize("http_status", [200, 400, 503])
def test_what_a_large_failure_says_is_shown_in_part(
    key: str, value: bytes, http_status: int
) -> None:
    """A reason of any length makes a short message."""
    [error] = decode(http_status, b'{"%b":%b}' % (key.encode(), value), ["a"])
    assert isinstance(error, OCRError)
    assert len(str(error)) < 1200


def test_an_object_with_too_many_keys_is_no_reply() -> None:
    """The message names the limit."""
    body = b"{%b}" % b",".join(b'"k%d":0' % number for number in range(20_000))
    [error] = decode(200, body, ["a"])
    assert "an object with more than 10,000 keys" in str(error)


@pytest.mark.parametrize(
    "parts",
    [
        {"odd": b'"%b"' % (b"a" * 9_000_000)},
        {"_ocr": b'{"full_text":"%b"}' % (b"a" * 9_000_000)},
        {"_gpt": b'{"json_result":[%b0]}' % (b"[]," * 3_000_000)},
    ],
    ids=["unknown", "full_text", "json_result"],
)
def test_a_value_has_a_limit(parts: dict[str, bytes]) -> None:
    """A record with a value of more than 8 MiB fails alone, and the message names the limit."""
    body = b'{"records":[%b,%b]}' % (record(b"a"), record(b"b", **parts))
    a, b = decode(200, body, ["a", "b"])
    assert isinstance(a, Record)
    assert "bytes, the limit is 8,388,608 @ $.records[b]" in str(b)
    account = decode_document(200, b'{"more":"%b"}' % (b"a" * 9_000_000))
    with pytest.raises(ReplyError, match="the limit is 8,388,608"):
        decode_account(account)


@pytest.mark.parametrize("size", [1, 300_000])
def test_a_large_reply_in_any_encoding_is_read(size: int) -> None:
    """UTF-16 is read in pieces, and what is damaged costs its characters."""
    ocr = {**OCR, "full_text": "茶🍵" * size}
    plain = b'{"records":[%b]}' % record(b"a", _ocr=json.dumps(ocr, ensure_ascii=False).encode())
    [expected] = decode(200, plain, ["a"])
    assert isinstance(expected, Record)
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        assert decode(200, plain.decode().encode(encoding), ["a"]) == [expected]
    damaged = plain.decode().encode("utf-16-le").replace(b"\x76\x83", b"\x00\xdc", 1)
    [found] = decode(200, damaged, ["a"])
    assert isinstance(found, Record)
    assert found.text[1:] == expected.text[1:]


def test_status_of_a_record_may_have_any_keys() -> None:
    """They are kept, and the record is."""
    status = json.dumps({**STATUS, "proc_id": "p", "deep": [[]]}).encode()
    [found] = decode(200, b'{"records":[%b]}' % record(b"a", _status=status), ["a"])
    assert isinstance(found, Record)
    assert found.status.extra == {"proc_id": "p", "deep": [[]]}

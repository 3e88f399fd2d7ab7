"""The fast path of decoding leads where the long way does."""

import copy
import json
import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.replies import JSON, KEYS, NUMBERS, SIZES, WORDS, decode, reply
from ximilar_ocr_async._protocol.decode_usual import Echo, decode_usual
from ximilar_ocr_async._protocol.fast_decode import UsualAnswer, read_usual_record
from ximilar_ocr_async._protocol.fast_parts import TRIAL, read_usual_texts
from ximilar_ocr_async._protocol.json_values import Allowance
from ximilar_ocr_async.errors import OCRError, ReplyError, RequestRejected
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text, make_later

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


STRANGE = st.sampled_from(
    [None, True, 1, -0.0, 1e400, 10**30, 2.0, "", "x", "\ud800", [], {}, {"a": 1}, [1, 2], [[1.5]]]
)


def or_odd(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw what is usual, or rarely something else."""
    return st.integers(0, 40).flatmap(lambda number: STRANGE if number == 17 else usual)


def objects(**cells: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects with these keys, of which some may be missing, odd, or more."""
    whole = st.fixed_dictionaries({key: or_odd(cell) for key, cell in cells.items()})
    rest = st.fixed_dictionaries({}, optional={key: or_odd(cell) for key, cell in cells.items()})
    more = st.builds(lambda first, key, value: {**first, key: value}, rest, KEYS, STRANGE)
    return st.integers(0, 20).flatmap(lambda number: {7: rest, 13: more}.get(number, whole))


POINT = or_odd(st.tuples(or_odd(NUMBERS), or_odd(NUMBERS)).map(list))
ROWS_OF_TEXT = objects(
    text=st.text(),
    polygon=st.lists(POINT, min_size=4, max_size=4),
    prob=NUMBERS,
)
CODES = st.sampled_from([200] * 9 + [400, 503])
VERDICT = objects(code=CODES, text=st.text(max_size=9), request_id=st.text())


def row(record_id: str) -> st.SearchStrategy[Any]:
    """Draw what comes back of the record with this id, or mostly this."""
    read = objects(
        texts=st.lists(or_odd(ROWS_OF_TEXT), max_size=3),
        full_text=st.text(),
        lang=WORDS,
        lang_name=WORDS,
    )
    cells: dict[str, Any] = {"_id": st.just(record_id), "_ocr": read, "_status": VERDICT}
    cells |= {"_url": WORDS, "_width": SIZES, "_height": SIZES}
    asked = {"_gpt": objects(full_prompt=WORDS, result=WORDS, json_result=JSON), "prompt": WORDS}
    return objects(**cells) | objects(**cells, **asked)


ANSWER = objects(
    records=(st.tuples(row("a")) | st.tuples(row("a"), row("b"))).map(list),
    status=VERDICT,
)


def doubled(text: str, *keys: str) -> str:
    """Return JSON in which something odd stands at *keys* before what counts, the last one there.

    Only the long way bears that.
    """
    for key in keys:
        text = text.replace(f'"{key}":', f'"{key}": [[]], "{key}":')
    return text


@given(ANSWER, st.sampled_from([200, 500]), st.sampled_from([[], ["_base64"]]))
def test_the_fast_path_of_answers_leads_where_the_long_way_does(
    answer: Any, http: int, more: list[str]
) -> None:
    """Whatever an answer is like, nobody can tell by its records how it was decoded."""
    rows = answer.get("records")
    ids = ["a", "b"][: len(rows) if isinstance(rows, list) else 1]
    if isinstance(rows, list):
        rows = [
            {**row, **dict.fromkeys(more, "x")} if isinstance(row, dict) else row for row in rows
        ]
        answer = {**answer, "records": rows}
    text = json.dumps(answer)
    ways = [text, doubled(text, "_id"), doubled(text, "_ocr"), doubled(text, "text", "prob")]
    # What begins with a mark of its byte order is cut into records by other means.
    bodies = [way.encode() for way in ways] + [text.encode("utf-8-sig")]
    fast, *slow = (repr(decode(http, body, ids)) for body in bodies)
    assert slow == [fast] * 4


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


def test_long_completions_are_not_read_at_once() -> None:
    """They are left to a thread, and come out the same."""
    rows = [{"_id": "a", "_ocr": {"texts": []}, "_gpt": {"json_result": [0] * 9000}}]
    body = json.dumps({"records": rows}).encode()
    assert decode_usual(200, body, ["a"], echo=Echo()) is None
    [record] = decode(200, body, ["a"])
    assert isinstance(record, Record)
    assert record.gpt == GPT(json_result=[0] * 9000)
    assert decode_usual(200, body.replace(b"0, ", b""), ["a"], echo=Echo())


# ---- one record among others

READ: dict[str, Any] = {"texts": [USUAL], "full_text": "tea", "lang": "en", "lang_name": "english"}
VERDICT_OK = {"code": 200, "text": "OK", "request_id": "r1"}
ASKED = {"full_prompt": "p", "result": "{}", "json_result": {"name": "Mew"}}
ODDITIES: dict[str, Any] = {
    "failed": {"_status": {**VERDICT_OK, "code": 400, "text": "cannot be read"}},
    "failed in full": {"_status": {"code": 503, "text": "x" * 5_000, "why": [1]}},
    "no record": None,
    "unknown key": {"page": [1, {"a": None}]},
    "image sent back": {"_base64": "abcd"},
    "unknown key of text": {"_ocr": {**READ, "score": 0.5}},
    "unknown key of a text": {"_ocr": {**READ, "texts": [{**USUAL, "line": 1}]}},
    "unknown key of the status": {"_status": {**VERDICT_OK, "proc_id": "p"}},
    "unknown key of the completion": {"_gpt": {**ASKED, "model": "m"}},
    "asked": {"prompt": "name?", "_gpt": ASKED},
    "odd prompt": {"prompt": ["name?"], "_gpt": ASKED},
    "null completion": {"_gpt": None, "page": 1},
    "null text": {"_ocr": None, "page": 1},
    "no verdict": {"_status": None},
    "verdict in short": {"_status": {"code": 201}},
    "verdict in words": {"_status": "fine"},
    "verdict of no sense": {"_status": {"code": "x"}},
    "a number for a string": {"_ocr": {**READ, "full_text": 7}},
    "null for a number": {"_ocr": {**READ, "texts": [{**USUAL, "prob": None}]}},
    "no sense": {"_ocr": {**READ, "texts": [{**USUAL, "prob": "x"}]}},
    "no texts": {"_ocr": {"texts": None}},
}
IDS = ["a", "b", "c"]


def rows_with(change: Any) -> bytes:
    """Write an answer whose second record is odd."""
    usual = [{"_id": i, "_status": VERDICT_OK, "_ocr": READ} for i in IDS]
    odd = change if change is None else {**usual[1], **change}
    answer = {"records": [usual[0], odd, usual[2]], "status": {**VERDICT_OK, "proc_id": "p"}}
    return json.dumps(answer).encode()


@pytest.mark.parametrize("change", ODDITIES.values(), ids=ODDITIES)
def test_an_unusual_record_sends_no_other_the_long_way(change: Any) -> None:
    """Its answer is decoded in one step all the same, and comes out as it would in many."""
    body = rows_with(change)
    fast = decode_usual(200, body, IDS, echo=Echo())
    if change is None:  # whose record is it?
        assert fast is None
        return
    assert fast
    assert repr(fast) == repr(decode(200, b"\xef\xbb\xbf" + body, IDS))
    [first, _, last] = fast
    assert isinstance(first, Record)
    assert isinstance(last, Record)
    assert first.ocr == OCR((Text("tea", ((1.0, 2.0),) * 4, 0.5),), "tea", "en", "english")
    assert first.status is last.status


def test_an_extreme_number_sends_no_other_record_the_long_way() -> None:
    """Only the record that has it is given to the slower parser."""
    body = rows_with({}).replace(b"0.5", b"1e-300", 1)
    answer = UsualAnswer.of(body, 3)
    assert answer
    assert [row is None for row in answer.records] == [True, False, False]
    first, second, _ = decode(200, body, IDS)
    assert isinstance(first, Record)
    assert first.ocr.texts[0].prob == 1e-300
    assert isinstance(second, Record)
    assert second.ocr.texts[0].prob == 0.5


def test_a_failed_record_tells_the_first_of_its_reason() -> None:
    """However long that is, and whichever way it was decoded."""
    fast = decode_usual(200, rows_with(ODDITIES["failed"]), IDS, echo=Echo())
    assert fast
    assert isinstance(fast[1], RequestRejected)
    assert isinstance(fast[1], OCRError)
    assert str(fast[1]) == "400: cannot be read"


@pytest.mark.parametrize(
    "change",
    [
        {"page": ["x"] * 9_000},
        {"_status": {"code": 200, "why": "x" * 20_000}},
        {"_status": ["x" * 20_000]},
        {"_ocr": {**READ, "texts": [{**USUAL, "line": 1}] * 400}},
        {"_ocr": {**READ, "full_text": None, "more": "x" * 20_000}},
        {"_ocr": {**READ, "texts": [{**USUAL, "prob": None}] * 50}},
        {f"k{number}": 0 for number in range(3_000)},
        {"_ocr": {**READ, **{f"k{number}": 0 for number in range(3_000)}}},
        {"_gpt": {**ASKED, **{f"k{number}": 0 for number in range(3_000)}}},
        {"_status": {**VERDICT_OK, **{f"k{number}": 0 for number in range(3_000)}}},
        {"_gpt": {**ASKED, "json_result": ["x"] * 9_000}},
    ],
)
def test_much_that_is_unusual_is_not_read_at_once(change: Any) -> None:
    """It is left to a thread, and comes out whole."""
    body = rows_with(change)
    assert decode_usual(200, body, IDS, echo=Echo()) is None
    assert all(isinstance(record, Record) for record in decode(200, body, IDS))


@pytest.mark.parametrize(
    "body",
    [
        b'{"records": [{"_id": "a"}], "status": {"code": "x"}}',
        b'{"records": [{"_id": "a"}], "status": {"code": 400}}',
        b'{"records": [{"_id": "b"}]}',
        b'{"records": [{"_id": "a"}, {"_id": "b"}]}',
        b'{"records": [{"_id": "a"}, 1]}',
        b'{"records": {}}',
        b'{"records": [%b]}' % b",".join([b'{"_id":["a"]}'] * 25_000),
    ],
)
def test_what_is_no_answer_to_just_these_is_looked_at_in_many_steps(body: bytes) -> None:
    """Nothing is taken from it, and nothing is learned."""
    echo = Echo()
    assert decode_usual(200, body, ["a"], echo=echo, most=2**20) is None
    assert decode_usual(500, body, ["a"], echo=echo) is None
    assert not echo.is_heard


# ---- texts that are made late


def is_late(record: Record | OCRError) -> bool:
    """Whether the texts of a record are still to be made; to ask does not make them."""
    assert isinstance(record, Record)
    try:
        OCR.__dict__["texts"].__get__(record.ocr)
    except AttributeError:
        return True
    return False


def late_record() -> Record:
    """Decode a record as in a program that has not looked at texts for long."""
    body = reply({"_id": "a", "_status": VERDICT_OK, "_ocr": READ})
    for _ in range(TRIAL + 1):
        [record] = decode(200, body, ["a"])
        assert isinstance(record, Record)
        if is_late(record):
            return record
    raise AssertionError


MADE = OCR((Text("tea", ((1.0, 2.0),) * 4, 0.5),), "tea", "en", "english")


def by_pattern(ocr: OCR) -> tuple[Text, ...]:
    """Take texts apart."""
    match ocr:
        case OCR(texts=(Text(text="tea") as first,)):
            return (first,)
        case _:
            return ()


@pytest.mark.parametrize(
    "use",
    [
        lambda ocr: ocr,
        repr,
        hash,
        attrs.asdict,
        attrs.astuple,
        by_pattern,
        lambda ocr: attrs.evolve(ocr, full_text=""),
        lambda ocr: attrs.evolve(Record(ocr=ocr), id="b"),
        lambda ocr: pickle.loads(pickle.dumps(ocr)),  # noqa: S301
        copy.copy,
        copy.deepcopy,
        lambda ocr: isinstance(ocr.texts, tuple),
        lambda ocr: {ocr: 1},
        lambda ocr: ocr == MADE,
        lambda ocr: hasattr(ocr, "nothing"),
        lambda ocr: to_dict(Record(ocr=ocr)),
    ],
)
def test_texts_that_are_made_late_are_like_any(use: Any) -> None:
    """Whatever a program does with them first, it gets what it would have got."""
    assert use(late_record().ocr) == use(MADE)


def test_texts_are_made_when_they_are_asked_for() -> None:
    """To ask for the whole text, or for what a record has not, makes none."""
    record = late_record()
    assert record.text == "tea"
    assert evolve(record, id="b").ocr is record.ocr
    assert not hasattr(record.ocr, "nothing")
    assert is_late(record)
    assert record.ocr.texts is record.ocr.texts
    assert not is_late(record)


def test_what_an_ocr_does_not_have_is_an_error_as_anywhere() -> None:
    """That some attributes come late makes no others; nor does one that was never made have any."""
    with pytest.raises(AttributeError, match="'OCR' object has no attribute 'nothing'"):
        MADE.nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="'OCR' object has no attribute"):
        OCR.__new__(OCR).texts  # noqa: B018


def test_texts_that_another_thread_made_first_stay() -> None:
    """What was made in vain meanwhile is given to nobody."""
    threads: list[threading.Thread] = []

    def make() -> tuple[Text, ...]:
        if not threads:
            threads.append(threading.Thread(target=lambda: ocr.texts))
            threads[0].start()
            threads[0].join()
            return (Text("second"),)
        return (Text("first"),)

    ocr = make_later(OCR(full_text="first"), make)
    assert ocr.texts == ocr.texts == (Text("first"),)


def test_texts_that_were_made_in_between_are_found() -> None:
    """A thread may look for texts just before another has made them, and find nothing to make."""
    ocr = OCR((Text("made"),))
    object.__setattr__(ocr, "_make_texts", None)
    assert ocr.__getattr__("texts") == (Text("made"),)  # type: ignore[attr-defined]


def test_all_threads_get_the_same_texts() -> None:
    """Even when several ask at the same moment."""
    for _ in range(20):
        ocr, barrier = late_record().ocr, threading.Barrier(4)

        def ask(ocr: OCR = ocr, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return id(ocr.texts)

        with ThreadPoolExecutor(4) as pool:
            assert len({task.result() for task in [pool.submit(ask) for _ in range(4)]}) == 1


def test_texts_are_made_at_once_for_a_while_after_they_were_asked_for() -> None:
    """Who looks at texts has them decoded once; who does not look any more, late again."""
    body = reply({"_id": "a", "_status": VERDICT_OK, "_ocr": READ})
    assert late_record().ocr.texts
    rows = [decode(200, body, ["a"])[0] for _ in range(TRIAL + 10)]
    assert [is_late(row) for row in rows] == [False] * (TRIAL - 1) + [True] * 11


def test_a_record_keeps_nothing_of_the_others_in_its_answer() -> None:
    """The memory of an answer is given back, though one of its records is kept."""
    late_record()
    bodies = (
        json.dumps(
            {"records": [{"_id": i, "_ocr": {**READ, "texts": [USUAL] * 400}} for i in ("a", "b")]}
        ).encode()
        for _ in range(20)
    )
    tracemalloc.start()
    try:
        kept = [decode(200, body, ["a", "b"])[0] for body in bodies]
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(is_late(record) for record in kept)
    assert now < 20 * len(json.dumps([USUAL] * 400)) * 1.2


def test_what_stands_beside_the_records_of_an_answer_is_passed_over() -> None:
    """Keys that no record has anything to do with are not looked at, whatever is in them."""
    for more in (b"null", b'{"credits": 1}', b"1" * 5_000, b'"\xff"'):
        answer = b'{"records": [{"_id": "a", "_ocr": {"texts": []}}], "statistics": %s}' % more
        assert decode(200, answer, ["a"]) == [Record(id="a", status=Status(200))]


@pytest.mark.parametrize("number", ["1e300", "5E-324", "1" * 309])
@pytest.mark.parametrize("key", ["prob", "polygon"])
def test_extreme_numbers_take_the_long_way(number: str, key: str) -> None:
    """No typed decoder is given them, and texts have them all the same."""
    changed = {**USUAL, key: -1} if key == "prob" else {**USUAL, key: [[-1, 0.5]] * 4}
    text = json.dumps(changed).replace("-1", number).encode()
    record = b'{"_id":"a","_ocr":{"texts":[%b]}}' % text
    body = b'{"records":[%b]}' % record
    answer = UsualAnswer.of(body, 1)
    assert answer
    assert answer.records == [None]
    assert read_usual_record(record) is None
    assert read_usual_texts(b"[%b]" % text, Allowance()) is None
    [found] = decode(200, body, ["a"])
    if number != "1" * 309:
        assert isinstance(found, Record)
        assert float(number) in (found.ocr.texts[0].prob, found.ocr.texts[0].polygon[0][0])

"""The contract: any request gets a reply or tasks, in the shapes of the service."""

import base64
import json
import re
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._constants import LANGUAGES, MAX_RECORDS
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.contract import (
    DETAILS,
    READ,
    READ_GPT,
    Reply,
    Request,
    Task,
    accept,
    compose,
)
from ximilar_ocr_async.testing.service.engine import Reading, Unreadable

SAMPLE_REPLY: dict[str, Any] = {
    "records": [
        {
            "_url": "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg",
            "_status": {
                "code": 200,
                "text": "OK",
                "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6",
            },
            "_id": "4d903663-a348-4d9b-be76-4df38df7d66a",
            "_width": 1140,
            "_height": 1520,
            "_ocr": {
                "texts": [
                    {
                        "polygon": [
                            [285.0, 221.0],
                            [384.0, 229.0],
                            [382.0, 256.0],
                            [283.0, 248.0],
                        ],
                        "text": "BASIC",
                        "prob": 0.9564334750175476,
                    }
                ],
                "full_text": "BASIC MewV 180 ASTRIKE EnergyMix...",
                "lang": "en",
                "lang_name": "english",
            },
        }
    ],
    "status": {
        "code": 200,
        "text": "OK",
        "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6",
        "proc_id": "1a088e14-714a-41bd-9a89-4d732becafcd",
    },
    "statistics": {"processing time": 5.054640769958496},
}
"""The reply to a request of one URL. Source: https://docs.ximilar.com/text/ocr, read in 2026-08."""

SAMPLE_GPT: dict[str, Any] = {
    "full_prompt": "Instruction: based on the following result from ocr system what is the name and"
    " type of the card as json result ({'name':'', 'type': ''}) \nInput: BASIC MewV \nResult:",
    "result": "{'name': 'Mew V', 'type': 'Basic'}",
    "json_result": {"name": "Mew V", "type": "Basic"},
}
"""What a prompt adds to a record, its text shortened. Source: as above."""

WORD = Text("BASIC", ((285.0, 221.0), (384.0, 229.0), (382.0, 256.0), (283.0, 248.0)), 0.95)
READING = Reading(1140, 1520, (WORD, Text("MewV")))

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["_url", "_base64", "lang", "prompt", "_id", "mine"])
RECORDS = st.dictionaries(KEYS, JSON_VALUES | st.sampled_from([*LANGUAGES, "aGVsbG8="]))
DOCUMENTS = JSON_VALUES | st.fixed_dictionaries(
    {"records": JSON_VALUES | st.lists(RECORDS | JSON_VALUES, max_size=12)},
    optional={"lang": JSON_VALUES | st.sampled_from(list(LANGUAGES))},
)


def post(document: Any, path: str = READ) -> Request:
    """Make a request with *document* as its body."""
    return Request("POST", path, "Token abc", json.dumps(document).encode())


def reply(request: Request) -> Reply:
    """Return what is answered to *request* at once."""
    accepted = accept(request)
    assert isinstance(accepted, Reply)
    return accepted


def tasks(*records: Any, path: str = READ, **fields: Any) -> list[Task]:
    """Return the tasks that a request of *records* makes."""
    accepted = accept(post({"records": records, **fields}, path))
    assert isinstance(accepted, list)
    return accepted


def fault(record: Any, path: str = READ, **fields: Any) -> Unreadable:
    """Return what is wrong with *record*."""
    [task] = tasks(record, path=path, **fields)
    assert task.fault is not None
    return task.fault


def refusal(document: Any) -> str:
    """Return the words with which *document* is refused as a whole, with 400."""
    refused = reply(post(document))
    status = refused.document["status"]
    assert (refused.status, status["code"]) == (400, 400)
    return str(status["text"])


def shape(value: Any) -> Any:
    """Return *value* with each leaf replaced by its type."""
    match value:
        case dict():
            return {key: shape(inner) for key, inner in value.items()}
        case list():
            return [shape(inner) for inner in value]
        case _:
            return type(value)


# --- Requests


@given(
    method=st.sampled_from(["GET", "POST", "PUT"]) | st.text(),
    path=st.sampled_from([READ, READ_GPT, DETAILS]) | st.text(),
    header=st.none() | st.sampled_from(["Token abc", "Token", "Bearer abc"]) | st.text(),
    body=st.binary() | DOCUMENTS.map(json.dumps).map(str.encode),
)
def test_whatever_is_asked_is_answered(
    method: str, path: str, header: str | None, body: bytes
) -> None:
    """Any request gets a reply that is JSON, or one to ten tasks."""
    accepted = accept(Request(method, path, header, body))
    if isinstance(accepted, Reply):
        assert 200 <= accepted.status < 500
        assert json.loads(json.dumps(accepted.document)) == accepted.document
    else:
        assert 1 <= len(accepted) <= MAX_RECORDS


@given(body=st.binary() | DOCUMENTS.map(json.dumps).map(str.encode))
@example(body=b'{"lang": [], "records": [{}]}')
@example(body=b'{"records": [{"lang": {}}]}')
@example(body=b'{"records": [{"_url": "\\ud800", "mine": 1e308}]}')
def test_whatever_is_sent_to_be_read_is_answered_for_each_record(body: bytes) -> None:
    """An authorised body of any bytes gets a 400, or tasks that a whole reply is made of."""
    accepted = accept(Request("POST", READ, "Token abc", body))
    if isinstance(accepted, Reply):
        assert accepted.status == 400
        return
    readings = [task.fault or READING for task in accepted]
    answered = compose(accepted, readings, request_id="r", seconds=0.1).document
    assert len(answered["records"]) == len(accepted)
    assert json.loads(json.dumps(answered, allow_nan=False)) == answered
    for task in accepted:
        assert [task.image, task.url, task.fault].count(None) == 2


@pytest.mark.parametrize(
    "path", ["/", "", "/ocr/v2/read/", "/ocr/v2/detect", "/account/v2/details"]
)
def test_a_wrong_path_is_not_found(path: str) -> None:
    """A path that the service does not have gets 404, whoever asks."""
    assert reply(Request("POST", path)) == Reply(404, {"detail": "Not found."})


@pytest.mark.parametrize("method, path", [("GET", READ), ("PUT", READ_GPT), ("POST", DETAILS)])
def test_a_wrong_method_is_not_allowed(method: str, path: str) -> None:
    """A method that the path does not take gets 405 and is named."""
    assert reply(Request(method, path)) == Reply(405, {"detail": f'Method "{method}" not allowed.'})


@pytest.mark.parametrize(
    "header", [None, "", "Token", "Token ", "abc", "token abc", "Bearer abc", "Token wrong"]
)
@pytest.mark.parametrize("path", [READ, DETAILS])
def test_a_wrong_token_is_not_authorised(path: str, header: str | None) -> None:
    """Without the right token, in the right words, the answer is 401."""
    method = "GET" if path == DETAILS else "POST"
    answered = accept(Request(method, path, header), token="abc")
    assert answered == Reply(401, {"detail": "Invalid token."})


@pytest.mark.parametrize("token", [None, "abc"])
def test_the_account_tells_what_was_billed(token: str | None) -> None:
    """The account's details count the credits that were spent; any token may be good."""
    answered = accept(Request("GET", DETAILS, "Token abc"), token=token, spent=15)
    assert isinstance(answered, Reply)
    assert answered.status == 200
    assert answered.document["credits_counter"] == 15


def test_neither_token_nor_image_is_shown() -> None:
    """What requests and tasks print holds no token, no body and no image."""
    shown = repr(Request("POST", READ, "Token secret", b"secret"))
    assert "secret" not in shown + repr(Task("read", {}, "en", image=b"secret"))


# --- Bodies


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"\xff\xfe", b'{"records": [', b'{"records": [{"a": NaN}]}', b"[" * 100_000]
    + [b'{"records": [{"a": %s}]}' % number for number in (b"1e999", b"-Infinity", b"9" * 5000)],
)
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    """Bytes that are not JSON, or hold numbers that JSON has not, get 400."""
    refused = reply(Request("POST", READ, "Token abc", body))
    assert refused == Reply(400, {"status": {"code": 400, "text": "the body is not JSON"}})


@pytest.mark.parametrize("records", [None, {}, "a", 3, ["a"], [None], [{}, 1], [[]]])
def test_records_have_to_be_a_list_of_objects(records: Any) -> None:
    """Records that are no list of objects get 400."""
    assert refusal({"records": records}) == "records must be a list of objects"


@pytest.mark.parametrize("document", [None, [], "records", 1, {}, {"Records": [{}]}])
def test_records_have_to_be_there(document: Any) -> None:
    """A document without records gets 400."""
    assert refusal(document) == "records must be a list of objects"


@pytest.mark.parametrize("count", [0, 11, 50])
def test_records_have_to_be_one_to_ten(count: int) -> None:
    """No records and more than ten get 400, which says how many there were."""
    assert refusal({"records": [{}] * count}) == f"{count} records, allowed are 1 to 10"


@pytest.mark.parametrize("lang", ["de", "EN", "", None, 1, [], {}])
def test_an_unknown_language_is_refused(lang: Any) -> None:
    """A language that the service does not know gets 400, which names those that it does."""
    wanted = f"lang is {lang!r}, allowed are en, zh, ko, ja, ru"
    assert refusal({"records": [{"_url": "u"}], "lang": lang}) == wanted


@pytest.mark.parametrize("lang", ["de", None, 1, [], {}])
def test_an_unknown_language_of_a_record_is_its_own_fault(lang: Any) -> None:
    """A record with an unknown language fails, and the others do not."""
    odd, good = tasks({"_url": "u", "lang": lang}, {"_url": "u"})
    assert odd.fault is not None
    assert odd.fault.args == (400, f"lang is {lang!r}, allowed are en, zh, ko, ja, ru")
    assert good.fault is None


def test_languages_are_the_records_own_else_the_requests_else_english() -> None:
    """A record's language goes before the request's, which goes before English."""
    assert [task.lang for task in tasks({"_url": "u", "lang": "ja"}, {"_url": "u"}, lang="ko")] == [
        "ja",
        "ko",
    ]
    assert tasks({"_url": "u"})[0].lang == "en"


# --- Records


@given(image=st.binary())
def test_images_come_as_base64_with_or_without_the_head_of_a_data_uri(image: bytes) -> None:
    """Both forms of base64 give the image's own bytes."""
    plain = base64.b64encode(image).decode()
    read = tasks({"_base64": plain}, {"_base64": f"data:image/jpeg;base64,{plain}"})
    assert [task.image for task in read] == [image, image]


@pytest.mark.parametrize(
    "encoded", ["a", "abc", "a b=", "YWJj\n", "é", "data:", "data:abc", "----"]
)
def test_broken_base64_is_a_fault(encoded: str) -> None:
    """What is not base64 fails; a data URI without a comma is empty."""
    if encoded.startswith("data:"):
        assert tasks({"_base64": encoded})[0].image == b""
    else:
        assert fault({"_base64": encoded}).args == (400, "_base64 is not base64")


def test_a_url_is_kept_for_later() -> None:
    """A URL becomes a task as it is, and nothing is fetched yet."""
    [task] = tasks({"_url": "https://example.com/a.png"})
    assert (task.url, task.image, task.fault) == ("https://example.com/a.png", None, None)


def test_a_record_has_one_source() -> None:
    """A record with both a URL and an image fails."""
    told = fault({"_url": "u", "_base64": ""})
    assert told.args == (400, "a record has either _url or _base64, not both")


@pytest.mark.parametrize("record", [{}, {"_url": None}, {"_url": 1}, {"_base64": []}, {"url": "u"}])
def test_a_record_has_some_source(record: dict[str, Any]) -> None:
    """A record without a URL or an image that is a string fails."""
    assert fault(record).args == (400, "a record needs _url or _base64, a string")


def test_a_prompt_is_for_the_language_model() -> None:
    """A record of read_gpt keeps its prompt, which costs more than reading."""
    [asked] = tasks({"_url": "u", "prompt": "what is it?"}, path=READ_GPT)
    [read] = tasks({"_url": "u"})
    assert (asked.prompt, asked.fault, read.prompt) == ("what is it?", None, None)
    assert (asked.credits, read.credits) == (15, 5)


@pytest.mark.parametrize("prompt", [1, True, ["a"], {"a": 1}])
def test_a_prompt_has_to_be_a_string(prompt: Any) -> None:
    """A record with a prompt of another type fails."""
    told = fault({"_url": "u", "prompt": prompt}, path=READ_GPT)
    assert told.args == (400, "prompt must be a string")


@pytest.mark.parametrize("prompt", [{}, {"prompt": ""}, {"prompt": None}])
def test_without_a_prompt_read_gpt_only_reads(prompt: dict[str, Any]) -> None:
    """A record without a prompt is read, whichever endpoint was asked."""
    [task] = tasks({"_url": "u", **prompt}, path=READ_GPT)
    assert (task.fault, task.prompt, task.credits) == (None, None, 15)


def test_a_prompt_is_any_other_key_to_read() -> None:
    """Without the language model's endpoint a prompt is handed back and not looked at."""
    [task] = tasks({"_url": "u", "prompt": "what is it?"})
    assert (task.fault, task.prompt) == (None, None)
    assert task.fields["prompt"] == "what is it?"


# --- Replies


@given(
    own=st.dictionaries(st.text().filter(lambda key: not key.startswith("_")), JSON_VALUES),
    fails=st.booleans(),
)
def test_unknown_keys_come_back(own: dict[str, Any], fails: bool) -> None:
    """What a record holds comes back with it, read or not; its image never does."""
    own.pop("lang", None)
    record = {**own, "_id": "mine", "_base64": "aGVsbG8="}
    read = tasks(record)
    outcome = Unreadable(422, "broken") if fails else READING
    [row] = compose(read, [outcome], request_id="r", seconds=0.0).document["records"]
    assert "_base64" not in row
    assert {**row, **own, "_id": "mine"} == row


def test_a_reply_has_the_shape_of_the_services_own() -> None:
    """A reply has the keys and types of the service's sample, all the way down."""
    [row] = SAMPLE_REPLY["records"]
    read = tasks({"_url": row["_url"]})
    composed = compose(read, [Reading(1140, 1520, (WORD,))], request_id="r", seconds=5.05)
    assert composed.status == 200
    assert shape(composed.document) == shape(SAMPLE_REPLY)


def test_records_without_an_id_are_given_one() -> None:
    """Each record that has no id gets one of its own; a given id is kept."""
    read = tasks({"_url": "u"}, {"_url": "u"}, {"_url": "u", "_id": "mine"})
    rows = compose(read, [READING] * 3, request_id="r", seconds=0.0).document["records"]
    first, second, third = (row["_id"] for row in rows)
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first)
    assert first != second
    assert third == "mine"


def test_a_batch_may_be_read_in_part() -> None:
    """Each record of a mixed batch has its own status, in the order they came, under one 200."""
    read = tasks({"_id": "a", "_url": "u"}, {"_id": "b"}, {"_id": "c", "_url": "u", "lang": "ja"})
    outcomes: list[Reading | Unreadable] = [READING, Unreadable(400, "no source"), READING]
    composed = compose(read, outcomes, request_id="r", seconds=0.0)
    assert (composed.status, composed.document["status"]["code"]) == (200, 200)
    rows = composed.document["records"]
    assert [(row["_id"], row["_status"]["code"]) for row in rows] == [
        ("a", 200),
        ("b", 400),
        ("c", 200),
    ]
    assert rows[1] == {
        "_id": "b",
        "_status": {"code": 400, "text": "no source", "request_id": "r"},
    }
    assert rows[0]["_ocr"]["full_text"] == "BASIC MewV"
    assert (rows[2]["_ocr"]["lang"], rows[2]["_ocr"]["lang_name"]) == ("ja", "japanese")


# --- Prompts


def answered(answer: str, prompt: str = "what is it?") -> dict[str, Any]:
    """Return the part of a record that tells of the language model's *answer*."""
    read = tasks({"_url": "u", "prompt": prompt}, path=READ_GPT)
    reply = compose(read, [evolve(READING, answer=answer)], request_id="r", seconds=0.0)
    [row] = reply.document["records"]
    assert row["_ocr"]["full_text"] == "BASIC MewV"
    assert row["prompt"] == prompt
    gpt: dict[str, Any] = row["_gpt"]
    return gpt


def test_a_prompt_is_answered_in_the_shape_of_the_services_own() -> None:
    """The full prompt is the service's own, and an answer that is an object is parsed."""
    prompt = SAMPLE_GPT["full_prompt"].removeprefix("Instruction: ").partition(" \n")[0]
    given = answered('{"name": "Mew V", "type": "Basic"}', prompt)
    assert shape(given) == shape(SAMPLE_GPT)
    assert given["full_prompt"] == SAMPLE_GPT["full_prompt"]
    assert given["json_result"] == SAMPLE_GPT["json_result"]


@given(answer=st.text() | JSON_VALUES.map(json.dumps))
@example(answer="```json\n{}\n```")
@example(answer="{'name': 'Mew V'}")
@example(answer='{"a": NaN}')
@example(answer="[" * 100_000)
def test_any_answer_comes_back_as_it_is(answer: str) -> None:
    """The answer's text is kept, and beside it what it says if it is a JSON object."""
    try:
        parsed = json.loads(answer, parse_constant=int)  # which refuses NaN
    except (ValueError, RecursionError):
        parsed = None
    given = answered(answer)
    assert given["result"] == answer
    assert given.get("json_result", "none") == (parsed if isinstance(parsed, dict) else "none")


def test_a_record_that_was_only_read_has_no_answer() -> None:
    """Without a prompt there is nothing of the language model's."""
    read = tasks({"_url": "u"}, path=READ_GPT)
    [row] = compose(read, [READING], request_id="r", seconds=0.0).document["records"]
    assert "_gpt" not in row


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("levels", [62, 400, 973, 980, 984, 1100, 100_000])
def test_a_body_that_is_nested_too_deep_is_refused(opening: str, closing: str, levels: int) -> None:
    """What cannot be repeated in a reply is answered with 400, before it is read or billed."""
    deep = f"{opening * levels}0{closing * levels}"
    body = f'{{"records":[{{"_url":"https://x.example/1","more":{deep}}}]}}'.encode()
    accepted = accept(Request("POST", READ, "Token t", body))
    assert isinstance(accepted, Reply)
    assert accepted.status == 400


def test_a_body_may_be_nested_as_deep_as_the_limit() -> None:
    """The message names the limit."""
    for levels, is_read in ((61, True), (62, False)):
        body = b'{"records":[{"_url":"u","more":%b}]}' % (b"[" * levels + b"]" * levels)
        accepted = accept(Request("POST", READ, "Token t", body))
        assert isinstance(accepted, list) is is_read
    assert isinstance(accepted, Reply)
    assert accepted.document["status"]["text"] == "the body is nested more than 64 deep"

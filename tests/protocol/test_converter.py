"""JSON types become the service's classes, or an error that names the place of the fault."""

import json
from typing import Any

import pytest

from tests.protocol.replies import READ_GPT_REPLY, READ_REPLY, decode, decode_one, reply
from ximilar_ocr_async.errors import ReplyError
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text

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
    assert decode_one({"_id": "r"} | row) == record


def test_a_number_where_text_is_expected_is_text() -> None:
    """A text that the service sends as a number is taken as its digits."""
    record = decode_one({"_id": "r", "_ocr": {"texts": [{"text": 180}], "full_text": 1.5}})
    assert record == Record(id="r", ocr=OCR((Text("180"),), "1.5"))


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
    assert decode_one({"_id": "r", "_status": status}) == Record(id="r", status=expected)
    assert decode_one({"_id": "r"}, status=status) == Record(id="r", status=expected)


@pytest.mark.parametrize("prob", ["1e999", "9" * 400, '"0.5"', "true", "{}"])
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
    body = reply({"_id": "good"}, {"_id": "r"} | row, status={"request_id": "q"})
    good, bad = decode(200, body, ["good", "r"])
    assert good == Record(id="good", status=Status(request_id="q"))
    assert isinstance(bad, ReplyError)
    assert f"@ {address}" in str(bad)
    assert bad.request_id == "q"


@pytest.mark.parametrize("row", [[1], "text", 7, None])
def test_a_row_that_is_no_object_fails_alone(row: Any) -> None:
    """Where rows go by place, one that is no object is the error of its own image."""
    bad, good = decode(200, reply(row, {"_width": 3}), ["r", "good"])
    assert isinstance(bad, ReplyError)
    assert "$.records[r]" in str(bad)
    assert good == Record(width=3)


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


@pytest.mark.parametrize("nothing", ["", {}, []])
def test_an_empty_value_is_no_texts(nothing: Any) -> None:
    """PHP writes an empty object as an empty array, and others write an empty string."""
    record = decode_one({"_ocr": {"full_text": "tea", "texts": [{"polygon": nothing}]}})
    assert isinstance(record, Record)
    assert record.ocr.texts[0].polygon == ()

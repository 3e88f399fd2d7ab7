"""The models are values: they compare by what they say, and can stand in sets."""

import copy
import json
import pickle
from typing import Any

import pytest

from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text


@pytest.mark.parametrize(
    "code, ok", [(199, False), (200, True), (206, True), (299, True), (300, False), (-1, False)]
)
def test_a_status_is_ok_from_200_to_299(code: int, ok: bool) -> None:
    """Every code of HTTP's success class means success, and no other does."""
    assert Status(code=code).ok is ok


def test_the_text_of_a_record_is_its_full_text() -> None:
    """A record's text is what the service joined, and nothing where it read nothing."""
    assert Record(ocr=OCR(full_text="BASIC Mew")).text == "BASIC Mew"
    assert Record().text == ""


def test_records_with_unhashable_extras_stand_in_sets() -> None:
    """A record hashes although its extras cannot, and differs by them all the same."""
    gpt = GPT(json_result={"a": []}, extra={"b": {}})
    one = Record(ocr=OCR((Text("x", ((1, 2),), extra={"c": []}),)), gpt=gpt, extra={"d": [1]})
    two = Record(ocr=one.ocr, gpt=gpt, extra={"d": [2]})
    assert len({one, two}) == 2
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    "write",
    [
        lambda extra: extra.__setitem__("a", 1),
        lambda extra: extra.update(a=1),
        lambda extra: extra.setdefault("a", 1),
        lambda extra: extra.__ior__({"a": 1}),
    ],
)
def test_what_has_no_other_keys_cannot_write_into_the_extra_of_another(write: Any) -> None:
    """They share one extra, which is empty for good."""
    with pytest.raises(TypeError, match="extra is read-only"):
        write(Record().extra)
    assert Text().extra == {}
    assert json.dumps(Text().extra) == "{}"


def test_copies_share_the_extra_that_is_empty() -> None:
    """It is the same one in a record that was copied, or came out of a pickle."""
    for copied in (pickle.loads(pickle.dumps(Record())), copy.deepcopy(Record())):  # noqa: S301
        assert copied.extra is Record().extra is Text().extra

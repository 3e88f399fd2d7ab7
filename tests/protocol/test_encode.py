"""Images go out as the service's JSON."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.replies import EXTRA, WORDS
from ximilar_ocr_async._constants import LANGUAGES
from ximilar_ocr_async._protocol.encode import encode_record, make_body
from ximilar_ocr_async._protocol.request_body import Base64Image
from ximilar_ocr_async.errors import ImageError
from ximilar_ocr_async.images import FileFingerprint, Image


@given(
    data=st.data(),
    ids=st.lists(st.text(), min_size=1, max_size=10, unique=True),
    lang=st.sampled_from(sorted(LANGUAGES)),
)
def test_a_batch_says_in_json_what_was_given(
    data: st.DataObject, ids: list[str], lang: str
) -> None:
    """The body holds each image with its id, prompt, extra keys, and its URL or its bytes."""
    pieces, expected = [], []
    for record_id in ids:
        extra, prompt = data.draw(EXTRA), data.draw(WORDS)
        source = data.draw(st.binary() | st.text().map("http://x.example/".__add__))
        image = Image(source, id="the caller's", extra=extra)
        fingerprint = FileFingerprint(len(source)) if isinstance(source, bytes) else None
        picture = None if fingerprint is None else Base64Image(record_id, image, fingerprint)
        pieces.append(encode_record(record_id, image, picture, prompt=prompt))
        record = extra | {"_id": record_id} | ({} if prompt is None else {"prompt": prompt})
        if isinstance(source, bytes):
            record["_base64"] = base64.b64encode(source).decode()
        else:
            record["_url"] = source
        expected.append(record)
    upload = make_body(pieces, {"lang": lang})
    body = b"".join(upload)
    assert len(upload) == len(body)
    assert json.loads(body) == {"lang": lang, "records": expected}


def _endless() -> list[Any]:
    """Make a list that holds itself."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize("value", [b"secret", {1, 2}, float("nan"), {(1, 2): 3}, _endless()])
def test_an_extra_that_is_no_json_is_refused(value: Any) -> None:
    """An extra value that JSON cannot say is an error of that image alone."""
    image = Image("http://x.example/a.png", extra={"mine": value})
    with pytest.raises(ImageError, match=r"extra of http://x\.example/a\.png is not JSON: ") as e:
        encode_record("r", image, None)
    assert "secret" not in str(e.value)

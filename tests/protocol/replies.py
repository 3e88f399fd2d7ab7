"""Replies of the service and what they decode to, drawn and written for the tests."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from ximilar_ocr_async._protocol.decode import decode as decode_batch
from ximilar_ocr_async._protocol.decode_usual import Echo
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text(max_size=8).map("x_".__add__)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)
EXTRA = st.dictionaries(KEYS, JSON, max_size=2)
SIZES = st.none() | st.integers(0, 20_000)
WORDS = st.none() | st.text(max_size=9)
TEXTS = st.builds(
    Text,
    text=st.text(),
    polygon=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5).map(tuple),
    prob=st.none() | st.floats(0, 1),
    extra=EXTRA,
)
OCRS = st.builds(
    OCR,
    texts=st.lists(TEXTS, max_size=2).map(tuple),
    full_text=st.text(),
    lang=WORDS,
    lang_name=WORDS,
    extra=EXTRA,
)
GPTS = st.builds(GPT, full_prompt=WORDS, result=WORDS, json_result=JSON, extra=EXTRA)
STATUSES = st.builds(
    Status, code=st.integers(200, 299), text=st.text(), request_id=WORDS, extra=EXTRA
)
RECORDS = st.builds(
    Record,
    id=st.text(),
    url=WORDS,
    width=SIZES,
    height=SIZES,
    status=STATUSES,
    ocr=OCRS,
    gpt=st.none() | GPTS,
    extra=EXTRA,
)
BATCHES = st.lists(RECORDS, min_size=1, max_size=10, unique_by=lambda record: record.id)


def decode(status: int, body: bytes, ids: Sequence[str], **more: Any) -> list[Record | OCRError]:
    """Decode an answer; where it failed as a whole, so did each of its records."""
    try:
        return decode_batch(status, body, ids, **{"echo": Echo(), **more})
    except OCRError as error:
        return [error for _ in ids]


READ_REPLY = b"""{
  "records": [{
    "_url": "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg",
    "_status": {"code": 200, "text": "OK", "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6"},
    "_id": "4d903663-a348-4d9b-be76-4df38df7d66a",
    "_width": 1140,
    "_height": 1520,
    "_ocr": {
      "texts": [{
        "polygon": [[285.0, 221.0], [384.0, 229.0], [382.0, 256.0], [283.0, 248.0]],
        "text": "BASIC",
        "prob": 0.9564334750175476
      }],
      "full_text": "BASIC MewV 180 ASTRIKE EnergyMix...",
      "lang": "en",
      "lang_name": "english"
    }
  }],
  "status": {
    "code": 200,
    "text": "OK",
    "request_id": "f9cec41f-dd6e-4aa9-93b3-4f2510fd5eb6",
    "proc_id": "1a088e14-714a-41bd-9a89-4d732becafcd"
  },
  "statistics": {"processing time": 5.054640769958496}
}"""
"""Source: https://docs.ximilar.com/text/ocr, OCR Reading, read in 2026-08."""
READ_GPT_REPLY = rb"""{
  "records": [{
    "_url": "https://images.ximilar.com/examples/cards/mew_pokemon.jpeg",
    "prompt": "what is the name and type of the card as json result ({'name':'', 'type': ''})",
    "_status": {"code": 200, "text": "OK", "request_id": "5d735c9b-71e7-425f-a4c7-4423230b3748"},
    "_id": "903ae611-2df4-4385-989e-146fa4d0fd7a",
    "_width": 1140,
    "_height": 1520,
    "_ocr": {
      "texts": [],
      "full_text": "BASIC MewV 180 ASTRIKE EnergyMix...",
      "lang": "en",
      "lang_name": "english"
    },
    "_gpt": {
      "full_prompt": "Instruction: ... \nInput: BASIC MewV 180 ASTRIKE EnergyMix... \nResult:",
      "result": "{'name': 'Mew V', 'type': 'Basic'}",
      "json_result": {"name": "Mew V", "type": "Basic"}
    }
  }],
  "status": {
    "code": 200,
    "text": "OK",
    "request_id": "5d735c9b-71e7-425f-a4c7-4423230b3748",
    "proc_id": "b366485a-8ed9-462d-9ade-cdb817cae03a"
  },
  "statistics": {"processing time": 6.970479965209961}
}"""
"""Source: the same page, OCR Reading With GPT Analysis; its prompt and texts are shortened."""


def reply(*rows: Any, **more: Any) -> bytes:
    """Write an answer with *rows* as its records."""
    return json.dumps({"records": rows, **more}).encode()


def decode_one(row: Any, **more: Any) -> Record | OCRError:
    """Decode an answer to one record, ``r``, that is *row*."""
    [result] = decode(200, reply(row, **more), ["r"])
    return result

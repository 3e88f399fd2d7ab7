"""Measurements without a service: what decoding and importing cost."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

RUNS = 40
TEXTS = 100
"""Texts in each record of an answer that is decoded."""

ENTER = """
import anyio
from ximilar_ocr_async import OCRSession

async def enter():
    async with OCRSession("token"):
        pass

anyio.run(enter)
"""
PROGRAMS = {
    "bare_ms": "pass",
    "httpx_ms": "import httpx",
    "ours_ms": "from ximilar_ocr_async import OCRSession",
    "entered_ms": ENTER,
}


def _taken(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def make_reply(ids: list[str]) -> bytes:
    """Make an answer with `TEXTS` texts in each record."""
    box = [[285.0, 221.0], [384.0, 229.0], [382.0, 256.0], [283.0, 248.0]]
    text = {"polygon": box, "text": "BASIC", "prob": 0.9564334750175476}
    status = {"code": 200, "text": "OK", "request_id": "f9cec41f"}
    ocr = {"texts": [text] * TEXTS, "full_text": "BASIC " * TEXTS, "lang": "en"}
    rows = [{"_id": i, "_status": status, "_ocr": ocr, "_width": 1140} for i in ids]
    return json.dumps({"records": rows, "status": status}).encode()


def decoding() -> dict[str, float]:
    """Decode an answer with this package and with orjson alone, turn about."""
    import orjson  # noqa: PLC0415 - starting times must not import it

    from ximilar_ocr_async._protocol.decode import Echo, decode  # noqa: PLC0415 - as above

    ids = [uuid4().hex for _ in range(10)]
    reply = make_reply(ids)
    ours, bare, echo = [], [], Echo()
    for _ in range(RUNS):
        ours.append(_taken(lambda: decode(200, reply, ids, echo=echo)))
        bare.append(_taken(lambda: orjson.loads(reply)))
    return {"ours_ms": median(ours), "bare_ms": median(bare), "ratio": median(ours) / median(bare)}


def starting() -> dict[str, float]:
    """Start each of the programs once."""
    # With bytecode kept, as that of an installed package is.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run(program: str) -> float:
        return _taken(lambda: subprocess.run([sys.executable, "-c", program], check=True, env=env))

    return {name: run(program) for name, program in PROGRAMS.items()}

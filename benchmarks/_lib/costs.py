"""Measurements without a service: what decoding and importing cost."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

from _lib.answers import Answers

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


def decoding() -> dict[str, float]:
    """Decode an answer and look at its texts with this package, and decode it with orjson alone."""
    import orjson  # noqa: PLC0415 - starting times must not import it

    from ximilar_ocr_async import Record  # noqa: PLC0415 - as above
    from ximilar_ocr_async._protocol.decode import decode  # noqa: PLC0415 - as above
    from ximilar_ocr_async._protocol.decode_usual import Echo  # noqa: PLC0415 - as above

    ids = [uuid4().hex for _ in range(10)]
    reply = Answers(TEXTS).write([one.encode() for one in ids])
    ours, bare, echo = [], [], Echo()

    def look() -> None:
        for record in decode(200, reply, ids, echo=echo):
            assert isinstance(record, Record)
            assert len(record.ocr.texts) == TEXTS

    for _ in range(RUNS):
        ours.append(_taken(look))
        bare.append(_taken(lambda: orjson.loads(reply)))
    return {"ours_ms": median(ours), "bare_ms": median(bare), "ratio": median(ours) / median(bare)}


def starting() -> dict[str, float]:
    """Start each of the programs once."""
    # With bytecode kept, as that of an installed package is.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run(program: str) -> float:
        return _taken(lambda: subprocess.run([sys.executable, "-c", program], check=True, env=env))

    return {name: run(program) for name, program in PROGRAMS.items()}

"""What encoding and decoding cost, against other ways; prints a table of medians and ratios.

    python benchmarks/codec.py

Says why the package encodes by splicing, and what a faster JSON library would be worth.
"""

import base64
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from ximilar_ocr_async import Image
from ximilar_ocr_async.images import Stamp
from ximilar_ocr_async.upload import Picture, Upload
from ximilar_ocr_async.wire import decode, encode_batch, encode_record

IMAGES, IMAGE_BYTES = 10, 1_000_000
TEXTS = 100
RUNS = 15


def seconds(work: Callable[[], Any]) -> float:
    """Return the median time [s] of *work*, warmed up."""
    work()
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def encoders(images: list[bytes]) -> dict[str, Callable[[], Any]]:
    """Return ways to make a request body of *images*."""

    def records() -> list[dict[str, str]]:
        return [
            {"_id": str(i), "_base64": base64.b64encode(x).decode()} for i, x in enumerate(images)
        ]

    def spliced() -> Any:
        each = []
        for i, x in enumerate(images):
            picture = Picture(str(i), Image(x), Stamp(len(x)))
            each.append(encode_record(str(i), picture.image, picture))
        return list(Upload(encode_batch(each, {"lang": "en"})))

    return {
        "this package: pieces": spliced,
        "this package, joined": lambda: b"".join(spliced()),
        "base64 alone": lambda: [base64.b64encode(image) for image in images],
        "json.dumps of it all": lambda: json.dumps({"lang": "en", "records": records()}).encode(),
        "orjson.dumps of it all": lambda: orjson.dumps({"lang": "en", "records": records()}),
    }


def decoders(reply: bytes, ids: list[str]) -> dict[str, Callable[[], Any]]:
    """Return ways to read *reply*."""
    return {
        "this package: typed records": lambda: decode(200, reply, ids),
        "json.loads alone": lambda: json.loads(reply),
        "orjson.loads alone": lambda: orjson.loads(reply),
    }


def make_reply(ids: list[str]) -> bytes:
    """Make an answer with `TEXTS` texts in each record."""
    box = [[285.0, 221.0], [384.0, 229.0], [382.0, 256.0], [283.0, 248.0]]
    text = {"polygon": box, "text": "BASIC", "prob": 0.9564334750175476}
    status = {"code": 200, "text": "OK", "request_id": "f9cec41f"}
    ocr = {"texts": [text] * TEXTS, "full_text": "BASIC " * TEXTS, "lang": "en"}
    rows = [{"_id": i, "_status": status, "_ocr": ocr, "_width": 1140} for i in ids]
    return json.dumps({"records": rows, "status": status}).encode()


def show(title: str, ways: dict[str, Callable[[], Any]]) -> None:
    """Time *ways* and print them against the first."""
    times = {name: seconds(work) for name, work in ways.items()}
    first = next(iter(times.values()))
    table = Table("way", "ms", "against the first", title=title)
    for name, taken in times.items():
        table.add_row(name, f"{taken * 1000:.1f}", f"{taken / first:.2f}")
    Console().print(table)


def main() -> None:
    """Print both tables."""
    images = [random.Random(i).randbytes(IMAGE_BYTES) for i in range(IMAGES)]  # noqa: S311 - pixels
    show(f"encoding {IMAGES} images of {IMAGE_BYTES:,} bytes", encoders(images))
    ids = [str(i) for i in range(IMAGES)]
    reply = make_reply(ids)
    show(f"decoding {len(reply):,} bytes: {IMAGES} records of {TEXTS} texts", decoders(reply, ids))


if __name__ == "__main__":
    main()

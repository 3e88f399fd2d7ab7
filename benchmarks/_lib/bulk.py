"""Measurements of many images in one call, and of many answers at once, with this package."""

import asyncio
import gc
import time
from typing import Any

from _lib.answers import Answers
from _lib.images import urls
from _lib.memory import resident
from ximilar_ocr_async import OCRSession

SLOTS = 64
TICK = 0.0005
"""Time between two looks at the event loop [s]."""


def collected(url: str, *, images: int, texts: int, how: str) -> dict[str, float]:
    """Read so many images with `read_all` or `stream`; return CPU a request, and memory an image.

    Memory is that of all outcomes of `read_all`, in times of the JSON that they came in.
    """
    return asyncio.run(_collected(url, images, texts, how))


async def _collected(url: str, images: int, texts: int, how: str) -> dict[str, float]:
    async with OCRSession("bench", base_url=url, max_concurrency=SLOTS) as session:
        await session.read_all(urls(SLOTS * 10 * 4))
        gc.collect()
        before, began = resident(), time.process_time()
        if how == "read_all":
            outcomes: list[Any] = await session.read_all(urls(images))
        else:
            outcomes = []
            async with session.stream(urls(images)) as stream:
                async for _ in stream:
                    pass
        cpu = time.process_time() - began
        kept = resident() - before
    assert how == "stream" or all(outcome.ok for outcome in outcomes)
    size = len(Answers(texts).write([b"0"] * 10)) / 10
    return {
        "cpu_ms": cpu / (images / 10) * 1000,
        "bytes": kept * 1e6 / images,
        "times": kept * 1e6 / images / size,
    }


def hold(url: str, *, slots: int) -> dict[str, float]:
    """Have so many answers arrive together; return how long the event loop is held at worst."""
    return asyncio.run(_hold(url, slots))


async def _hold(url: str, slots: int) -> dict[str, float]:
    holds: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            holds.append(now - last - TICK)
            last = now

    async with OCRSession("bench", base_url=url, max_concurrency=slots, adaptive=False) as session:
        await session.read_all(urls(slots * 10))
        task = asyncio.create_task(tick())
        for _ in range(3):
            await session.read_all(urls(slots * 10))
        task.cancel()
    return {"worst_ms": max(holds) * 1000}

"""Measurements with image files: stall of the event loop, memory, and the CPU of an upload."""

import asyncio
import base64
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from _lib.memory import forget_peak, peak
from _lib.peers import IMAGES
from ximilar_ocr_async import OCRSession

TICK = 0.001
"""Time between two looks at the event loop [s]."""
SLOTS = 64
PATH = "/ocr/v2/read"
MARKS = (1_000, 5_000, 20_000)
"""Images after which memory is looked at."""

Send = Callable[[Sequence[str]], Awaitable[None]]


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Send]:
    """Yield what sends files in one batch with this package."""
    # All files in one request, however large.
    async with OCRSession("bench", base_url=url, max_batch_bytes=200_000_000) as session:

        async def send(files: Sequence[str]) -> None:
            before = session.stats.requests
            outcomes = await session.read_all(map(Path, files))
            assert all(outcome.ok for outcome in outcomes)
            assert session.stats.requests == before + 1

        yield send


@asynccontextmanager
async def inline(url: str) -> AsyncIterator[Send]:
    """Yield what sends files in one batch with httpx, as one JSON document."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def send(files: Sequence[str]) -> None:
            records = [
                {"_id": str(n), "_base64": base64.b64encode(image).decode()}
                for n, image in enumerate(map(Path.read_bytes, map(Path, files)))
            ]
            response = await client.post(url + PATH, json={"lang": "en", "records": records})
            assert response.json()

        yield send


async def _tick(late: list[float]) -> None:
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - start - TICK)


def stall(client: str, url: str, files: list[str], warm: str) -> dict[str, float]:
    """Send *files* in one batch; return how late a ticker was beside it [ms]."""

    async def run() -> dict[str, float]:
        late: list[float] = []
        async with {"ours": ours, "httpx": inline}[client](url) as send:
            await send([warm])
            ticker = asyncio.create_task(_tick(late))
            await asyncio.sleep(0.01)
            late.clear()
            await send(files)
            # The tick that came due meanwhile is yet to be noted.
            await asyncio.sleep(0.01)
            ticker.cancel()
            with suppress(asyncio.CancelledError):
                await ticker
        late.sort()
        return {"worst_ms": late[-1] * 1000, "p99_ms": late[int(len(late) * 0.99)] * 1000}

    return asyncio.run(run())


def extra_memory(url: str, files: list[str], warm: str) -> dict[str, float]:
    """Send *files* in one batch; return how much the peak of memory rose [MB]."""

    async def run() -> dict[str, float]:
        async with ours(url) as send:
            await send([warm])
            forget_peak()
            before = peak()
            await send(files)
        return {"extra_mb": peak() - before}

    return asyncio.run(run())


def _send_bare(url: str, data: bytes) -> float:
    """Return the CPU [s] of encoding *data* and handing it to the kernel in one piece."""
    import pybase64  # noqa: PLC0415 - only this needs it

    address = urlsplit(url)
    length = (len(data) + 2) // 3 * 4
    head = f"POST {PATH} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        cpu = time.process_time()
        encoded = pybase64.b64encode(data)
        connection.sendall(head.encode())
        connection.sendall(encoded)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        return time.process_time() - cpu


def upload_cpu(url: str, files: list[str], warm: str) -> dict[str, float]:
    """Send *files* in one batch; return the CPU of it against the least there could be."""

    async def run() -> float:
        async with ours(url) as send:
            await send([warm])
            cpu = time.process_time()
            await send(files)
            return time.process_time() - cpu

    bare = _send_bare(url, b"".join(Path(file).read_bytes() for file in files))
    cpu = asyncio.run(run())
    return {"ours_ms": cpu * 1000, "bare_ms": bare * 1000, "ratio": cpu / bare}


# ---- a long run


def long_run(client: str, url: str, files: list[str], images: int) -> dict[str, float]:
    """Read as many *images*, *files* over and over; return peaks of memory [MB] on the way."""
    peaks: dict[str, float] = {}

    def note(done: int) -> None:
        if done in MARKS or done == images:
            peaks[str(done)] = peak()

    start = time.perf_counter()
    paths = islice(cycle(files), images)
    if client == "ours":
        asyncio.run(_long_ours(url, map(Path, paths), note))
    else:
        _long_vendor(url, list(paths), note)
    return {**peaks, "seconds": time.perf_counter() - start}


async def _long_ours(url: str, paths: Any, note: Callable[[int], None]) -> None:
    done = 0
    async with OCRSession("bench", base_url=url, max_concurrency=SLOTS, adaptive=False) as session:
        async with session.stream(paths) as outcomes:
            async for outcome in outcomes:
                assert outcome.ok
                done += 1
                note(done)


def _long_vendor(url: str, paths: list[str], note: Callable[[int], None]) -> None:
    from ximilar.client import OCRClient  # noqa: PLC0415 - of this client alone

    client = OCRClient("bench", endpoint=url + "/")
    lock = threading.Lock()
    done = 0

    def method(records: list[dict[str, Any]]) -> Any:
        nonlocal done
        answer = client.read(records)
        with lock:
            done += len(records)
            note(done)
        return answer

    # Or it would decode each image and encode it anew, which are no images here.
    records = [{"_file": path, "noresize": True} for path in paths]
    client.parallel_records_processing(records, method=method, max_workers=SLOTS, batch_size=IMAGES)
    assert done == len(paths)

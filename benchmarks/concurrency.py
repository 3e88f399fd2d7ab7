"""Concurrency against its bars: how requests share the slots, and how slots follow the service.

    make bench-concurrency

The service runs in a process of its own. What is compared is compared in one run, and a figure
meets its bar by a ratio, never by a time alone.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from statistics import median, quantiles
from typing import Any

import anyio
import httpx
from _lib.bars import Row, at_least, at_most, under
from _lib.children import run
from _lib.images import url_of, urls
from _lib.memory import peak
from _lib.results import report
from _lib.service import Service, serving

from ximilar_ocr_async import OCRSession


async def together(number: int, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run *work* so many times side by side."""
    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(work)


async def consume(outcomes: AsyncIterator[Any]) -> None:
    """Take all outcomes of a stream."""
    async for _ in outcomes:
        pass


async def shared_requests(service: Service) -> list[Row]:
    """Let two hundred readers read at once, and count their requests."""
    service.set(latency=0.2)
    async with service.session(8) as session:
        await together(200, lambda: session.read(url_of(1)))
    ratio = service.counts()["requests"] / 20
    return [at_most("200 readers, 8 slots: requests against the fewest possible", ratio, 1.3)]


async def added_latency(service: Service) -> list[Row]:
    """Hold a lone read against the bare exchange, in turn."""
    service.set(latency=0.01)
    body = json.dumps({"lang": "en", "records": [{"_id": "a", "_url": "https://x.example"}]})
    bare, ours = [], []
    async with httpx.AsyncClient(trust_env=False) as client, service.session(3) as session:
        for _ in range(200):
            start = time.perf_counter()
            await client.post(f"{service.url}/ocr/v2/read", content=body)
            middle = time.perf_counter()
            await session.read("https://x.example")
            bare.append(middle - start)
            ours.append(time.perf_counter() - middle)
    added = (median(ours) - median(bare)) * 1000
    return [under("a lone read, over the bare HTTP exchange", added, 2, unit=" ms")]


async def wait_behind_a_stream(service: Service) -> list[Row]:
    """Read single images while a long stream runs, and see how far ahead the stream pulls."""
    latency, slots = 0.2, 8
    service.set(latency=latency)
    waits: list[float] = []
    ahead = pulled = 0

    def source() -> Iterator[str]:
        nonlocal ahead, pulled
        for url in urls(100_000):
            pulled += 1
            ahead = max(ahead, pulled - session.stats.records_sent - len(waits))
            yield url

    async def read() -> None:
        for _ in range(25):
            start = time.perf_counter()
            await session.read("https://single.example/1.jpg")
            waits.append((time.perf_counter() - start) / latency - 1)

    async with service.session(slots, adaptive=False) as session:
        async with session.stream(source()) as outcomes, anyio.create_task_group() as group:
            group.start_soon(consume, outcomes)
            await anyio.sleep(1)
            await together(6, read)
            group.cancel_scope.cancel()
    p99 = quantiles(waits, n=100)[98]
    # A record counts as sent once it is answered, so each slot holds up to a batch of sent ones.
    pulled_ahead = ahead - slots * 10
    return [
        at_most("a read during a 100,000-image stream: wait in service times, p99", p99, 1.2),
        at_most("images pulled ahead of what was sent", pulled_ahead, (slots + 1) * 10, form="d"),
    ]


async def unknown_capacity(service: Service) -> list[Row]:
    """Hold a ceiling of 64 at a service of 20 against a limit of 20 that somebody knew."""
    images = 16_000
    speeds = {}
    share = 0.0
    for name, slots, adaptive in (("fixed", 20, False), ("found", 64, True)):
        service.set(latency=0.2, capacity=20)
        async with service.session(slots, adaptive=adaptive) as session:
            start = time.perf_counter()
            async with session.stream(urls(images)) as outcomes:
                for _ in range(5 * 20 * 10):
                    await anext(outcomes)
                early = service.counts()
                await consume(outcomes)
            speeds[name] = images / (time.perf_counter() - start)
        late = service.counts()
        share = (late["refused"] - early["refused"]) / (late["requests"] - early["requests"])
    ratio = speeds["found"] / speeds["fixed"]
    return [
        at_least("unknown capacity: images/s against a limit that is known", ratio, 0.9),
        under("… 429s in all requests, after 5 round trips", share * 100, 3, unit=" %", form=".1f"),
    ]


async def changing_capacity(service: Service) -> list[Row]:
    """Let capacity fall from 20 to 5 and come back; count round trips until 90 % is used."""
    latency = 0.2
    service.set(latency=latency, capacity=20)
    trips = []
    async with service.session(64) as session:
        async with session.stream(urls()) as outcomes, anyio.create_task_group() as group:
            group.start_soon(consume, outcomes)
            await anyio.sleep(20 * latency)
            for capacity, span in ((5, 30), (20, 60)):
                service.set(latency=latency, capacity=capacity)
                await anyio.sleep(span * latency)
                trips.append(_trips_to(0.9 * capacity, service.counts()["answered"], latency))
            group.cancel_scope.cancel()
    down, up = trips
    return [
        under("capacity 20 to 5: round trips to 90 % of the new best", down, 10, form=".0f"),
        under("capacity 5 to 20: round trips to 90 % of the new best", up, 40, form=".0f"),
    ]


def _trips_to(rate: float, answered: list[float], latency: float) -> float:
    """Return after how many round trips *rate* requests a trip were answered, over three trips.

    The first round trip does not count: it brings what was accepted before the change.
    """
    first = answered[0]
    for trip in count(1):
        begin = first + trip * latency
        window = [moment for moment in answered if begin <= moment < begin + 3 * latency]
        if len(window) >= rate * 3:
            return trip
        if begin > answered[-1]:
            return float("inf")
    raise AssertionError


def fair_shares(service: Service) -> list[Row]:
    """Run four processes that know nothing of each other at a service of 20."""
    service.set(latency=0.2, capacity=20)
    with ThreadPoolExecutor(4) as pool:
        shares = list(pool.map(lambda url: run("concurrency.share", url=url), [service.url] * 4))
    ratio = min(shares) / max(shares)
    return [at_least("four processes, capacity 20: smallest share against the largest", ratio, 0.7)]


def share(url: str) -> int:
    """Read for 30 s; return how many images."""

    async def read() -> int:
        images = 0
        async with Service(url).session(64) as session:
            with anyio.move_on_after(30):
                async with session.stream(urls()) as outcomes:
                    async for _ in outcomes:
                        images += 1
        return images

    return anyio.run(read)


def bounded_memory() -> list[Row]:
    """Hold the peak memory of a long run against that of a short one."""
    short, long = (run("concurrency.memory", images=n) for n in (10_000, 1_000_000))
    measure = "peak memory, 1,000,000 URLs against 10,000"
    return [at_most(measure, long - short, 20, unit=" MB", form="+.1f")]


def memory(images: int) -> float:
    """Read so many images off a service in this process; return the peak of memory [MB]."""

    async def answer(request: httpx.Request) -> httpx.Response:
        records = json.loads(await request.aread())["records"]
        rows = [{"_id": r["_id"], "_ocr": {"full_text": "read"}} for r in records]
        return httpx.Response(200, json={"records": rows})

    async def read() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        async with OCRSession("bench", max_concurrency=8, http_client=client) as session:
            async with session.stream(urls(images)) as outcomes:
                await consume(outcomes)

    anyio.run(read)
    return peak()


def main() -> int:
    """Measure and report; return 1 if a bar is missed."""
    measures = (
        shared_requests,
        added_latency,
        wait_behind_a_stream,
        unknown_capacity,
        changing_capacity,
    )
    with serving() as service:
        rows = [row for measure in measures for row in anyio.run(measure, service)]
        rows += fair_shares(service)
    return report("concurrency", "Concurrency", rows + bounded_memory())


if __name__ == "__main__":
    sys.exit(main())

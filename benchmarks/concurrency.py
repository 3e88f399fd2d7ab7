"""Concurrency against its bars: one table, and ``benchmarks/concurrency.json``.

    make bench-concurrency

The service is a process of its own (``benchmarks/server.py``); what is compared is compared in one
run. A figure is met or missed by a ratio, never by a time alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
import httpx
from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table

from ximilar_ocr_async import OCRSession, RetryPolicy

HERE = Path(__file__).parent
PATIENT = RetryPolicy(attempts=1000, base=0.05, cap=0.5)
"""A refused batch is sent again soon, as a user with a known service would have it."""


@frozen
class Row:
    """One measure, what it came to, and what it is held against."""

    measure: str
    figure: str
    bar: str
    met: bool


@frozen
class Service:
    """The service, as the benchmarks command it."""

    url: str

    def set(self, **settings: Any) -> None:
        """Set latency [s] and capacity [requests], and clear the counts."""
        httpx.post(f"{self.url}/control", content=json.dumps(settings), trust_env=False)

    def counts(self) -> dict[str, Any]:
        """Return what it saw."""
        counts: dict[str, Any] = httpx.get(f"{self.url}/counts", trust_env=False).json()
        return counts

    def session(self, slots: int, **options: Any) -> OCRSession:
        """Make a session that sends to it."""
        options = {"retry": PATIENT} | options
        return OCRSession("bench", base_url=self.url, max_concurrency=slots, **options)


@contextmanager
def serving() -> Iterator[Service]:
    """Run the service in a process of its own."""
    command = [sys.executable, str(HERE / "server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        yield Service(f"http://127.0.0.1:{process.stdout.readline().strip()}")


def urls(number: int | None = None) -> Iterator[str]:
    """Yield addresses of images, for ever or as many."""
    return (f"https://images.example/{n}.jpg" for n in islice(count(), number))


async def together(number: int, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    """Run *work* so many times side by side."""
    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(work)


# ---- the measures


async def shared_requests(service: Service) -> list[Row]:
    """Two hundred readers at once: how few requests do they need?"""
    service.set(latency=0.2)
    async with service.session(8) as session:
        await together(200, lambda: session.read("https://images.example/1.jpg"))
    ratio = service.counts()["requests"] / 20
    measure = "200 readers, 8 slots: requests against the fewest possible"
    return [Row(measure, f"{ratio:.2f}", "at most 1.3", ratio <= 1.3)]


async def added_latency(service: Service) -> list[Row]:
    """What a lone read costs over the bare exchange, turn about."""
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
    measure = "a lone read, over the bare HTTP exchange"
    return [Row(measure, f"{added:.2f} ms", "under 2 ms", added < 2)]


async def wait_behind_a_stream(service: Service) -> list[Row]:
    """Single reads while a long stream runs; and how far ahead of the requests it pulls."""
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
            group.start_soon(_consume, outcomes)
            await anyio.sleep(1)
            await together(6, read)
            group.cancel_scope.cancel()
    p99 = quantiles(waits, n=100)[98]
    # Sent is known when it is answered: up to a batch for each slot is sent, and counted as ahead.
    pulled_ahead = ahead - slots * 10
    return [
        Row(
            "a read during a 100,000-image stream: wait in service times, p99",
            f"{p99:.2f}",
            "at most 1.2",
            p99 <= 1.2,
        ),
        Row(
            "images pulled ahead of what was sent",
            f"{pulled_ahead}",
            f"at most {(slots + 1) * 10}",
            pulled_ahead <= (slots + 1) * 10,
        ),
    ]


async def _consume(outcomes: AsyncIterator[Any]) -> None:
    async for _ in outcomes:
        pass


async def unknown_capacity(service: Service) -> list[Row]:
    """A service of 20 under a ceiling of 64, against a limit of 20 that somebody knew."""
    images, latency = 16_000, 0.2
    speeds = {}
    share = 0.0
    for name, slots, adaptive in (("fixed", 20, False), ("found", 64, True)):
        service.set(latency=latency, capacity=20)
        async with service.session(slots, adaptive=adaptive) as session:
            start = time.perf_counter()
            async with session.stream(urls(images)) as outcomes:
                async for _ in islice_async(outcomes, 5 * 20 * 10):
                    pass
                early = service.counts()
                await _consume(outcomes)
            speeds[name] = images / (time.perf_counter() - start)
        late = service.counts()
        share = (late["refused"] - early["refused"]) / (late["requests"] - early["requests"])
    ratio = speeds["found"] / speeds["fixed"]
    return [
        Row("unknown capacity: images/s against a limit that is known", f"{ratio:.2f}",
            "at least 0.9", ratio >= 0.9),
        Row("  429s in all requests, after 5 round trips", f"{share:.1%}", "under 3 %",
            share < 0.03),
    ]  # fmt: skip


async def islice_async(items: AsyncIterator[Any], number: int) -> AsyncIterator[Any]:
    """Yield so many of *items*."""
    for _ in range(number):
        yield await anext(items)


async def changing_capacity(service: Service) -> list[Row]:
    """Capacity falls from 20 to 5 and comes back: round trips until 90 % of it is used."""
    latency = 0.2
    service.set(latency=latency, capacity=20)
    trips = []
    async with service.session(64) as session:
        async with session.stream(urls()) as outcomes, anyio.create_task_group() as group:
            group.start_soon(_consume, outcomes)
            await anyio.sleep(20 * latency)
            for capacity, span in ((5, 30), (20, 60)):
                service.set(latency=latency, capacity=capacity)
                await anyio.sleep(span * latency)
                trips.append(_trips_to(0.9 * capacity, service.counts()["answered"], latency))
            group.cancel_scope.cancel()
    down, up = trips
    return [
        Row("capacity 20 to 5: round trips to 90 % of the new best", f"{down:.0f}", "under 10",
            down < 10),
        Row("capacity 5 to 20: round trips to 90 % of the new best", f"{up:.0f}", "under 40",
            up < 40),
    ]  # fmt: skip


def _trips_to(rate: float, answered: list[float], latency: float) -> float:
    """Return after how many round trips there were *rate* answers in one, over three of them.

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
    """Four processes that know nothing of each other, at a service of 20."""
    service.set(latency=0.2, capacity=20)
    command = [sys.executable, str(HERE / "concurrency.py"), "--share", service.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    shares = [int(process.communicate()[0]) for process in processes]
    ratio = min(shares) / max(shares)
    measure = "four processes, capacity 20: smallest share against the largest"
    return [Row(measure, f"{ratio:.2f}", "at least 0.7", ratio >= 0.7)]


async def share(url: str) -> None:
    """Read for 30 s; print how many images."""
    images = 0
    async with Service(url).session(64) as session:
        with anyio.move_on_after(30):
            async with session.stream(urls()) as outcomes:
                async for _ in outcomes:
                    images += 1
    print(images)


def bounded_memory() -> list[Row]:
    """Peak memory of a long run against that of a short one, each in a process of its own."""
    command = [sys.executable, str(HERE / "concurrency.py"), "--memory"]
    short, long = (
        int(subprocess.run([*command, n], capture_output=True, text=True, check=True).stdout)
        for n in ("10000", "1000000")
    )
    more = (long - short) / 1024
    measure = "peak memory, 1,000,000 URLs against 10,000"
    return [Row(measure, f"{more:+.1f} MB", "within 20 MB", more <= 20)]


async def memory(images: int) -> None:
    """Read so many images off a service in process; print the peak [KiB]."""

    async def answer(request: httpx.Request) -> httpx.Response:
        records = json.loads(await request.aread())["records"]
        rows = [{"_id": r["_id"], "_ocr": {"full_text": "read"}} for r in records]
        return httpx.Response(200, json={"records": rows})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    async with OCRSession("bench", max_concurrency=8, http_client=client) as session:
        async with session.stream(urls(images)) as outcomes:
            await _consume(outcomes)
    print(peak())


def peak() -> int:
    """Return the peak memory of this process [KiB]; getrusage's is handed down by the parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def main() -> int:
    """Print every row; return 1 if a bar is missed."""
    rows = []
    with serving() as service:
        for measure in (
            shared_requests,
            added_latency,
            wait_behind_a_stream,
            unknown_capacity,
            changing_capacity,
        ):
            rows += anyio.run(measure, service)
        rows += fair_shares(service)
    rows += bounded_memory()
    table = Table("measure", "figure", "bar", "", title="Concurrency")
    for row in rows:
        table.add_row(row.measure, row.figure, row.bar, "met" if row.met else "[red]missed[/]")
    Console().print(table)
    (HERE / "concurrency.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--share", url]:
            anyio.run(share, url)
        case ["--memory", images]:
            anyio.run(memory, int(images))
        case _:
            sys.exit(main())

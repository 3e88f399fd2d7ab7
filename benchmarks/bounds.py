"""What replies cost that no honest service writes: time on the event loop, and memory.

Ten images are read, or a job of ten images is, and one record of the reply is odd. Each trial has a
process of its own. The table has the worst trial of each kind; `--all` prints every trial.
"""

import argparse
import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

import httpx
from _lib import bars, children
from _lib.hostile import KINDS, record
from _lib.memory import forget_peak, peak, resident

from ximilar_ocr_async import RetryPolicy, Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService, SeenRequest

SIZES = {"1 kB": 1_000, "100 kB": 100_000, "1 MiB": 2**20, "8 MiB": 2**23, "32 MiB": 2**25 - 2**16}
WAYS = ("read", "job", "infos", "delivery")
NAMES = [f"{place}.0123abcd." for place in range(10)]
SECRET = {"X-Secret": "open-sesame"}
ODD = 3
PIECE = 64 * 1024
TICK = 0.0005
MOST_MEMORY = 6 * 2**30
HOLD, FACTOR, FEW = 20.0, 12.0, 6.0
"""The bars: [ms], times the size of a reply, and [MB] that count for nothing."""


class Watch:
    """Measures how long the event loop is held, and the memory that is taken, from `begin` on."""

    def __init__(self) -> None:
        self.hold = 0.0
        self.before = 0.0
        self.is_on = False

    def begin(self) -> None:
        """Begin to measure; what was done before counts for nothing."""
        forget_peak()
        self.before, self.hold, self.is_on = resident(), 0.0, True
        self._last = perf_counter()

    @asynccontextmanager
    async def running(self) -> Any:
        """Tick within the block."""
        task = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _tick(self) -> None:
        self._last = perf_counter()
        while True:
            await asyncio.sleep(TICK)
            now = perf_counter()
            if self.is_on:
                self.hold = max(self.hold, now - self._last - TICK)
            self._last = now


class Pieces(httpx.AsyncByteStream):
    """A body as a connection brings it."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield it a piece at a time."""
        for start in range(0, len(self._body), PIECE):
            yield bytes(self._body[start : start + PIECE])


def body_of(kind: str, size: int, names: list[str], *, is_job: bool) -> bytes:
    """Return a reply of about *size* [bytes] with one odd record."""
    rows = [record(name.encode()) for name in names]
    rows[ODD] = KINDS[kind](names[ODD].encode(), max(1, size - len(b",".join(rows))))
    records = b'{"records":[%b]}' % b",".join(rows)
    return b'{"id":"r1","status":"DONE","response":%b}' % records if is_job else records


async def _trial(kind: str, size: int, way: str) -> dict[str, Any]:
    watch, sizes = Watch(), list[int]()

    def answer(seen: SeenRequest) -> httpx.Response:
        names = [str(sent["_id"]) for sent in seen.records] or NAMES
        body = body_of(kind, size, names, is_job=way != "read")
        sizes.append(len(body))
        watch.begin()
        return httpx.Response(200, stream=Pieces(body))

    service = InProcessService(reply=answer)
    # So that what cannot be read is not sent again: one reply is measured.
    policy = RetryPolicy(resend_maybe_billed=0)
    async with watch.running(), service.session(retry=policy) as session:
        if way == "read":
            outcomes = await session.read_all(f"https://images.example/{i}.jpg" for i in range(10))
        elif way == "job":
            outcomes = await session.job("r1").wait()
        elif way == "infos":
            outcomes, _ = [], await session.job("r1").infos()
        else:
            outcomes = []
            receiver = WebhookReceiver(Webhook("https://me.example/", SECRET))
            app = httpx.ASGITransport(receiver.app())
            body = body_of(kind, size, NAMES, is_job=True)
            sizes.append(len(body))
            job = session.job("r1", webhook=receiver)
            async with httpx.AsyncClient(transport=app, base_url="https://me.example") as client:
                watch.begin()
                response = await client.post("/", content=body, headers=SECRET)
            if response.status_code == httpx.codes.NO_CONTENT:
                outcomes = await job.wait()
        await asyncio.sleep(2 * TICK)
        watch.is_on = False
    lost = [o.index for o in outcomes if not o.ok and o.index != ODD]
    taken = peak() - watch.before
    return {"hold": watch.hold * 1e3, "taken": taken, "size": sizes[-1] / 1e6, "lost": len(lost)}


def trial(kind: str, size: int, way: str) -> dict[str, Any]:
    """Read one reply in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    # The first reply loads what is loaded late.
    asyncio.run(_trial("texts: usual", 1000, way))
    return asyncio.run(_trial(kind, size, way))


def measure(kind: str, size: str, way: str, times: int) -> dict[str, Any]:
    """Return the best of some trials, for the machine may be busy."""
    found: list[dict[str, Any]] = []
    for _ in range(times):
        found.append(children.run("bounds.trial", kind=kind, size=SIZES[size], way=way))
        if found[-1]["hold"] <= HOLD:
            break
    best = min(found, key=lambda one: float(one["hold"]))
    factor = best["taken"] / best["size"] if best["taken"] > FEW else 0.0
    return {**best, "kind": kind, "name": size, "way": way, "times": factor}


def _rows(results: list[dict[str, Any]]) -> Iterator[bars.Row]:
    for size in dict.fromkeys(result["name"] for result in results):
        for way in WAYS:
            some = [r for r in results if (r["name"], r["way"]) == (size, way)]
            if not some:
                continue
            slowest = max(some, key=lambda one: float(one["hold"]))
            largest = max(some, key=lambda one: float(one["times"]))
            name = f"{way}, {size}: "
            yield bars.at_most(
                f"{name}event loop held", slowest["hold"], HOLD, unit=" ms", note=slowest["kind"]
            )
            yield bars.at_most(
                f"{name}memory over size", largest["times"], FACTOR, note=largest["kind"]
            )
            yield bars.none_of(f"{name}neighbours lost", sum(r["lost"] for r in some))


def main() -> None:
    """Measure all kinds, or those that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="", help="part of the names of kinds")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--times", type=int, default=3, help="trials before a bar counts as missed")
    parser.add_argument("--all", action="store_true", help="print every trial")
    given = parser.parse_args()
    kinds = [kind for kind in KINDS if given.kinds in kind]
    results: list[dict[str, Any]] = []
    for size in given.sizes:
        for way in given.ways:
            for kind in kinds:
                result = measure(kind, size, way, given.times)
                results.append(result)
                if given.all or result["hold"] > HOLD or result["times"] > FACTOR:
                    print(
                        f"{size:>7} {way:8} {kind:42} held {result['hold']:6.1f} ms, "
                        f"{result['taken']:6.1f} MB, {result['times']:5.1f} times, "
                        f"lost {result['lost']}",
                        flush=True,
                    )
    bars.show(f"{len(kinds)} kinds of replies", list(_rows(results)))


if __name__ == "__main__":
    main()

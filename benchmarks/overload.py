"""Overload, outages and mixed work against their bars, on both backends.

    make bench-concurrency

The service of `_lib/modelled.py` is asked in virtual time, and one case of each row again over
sockets, in real time.
"""

import logging
import math
import random
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import product
from statistics import median, quantiles
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from _lib.bars import Row, at_least, at_most, show, under
from _lib.charts import draw_against_bars
from _lib.modelled import Modelled, Readers, always
from _lib.results import FOLDER, report
from _lib.service import Service, serving

from ximilar_ocr_async import OCRError, OCRSession, Overloaded
from ximilar_ocr_async._constants import MAX_BATCH_BYTES
from ximilar_ocr_async.testing import virtual_time

BACKENDS = ("asyncio", "trio")
SERVICE = 5.0
"""[s] that the service takes, as the vendor's does."""

# ---- an outage ends


async def after_outage(
    kind: str, rate: float, length: float, deadline: float | None, *, on_sockets: bool = False
) -> float:
    """Return how long [service times] after an outage until 95 % of new reads succeed."""
    start, watched = 30.0, 60.0

    def said() -> httpx.Response | Exception:
        if kind == "refused":
            return httpx.ConnectError("refused")
        return httpx.Response(int(kind), text="<html>")

    service = Modelled(
        always(SERVICE),
        lambda _, now: (0.05, said()) if start <= now < start + length else None,
        on_sockets=on_sockets,
    )
    async with service.session(max_concurrency=64) as session:
        readers = Readers(session)
        await readers.come(rate, start + length + watched, deadline=deadline)
    back = start + length
    new = sorted(url for url in readers.began if readers.began[url] >= back)
    new.sort(key=readers.began.__getitem__)
    answered = readers.answered
    good = [url in answered for url in new]
    # From there on, 19 of any 20 that come one after the other are read.
    bad = [place for place in range(len(good) - 19) if sum(good[place : place + 20]) < 19]
    return (readers.began[new[bad[-1] + 1]] - back) / SERVICE if bad else 0.0


def outages() -> list[Row]:
    """Try outages of many lengths, with callers of more and less patience."""
    worst: dict[str, float] = {}
    cases: Any = product(
        ("refused", "503", "504"), (1.0, 10.0), (10.0, 100.0, 300.0), (6.0, 60.0, None)
    )
    for number, (kind, rate, length, deadline) in enumerate(cases):
        # Each backend has every other case.
        late = run(BACKENDS[number % 2], partial(after_outage, kind, rate, length, deadline))
        worst[kind] = max(late, worst.get(kind, 0.0))
    return [
        at_most(
            f"after outages of 10 to 300 s ({kind}): service times to 95 % of new reads", w, 1.5
        )
        for kind, w in worst.items()
    ]


# ---- more than can be done


async def offered(
    load: float, jitter: float, seconds: float = 120.0, *, on_sockets: bool = False
) -> tuple[float, float]:
    """Return answers against the capacity, and the share of what was paid that came too late."""
    slots, latency = 8, 2.0
    capacity = slots * 10 / latency
    chance = random.Random(1)  # noqa: S311 - no secret
    service = Modelled(
        lambda _, __: latency * chance.uniform(1 - jitter, 1 + jitter), on_sockets=on_sockets
    )
    async with service.session(max_concurrency=slots, adaptive=False) as session:
        readers = Readers(session)
        await readers.come(load * capacity, seconds, deadline=5 * latency)
        billed = sum(service.billed.values())
    answered = readers.answered
    late = [t for url, t in readers.ended.items() if url in answered and 10 <= t < seconds]
    return len(late) / (capacity * (seconds - 10)), 1 - len(answered) / billed


def overload() -> list[Row]:
    """Offer more than the service can do."""
    rows = []
    for jitter in (0.0, 0.3):
        for load in (1.2, 2.0, 5.0):
            got = [run(backend, partial(offered, load, jitter)) for backend in BACKENDS]
            share, vain = min(s for s, _ in got), max(v for _, v in got)
            what = f"offered {load:g} times the capacity, service times ±{jitter:.0%}"
            rows += [
                at_least(f"{what}: answers against it", share, 0.9),
                under("… paid in vain", vain * 100, 2, unit=" %", form=".1f"),
            ]
    return rows


# ---- one endpoint, language or call beside another


async def consume(session: OCRSession, count: list[int], **options: Any) -> None:
    """Read without end."""

    def source() -> Any:
        number = 0
        while True:
            yield f"https://images.example/{number}.jpg"
            number += 1

    async with session.stream(source(), **options) as outcomes:
        async for outcome in outcomes:
            count.append(outcome.ok)  # noqa: PERF401 - it has no end


async def beside(trouble: str | None, seconds: float = 60.0, *, on_sockets: bool = False) -> int:
    """Return how many images a healthy endpoint reads in *seconds* beside one in trouble."""

    def what(endpoint: str, _: float) -> Any:
        if endpoint != "read_gpt":
            return None
        if trouble == "hang":
            return 1e6, httpx.ReadTimeout("")
        return 0.05, httpx.Response(int(trouble or 0), text="<html>")

    service = Modelled(always(0.2), what, on_sockets=on_sockets)
    async with service.session(max_concurrency=8, timeout=30.0) as session:
        plain: list[int] = []
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                group.start_soon(consume, session, plain)
                if trouble:
                    group.start_soon(partial(consume, session, [], prompt="What is it?"))
        return sum(plain)


def endpoints() -> list[Row]:
    """Hold a healthy endpoint beside one in trouble against itself alone."""
    rows = []
    for backend in BACKENDS:
        alone = run(backend, partial(beside, None))
        for trouble in ("503", "429", "hang"):
            ratio = run(backend, partial(beside, trouble)) / alone
            what = f"an endpoint beside one with {trouble}: images against alone, {backend}"
            rows.append(at_least(what, ratio, 0.95))
    return rows


async def languages(seconds: float = 120.0, *, on_sockets: bool = False) -> float:
    """Return what a quick language gets beside a slow one, against its share."""
    service = Modelled(lambda _, lang: 10.0 if lang == "ko" else 0.2, on_sockets=on_sockets)
    async with service.session(max_concurrency=8, adaptive=False) as session:
        quick: list[int] = []
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                group.start_soon(partial(consume, session, [], lang="ko"))
                group.start_soon(partial(consume, session, quick, lang="en"))
    return sum(quick) / (seconds / 0.2 * 4 * 10)


async def behind(bulk: int, reads: int = 100, *, on_sockets: bool = False) -> float:
    """Return how long [service times] a read waits beside so many bulk calls, p99."""
    latency = 1.0
    chance = random.Random(2)  # noqa: S311 - no secret
    service = Modelled(lambda _, __: latency * chance.uniform(0.8, 1.2), on_sockets=on_sockets)
    async with service.session(max_concurrency=8, adaptive=False) as session:
        waits: list[float] = []

        async def read() -> None:
            began = anyio.current_time()
            await session.read("https://single.example/1.jpg")
            waits.append((anyio.current_time() - began) / latency - 1)

        async with anyio.create_task_group() as group:
            for _ in range(bulk):
                group.start_soon(consume, session, [])
            await anyio.sleep(5)
            for _ in range(reads):
                await read()
            group.cancel_scope.cancel()
    return quantiles(waits, n=100)[98]


async def uploads(
    number: int, megabytes: int, seconds: float, service: Service | None = None
) -> float:
    """Return how long so many pictures take, against the fewest rounds of 8 slots."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(megabytes * 1_000_000)
    async with (service or Modelled(always(seconds))).session(max_concurrency=8) as session:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(session.read, picture)
        took = anyio.current_time() - began
    fits = max(1, MAX_BATCH_BYTES // (len(picture) * 4 // 3))
    rounds = math.ceil(math.ceil(number / min(10, fits)) / 8)
    return took / (rounds * seconds)


def mixed() -> list[Row]:
    """Let languages and calls share the slots."""
    rows = [
        at_least("a quick language beside a slow one: its images against its share", share, 0.9)
        for share in [min(run(backend, languages) for backend in BACKENDS)]
    ]
    for bulk in (1, 100, 1000):
        wait = max(run(backend, partial(behind, bulk)) for backend in BACKENDS)
        rows.append(
            at_most(f"a read beside {bulk:,} bulk calls: wait, p99, service times", wait, 1.2)
        )
    for number, megabytes in ((10, 20), (40, 4)):
        ratio = max(run(backend, partial(uploads, number, megabytes, 2.0)) for backend in BACKENDS)
        what = f"{number} uploads of {megabytes} MB, 8 slots: time against the fewest rounds"
        rows.append(at_most(what, ratio, 1.5))
    return rows


# ---- up, and useless


async def useless(kind: str, *, on_sockets: bool = False) -> tuple[int, int]:
    """Return the requests that 50 reads a second make in 20 s, and how many are maybe billed."""
    said: dict[str, Any] = {
        "504": lambda: httpx.Response(504, text="<html>"),
        "500 after work": lambda: httpx.Response(500, json={"status": {"code": 500}}),
        "cut": lambda: httpx.ReadError("reset"),
        "401": lambda: httpx.Response(401, json={"status": {"code": 401, "text": "no"}}),
        "credits": lambda: httpx.Response(
            429, json={"status": {"code": 429, "text": "credit limits reached"}}
        ),
    }
    service = Modelled(always(0.2), lambda _, __: (0.2, said[kind]()), on_sockets=on_sockets)
    async with service.session(max_concurrency=8) as session:
        readers = Readers(session)
        with anyio.move_on_after(20):
            await readers.come(50, 20)
        return len(service.times), session.stats.records_maybe_billed


def hammering() -> list[Row]:
    """Read from a service that answers nothing of use."""
    rows = []
    for kind in ("504", "500 after work", "cut", "401", "credits"):
        got = [run(backend, partial(useless, kind)) for backend in BACKENDS]
        requests, billed = (max(g[i] for g in got) for i in (0, 1))
        what = f"50 reads a second for 20 s, all {kind}: requests"
        rows.append(at_most(what, requests, 25, form="d", note=f"{billed} maybe billed"))
    return rows


# ---- endings and admission, in real time


async def endings(number: int, how: str, kind: type[Readers]) -> float:
    """Return how long [ms] the loop is held when so many waiting reads end at once."""
    service = Modelled(always(1e6))
    if how == "credits":
        refusal = {"status": {"code": 402, "text": "no credits"}}
        service.trouble = lambda _, __: (1.0, httpx.Response(402, json=refusal))
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await anyio.lowlevel.checkpoint()
            longest = max(longest, time.perf_counter() - began)

    # A deadline that all have, whenever they came.
    ends = anyio.current_time() + 1.0 + number / 5000
    async with anyio.create_task_group() as group:
        async with service.session(max_concurrency=3, drain=0.0) as session:
            readers = kind(session)
            readers_scope = anyio.CancelScope()

            async def read(n: int) -> None:
                left = ends - anyio.current_time()
                options = {"deadline": left} if how == "deadline" else {}
                await readers.read(f"https://x.example/{n}", **options)

            async def read_all() -> None:
                with readers_scope:
                    async with anyio.create_task_group() as reading:
                        for n in range(number):
                            reading.start_soon(read, n)

            group.start_soon(read_all)
            await anyio.sleep(0.3 + number / 10_000)
            group.start_soon(watch)
            await anyio.sleep(0.01)
            longest = 0.0
            if how == "cancel":
                readers_scope.cancel()
            elif how != "close":
                while len(readers.ended) < number:  # noqa: ASYNC110 - nothing tells
                    await anyio.sleep(0.05)
            await anyio.sleep(0.2)
        await anyio.sleep(0.2)
        group.cancel_scope.cancel()
    return longest * 1000


async def refusals() -> tuple[float, float]:
    """Return the memory [MB] of 2,000 handlers in an outage, and how soon [ms] most are refused."""
    service = Modelled(always(1.0), lambda _, __: (0.0, httpx.ConnectError("refused")))
    picture = b"\x89PNG\r\n\x1a\n" + bytes(300_000)
    times: list[float] = []
    tracemalloc.start()
    async with service.session(max_concurrency=8, max_queue=100) as session:

        async def handle(number: int) -> None:
            image = picture + bytes([number % 256])
            began = time.perf_counter()
            try:
                await session.read(image, deadline=5)
            except Overloaded:
                times.append(time.perf_counter() - began)
            except OCRError:
                pass

        async with anyio.create_task_group() as group:
            for number in range(2000):
                group.start_soon(handle, number)
                await anyio.sleep(0.001)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return peak, quantiles(times, n=100)[98] * 1000


class Bare(Readers):
    """Tasks that wait for nothing, and read nothing: what the event loop itself takes."""

    async def read(self, url: str, **options: Any) -> None:
        """Wait until it is over."""
        try:
            with anyio.move_on_after(options.get("deadline")):
                await anyio.Event().wait()
        finally:
            self.ended[url] = 1.0


def ends() -> list[Row]:
    """End many reads at once, and refuse many."""
    rows = []
    for number, bar in ((1000, 10.0), (10_000, 100.0)):
        for how in ("cancel", "deadline", "close", "credits"):
            tries = [partial(endings, number, how, Readers)] * 3
            held = median(anyio.run(one) for one in tries)
            note = ""
            if how in {"cancel", "deadline"}:
                bare = median(anyio.run(endings, number, how, Bare) for _ in range(3))
                note = f"tasks that only wait: {bare:.0f} ms"
            what = f"{number:,} waiting reads end by {how}: loop held"
            rows.append(at_most(what, held, bar, unit=" ms", form=".0f", note=note))
    peak, late = anyio.run(refusals)
    what = "2,000 handlers of 300 kB in an outage, max_queue=100: memory"
    rows += [
        at_most(what, peak, 60, unit=" MB", form=".0f"),
        under("… answer to the rest, p99", late, 5, unit=" ms"),
    ]
    return rows


# ---- once more over sockets, in real time


def sockets() -> list[Row]:
    """Measure one case of each row over sockets, with the service in a thread of its own."""
    real = partial(partial, on_sockets=True)
    rows = []
    for backend in BACKENDS:
        late = anyio.run(real(after_outage, "503", 1.0, 10.0, 60.0), backend=backend)
        what = f"after an outage of 10 s, {backend}: service times to 95 % of new reads"
        rows.append(at_most(what, late, 1.5))
    share, vain = anyio.run(real(offered, 2.0, 0.3, 40.0))
    rows += [
        at_least("offered 2 times the capacity: answers against it", share, 0.9),
        under("… paid in vain", vain * 100, 2, unit=" %", form=".1f"),
    ]
    alone = anyio.run(real(beside, None, 40.0))
    for trouble in ("503", "429", "hang"):
        what = f"an endpoint beside one with {trouble}: images against alone"
        rows.append(at_least(what, anyio.run(real(beside, trouble, 40.0)) / alone, 0.95))
    quick = anyio.run(real(languages, 60.0))
    rows.append(at_least("a quick language beside a slow one: against its share", quick, 0.9))
    for bulk in (1, 100):
        wait = anyio.run(real(behind, bulk, 30))
        rows.append(
            at_most(f"a read beside {bulk} bulk calls: wait, p99, service times", wait, 1.2)
        )
    with serving() as service:
        service.set(latency=SERVICE)
        ratio = anyio.run(uploads, 10, 20, SERVICE, service)
    rows.append(at_most("10 uploads of 20 MB, 8 slots: time against the fewest rounds", ratio, 1.5))
    for kind in ("504", "500 after work", "cut", "401", "credits"):
        requests, billed = anyio.run(real(useless, kind))
        what = f"50 reads a second for 20 s, all {kind}: requests"
        rows.append(at_most(what, requests, 25, form="d", note=f"{billed} maybe billed"))
    return rows


def run(backend: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run *work* in virtual time."""
    name, options = virtual_time(backend)
    return anyio.run(work, backend=name, backend_options=options)


BEFORE: list[tuple[str, str, float]] = [
    ("after an outage: service times to 95 %", "after outages", math.inf),
    ("5 times the capacity: answers against it", "offered 5 times", 0.0),
    ("an endpoint beside one with 503", "an endpoint beside one with 503", 0.2),
    ("a quick language beside a slow one", "a quick language", 0.08),
    ("a read beside 100 bulk calls: its wait", "a read beside 100 ", 5.0),
    ("ten uploads of 20 MB", "10 uploads of 20 MB", 10.0),
    ("a service that says 504: requests in 20 s", "50 reads a second for 20 s, all 504", 1673),
    ("no credits: requests in 20 s", "50 reads a second for 20 s, all credits", 412),
    ("1,000 reads cancelled: loop held", "1,000 waiting reads end by cancel", 700),
    ("2,000 handlers in an outage: memory", "2,000 handlers", 997),
]
"""How a row is called in the chart, how it begins in the table, and what it was before [same unit].
Measured on the release before the scheduler knew of endpoints, deadlines and priorities."""


def chart(rows: list[Row]) -> None:
    """Draw the rows against their bars, before and now."""
    found = []
    for name, begins, before in BEFORE:
        row = next(row for row in rows if row.measure.startswith(begins))
        now, bar = (float(re.findall(r"[\d.]+", text)[0]) for text in (row.figure, row.bar))
        was, has = (_over(x, bar, is_least="at least" in row.bar) for x in (before, now))
        found.append((name, was, has))
    draw_against_bars("What happens under load, against the bar", found, FOLDER / "overload.png")


def _over(figure: float, bar: float, *, is_least: bool) -> float:
    if is_least:
        return bar / figure if figure else math.inf
    return figure / bar


MEASURES = {
    "outages": outages,
    "overload": overload,
    "endpoints": endpoints,
    "mixed": mixed,
    "hammering": hammering,
    "ends": ends,
    "sockets": sockets,
}


def main() -> int:
    """Measure and report; return 1 if a bar is missed."""
    logging.disable(logging.WARNING)
    names = sys.argv[1:] or [*MEASURES]
    rows: list[Row] = []
    for name in names:
        found = MEASURES[name]()
        show(name, found)
        rows += found
    if names != [*MEASURES]:
        return 0 if all(row.met for row in rows) else 1
    chart(rows)
    return report("overload", "Overload and outages", rows)


if __name__ == "__main__":
    sys.exit(main())

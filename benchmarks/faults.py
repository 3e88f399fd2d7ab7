"""Failures and money against their bars: the fault matrix, one table, and ``faults.json``.

    make faults

All but the soak runs in process and in virtual time, on one backend; the matrix is on real sockets
and on all. The soak reads 300,000 images off a service in a process of its own.
"""

import gc
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
from attrs import asdict, define, field, frozen
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ximilar_ocr_async import AuthError, OCRSession, Outcome, RetryPolicy
from ximilar_ocr_async.testing import FaultPlan, InProcessService, virtual_time

HERE = Path(__file__).parent
IMAGES = 20_000
SLOTS = 8
LATENCY = 1.0
"""[s] that the service takes for a request, of virtual time."""

SOAKED = 300_000
SHARE = 0.02


@frozen
class Row:
    """One measure, what it came to, and what it is held against."""

    measure: str
    figure: str
    bar: str
    met: bool


def urls(count: int = IMAGES) -> Iterator[str]:
    """Yield addresses of as many images."""
    return (f"https://images.example/{number}.jpg" for number in range(count))


class Watched(InProcessService):
    """A service in process that notes when requests came."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, latency=LATENCY, **options)
        self.times: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note the time, and answer."""
        self.times.append(anyio.current_time())
        return await super().handle_async_request(request)


async def read(service: InProcessService, **options: Any) -> list[Outcome]:
    """Read all images off *service*."""
    async with service.session(max_concurrency=SLOTS, **options) as session:
        return await session.read_all(urls())


def lost(outcomes: list[Outcome]) -> int:
    """Return how many images have no outcome, or were not read."""
    read = {outcome.index for outcome in outcomes if outcome.ok}
    return IMAGES - len(read)


async def passing_failures() -> list[Row]:
    """Records and batches that fail now and then."""
    service = InProcessService(FaultPlan(record_errors=0.05, unavailable=0.05), latency=LATENCY)
    outcomes = await read(service)
    measure = "20,000 images, record 500s and batch 503s at 5 % each"
    ratio = service.billed / IMAGES
    return [
        Row(f"{measure}: images lost", str(lost(outcomes)), "0", lost(outcomes) == 0),
        Row("… billed records against images", f"{ratio:.4f}", "1.00", ratio == 1),
    ]


async def lost_replies() -> list[Row]:
    """Replies that are lost after the images were read and billed."""
    rows = []
    for resends in (3, 1):
        service = InProcessService(FaultPlan(lost_replies=SHARE), latency=LATENCY)
        outcomes = await read(service, retry=RetryPolicy(resend_maybe_billed=resends))
        marked = {str(o.image.source) for o in outcomes if o.maybe_billed}
        # Billed without being delivered, which a caller must be told.
        bills = {str(o.image.source): service.bills[str(o.image.source)] - o.ok for o in outcomes}
        billed = {name for name, times in bills.items() if times > 0}
        silent = sum(not o.ok and not o.maybe_billed for o in outcomes)
        failed = lost(outcomes)
        measure = f"replies lost after processing at 2 %, resend_maybe_billed={resends}"
        figure = f"{silent} (and {failed} lost twice, which say so)" if failed else "0"
        rows += [
            Row(f"{measure}: images lost", figure, "0", silent == 0),
            Row(
                "… marked maybe_billed: missing, too many",
                f"{len(billed - marked)}, {len(marked - billed)} (of {len(billed):,})",
                "0, 0",
                marked == billed,
            ),
        ]
    return rows


async def poison() -> list[Row]:
    """Images for which the service refuses all of their batch."""
    plan = FaultPlan(poison=0.001)
    service = InProcessService(plan, latency=LATENCY)
    outcomes = await read(service)
    bad = {url for url in urls() if plan.is_poison(url)}
    good_lost = sum(not o.ok for o in outcomes if o.image.source not in bad)
    extra = (service.requests - IMAGES / 10) / len(bad)
    measure = f"{len(bad)} poisoned images in 20,000"
    return [
        Row(f"{measure}: good images lost", str(good_lost), "0", good_lost == 0),
        Row("… extra requests for each", f"{extra:.1f}", "at most 10", extra <= 10),
    ]


async def outage() -> list[Row]:
    """A minute without the service, in the middle of a run."""
    start, length = 30.0, 60.0
    service = Watched(FaultPlan(outages=((start, length),)))
    began = anyio.current_time()
    outcomes = await read(service)
    times = [at - began for at in service.times]
    during = sum(start <= at < start + length for at in times)
    # Full speed: as many requests begin within a service time as there are slots.
    after = [at for at in times if at >= start + length]
    full = next(at for at in after if sum(at <= t < at + LATENCY for t in after) >= SLOTS)
    late = full - start - length
    measure = "service down for 60 s, 8 slots"
    return [
        Row(f"{measure}: images lost", str(lost(outcomes)), "0", lost(outcomes) == 0),
        Row("… requests during the outage", str(during), "at most 15", during <= 15),
        Row("… time to full speed after it", f"{late:.1f} s", "under 5 s", late < 5),
    ]


async def wrong_token() -> list[Row]:
    """Nothing is allowed."""
    service = InProcessService(latency=LATENCY, token="right")  # noqa: S106 - it opens nothing
    outcomes = await read(service, token="wrong")  # noqa: S106 - nor this
    met = service.requests <= SLOTS and all(
        not o.ok and isinstance(o.error, AuthError) for o in outcomes
    )
    measure = "wrong token, 8 slots: requests before all 20,000 fail"
    return [Row(measure, str(service.requests), "at most 8", met)]


# ---- the soak


@define
class Soak:
    """What a long run of all faults at once came to."""

    outcomes: int = 0
    read: int = 0
    doubled: int = 0
    # By image: whether it had an outcome, and whether that said maybe billed.
    seen: bytearray = field(factory=lambda: bytearray(SOAKED))
    # [KiB] after the first tenth, and the most after it.
    early: int = 0
    late: int = 0

    def note(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.outcomes += 1
        self.read += outcome.ok
        self.doubled += self.seen[outcome.index] > 0
        self.seen[outcome.index] = 2 if outcome.maybe_billed else 1
        if self.outcomes % 1000 == 0:
            now = resident()
            if self.outcomes == SOAKED // 10:
                self.early = now
            self.late = max(self.late, now) if self.early else 0


def resident() -> int:
    """Return the memory of this process [KiB]."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def descriptors() -> int:
    """Return how many files and sockets are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def soak() -> list[Row]:
    """All faults at once, on real sockets."""
    with serving() as (url, bills_of):
        found, leaked = anyio.run(soak_it, url)
        bills = bills_of()
    doubly_paid = [name for name, times in bills.items() if times > 1]
    untold = sum(found.seen[int(name)] != 2 for name in doubly_paid)
    growth = (found.late - found.early) / 1024
    lost = found.seen.count(0)
    measure = f"soak: {SOAKED:,} images, all faults at {SHARE:.0%}"
    told = f"{found.read:,} read, {SOAKED - found.read:,} failed by plan or policy"
    return [
        Row(f"{measure}: without an outcome", f"{lost} ({told})", "0", lost == 0),
        Row("… outcomes doubled", str(found.doubled), "0", found.doubled == 0),
        Row("… paid twice and not told so", f"{untold} of {len(doubly_paid):,}", "0", not untold),
        Row("… tasks, connections left", leaked, "0, 0", leaked == "0, 0"),
        Row("… growth after the first tenth", f"{growth:+.1f} MB", "under 10 MB", growth < 10),
    ]


async def soak_it(url: str) -> tuple[Soak, str]:
    """Read the images; return what came of it, and the tasks and descriptors left."""
    found = Soak()
    open_before, tasks_before = descriptors(), len(anyio.get_running_tasks())
    retry = RetryPolicy(base=0.02, cap=0.5, attempts=12)
    with Progress(transient=True) as progress:
        bar = progress.add_task("soaking", total=SOAKED)
        async with OCRSession(
            "soak", base_url=url, max_concurrency=16, retry=retry, timeout=1.0
        ) as session:
            async with session.stream(urls(SOAKED)) as outcomes:
                async for outcome in outcomes:
                    found.note(outcome)
                    if found.outcomes % 500 == 0:
                        progress.update(bar, completed=found.outcomes)
    await anyio.sleep(0.1)
    tasks = len(anyio.get_running_tasks()) - tasks_before
    return found, f"{tasks}, {descriptors() - open_before}"


@contextmanager
def serving() -> Iterator[tuple[str, Callable[[], dict[str, int]]]]:
    """Run the service in a process of its own; yield its URL, and what ends it and tells bills."""
    command = [sys.executable, str(HERE / "faults.py"), "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def end() -> dict[str, int]:
            out, _ = process.communicate("end\n", timeout=60)
            bills: dict[str, int] = json.loads(out)
            return bills

        try:
            yield process.stdout.readline().strip(), end
        finally:
            process.kill()


def serve() -> None:
    """Serve with all faults until told to end; print the URL first, and the bills last."""
    from ximilar_ocr_async.emulator.server import serving as serving_in_a_thread  # noqa: PLC0415
    from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine  # noqa: PLC0415
    from ximilar_ocr_async.testing.service.service import Service  # noqa: PLC0415

    async def fetch(url: str) -> bytes:
        return url.encode()

    shares: dict[str, Any] = dict.fromkeys(
        (
            "unavailable",
            "throttled",
            "crashed",
            "unreachable",
            "stalled",
            "lost_replies",
            "garbled",
            "record_errors",
            "missing_records",
        ),
        SHARE,
    )
    # Poison of 2 % of images would be in every sixth batch: a share of batches is meant.
    plan = FaultPlan(**shares, poison=SHARE / 10)
    service = Service(ScriptedEngine("read"), fetch=fetch, faults=plan)
    with serving_in_a_thread(service) as url:
        print(url, flush=True)
        sys.stdin.readline()
    bills = {Path(url).stem: times for url, times in service.bills.items()}
    print(json.dumps(bills))


# ---- all of it


def main() -> int:
    """Print the matrix and every row; return 1 if anything does not hold."""
    logging.getLogger("ximilar_ocr_async").setLevel(logging.ERROR)
    holds = subprocess.run([sys.executable, str(HERE / "matrix.py")], check=False).returncode == 0
    measures: list[Callable[[], Coroutine[Any, Any, list[Row]]]] = [
        passing_failures,
        lost_replies,
        poison,
        outage,
        wrong_token,
    ]
    rows = []
    for measure in measures:
        began = time.monotonic()
        backend, options = virtual_time("asyncio")
        rows += anyio.run(measure, backend=backend, backend_options=options)
        print(f"{measure.__name__}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows += soak()
    table = Table("measure", "figure", "bar", "", title="Failures and money")
    for row in rows:
        table.add_row(row.measure, row.figure, row.bar, "met" if row.met else "[red]missed[/]")
    Console().print(table)
    (HERE / "faults.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0 if holds and all(row.met for row in rows) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        sys.exit(main())

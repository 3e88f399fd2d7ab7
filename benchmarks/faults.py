"""Failures and money against their bars: the fault matrix, single faults, and a soak.

    make faults

Single faults run in process and in virtual time, on one backend. The matrix runs on real sockets
and on all backends. The soak reads 300,000 images off a service in a process of its own.
"""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
from _lib.bars import Row, at_most, exactly, none_of, under
from _lib.children import running
from _lib.images import fetch, urls
from _lib.memory import resident
from _lib.results import report
from attrs import define, field
from rich.progress import Progress

from ximilar_ocr_async import AuthError, OCRSession, Outcome, RetryPolicy
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing import FaultPlan, InProcessService, virtual_time
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

IMAGES = 20_000
SLOTS = 8
LATENCY = 1.0
"""Time that the service takes for a request [s of virtual time]."""

SOAKED = 300_000
SHARE = 0.02
SOAK_FAULTS = (
    "unavailable",
    "throttled",
    "crashed",
    "unreachable",
    "stalled",
    "lost_replies",
    "garbled",
    "record_errors",
    "missing_records",
)


class TimedService(InProcessService):
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
        return await session.read_all(urls(IMAGES))


def lost(outcomes: list[Outcome]) -> int:
    """Return how many images have no outcome, or were not read."""
    return IMAGES - len({outcome.index for outcome in outcomes if outcome.ok})


async def passing_failures() -> list[Row]:
    """Have records and batches fail now and then."""
    service = InProcessService(FaultPlan(record_errors=0.05, unavailable=0.05), latency=LATENCY)
    outcomes = await read(service)
    measure = "20,000 images, record 500s and batch 503s at 5 % each"
    return [
        none_of(f"{measure}: images lost", lost(outcomes)),
        exactly("… billed records against images", service.billed / IMAGES, 1),
    ]


async def lost_replies() -> list[Row]:
    """Lose replies after the images were read and billed."""
    rows = []
    for resends in (3, 1):
        service = InProcessService(FaultPlan(lost_replies=SHARE), latency=LATENCY)
        outcomes = await read(service, retry=RetryPolicy(resend_maybe_billed=resends))
        marked = {str(o.image.source) for o in outcomes if o.maybe_billed}
        # What was billed without being delivered, which a caller must be told.
        bills = {str(o.image.source): service.bills[str(o.image.source)] - o.ok for o in outcomes}
        billed = {name for name, times in bills.items() if times > 0}
        silent = sum(not o.ok and not o.maybe_billed for o in outcomes)
        failed = lost(outcomes)
        measure = f"replies lost after processing at 2 %, resend_maybe_billed={resends}"
        note = f"and {failed} lost twice, which say so" if failed else ""
        rows += [
            none_of(f"{measure}: images lost", silent, note=note),
            none_of(
                "… marked maybe_billed: missing, too many",
                len(billed - marked),
                len(marked - billed),
                note=f"of {len(billed):,}",
            ),
        ]
    return rows


async def poison() -> list[Row]:
    """Send images for which the service refuses all of their batch."""
    plan = FaultPlan(poison=0.001)
    service = InProcessService(plan, latency=LATENCY)
    outcomes = await read(service)
    bad = {url for url in urls(IMAGES) if plan.is_poison(url)}
    good_lost = sum(not o.ok for o in outcomes if o.image.source not in bad)
    extra = (service.requests - IMAGES / 10) / len(bad)
    return [
        none_of(f"{len(bad)} poisoned images in 20,000: good images lost", good_lost),
        at_most("… extra requests for each", extra, 10, form=".1f"),
    ]


async def outage() -> list[Row]:
    """Take the service down for a minute, in the middle of a run."""
    start, length = 30.0, 60.0
    service = TimedService(FaultPlan(outages=((start, length),)))
    began = anyio.current_time()
    outcomes = await read(service)
    times = [at - began for at in service.times]
    during = sum(start <= at < start + length for at in times)
    # At full speed, as many requests begin within a service time as there are slots.
    after = [at for at in times if at >= start + length]
    full = next(at for at in after if sum(at <= t < at + LATENCY for t in after) >= SLOTS)
    late = full - start - length
    return [
        none_of("service down for 60 s, 8 slots: images lost", lost(outcomes)),
        at_most("… requests during the outage", during, 15, form="d"),
        under("… time to full speed after it", late, 5, unit=" s", form=".1f"),
    ]


async def wrong_token() -> list[Row]:
    """Send a token that the service does not know."""
    service = InProcessService(latency=LATENCY, token="right")  # noqa: S106 - it opens nothing
    outcomes = await read(service, token="wrong")  # noqa: S106 - nor this
    others = sum(outcome.ok or not isinstance(outcome.error, AuthError) for outcome in outcomes)
    measure = "wrong token, 8 slots: requests before all 20,000 fail"
    return [
        at_most(measure, service.requests, SLOTS, form="d"),
        none_of("… images that fail otherwise", others + IMAGES - len(outcomes)),
    ]


# ---- the soak


@define
class Soak:
    """What a long run of all faults at once came to.

    Attributes:
        outcomes: The outcomes so far.
        read: Those of them whose image was read.
        doubled: Those of them whose image had one already.
        seen: For each image 0 without an outcome, 2 if that says maybe billed, else 1.
        early: The memory after the first tenth [MB].
        late: The most memory after that [MB].
    """

    outcomes: int = 0
    read: int = 0
    doubled: int = 0
    seen: bytearray = field(factory=lambda: bytearray(SOAKED))
    early: float = 0
    late: float = 0

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


def soak() -> list[Row]:
    """Read through all faults at once, on real sockets."""
    with running("faults.serve") as service:
        found, tasks, connections = anyio.run(_soak, service.read_line())
        bills: dict[str, int] = service.ask()
    doubly_paid = [name for name, times in bills.items() if times > 1]
    untold = sum(found.seen[int(name)] != 2 for name in doubly_paid)
    measure = f"soak: {SOAKED:,} images, all faults at {SHARE:.0%}"
    told = f"{found.read:,} read, {SOAKED - found.read:,} failed by plan or policy"
    growth = found.late - found.early
    return [
        none_of(f"{measure}: without an outcome", found.seen.count(0), note=told),
        none_of("… outcomes doubled", found.doubled),
        none_of("… paid twice and not told so", untold, note=f"of {len(doubly_paid):,}"),
        none_of("… tasks, connections left", tasks, connections),
        under("… growth after the first tenth", growth, 10, unit=" MB", form="+.1f"),
    ]


async def _soak(url: str) -> tuple[Soak, int, int]:
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
    return found, tasks, descriptors() - open_before


def descriptors() -> int:
    """Return how many files and sockets are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def serve() -> dict[str, int]:
    """Print the URL, serve with all faults until told to end, and return the bills by image."""
    # Poison of 2 % of images would be in every sixth batch: a share of batches is meant.
    shares: dict[str, Any] = dict.fromkeys(SOAK_FAULTS, SHARE) | {"poison": SHARE / 10}
    service = Service(ScriptedEngine("read"), fetch=fetch, faults=FaultPlan(**shares))
    with serving(service) as url:
        print(url, flush=True)
        sys.stdin.readline()
    return {Path(url).stem: times for url, times in service.bills.items()}


def main() -> int:
    """Print the matrix, measure and report; return 1 if anything does not hold."""
    logging.getLogger("ximilar_ocr_async").setLevel(logging.ERROR)
    matrix = Path(__file__).with_name("matrix.py")
    holds = subprocess.run([sys.executable, str(matrix)], check=False).returncode == 0
    rows = []
    for measure in (passing_failures, lost_replies, poison, outage, wrong_token):
        backend, options = virtual_time("asyncio")
        rows += anyio.run(measure, backend=backend, backend_options=options)
    missed = report("faults", "Failures and money", rows + soak())
    return missed if holds else 1


if __name__ == "__main__":
    sys.exit(main())

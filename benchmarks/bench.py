"""Speed against bars and against other clients: tables, results, and four charts.

    make bench
    python benchmarks/bench.py --quick    # one short round, into out/
    python benchmarks/bench.py --draw     # the charts alone, from results.json

The service runs in a process of its own, and so does every measurement. All are made in turn, round
after round, and a figure is the median of the rounds. Costs are held against a cost that was
measured in the same run; stalls and memory against what a user would accept.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from _lib import charts
from _lib.bars import CONSOLE, Row, at_least, at_most
from _lib.images import make_files
from _lib.results import FOLDER, read, report
from _lib.rounds import Measurement, Medians, measure
from _lib.service import serving
from rich.table import Table

ROUNDS = 5
LATENCY = 0.2
"""Time that the service takes where throughput is measured [s]."""

PEERS = (
    "ours", "ours, no extras", "streams", "aiohttp", "aiohttp, orjson", "httpx", "aiometer",
    "vendor",
)  # fmt: skip
SLOTS = (16, 64, 256)
CPU_RUNS = (
    # client, slots, latency [s]: such that the service is not the bottleneck
    ("httpx, orjson", 1, 0.05),
    ("ours", 1, 0.05),
    ("ours", 16, 0.05),
    ("httpx", 16, 0.05),
    ("aiohttp", 16, 0.05),
    ("ours", 1000, 0.5),
)
SHARES = {64: 0.97, 256: 0.85}
"""Bars of the images/s against the possible, by slots."""

ANSWERS: dict[str, dict[str, Any]] = {
    "no text": {"texts": 0},
    "200 texts": {"texts": 200},
    "a tenth with unknown keys": {"unknown": 10},
    "a tenth failed": {"failing": 10},
    "half failed": {"failing": 2},
}
"""What else the service may answer, at 64 slots; usually all of 20 texts are read."""

STALL = 15
"""Bar of the worst stall while 10 images of 8 MB are sent [ms]."""

MEMORY = 150
"""Bar of the peak memory of a long run [MB]."""

SIZES = ("0.1", "1", "8")
"""Sizes of images in a batch [MB]."""

FILES = {"0.1": (100_000, 10), "0.3": (300_000, 50), "1": (1_000_000, 10), "8": (8_000_000, 10)}
"""Size [bytes] and number of image files, by the size in MB."""

LIBRARIES = (
    "ximilar-ocr-async", "ximilar-client", "httpx", "httpcore", "aiohttp", "aiometer", "anyio",
    "attrs", "cattrs", "h11", "msgspec", "orjson", "pybase64", "requests", "uvloop",
)  # fmt: skip


# ---- what is measured


def steady(url: str, span: float) -> Iterator[Measurement]:
    """Yield the runs of clients at a steady pace."""
    runs = [("throughput", client, slots, LATENCY) for slots in SLOTS for client in PEERS]
    runs.append(("throughput", "ours", 1000, LATENCY))
    runs += [("cpu", *run) for run in CPU_RUNS]
    for kind, client, slots, latency in runs:
        arguments = {
            "client": client,
            "url": url,
            "slots": slots,
            "latency": latency,
            "warm": span * 0.4,
            "span": span,
            "without": ["pybase64"] if client == "ours, no extras" else [],
        }
        yield Measurement(f"{kind}/{client}/{slots}", "_lib.peers.steady", arguments, latency)


def answers(url: str, span: float) -> Iterator[Measurement]:
    """Yield the runs on other answers, at 64 slots."""
    arguments = {"url": url, "slots": 64, "latency": LATENCY, "warm": span * 0.4, "span": span}
    for client in ("ours", "aiohttp"):
        run = {"client": client, **arguments}
        function = "_lib.peers.steady"
        yield Measurement(f"read_gpt/{client}", function, {**run, "gpt": True}, LATENCY)
        for name, more in ANSWERS.items():
            yield Measurement(f"{name}/{client}", function, run, LATENCY, **more)


def bulk(url: str, images: int) -> Iterator[Measurement]:
    """Yield the runs of many images in one call, and of many answers at once."""
    for how in ("stream", "read_all"):
        arguments = {"url": url, "images": images, "texts": 20, "how": how}
        yield Measurement(f"bulk/{how}", "_lib.bulk.collected", arguments, LATENCY)
    arguments = {"url": url, "slots": 256}
    yield Measurement("hold", "_lib.bulk.hold", arguments, latency=1.0, texts=200)


def uploads(url: str, files: dict[str, list[str]]) -> Iterator[Measurement]:
    """Yield what is measured of one batch of files."""
    warm = {"url": url, "warm": files["0.1"][0]}
    for size in SIZES:
        for client in ("ours", "httpx"):
            arguments = {**warm, "client": client, "files": files[size]}
            yield Measurement(f"stall/{client}/{size}", "_lib.uploads.stall", arguments)
    large = {**warm, "files": files["8"]}
    yield Measurement("extra memory", "_lib.uploads.extra_memory", large)
    yield Measurement("upload", "_lib.uploads.upload_cpu", large)


def long_runs(url: str, files: list[str], images: dict[str, int]) -> Iterator[Measurement]:
    """Yield the runs over so many images of a client, whose peak of memory is looked at."""
    for client, number in images.items():
        arguments = {"client": client, "url": url, "files": files, "images": number}
        is_lasting = client == "vendor"
        name, function = f"memory/{client}", "_lib.uploads.long_run"
        yield Measurement(name, function, arguments, LATENCY, is_lasting=is_lasting)


def plan(url: str, files: dict[str, list[str]], *, is_quick: bool) -> list[Measurement]:
    """Return all measurements of a round."""
    images = {"ours": 1_000, "vendor": 1_000} if is_quick else {"ours": 20_000, "vendor": 5_000}
    return [
        *steady(url, span=0.5 if is_quick else 1.6),
        *answers(url, span=0.5 if is_quick else 1.6),
        *bulk(url, images=2_000 if is_quick else 20_000),
        *uploads(url, files),
        Measurement("decode", "_lib.costs.decoding"),
        Measurement("import", "_lib.costs.starting", times=3),
        *long_runs(url, files["0.3"], images),
    ]


# ---- against which bars


def judge(m: Medians) -> list[Row]:
    """Hold the figures against their bars."""
    cpu = {key: figures["cpu_ms"] for key, figures in m.items() if "cpu_ms" in figures}
    ours_16, ours_1000 = cpu["cpu/ours/16"], cpu["cpu/ours/1000"]
    stall = m["stall/ours/8"]
    longest, peak = list(peaks(m["memory/ours"]).items())[-1]
    return [
        *(
            at_most(f"CPU a request against aiohttp, {n} slots", against_aiohttp(m, n), 1.1)
            for n in SLOTS
        ),
        at_most("… of read_gpt, 64 slots", cpu["read_gpt/ours"] / cpu["read_gpt/aiohttp"], 1.2),
        *(
            at_most(f"… {name}, against none", cpu[f"{name}/ours"] / cpu["throughput/ours/64"], 1.3)
            for name in ("a tenth with unknown keys", "a tenth failed")
        ),
        at_most(
            "… of read_all of 20,000 images against stream",
            cpu["bulk/read_all"] / cpu["bulk/stream"],
            1.1,
        ),
        at_most("memory of their outcomes against their JSON", m["bulk/read_all"]["times"], 2.5),
        at_most(
            "loop held, 256 answers of 10 records of 200 texts at once",
            m["hold"]["worst_ms"],
            20,
            unit=" ms",
        ),
        at_least("images/s against aiohttp, 256 slots", speed(m, 256), 1.0),
        *(
            at_least(f"images/s against the possible, {slots} slots", share(m, "ours", slots), bar)
            for slots, bar in SHARES.items()
        ),
        at_least("… 256 slots, without the extra fast", share(m, "ours, no extras", 256), 0.5),
        at_most("CPU a request, 1,000 slots against 16", ours_1000 / ours_16, 1.5),
        at_most(
            "CPU a request, 16 slots against plain httpx on 1 connection",
            ours_16 / cpu["cpu/httpx, orjson/1"],
            1.0,
        ),
        at_most("loop stall, 10 images of 8 MB, worst", stall["worst_ms"], STALL, unit=" ms"),
        at_most("loop stall, 10 images of 8 MB, p99", stall["p99_ms"], 5, unit=" ms"),
        at_most(
            "extra memory of one batch of 10 images of 8 MB",
            m["extra memory"]["extra_mb"],
            12,
            unit=" MB",
            form=".1f",
        ),
        at_most("CPU of that upload against base64 and one sendall", m["upload"]["ratio"], 2.5),
        at_most("decoding 10 records of 100 texts against orjson alone", m["decode"]["ratio"], 3.2),
        at_most("importing it against importing httpx", against_httpx(m, "ours_ms"), 1.5),
        at_most(
            f"peak memory of {longest:,} files of 300 kB, 64 slots",
            peak,
            MEMORY,
            unit=" MB",
            form=".0f",
        ),
    ]


def possible(slots: int) -> float:
    """Return the images/s that the slots and the latency allow, with 10 images in a request."""
    return slots / LATENCY * 10


def share(m: Medians, client: str, slots: int) -> float:
    """Return the images/s of a client against the possible."""
    return m[f"throughput/{client}/{slots}"]["images_per_second"] / possible(slots)


def against_aiohttp(m: Medians, slots: int) -> float:
    """Return the CPU of a request against that of aiohttp."""
    ours, other = (m[f"throughput/{client}/{slots}"] for client in ("ours", "aiohttp"))
    return ours["cpu_ms"] / other["cpu_ms"]


def speed(m: Medians, slots: int) -> float:
    """Return the images/s against those of aiohttp."""
    return share(m, "ours", slots) / share(m, "aiohttp", slots)


def peaks(figures: dict[str, float]) -> dict[int, float]:
    """Return the peaks of memory of a long run [MB], by the number of images that were read."""
    return dict(sorted((int(key), peak) for key, peak in figures.items() if key.isdecimal()))


def against_httpx(m: Medians, program: str) -> float:
    """Return how long a program takes to start, against one that only imports httpx."""
    took = m["import"]
    return (took[program] - took["bare_ms"]) / (took["httpx_ms"] - took["bare_ms"])


# ---- what is shown beside


def show_peers(m: Medians) -> None:
    """Print how the clients compare, and how busy the service was."""
    slots = (*SLOTS, 1000)
    table = Table("client", title="Images/s, and ms of CPU a request, over slots")
    for number in slots:
        table.add_column(f"{number:,}", justify="right")
    table.add_row("possible", *(f"{possible(number):,.0f}" for number in slots))
    for client in PEERS:
        keys = [f"throughput/{client}/{number}" for number in slots]
        table.add_row(
            client,
            *(f"{m[k]['images_per_second']:,.0f}  {m[k]['cpu_ms']:.2f}" for k in keys if k in m),
        )
    CONSOLE.print(table)
    other = Table("answers, 64 slots", "ours", "aiohttp", "ratio", title="ms of CPU a request")
    for name in ("read_gpt", *ANSWERS):
        ours, theirs = (m[f"{name}/{client}"]["cpu_ms"] for client in ("ours", "aiohttp"))
        other.add_row(name, f"{ours:.2f}", f"{theirs:.2f}", f"{ours / theirs:.2f}")
    CONSOLE.print(other)
    busiest = max((m[key]["service_busy"], key) for key in m if "service_busy" in m[key])
    print(f"The service was busy {busiest[0]:.0%} of the time at most ({busiest[1]}).")
    entered = against_httpx(m, "entered_ms")
    print(f"To import it and enter a first session takes {entered:.2f} of importing httpx.")


def draw(m: Medians, folder: Path) -> None:
    """Draw the charts into *folder*."""
    slots = (1, *SLOTS, 1000)
    memory: dict[tuple[str, float], float] = {
        (client, images): peak
        for client in ("ours", "vendor")
        for images, peak in peaks(m[f"memory/{client}"]).items()
    }
    drawn = {
        "throughput": charts.Chart(
            "Images/s, in % of those that the slots allow (higher is better)",
            "{:,} in flight",
            {
                (c, n): share(m, c, n) * 100
                for c in PEERS
                for n in slots
                if f"throughput/{c}/{n}" in m
            },
            {number: bar * 100 for number, bar in SHARES.items()},
            most=100,
        ),
        "cpu": charts.Chart(
            "CPU of a request with 10 records, in ms (lower is better)",
            "{:,} in flight",
            {
                (client, number): m[key]["cpu_ms"]
                for client in ("ours", "aiohttp", "aiohttp, orjson", "httpx", "httpx, orjson")
                for number in slots
                # Runs for throughput tell of it too.
                for kind in ("throughput", "cpu")
                if (key := f"{kind}/{client}/{number}") in m
            },
            {16: m["cpu/httpx, orjson/1"]["cpu_ms"]},
        ),
        "stall": charts.Chart(
            "Worst stall of the event loop while 10 images are sent, in ms (lower is better)",
            "images of {:g} MB",
            {
                (client, float(size)): m[f"stall/{client}/{size}"]["worst_ms"]
                for client in ("ours", "httpx")
                for size in SIZES
            },
            {8: STALL},
        ),
        "memory": charts.Chart(
            "Peak memory, files of 300 kB, 64 requests in flight, in MB (lower is better)",
            "after {:,} images",
            memory,
            {20_000: MEMORY},
            most=max(memory.values()),
        ),
    }
    for name, chart in drawn.items():
        charts.draw(chart, folder / f"{name}.png")


def main() -> int:
    """Measure, report and draw; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="one short round, into out/")
    parser.add_argument("--draw", action="store_true", help="only draw the charts anew")
    options = parser.parse_args()
    if options.draw:
        draw(read()["bench"]["medians"], FOLDER)
        return 0
    rounds = 1 if options.quick else options.rounds
    folder = FOLDER.parent / "out" if options.quick else FOLDER
    with tempfile.TemporaryDirectory() as images, serving() as service:
        files = make_files(Path(images), FILES)
        m = measure(plan(service.url, files, is_quick=options.quick), service, rounds)
    show_peers(m)
    libraries = {name: version(name) for name in LIBRARIES}
    missed = report(
        "bench", "Speed", judge(m), folder=folder, rounds=rounds, libraries=libraries, medians=m
    )
    draw(m, folder)
    return missed


if __name__ == "__main__":
    sys.exit(main())

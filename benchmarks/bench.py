"""This package against other clients and its bars: tables, ``results.json``, and four charts.

    make bench

The service is a process of its own (``benchmarks/server.py``), and so is every measurement. All are
made turn about, round after round; a figure is the median of the rounds. Costs are held against a
cost that was measured in the same run; stalls and memory against what a user would accept.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import charts
from attrs import asdict, field, frozen
from charts import Medians
from concurrency import HERE, Row, Service, serving
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROUNDS = 5
LATENCY = 0.2
"""[s] of the service where throughput is measured."""
TEXTS = 20
"""In a record of its answers."""
PEERS = ("ours", "ours, no extras", "streams", "aiohttp", "httpx", "aiometer", "vendor")
SLOTS = (16, 64, 256)
LIBRARIES = (
    "ximilar-ocr-async", "ximilar-client", "httpx", "httpcore", "aiohttp", "aiometer", "anyio",
    "attrs", "cattrs", "h11", "msgspec", "orjson", "pybase64", "requests", "uvloop",
)  # fmt: skip
CPU_RUNS = (
    # client, slots, latency [s]: such that the service is not the bottleneck
    ("httpx, orjson", 1, 0.05),
    ("ours", 1, 0.05),
    ("ours", 16, 0.05),
    ("httpx", 16, 0.05),
    ("aiohttp", 16, 0.05),
    ("ours", 1000, 0.5),
)
SIZES = {"0.1": 100_000, "1": 1_000_000, "8": 8_000_000}
"""[bytes] of image files, by what they are called [MB]."""
Rounds = dict[str, dict[str, list[float]]]
"""Figures by measurement and name, one for each time that it was made."""


@frozen
class Measurement:
    """What a child process measures, and of what service."""

    name: str
    function: str
    arguments: dict[str, Any] = field(factory=dict)
    latency: float = 0.0
    times: int = 1
    is_lasting: bool = False
    """Whether it is made in the first round only, because it takes long."""

    def make(self, service: Service) -> dict[str, float]:
        """Make it once, in a process of its own."""
        service.set(latency=self.latency, texts=TEXTS)
        command = [sys.executable, str(HERE / "child.py"), self.function]
        process = subprocess.run(
            [*command, json.dumps(self.arguments)], stdout=subprocess.PIPE, text=True, check=True
        )
        figures: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
        if self.function == "peers.steady":
            figures |= busy(service.counts(), self.latency)
        return figures


def busy(counts: dict[str, Any], latency: float) -> dict[str, float]:
    """Return what the service had to do, as a proof that it was not the slow side."""
    # All clients are asked for the same, or they could not be compared.
    assert counts["records"] == counts["requests"] * 10
    wall = counts["answered"][-1] - counts["answered"][0] + latency
    return {
        "service_cpu_ms": counts["cpu"] / counts["requests"] * 1000,
        "service_busy": counts["cpu"] / wall,
    }


# ---- what is measured


def make_files(folder: Path) -> dict[str, list[str]]:
    """Write files that look like images from outside; return their paths by size."""
    kinds = {name: (size, 10) for name, size in SIZES.items()} | {"0.3": (300_000, 50)}
    files = {}
    for name, (size, number) in kinds.items():
        paths = [folder / f"{name}-{n}.jpg" for n in range(number)]
        for path in paths:
            path.write_bytes(b"\xff\xd8\xff\xe0" + random.randbytes(size - 4))  # noqa: S311 - pixels
        files[name] = [str(path) for path in paths]
    return files


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
        yield Measurement(f"{kind}/{client}/{slots}", "peers.steady", arguments, latency)


def plan(url: str, files: dict[str, list[str]], *, is_quick: bool) -> list[Measurement]:
    """Return all measurements of a round."""
    warm = {"url": url, "warm": files["0.1"][0]}
    large = {**warm, "files": files["8"]}
    long = {"url": url, "files": files["0.3"]}
    images = {"ours": 1_000 if is_quick else 20_000, "vendor": 1_000 if is_quick else 5_000}
    return [
        *steady(url, span=0.5 if is_quick else 1.6),
        *(
            Measurement(
                f"stall/{client}/{size}",
                "uploads.stall",
                {**warm, "client": client, "files": files[size]},
            )
            for size in SIZES
            for client in ("ours", "httpx")
        ),
        Measurement("extra memory", "uploads.extra_memory", large),
        Measurement("upload", "uploads.upload_cpu", large),
        Measurement("decode", "costs.decoding"),
        Measurement("import", "costs.starting", times=3),
        *(
            Measurement(
                f"memory/{client}",
                "uploads.long_run",
                {**long, "client": client, "images": images[client]},
                LATENCY,
                is_lasting=client == "vendor",
            )
            for client in images
        ),
    ]


def measure(rounds: int, *, is_quick: bool) -> Rounds:
    """Make all measurements, round after round; return their figures."""
    found: Rounds = {}
    columns = (TextColumn("{task.description:<28}"), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(BarColumn(), *columns, console=Console(stderr=True))
    with tempfile.TemporaryDirectory() as folder, serving() as service, progress:
        each = plan(service.url, make_files(Path(folder)), is_quick=is_quick)
        todo = [
            one
            for number in range(rounds)
            for one in each
            if not (number and one.is_lasting)
            for _ in range(one.times)
        ]
        task = progress.add_task("", total=len(todo))
        for one in todo:
            progress.update(task, description=one.name)
            for name, figure in one.make(service).items():
                found.setdefault(one.name, {}).setdefault(name, []).append(figure)
            progress.advance(task)
    return found


# ---- what is said of it


def judge(m: Medians) -> list[Row]:
    """Hold the figures against their bars."""
    ours_16 = m["cpu/ours/16"]["cpu_ms"]
    longest = max(m["memory/ours"].keys() - {"seconds"}, key=int)
    figures = [
        # measure, figure, its format, bar
        ("CPU a request, 1,000 slots against 16", m["cpu/ours/1000"]["cpu_ms"] / ours_16,
         "{:.2f}", 1.5),
        ("CPU a request, 16 slots against plain httpx on 1 connection",
         ours_16 / m["cpu/httpx, orjson/1"]["cpu_ms"], "{:.2f}", 1.0),
        ("loop stall, 10 images of 8 MB, worst", m["stall/ours/8"]["worst_ms"], "{:.1f} ms", 15),
        ("loop stall, 10 images of 8 MB, p99", m["stall/ours/8"]["p99_ms"], "{:.1f} ms", 5),
        ("extra memory of one batch of 10 images of 8 MB", m["extra memory"]["extra_mb"],
         "{:.1f} MB", 12),
        ("CPU of that upload against base64 and one sendall", m["upload"]["ratio"], "{:.2f}", 2.5),
        ("decoding 10 records of 100 texts against orjson alone", m["decode"]["ratio"], "{:.2f}",
         3.2),
        ("importing it against importing httpx", against_httpx(m, "ours_ms"), "{:.2f}", 1.5),
        (f"peak memory of {int(longest):,} files of 300 kB, 64 slots", m["memory/ours"][longest],
         "{:.0f} MB", 150),
    ]  # fmt: skip
    return judge_speed(m) + [
        Row(what, form.format(figure), f"at most {form.format(bar)}", figure <= bar)
        for what, figure, form, bar in figures
    ]


def against_httpx(m: Medians, program: str) -> float:
    """Return how long a program takes to start, against one that only imports httpx."""
    took = m["import"]
    return (took[program] - took["bare_ms"]) / (took["httpx_ms"] - took["bare_ms"])


def judge_speed(m: Medians) -> list[Row]:
    """Hold images a second, against those that the slots and the latency allow, to their bars."""
    rows = []
    for client, slots, bar in (
        ("ours", 64, 0.92),
        ("ours, no extras", 256, 0.5),
        ("ours", 256, 0.75),
    ):
        figure = m[f"throughput/{client}/{slots}"]["images_per_second"] / charts.possible(slots)
        name = "" if client == "ours" else ", without the extra fast"
        rows.append(
            Row(
                f"images/s against the possible, {slots} slots{name}",
                f"{figure:.2f}",
                f"at least {bar:.2f}",
                figure >= bar,
            )
        )
    return rows


def show(rows: list[Row], m: Medians) -> None:
    """Print the tables, and how busy the service was."""
    console = Console()
    table = Table("measure", "figure", "bar", "", title="This package against its bars")
    for row in rows:
        table.add_row(row.measure, row.figure, row.bar, "met" if row.met else "[red]missed[/]")
    console.print(table)
    slots = (*SLOTS, 1000)
    table = Table("client", title="Images/s, and ms of CPU a request, over slots")
    for number in slots:
        table.add_column(f"{number:,}", justify="right")
    table.add_row("possible", *(f"{charts.possible(number):,.0f}" for number in slots))
    for client in PEERS:
        keys = [f"throughput/{client}/{number}" for number in slots]
        table.add_row(
            client,
            *(f"{m[k]['images_per_second']:,.0f}  {m[k]['cpu_ms']:.2f}" for k in keys if k in m),
        )
    console.print(table)
    key = max((key for key in m if "service_busy" in m[key]), key=lambda k: m[k]["service_busy"])
    cpu = m[key]["service_cpu_ms"]
    print(
        f"The service was busy {m[key]['service_busy']:.0%} of the time at most,"
        f" with {cpu:.2f} ms a request ({key})."
    )
    entered = against_httpx(m, "entered_ms")
    print(f"To import it and enter a first session takes {entered:.2f} of importing httpx.")


def environment() -> dict[str, Any]:
    """Say on what it was measured."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def main() -> int:
    """Measure, print, write and draw; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="one short round, into out/")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    found = measure(rounds, is_quick=options.quick)
    medians = {key: {n: median(v) for n, v in figures.items()} for key, figures in found.items()}
    rows = judge(medians)
    show(rows, medians)
    results = {
        "environment": environment(),
        "rounds": rounds,
        "bars": [asdict(row) for row in rows],
        "medians": medians,
        "all": found,
    }
    folder = HERE.parent / "out" if options.quick else HERE
    folder.mkdir(exist_ok=True)
    # Six digits are more than any figure is worth.
    rounded = json.loads(json.dumps(results), parse_float=lambda text: float(f"{float(text):.6g}"))
    (folder / "results.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    charts.draw(rounded["medians"], folder)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

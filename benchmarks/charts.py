"""The charts of ``make bench``, drawn from its figures.

python benchmarks/charts.py    # draws them anew from results.json
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

Medians = dict[str, dict[str, float]]
Points = Sequence[tuple[float, float]]
OURS = "this package"
NAMES = {
    "ours": OURS,
    "ours, no extras": "this package, no extras",
    "streams": "bare asyncio streams",
    "aiohttp": "aiohttp",
    "httpx": "httpx",
    "aiometer": "aiometer over httpx",
    "vendor": "vendor's client",
}
COLOURS = {
    OURS: "#0b62a4",
    "this package, no extras": "#6aaede",
    "bare asyncio streams": "#8a8a8a",
    "aiohttp": "#2e8b57",
    "httpx": "#c2571a",
    "aiometer over httpx": "#b58900",
    "vendor's client": "#a3245f",
}


def possible(slots: int) -> float:
    """Return how many images/s there can be: 10 a request of 0.2 s."""
    return slots / 0.2 * 10


def number(value: float, _: Any = None) -> str:
    """Write a number as it is read best."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def panel(title: str, across: str, up: str) -> tuple[Figure, Any]:
    """Make an empty chart with logarithmic axes."""
    figure = Figure(figsize=(7.6, 4.4), facecolor="white", layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def lines(axes: Any, series: Mapping[str, Points], marks: Sequence[float]) -> None:
    """Draw lines that say at their ends what they are."""
    ends = []
    for name, points in series.items():
        width = 2.6 if name == OURS else 1.6
        axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[name], lw=width, ms=4, label=name)
        ends.append((points[-1], name))
    axes.set_xticks(marks)
    axes.xaxis.set_major_formatter(FuncFormatter(number))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(marks[0] * 0.85, marks[-1] * 1.15)
    _label(axes, ends)


def _label(axes: Any, ends: list[tuple[tuple[float, float], str]]) -> None:
    """Write names to the right of the axes, in the order of the ends, none upon another."""
    to_share = axes.transAxes.inverted().transform
    heights = [to_share(axes.transData.transform(point))[1] for point, _ in ends]
    step, low = 0.062, -1.0
    places = []
    for height, (point, name) in sorted(zip(heights, ends, strict=True)):
        low = max(low + step, height)
        places.append([low, point, name])
    over = max(places[-1][0] - 1.0, 0.0)
    for place, point, name in places:
        colour = COLOURS[name]
        axes.annotate(
            name,
            xy=point,
            xytext=(1.03, place - over),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontsize=9.5,
            fontweight="bold" if name == OURS else "normal",
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "alpha": 0.5},
            annotation_clip=False,
        )


def _scale(axes: Any, values: Sequence[float]) -> None:
    """Have the height of *values* go by their logarithms."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(number))
    axes.set_ylim(min(values) * 0.7, max(values) * 1.4)


def _series(m: Medians, kind: str, figure: str, keys: Sequence[str]) -> dict[str, Points]:
    """Return the points of each client that has such measurements."""
    series: dict[str, Points] = {}
    for client, name in NAMES.items():
        points = [
            (float(key), m[f"{kind}/{client}/{key}"][figure])
            for key in keys
            if f"{kind}/{client}/{key}" in m
        ]
        if points:
            series[name] = points
    return series


def throughput(m: Medians) -> Figure:
    """Draw what share of the possible each client gets out of its slots."""
    figure, axes = panel(
        "Images/s out of those that the slots allow",
        "requests in flight",
        "images/s [% of possible]",
    )
    keys = ("16", "64", "256", "1000")
    rates = _series(m, "throughput", "images_per_second", keys)
    axes.set_ylim(0, 108)
    shares = {
        name: [(slots, rate / possible(int(slots)) * 100) for slots, rate in points]
        for name, points in rates.items()
    }
    lines(axes, shares, [float(key) for key in keys])
    return figure


def cpu(m: Medians) -> Figure:
    """Draw what CPU a request costs."""
    figure, axes = panel(
        "CPU of a request (10 records, decoded)", "requests in flight", "CPU time a request [ms]"
    )
    # At 64 and 256 the runs for throughput tell it too.
    both = {key.replace("throughput/", "cpu/"): m[key] for key in m if key.startswith("thr")} | m
    both = {
        key: figures
        for key, figures in both.items()
        if key.split("/")[1:2] in (["ours"], ["httpx"], ["aiohttp"])
    }
    both["cpu/ours/1000"] = m["cpu/ours/1000"]
    series = _series(both, "cpu", "cpu_ms", ("1", "16", "64", "256", "1000"))
    reference = m["cpu/httpx, orjson/1"]["cpu_ms"]
    _scale(axes, [reference, *(value for points in series.values() for _, value in points)])
    axes.axhline(reference, color="#555555", lw=1, ls=":")
    words = {"fontsize": 8.5, "color": "#555555", "va": "bottom"}
    axes.text(1, reference * 1.05, "httpx, one connection", **words)
    lines(axes, series, [1, 16, 64, 256, 1000])
    return figure


def stall(m: Medians) -> Figure:
    """Draw how long sending holds the event loop."""
    figure, axes = panel(
        "How long sending 10 images holds the event loop",
        "size of an image [MB]",
        "worst stall of the loop [ms]",
    )
    series = _series(m, "stall", "worst_ms", ("0.1", "1", "8"))
    _scale(axes, [value for points in series.values() for _, value in points])
    lines(axes, series, [0.1, 1, 8])
    return figure


def memory(m: Medians) -> Figure:
    """Draw the peak of memory on a long run's way."""
    figure, axes = panel(
        "Peak memory of a run over files of 300 kB, 64 requests in flight",
        "images read",
        "peak memory [MB]",
    )
    series: dict[str, Points] = {}
    for client in ("ours", "vendor"):
        figures = m[f"memory/{client}"]
        series[NAMES[client]] = sorted((int(k), v) for k, v in figures.items() if k.isdecimal())
    marks = sorted({images for points in series.values() for images, _ in points})
    axes.set_ylim(0, max(value for points in series.values() for _, value in points) * 1.1)
    lines(axes, series, marks)
    return figure


def draw(m: Medians, folder: Path) -> None:
    """Write all charts, the same ones for the same figures."""
    mpl.rcParams |= {"svg.hashsalt": "bench", "font.size": 10}
    for chart in (throughput, cpu, stall, memory):
        chart(m).savefig(folder / f"{chart.__name__}.svg", metadata={"Date": None})


if __name__ == "__main__":
    here = Path(__file__).parent
    draw(json.loads((here / "results.json").read_text(encoding="utf-8"))["medians"], here)

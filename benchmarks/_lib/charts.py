"""Charts of clients against each other: figures in, a small PNG out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from attrs import frozen
from matplotlib.figure import Figure

OURS, OTHERS, LINE, GREY = "#0b62a4", "#b4bcc4", "#c2571a", "#777777"
SIZE = (8.4, 1.0, 0.3)
"""Width of a chart, height of its heads, and height of a client's row [inches]."""


NAMES = {
    "ours": "this package",
    "ours, no extras": "this package, no extras",
    "streams": "bare asyncio streams",
    "aiohttp": "aiohttp",
    "aiohttp, orjson": "aiohttp and orjson",
    "httpx": "httpx",
    "httpx, orjson": "httpx and orjson",
    "aiometer": "aiometer over httpx",
    "vendor": "vendor's client",
}
"""How clients are called in charts, from top to bottom."""


@frozen
class Chart:
    """What one chart shows: a row for each client, and a panel for each setting.

    Attributes:
        title: What the figures are, with their unit.
        head: The head of a panel, with a place for its setting.
        figures: The figures by client and setting, of which some may be missing.
        bars: What this package is held against, by setting.
        most: The end of all scales, or None if each panel has its own.
    """

    title: str
    head: str
    figures: Mapping[tuple[str, float], float]
    bars: Mapping[float, float]
    most: float | None = None

    @property
    def clients(self) -> list[str]:
        """The clients from top to bottom."""
        measured = {client for client, _ in self.figures}
        return [client for client in NAMES if client in measured]

    @property
    def settings(self) -> list[float]:
        """The settings from left to right."""
        return sorted({setting for _, setting in self.figures})


def draw(chart: Chart, path: Path) -> None:
    """Write *chart* to *path*; the same chart gives the same file."""
    mpl.rcParams["font.size"] = 10
    width, heads, row = SIZE
    size = (width, heads + row * len(chart.clients))
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    figure.suptitle(chart.title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    panels = figure.subplots(1, len(chart.settings), sharey=True, squeeze=False)[0]
    for axes, setting in zip(panels, chart.settings, strict=True):
        _draw_panel(axes, chart, setting)
    labels = [NAMES[client] for client in chart.clients]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].invert_yaxis()
    panels[0].get_yticklabels()[0].set_fontweight("bold")
    notes = ["Each panel has its own scale."] if chart.most is None else []
    if len(chart.figures) < len(chart.clients) * len(chart.settings):
        notes.append("-: not measured.")
    figure.supxlabel(" ".join(notes), x=0.01, ha="left", fontsize=9, color=GREY)
    figure.savefig(path, metadata={"Software": None})


def _draw_panel(axes: Any, chart: Chart, setting: float) -> None:
    """Draw the figures at a setting as horizontal bars, and what is to be met as a line."""
    figures = {
        row: chart.figures[client, setting]
        for row, client in enumerate(chart.clients)
        if (client, setting) in chart.figures
    }
    colours = [OTHERS if row else OURS for row in figures]
    bars = axes.barh(list(figures), list(figures.values()), height=0.68, color=colours)
    numbers = [_number(figure) for figure in figures.values()]
    for label in axes.bar_label(bars, numbers, padding=3, fontsize=9.5):
        # The line of what is to be met passes behind it.
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    for row in set(range(len(chart.clients))) - set(figures):
        axes.annotate("-", (0, row), (4, 0), textcoords="offset points", va="center", color=GREY)
    axes.set_title(chart.head.format(setting), loc="left", fontsize=10)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(left=False, bottom=False)
    axes.set_xticks([])
    bar = chart.bars.get(setting)
    if bar is not None:
        axes.axvline(bar, color=LINE, lw=1.4, ls=(0, (3, 2)))
        axes.set_xticks([bar], [f"bar {_number(bar)}"], color=LINE, fontsize=9)
    # The numbers stand beside the bars, and need room.
    axes.set_xlim(0, (chart.most or max(*figures.values(), bar or 0)) * 1.35)


def _number(value: float) -> str:
    """Return a number with as many digits as tell anything in a chart."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def draw_against_bars(
    title: str, rows: Sequence[tuple[str, float, float]], path: Path, *, most: float = 100.0
) -> None:
    """Write a chart of rows against their bars, before and now, on a logarithmic scale.

    Args:
        title: Of the chart.
        rows: Of each its name, and how many times its bar it was before and is now.
        path: Where the picture goes.
        most: The end of the scale; what is beyond stands there as an arrow.
    """
    with mpl.rc_context({"font.size": 9, "svg.hashsalt": "charts"}):
        figure = Figure(figsize=(8.4, 1.0 + 0.3 * len(rows)), layout="constrained")
        axes = figure.subplots()
        least = 0.01
        for place, (_, before, now) in enumerate(rows):
            old, new = (min(most, max(least, x)) for x in (before, now))
            axes.plot([old, new], [place, place], color=OTHERS, linewidth=1.5, zorder=1)
            axes.plot(old, place, ">" if before > most else "o", color=OTHERS, markersize=7)
            axes.plot(new, place, "o", color=OURS, markersize=7)
        axes.axvline(1, color=LINE, linewidth=1)
        axes.set(xscale="log", xlim=(least * 0.8, most * 1.25), title=title)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
        axes.invert_yaxis()
        ticks = [0.01, 0.1, 1, 10, 100]
        axes.set_xticks(ticks, ["a hundredth", "a tenth", "the bar", "10 times", "100 times"])
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.plot([], [], "o", color=OTHERS, label="before")
        axes.plot([], [], "o", color=OURS, label="now")
        figure.legend(loc="outside lower left", frameon=False, ncols=2)
        figure.supxlabel("The lower, the better.", x=0.99, ha="right", fontsize=9, color=GREY)
        figure.savefig(path, dpi=120, metadata={"Software": None})

"""Figures in, rows out: each row says what was measured and whether it met its bar."""

import sys
from collections.abc import Sequence

from attrs import frozen
from rich.console import Console
from rich.table import Table

CONSOLE = Console(width=None if sys.stdout.isatty() else 160)


@frozen
class Row:
    """One measure, its figure, and the bar that the figure is held against."""

    measure: str
    figure: str
    bar: str
    met: bool


def at_most(
    measure: str, figure: float, bar: float, *, unit: str = "", form: str = ".2f", note: str = ""
) -> Row:
    """Hold *figure* against the highest value that is allowed.

    Args:
        measure: What was measured.
        figure: What came out.
        bar: The bar, in the unit of the figure.
        unit: Text that follows both numbers, such as `" ms"`.
        form: How the figure is formatted.
        note: Text that stands in parentheses behind the figure.

    Returns:
        The row, which is met if *figure* is *bar* or less.
    """
    return _row(measure, f"{figure:{form}}{unit}", f"at most {bar:g}{unit}", figure <= bar, note)


def under(
    measure: str, figure: float, bar: float, *, unit: str = "", form: str = ".2f", note: str = ""
) -> Row:
    """Hold *figure* against a value that it must not reach; see `at_most`."""
    return _row(measure, f"{figure:{form}}{unit}", f"under {bar:g}{unit}", figure < bar, note)


def at_least(measure: str, figure: float, bar: float) -> Row:
    """Hold *figure* against the lowest value that is allowed."""
    return _row(measure, f"{figure:.2f}", f"at least {bar:g}", figure >= bar)


def exactly(measure: str, figure: float, bar: float, *, note: str = "") -> Row:
    """Hold *figure* against the only value that is allowed."""
    return _row(measure, f"{figure:,}", f"{bar:,}", figure == bar, note)


def none_of(measure: str, *figures: int, note: str = "") -> Row:
    """Hold counts against zero, all of them."""
    zeros = ", ".join("0" for _ in figures)
    return _row(measure, ", ".join(f"{n:,}" for n in figures), zeros, not any(figures), note)


def _row(measure: str, figure: str, bar: str, met: bool, note: str = "") -> Row:  # noqa: FBT001
    return Row(measure, f"{figure} ({note})" if note else figure, bar, met)


def show(title: str, rows: Sequence[Row]) -> None:
    """Print *rows* as a table."""
    table = Table("measure", "figure", "bar", "", title=title)
    for row in rows:
        table.add_row(row.measure, row.figure, row.bar, "met" if row.met else "[red]missed[/]")
    CONSOLE.print(table)

"""Measurements in child processes, made in turn, round after round; their medians come out."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from attrs import field, frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from _lib.children import run
from _lib.service import Service

Medians = dict[str, dict[str, float]]
"""Figures by measurement and name."""


@frozen
class Measurement:
    """What a child process measures, and on what service.

    Attributes:
        name: The name under which its figures are kept.
        function: The function that the child calls.
        arguments: What the child calls it with.
        latency: The time that the service takes for a request [s].
        texts: The texts in a record of the service's answers.
        failing: One in so many of those records has failed; 0 for none.
        unknown: One in so many has keys that nobody documents; 0 for none.
        times: How often it is made in a round.
        is_lasting: Whether it takes so long that it is made in the first round only.
    """

    name: str
    function: str
    arguments: dict[str, Any] = field(factory=dict)
    latency: float = 0.0
    texts: int = 20
    failing: int = 0
    unknown: int = 0
    times: int = 1
    is_lasting: bool = False

    def make(self, service: Service) -> dict[str, float]:
        """Make it once."""
        service.set(
            latency=self.latency, texts=self.texts, failing=self.failing, unknown=self.unknown
        )
        figures: dict[str, float] = run(self.function, **self.arguments)
        if self.function == "_lib.peers.steady":
            figures |= _busy(service.counts(), self.latency)
        return figures


def _busy(counts: dict[str, Any], latency: float) -> dict[str, float]:
    """Return what the service had to do, as a proof that it was not the slow side."""
    # All clients ask for the same, or they could not be compared.
    assert counts["records"] == counts["requests"] * 10
    wall = counts["answered"][-1] - counts["answered"][0] + latency
    return {
        "service_cpu_ms": counts["cpu"] / counts["requests"] * 1000,
        "service_busy": counts["cpu"] / wall,
    }


def measure(plan: Sequence[Measurement], service: Service, rounds: int) -> Medians:
    """Make all measurements of *plan* in each round; return the medians of their figures."""
    found: dict[str, dict[str, list[float]]] = {}
    todo = [
        one
        for number in range(rounds)
        for one in plan
        if not (number and one.is_lasting)
        for _ in range(one.times)
    ]
    columns = (TextColumn("{task.description:<28}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(BarColumn(), *columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(todo))
        for one in todo:
            progress.update(task, description=one.name)
            for name, figure in one.make(service).items():
                found.setdefault(one.name, {}).setdefault(name, []).append(figure)
            progress.advance(task)
    return {key: {n: median(v) for n, v in figures.items()} for key, figures in found.items()}

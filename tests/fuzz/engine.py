"""Runs a target on one input after the other, and watches what each costs."""

import tempfile
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

BASE_BYTES = 4 * 1024 * 1024
"""What an input may cost whatever its size [bytes]. Source: judgement."""

FACTOR = 50
"""What it may cost beside that, in times its size. Source: judgement; an empty array of JSON has 3
bytes, and takes 64 in Python."""

LARGE = 64 * 1024
"""The size [bytes] from which an input counts for the worst factor; below it, the base is most."""

BASE_SECONDS, SECONDS_A_BYTE = 5.0, 0.5e-6
"""How long an input may take of the processor whatever its size, and for each byte [s]. Source:
judgement; tracing makes it three times as long."""

SHRINKING = 20.0
"""How long smaller inputs are looked for that do the same [s]."""

WARM_UP = 20
"""How many inputs are run before any is watched."""

CHUNK = 250
"""How many inputs are drawn between two looks at the clock."""


class BoundExceededError(Exception):
    """An input cost more than it may."""


@frozen
class Target:
    """What takes inputs of others.

    Attributes:
        name: What it is called.
        inputs: What it is given.
        size: Returns how large an input is [bytes].
        run: Takes an input. Whatever it raises is a crash: it passes over errors of ours.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    size: Callable[[Any], int]
    run: Callable[[Any], None]


@define
class Report:
    """What became of the inputs of a target.

    Attributes:
        inputs: How many there were.
        factor: The most memory, in times the size, of a large input.
        seconds: The most time that one took of the processor [s].
        crashes: Where the inputs are kept that raised something, by what and where that was.
    """

    inputs: int = 0
    factor: float = 0.0
    seconds: float = 0.0
    crashes: dict[str, Path] = field(factory=dict)


def watch(target: Target, case: Any, report: Report) -> None:
    """Run a target on an input; raise what it raises, or that it cost too much."""
    report.inputs += 1
    size = target.size(case)
    tracemalloc.start()
    began = time.thread_time()
    try:
        target.run(case)
        seconds, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    report.seconds = max(report.seconds, seconds)
    if size >= LARGE:
        report.factor = max(report.factor, peak / size)
    if peak > BASE_BYTES + FACTOR * size:
        raise BoundExceededError(f"{peak:,} bytes of memory for {size:,}")
    if seconds > BASE_SECONDS + SECONDS_A_BYTE * size:
        raise BoundExceededError(f"{seconds:.1f} s for {size:,} bytes")


def fuzz(
    target: Target,
    *,
    seconds: float = 0.0,
    examples: int = CHUNK,
    first: int = 0,
    folder: Path | None = None,
) -> Report:
    """Run a target for some *seconds* [s], on *examples* inputs at least.

    Args:
        target: What takes the inputs.
        seconds: How long to go on [s].
        examples: How many inputs are drawn between two looks at the clock.
        first: The seed of the first ones. The same seed draws the same inputs.
        folder: Where to keep inputs that crash; by default a new one for temporary files.
    """
    report, end, number = Report(), time.monotonic() + seconds, first
    # What is loaded when it is first used is no cost of an input.
    with suppress(Exception):
        _test(target, target.run, WARM_UP, first)
    folder = folder or Path(tempfile.mkdtemp(prefix="fuzz-"))
    while True:
        chunk = _Chunk(target, report)
        try:
            _test(target, chunk.take, examples, number)
        except Exception:
            if chunk.error is None:
                raise
            _keep(report, chunk.error, chunk.case, folder)
        number += 1
        if time.monotonic() >= end:
            return report


@define
class _Chunk:
    """Takes some inputs, and then ever smaller ones for which the same is raised."""

    target: Target
    report: Report
    error: Exception | None = None
    case: Any = None
    _until: float = inf

    def take(self, case: Any) -> None:
        """Run the target on one input; raise what is new."""
        if time.monotonic() > self._until:
            return
        try:
            watch(self.target, case, self.report)
        except Exception as error:
            if _name(error) in self.report.crashes:
                return
            if self.error is None:
                self._until = time.monotonic() + SHRINKING
            size = self.target.size
            if self.error is None or size(case) <= size(self.case):
                self.error, self.case = error, case
            raise


def _test(target: Target, one: Callable[[Any], None], examples: int, number: int) -> None:
    options = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )

    @seed(number)
    @options
    @given(case=target.inputs)
    def take(case: Any) -> None:
        one(case)

    with warnings.catch_warnings():
        # It warns of inputs that are long when they are written down.
        warnings.simplefilter("ignore", HypothesisWarning)
        take()


def _name(error: Exception) -> str:
    """Return what was raised, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"


def _keep(report: Report, error: Exception, case: Any, folder: Path) -> None:
    """Write down an input and what was raised."""
    path = folder / f"{len(report.crashes)}.txt"
    words = "".join(traceback.format_exception(error))
    path.write_text(f"{case!r}\n\n{words}", encoding="utf-8", errors="backslashreplace")
    report.crashes[_name(error)] = path

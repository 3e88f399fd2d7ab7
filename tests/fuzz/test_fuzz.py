"""The fuzzer runs, finds nothing in its first inputs, and finds what there is to find."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tests.fuzz import TARGETS, Target, fuzz
from tests.fuzz.engine import BASE_BYTES


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_first_hundred_inputs_do_no_harm(target: Target, tmp_path: Path) -> None:
    """Whatever is sent, only errors of ours are raised, in bounded memory and time."""
    report = fuzz(target, examples=100, folder=tmp_path)
    assert report.inputs >= 100
    assert [path.read_text(encoding="utf-8") for path in report.crashes.values()] == []


def a_target(run: Any) -> Target:
    """Return a target that takes numbers."""
    return Target("numbers", st.integers(0, 1000), lambda _: 1, run)


def test_a_crash_is_kept_with_its_smallest_input(tmp_path: Path) -> None:
    """What is raised is reported once, with the smallest input for which it is."""

    def run(number: int) -> None:
        if number >= 7:
            raise LookupError

    report = fuzz(a_target(run), examples=50, folder=tmp_path)
    [(name, path)] = report.crashes.items()
    assert name.startswith("LookupError at test_fuzz.py:")
    assert path.read_text().startswith("7\n")


def test_too_much_memory_is_a_crash(tmp_path: Path) -> None:
    """An input that takes more memory than its size allows is reported."""
    report = fuzz(
        a_target(lambda _: bytearray(2 * BASE_BYTES).clear()), examples=5, folder=tmp_path
    )
    [name] = report.crashes
    assert name.startswith("BoundExceededError at engine.py:")


def test_too_much_time_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that takes the processor for long is reported."""
    clock = iter(range(0, 10_000, 11))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(clock)))
    report = fuzz(a_target(lambda _: None), examples=5, folder=tmp_path)
    [path] = report.crashes.values()
    assert "11.0 s for 1 bytes" in path.read_text()
    assert report.seconds == 11.0

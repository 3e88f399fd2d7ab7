"""The session and real servers, over loopback: what it promises in each case of the wire."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire import CASES, LOOPS, Case, hold

TRIED = (None, "nginx", "haproxy", "tinyproxy")
"""Programs that are tried here; ``make wire`` tries the others, too."""


def loops_of(number: int, case: Case) -> list[str]:
    """Return where the case of this number is tried; `make wire` tries each case on every loop."""
    # Loops differ in what they do with answers that are not expected yet, or not at all.
    is_early = case.id.split(".")[0] in {"W5", "W6", "W8"}
    return [*LOOPS] if is_early else [[*LOOPS][number % len(LOOPS)]]


def trials() -> Iterator[Any]:
    """Yield the cases, each with an event loop."""
    tried = [case for case in CASES if (case.program and case.program.name) in TRIED]
    for number, case in enumerate(tried):
        missing = case.program.missing if case.program else ""
        marks = pytest.mark.skipif(bool(missing), reason=missing)
        for loop in loops_of(number, case):
            yield pytest.param(case, LOOPS[loop], id=f"{case.id}-{loop}", marks=marks)


# Where it is interrupted, httpx leaves its own async generators to the collector, of which trio
# warns; a generator of ours would still show.
@pytest.mark.filterwarnings("ignore:Async generator '(httpx|httpcore):ResourceWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("case, anyio_backend", [*trials()])
async def test_promises_hold_on_the_wire(case: Case, anyio_backend: Any, tmp_path: Path) -> None:
    """What is paid for twice is marked, an outage is a pause, and an early answer is heard."""
    assert anyio_backend in LOOPS.values()
    found = await hold(case, tmp_path)
    assert found.complaints == (), f"{case.fault}: promised: {case.promise}"


def test_every_case_has_a_name_and_a_promise() -> None:
    """The cases are W1 to W10, each with a name of its own and a promise."""
    assert {case.id.split(".")[0] for case in CASES} == {f"W{kind}" for kind in range(1, 11)}
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.promise for case in CASES)

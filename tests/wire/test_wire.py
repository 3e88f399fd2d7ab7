"""The session and real servers, over loopback: what it promises in each case of the wire."""

from pathlib import Path
from typing import Any

import pytest

from tests.wire import CASES, LOOPS, Case, hold

TRIED = (None, "nginx", "haproxy", "tinyproxy")
"""Programs that are tried here; ``make wire`` tries the others, too."""


def trials() -> list[Any]:
    """Return each case on one event loop, in turns; `make wire` tries all three."""
    tried = [case for case in CASES if (case.program and case.program.name) in TRIED]
    found = []
    for number, case in enumerate(tried):
        name = [*LOOPS][number % len(LOOPS)]
        missing = case.program.missing if case.program else ""
        marks = pytest.mark.skipif(bool(missing), reason=missing)
        found.append(pytest.param(case, LOOPS[name], id=f"{case.id}-{name}", marks=marks))
    return found


# Where it is interrupted, httpx leaves its own async generators to the collector, of which trio
# warns; a generator of ours would still show.
@pytest.mark.filterwarnings("ignore:Async generator '(httpx|httpcore):ResourceWarning")
@pytest.mark.anyio
@pytest.mark.parametrize("case, anyio_backend", trials())
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

"""The session in every fault that we know of, over real sockets, and the promises that it keeps."""

from typing import Any

import pytest

from tests.faults import BACKENDS, CASES, LIBRARIES, Case, hold

WORLDS = [(backend, library) for backend in BACKENDS for library in LIBRARIES]


def world_of(number: int, case: Case) -> tuple[str, str]:
    """Return where the case of this number is tried: in turns; `make faults` tries all four."""
    possible = [world for world in WORLDS if case.runs_on(*world)]
    return possible[number % len(possible)]


# Where it is interrupted, httpx leaves its own async generators to the collector, of which trio
# warns; a generator of ours would still show.
@pytest.mark.filterwarnings("ignore:Async generator '(httpx|httpcore):ResourceWarning")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "case, library, anyio_backend",
    [
        pytest.param(case, library, backend, id=f"{case.id}-{backend}-{library}")
        for number, case in enumerate(CASES)
        for backend, library in [world_of(number, case)]
    ],
)
async def test_promises_hold_in_every_fault(case: Case, library: str, anyio_backend: Any) -> None:
    """Each image has one outcome, nothing is paid for twice in silence, and no slot is lost."""
    assert anyio_backend in BACKENDS
    assert await hold(case, library) == [], f"{case.fault}: expected: {case.expected}"


def test_every_row_of_the_matrix_has_a_case() -> None:
    """The cases are F01 to F66 and F69 to F75, each with a name of its own and a promise."""
    rows = [*range(1, 67), *range(69, 76)]
    assert {case.id.split(".")[0] for case in CASES} == {f"F{row:02}" for row in rows}
    assert len({case.id for case in CASES}) == len(CASES)
    assert all(case.expected for case in CASES)

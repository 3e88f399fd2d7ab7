"""The fault matrix: a real session against a faulty server, in every fault that we know of.

    make faults

Each case runs on asyncio and on trio, with the session's own client, with an injected one of httpx
and with one of httpx2, over loopback sockets. Afterwards the promises of the README are checked
(``tests/faults``). It takes two minutes.
"""

import sys
import warnings
from pathlib import Path

import anyio
from _lib.bars import CONSOLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults import BACKENDS, CASES, LIBRARIES, Case, hold

WORLDS = [(backend, library) for backend in BACKENDS for library in LIBRARIES]


def run(case: Case, backend: str, library: str) -> list[str] | None:
    """Return what did not hold; None where the case cannot be."""
    if not case.runs_on(backend, library):
        return None
    try:
        return anyio.run(hold, case, library, backend=backend)
    except Exception as error:  # noqa: BLE001 - the other cases are to run all the same
        return [f"the trial itself failed: {error!r}"]


def main() -> int:
    """Print every case; return 1 if one does not hold."""
    # On trio, httpx leaves its own async generators to the collector.
    warnings.simplefilter("ignore", ResourceWarning)
    table = Table("", "fault", "expected", title="Fault matrix")
    for backend, library in WORLDS:
        table.add_column(f"{backend}\n{library}")
    held, complaints = [], []
    for case in track(CASES, "running", console=Console(stderr=True), transient=True):
        cells = []
        for backend, library in WORLDS:
            wrong = run(case, backend, library)
            cells.append("-" if wrong is None else "[red]FAILED[/]" if wrong else "ok")
            complaints += [f"{case.id} {backend} {library}: {what}" for what in wrong or ()]
        held.append("[red]FAILED[/]" not in cells)
        table.add_row(case.id, case.fault, case.expected, *cells)
    CONSOLE.print(table)
    for complaint in complaints:
        CONSOLE.print(complaint, style="red", markup=False, highlight=False, soft_wrap=True)
    CONSOLE.print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

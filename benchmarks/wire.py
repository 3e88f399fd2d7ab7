"""The wire: a real session and real proxies, in each case that we know of, with the full numbers.

    make wire

Each case runs on asyncio, on uvloop and on trio, over loopback, with whatever is installed of
nginx, HAProxy, tinyproxy, Squid, Caddy, Varnish and Apache (``tests/wire``). Figures are sums of
all three. It takes some minutes.
"""

import logging
import sys
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from _lib.bars import CONSOLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.wire import CASES, LOOPS, Case, Result, hold


def run(case: Case, loop: str) -> Result | str:
    """Return what came of a case, or why the trial itself failed."""
    backend, options = LOOPS[loop]
    with TemporaryDirectory() as folder:
        trial = partial(hold, case, Path(folder), is_large=True)
        try:
            return anyio.run(trial, backend=backend, backend_options=options)
        except Exception as error:  # noqa: BLE001 - the other cases are to run all the same
            return f"the trial itself failed: {error!r}"


def came(results: list[Result]) -> list[str]:
    """Return the cells that say what came of a case."""
    ends = sum((result.ends for result in results), Counter[str]())
    counts = [
        sum(result.requests for result in results),
        sum(result.doubled for result in results),
        sum(result.untold for result in results),
        sum(result.for_nothing for result in results),
    ]
    slowest = max((result.seconds for result in results), default=0.0)
    return [
        ", ".join(f"{count:,} {end}" for end, count in ends.items()),
        *(f"{count:,}" for count in counts),
        f"{slowest:.1f}",
    ]


def main() -> int:
    """Print every case; return 1 if one does not hold."""
    logging.getLogger("ximilar_ocr_async").setLevel(logging.ERROR)
    # On trio, httpx leaves its own async generators to the collector.
    warnings.simplefilter("ignore", ResourceWarning)
    columns = ("images", "requests", "paid\ntwice", "in\nsilence", "marked for\nnothing", "most\ns")
    table = Table("", "fault", "promise", *columns, *LOOPS, title="The wire")
    held, complaints = [], []
    for case in track(CASES, "running", console=Console(stderr=True), transient=True):
        if case.program and case.program.missing:
            table.add_row(case.id, case.fault, case.program.missing)
            continue
        found = {loop: run(case, loop) for loop in LOOPS}
        results = [result for result in found.values() if isinstance(result, Result)]
        wrong = {
            loop: result.complaints if isinstance(result, Result) else (result,)
            for loop, result in found.items()
        }
        cells = ["[red]FAILED[/]" if wrong[loop] else "ok" for loop in LOOPS]
        complaints += [f"{case.id} {loop}: {what}" for loop in LOOPS for what in wrong[loop]]
        held.append(not any(wrong.values()))
        table.add_row(case.id, case.fault, case.promise, *came(results), *cells)
    CONSOLE.print(table)
    for complaint in complaints:
        CONSOLE.print(complaint, style="red", markup=False, highlight=False, soft_wrap=True)
    CONSOLE.print(f"{sum(held)} of {len(held)} hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())

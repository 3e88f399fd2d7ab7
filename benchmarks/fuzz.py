"""Damaged inputs by the thousand, into all that takes the words of others.

    make fuzz                                    # each target for 10 minutes
    make fuzz FUZZ_SECONDS=60 FUZZ="decode jobs"

The targets stand in ``tests/fuzz``. An input that raises anything but an error of the package, or
costs more memory or time than it may, is made small and written to a file.
"""

import argparse
import logging
import os
import random
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fuzz import TARGETS, fuzz


def main() -> int:
    """Run the targets and print a table; return 1 if anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [target.name for target in TARGETS]
    parser.add_argument("targets", nargs="*", default=names, help=f"some of {', '.join(names)}")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))  # noqa: S311 - no secret
    options = parser.parse_args()
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    logging.disable()
    table = Table(title=f"Damaged inputs, {seconds:g} s for each target, from seed {options.seed}")
    for column in ("target", "inputs", "worst memory", "slowest [ms]", "crashes"):
        table.add_column(column)
    failed = False
    for target in TARGETS:
        if target.name in options.targets:
            report = fuzz(target, seconds=seconds, first=options.seed)
            failed = failed or bool(report.crashes)
            crashes = (
                "\n".join(f"{name}: {path}" for name, path in report.crashes.items()) or "none"
            )
            memory, slowest = f"{report.factor:.0f} x size", f"{report.seconds * 1000:,.0f}"
            table.add_row(target.name, f"{report.inputs:,}", memory, slowest, crashes or "none")
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

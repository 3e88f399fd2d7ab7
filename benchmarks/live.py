"""The real service, asked what nobody here knows of it, within a number of credits.

    make live TOKEN=… CREDITS=100 [URL=https://api.ximilar.com]

It sends requests to the service that TOKEN is for, and spends at most so many CREDITS of its
account. What it finds is printed, and written to ``out/live-report.md`` to be sent back; the token
is in neither.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import anyio
from _lib.bars import CONSOLE
from _lib.live.books import Books, Budget
from _lib.live.lab import Finding, Lab, Limits, Step, run
from _lib.live.questions import LAST, all_questions
from _lib.live.report import Report
from _lib.live.wire import Place

from ximilar_ocr_async._constants import BASE_URL

REPORT = Path("out/live-report.md")
USAGE = "as in make live TOKEN=… CREDITS=100"
INTERRUPTED = 130
"""The exit code of programs that were broken off from the keyboard."""

DIGITS = re.compile(r"[0-9]+", re.ASCII)
VISIBLE = re.compile(r"[!-~]+")


def read_options(environment: Mapping[str, str]) -> tuple[Place, int]:
    """Return where to ask, and what may be spent [credits].

    Raises:
        ValueError: An option is missing or wrong. The message does not show the token.
    """
    # Neither message shows a value, because it may be the token in the wrong place.
    limit = environment.get("CREDITS", "")
    if not DIGITS.fullmatch(limit):
        raise ValueError(f"CREDITS is not a number; say how many may be spent, {USAGE}")
    token = environment.get("TOKEN", "").strip().removeprefix("Token ").strip()
    if not VISIBLE.fullmatch(token):
        raise ValueError(f"TOKEN is empty or not all visible ASCII; give one, {USAGE}")
    return Place(environment.get("URL") or BASE_URL, token), int(limit)


def ask(place: Place, budget: int, limits: Limits, path: Path) -> int:
    """Ask all questions of the service at *place*, print and write the report.

    Args:
        place: Where the service is.
        budget: What may be spent [credits].
        limits: How long and how much everything may be.
        path: Where the report is written.

    Returns:
        The exit code: 0, or 1 if a question was asked in vain.
    """
    lab = Lab(place, limits, Budget(budget, Books(place, limits.pause)))
    steps = all_questions(limits)
    most = min(budget, sum(step.worst(lab) for step in steps))
    CONSOLE.print(
        f"Asking {place.url}. At most {most} credits will be spent, in at most "
        f"{limits.total:g} s. Meanwhile nobody else should use the account.",
        highlight=False,
    )
    findings: list[Finding] = []
    began = monotonic()

    def tell(step: Step) -> None:
        print(f"{monotonic() - began:5.0f} s  {step.question}", flush=True)

    try:
        anyio.run(run, lab, steps, LAST, findings, tell)
    finally:
        # Also of a run that was broken off.
        report = Report(lab, findings)
        CONSOLE.print(report.table())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report.markdown(), encoding="utf-8")
        CONSOLE.print(f"The report is in {path}.", highlight=False)
    return 1 if any(finding.has_failed for finding in findings) else 0


def main() -> int:
    """Ask the service that the environment names; return the exit code."""
    try:
        place, budget = read_options(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return ask(place, budget, Limits(), REPORT)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

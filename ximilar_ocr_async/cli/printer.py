"""Printing of outcomes: outcomes in; text or JSON lines, failures, progress and totals out."""

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from io import UnsupportedOperation
from pathlib import Path
from typing import Any, Literal, Self, TextIO, TypeAlias, cast

from attrs import define, field, frozen
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from ximilar_ocr_async.cli.console import check_output, harmless, write_line, write_message
from ximilar_ocr_async.cli.json_lines import outcome_to_json, to_json
from ximilar_ocr_async.errors import shown
from ximilar_ocr_async.events import AttemptEnded, Event, OutcomeReady
from ximilar_ocr_async.outcomes import Outcome, Success

_FORGED = re.compile("(?<![^\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])(?===>)")
"""Where a line of text begins as a heading does, whatever a program takes for the end of a line."""

Format: TypeAlias = Literal["text", "jsonl"]


@frozen(kw_only=True)
class Renderer:
    """How a command renders its outcomes.

    Attributes:
        to_json: Returns the content of a JSON line.
        to_lines: Returns the lines of text of a success.
        success: What the totals call a success, such as "read".
    """

    to_json: Callable[[Outcome[Any]], dict[str, Any]]
    to_lines: Callable[[Success[Any]], Sequence[str]]
    success: str


def _lines(outcome: Success) -> Sequence[str]:
    """Return the language model's answer, or the text of the image if there was no prompt."""
    record = outcome.record
    if record.gpt is not None:
        return [record.gpt.result or ""]
    return [text.text for text in record.ocr.texts]


RECORD_RENDERER = Renderer(to_json=outcome_to_json, to_lines=_lines, success="read")


@contextmanager
def open_output(output: Path | None) -> Generator[TextIO]:
    """Open *output* without emptying it. None yields standard output.

    Raises:
        OSError: It cannot be opened.
        OptionError: It cannot be written.
    """
    if output is None:
        yield check_output(sys.stdout)
        return
    file = check_output(output.open("a", encoding="utf-8"), f"--output {output}")
    try:
        yield file
    finally:
        # Each line was flushed. What is left is what could not be written.
        with suppress(OSError):
            file.close()


def progress(*more: ProgressColumn, quiet: bool) -> Progress:
    """Make a progress bar with *more* columns.

    It is shown if standard error is a terminal and *quiet* is False.
    """
    console = Console(file=cast("TextIO", _Unfailing(sys.stderr)))
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeElapsedColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        # Output to a pipe must not be redirected to the terminal with the bar.
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )


@frozen
class _Unfailing:
    """A text stream that may break without harm, as when its terminal is closed."""

    _file: TextIO

    def write(self, text: str) -> int:
        with harmless(self._file):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with harmless(self._file):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@define
class ProgressBar:
    """Shows how far a run is, as its session tells it. Lives as long as the run.

    Attributes:
        is_paid: Whether to show what was spent.
        credits: What was spent [credits].
        maybe_billed: Records that may have been billed and brought nothing.
    """

    is_paid: bool
    _bar: Progress
    _task: TaskID
    _done: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)
    credits: int = field(init=False, default=0)
    maybe_billed: int = field(init=False, default=0)

    @classmethod
    def make(cls, *, quiet: bool, is_paid: bool) -> Self:
        """Make a bar, which is shown where `progress` is."""
        bar = progress(TextColumn("{task.fields[told]}"), quiet=quiet)
        return cls(is_paid, bar, bar.add_task("", start=False, total=None, told=""))

    @contextmanager
    def show(self, description: str, total: int | None) -> Generator[None]:
        """Show the bar of *total* images, or of an unknown number."""
        self._bar.update(self._task, description=description, total=total)
        self._bar.start_task(self._task)
        with self._bar:
            yield

    def hear(self, event: Event) -> None:
        """Count what the session tells, and show it."""
        match event:
            case OutcomeReady(ok=ok):
                self._done += 1
                self._failed += not ok
            case AttemptEnded(credits=spent, maybe_billed=lost):
                self.credits += spent
                self.maybe_billed += lost
        if not self._bar.disable:
            self._bar.update(self._task, completed=self._done, told=self._told())

    def _told(self) -> str:
        rate = self._done / (self._bar.tasks[self._task].elapsed or 1.0)
        spent = [f"{self.credits:,} credits"] if self.is_paid else []
        return ", ".join([f"{self._failed} failed", f"{rate:.1f}/s", *spent])


@define
class Printer:
    """Prints outcomes, and names the failures on standard error.

    Attributes:
        file: Where to write outcomes. Each one is flushed at once.
        renderer: How outcomes are rendered.
        format: Output format.
        headings: Whether the text of each image has a heading with its name.
        done: Number of successes so far.
        failed: Number of failures so far.
        written: Number of outcomes that were written.
        broken: Why the file cannot be written any more.
    """

    file: TextIO
    renderer: Renderer
    format: Format = field(kw_only=True)
    headings: bool = field(kw_only=True)
    done: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    written: int = field(init=False, default=0)
    broken: OSError | None = field(init=False, default=None)
    _start: float = field(init=False, factory=time.monotonic)

    def write(self, outcome: Outcome[Any]) -> None:
        """Write one outcome. The first one replaces the former content of the file.

        Raises:
            OSError: The file cannot be written, such as on a full disk; it is `broken`.
        """
        if not self.done + self.failed and self.file is not sys.stdout and _is_regular(self.file):
            self.file.truncate(0)
        if outcome.ok is True:
            self.done += 1
        else:
            self.failed += 1
        try:
            self._write(outcome)
        except OSError as error:
            self.broken = error
            raise
        finally:
            if not outcome.ok:
                write_message(f"{shown(outcome.image.name)}: {outcome.error}")  # pyright: ignore[reportAttributeAccessIssue]
        self.written += 1

    def _write(self, outcome: Outcome[Any]) -> None:
        if self.format == "jsonl":
            write_line(to_json(self.renderer.to_json(outcome)), self.file)
        elif outcome.ok is True:
            self._write_text(outcome.image.name, self.renderer.to_lines(outcome))

    def _write_text(self, name: str, lines: Sequence[str]) -> None:
        if self.headings:
            # Nothing else begins like this, so that no image forges the text of another.
            lines = [f"==> {shown(name)} <==", *(_FORGED.sub(" ", line) for line in lines), ""]
        write_line("\n".join(lines), self.file)

    def totals(self) -> str:
        """Return a line with the number of successes and failures and the time taken."""
        seconds = time.monotonic() - self._start
        return f"{self.done} {self.renderer.success}, {self.failed} failed, {seconds:.1f} s"


def _is_regular(file: TextIO) -> bool:
    # Devices say that they are seekable, and cannot be emptied.
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except UnsupportedOperation:
        return False

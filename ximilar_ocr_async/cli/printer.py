"""Outcomes in; text or JSON lines, failures, a progress bar and totals out."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias

from attrs import define, field, frozen
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ximilar_ocr_async.cli.json_lines import outcome_to_json
from ximilar_ocr_async.cli.telling import put
from ximilar_ocr_async.outcomes import Outcome, Success

Format: TypeAlias = Literal["text", "jsonl"]


@frozen(kw_only=True)
class Form:
    """How outcomes are written.

    Attributes:
        to_json: What a line of JSON has.
        to_lines: What stands there as text.
        success: What is said of an image that did not fail.
    """

    to_json: Callable[[Outcome[Any]], dict[str, Any]]
    to_lines: Callable[[Success[Any]], Sequence[str]]
    success: str


def _lines(outcome: Success) -> Sequence[str]:
    """Return what the language model has answered, if it was asked; else what was read."""
    record = outcome.record
    if record.gpt is not None:
        return [record.gpt.result or ""]
    return [text.text for text in record.ocr.texts]


RECORDS = Form(to_json=outcome_to_json, to_lines=_lines, success="read")


@contextmanager
def open_output(output: Path | None) -> Iterator[TextIO]:
    """Open the file to write outcomes to; standard output if there is none.

    What is in it stays until there is an outcome.
    """
    if output is None:
        yield sys.stdout
        return
    with output.open("a", encoding="utf-8") as file:
        yield file


def progress(*, quiet: bool) -> Progress:
    """Make the progress bar on standard error, if that is a terminal and not to be *quiet*."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        # Text for a pipe must not be led to the terminal that shows the bar.
        redirect_stdout=sys.stdout.isatty(),
    )


@define
class Printer:
    """Writes outcomes to *file* and names failures on standard error; flushes each at once."""

    file: TextIO
    form: Form
    format: Format = field(kw_only=True)
    headings: bool = field(kw_only=True)
    done: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    _start: float = field(init=False, factory=time.monotonic)

    def write(self, outcome: Outcome[Any]) -> None:
        """Write one outcome; with the first, what the file had before is gone."""
        if not self.done + self.failed and self.file is not sys.stdout and self.file.seekable():
            self.file.truncate(0)
        if outcome.ok:
            self.done += 1
        else:
            self.failed += 1
            sys.stderr.write(f"{outcome.image.name}: {outcome.error}\n")
        if self.format == "jsonl":
            # A value that a user's class has made of its own may be none of JSON's.
            put(json.dumps(self.form.to_json(outcome), ensure_ascii=False, default=str), self.file)
        elif outcome.ok:
            self._write_text(outcome.image.name, self.form.to_lines(outcome))

    def _write_text(self, name: str, lines: Sequence[str]) -> None:
        heading = [f"==> {name} <=="] if self.headings else []
        gap = [""] if self.headings else []
        put("\n".join([*heading, *lines, *gap]), self.file)

    def totals(self) -> str:
        """Return one line about all that was written."""
        seconds = time.monotonic() - self._start
        return f"{self.done} {self.form.success}, {self.failed} failed, {seconds:.1f} s"

"""What the commands share that ask about images: words in; text or JSON lines out."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, field, frozen
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ximilar_ocr_async.cli.inputs import (
    STANDARD_INPUT,
    expand,
    find_images,
    names_one_image,
    read_once,
)
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.limits import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    RECOMMENDED_CONCURRENCY,
    check_language,
)
from ximilar_ocr_async.outcomes import Outcome, Success
from ximilar_ocr_async.session import OCRSession
from ximilar_ocr_async.stream import Images, Stream

ALL_WELL, SOME_FAILED, USAGE = 0, 1, 2

Format: TypeAlias = Literal["text", "jsonl"]


def _check_words(_: type, words: Any) -> None:
    # A lone hyphen must be let through, and with it come all words that begin with one.
    for word in words:
        if word.startswith("-") and word != STANDARD_INPUT:
            raise ValueError(f'unknown option "{word}"; for a file of that name write "./{word}"')


Words: TypeAlias = Annotated[
    list[str], Parameter(allow_leading_hyphen=True, validator=_check_words)
]


@frozen(kw_only=True)
class Options:
    """The options of every command that asks about images, as its help tells them.

    Attributes:
        lang: Language of the text: en, zh, ko, ja or ru.
        concurrency: Requests in flight, each of up to 10 images. The vendor recommends 3.
        max_records: Records that may be sent in all, resends among them; what would go over fails
            unsent.
        output: File to write outcomes to, as JSON lines. Else they go to standard output.
        format: How to write outcomes.
        quiet: Show neither progress nor totals. Failures are named all the same.
    """

    lang: str = DEFAULT_LANGUAGE.value
    concurrency: int = RECOMMENDED_CONCURRENCY
    max_records: int | None = None
    output: Path | None = None
    format: Format | None = None
    quiet: bool = False


DEFAULTS = Options()

Flat: TypeAlias = Annotated[Options, Parameter(name="*")]
"""Each option stands beside those of the command."""


@frozen(kw_only=True)
class Command:
    """What a command asks of each image, and how it writes what comes back.

    Attributes:
        ask: Begins the call.
        to_json: What a line of JSON has.
        to_lines: What stands there as text.
        success: What is said of an image that did not fail.
        format: How outcomes are written to standard output.
        is_local: Whether the images are read on this machine.
    """

    ask: Callable[[OCRSession, Images], Stream[Any]]
    to_json: Callable[[Outcome[Any]], dict[str, Any]]
    to_lines: Callable[[Success[Any]], Sequence[str]]
    success: str
    format: Format
    is_local: bool = False


def run(words: Sequence[str], options: Options, command: Command) -> int:
    """Ask about the images that *words* name; return the exit code.

    Raises:
        OptionError: An option is outside its allowed values, or there are no images.
        OSError: A list cannot be read, or the output not be written.
    """
    # Before the output is opened, for that empties it.
    check_language(options.lang)
    with ExitStack() as stack:
        url = stack.enter_context(_local_service()) if command.is_local else None
        session = OCRSession(
            "local" if command.is_local else None,
            base_url=url,
            max_concurrency=options.concurrency,
            max_records=options.max_records,
        )
        printer = Printer(
            stack.enter_context(_open(options.output)),
            command,
            format=options.format or ("jsonl" if options.output else command.format),
            headings=not names_one_image(words),
        )
        return anyio.run(_run, session, words, options, printer)


def tell_misuse(error: Exception) -> int:
    """Say on standard error what was wrong with the words; return the exit code."""
    sys.stderr.write(f"ximilar-ocr: {error}\n")
    return USAGE


async def _run(
    session: OCRSession, words: Sequence[str], options: Options, printer: "Printer"
) -> int:
    """Write outcomes as they come; return the exit code."""
    total = None if read_once(words) else await anyio.to_thread.run_sync(_count, words)
    try:
        with _progress(quiet=options.quiet) as progress:
            task = progress.add_task(f"reading {LANGUAGES[options.lang]}", total=total)
            async with session, printer.command.ask(session, find_images(words)) as outcomes:
                async for outcome in outcomes:
                    printer.write(outcome)
                    progress.advance(task)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; what Python would flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    if not options.quiet:
        sys.stderr.write(f"{printer.totals()}\n")
    return SOME_FAILED if printer.failed else ALL_WELL


def _count(words: Sequence[str]) -> int:
    return sum(1 for word in words for _ in expand(word))


@contextmanager
def _local_service() -> Iterator[str]:
    try:
        # Imported late: an extra, which may not be installed.
        from ximilar_ocr_async.emulator.engines.local import LocalEngine  # noqa: PLC0415
        from ximilar_ocr_async.emulator.server import serving  # noqa: PLC0415
        from ximilar_ocr_async.emulator.service import Service  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[local]'"
        raise OptionError(f"--local needs {error.name}, of the extra local: {extra}") from None
    with serving(Service(LocalEngine())) as url:
        yield url


@contextmanager
def _open(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        return
    with output.open("w", encoding="utf-8") as file:
        yield file


def _progress(*, quiet: bool) -> Progress:
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
    command: Command
    format: Format = field(kw_only=True)
    headings: bool = field(kw_only=True)
    done: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    _start: float = field(init=False, factory=time.monotonic)

    def write(self, outcome: Outcome[Any]) -> None:
        """Write one outcome."""
        if outcome.ok:
            self.done += 1
        else:
            self.failed += 1
            sys.stderr.write(f"{outcome.image.name}: {outcome.error}\n")
        if self.format == "jsonl":
            # A value that a user's class has made of its own may be none of JSON's.
            self._write(json.dumps(self.command.to_json(outcome), ensure_ascii=False, default=str))
        elif outcome.ok:
            self._write_text(outcome.image.name, self.command.to_lines(outcome))

    def _write_text(self, name: str, lines: Sequence[str]) -> None:
        heading = [f"==> {name} <=="] if self.headings else []
        gap = [""] if self.headings else []
        self._write("\n".join([*heading, *lines, *gap]))

    def _write(self, text: str) -> None:
        # Names of files that are not UTF-8 must not end the run; in JSON the result is an escape.
        printable = text.encode(errors="backslashreplace").decode()
        self.file.write(f"{printable}\n")
        self.file.flush()

    def totals(self) -> str:
        """Return one line about all that was written."""
        seconds = time.monotonic() - self._start
        return f"{self.done} {self.command.success}, {self.failed} failed, {seconds:.1f} s"

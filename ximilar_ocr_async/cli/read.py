"""``ximilar-ocr read``: images in; their text, or JSON lines, out as they finish."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, field
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
from ximilar_ocr_async.outcomes import Outcome
from ximilar_ocr_async.session import OCRSession
from ximilar_ocr_async.wire import outcome_to_json

ALL_READ, SOME_FAILED, USAGE = 0, 1, 2

Format: TypeAlias = Literal["text", "jsonl"]


def _check_words(_: type, words: Any) -> None:
    # A lone hyphen must be let through, and with it come all words that begin with one.
    for word in words:
        if word.startswith("-") and word != STANDARD_INPUT:
            raise ValueError(f'unknown option "{word}"; for a file of that name write "./{word}"')


Words: TypeAlias = Annotated[
    list[str], Parameter(allow_leading_hyphen=True, validator=_check_words)
]


def read(
    images: Words,
    /,
    *,
    lang: str = DEFAULT_LANGUAGE,
    concurrency: int = RECOMMENDED_CONCURRENCY,
    max_records: int | None = None,
    local: bool = False,
    output: Path | None = None,
    format: Format | None = None,  # noqa: A002 - the option's name
    quiet: bool = False,
) -> int:
    """Read the text off images.

    Parameters
    ----------
    images
        Files, folders, patterns, URLs; @FILE for a list of them, - for one on standard input.
    lang
        Language of the text: en, zh, ko, ja or ru.
    concurrency
        Requests in flight, each of up to 10 images. The vendor recommends 3.
    max_records
        Records that may be sent in all, resends among them; what would go over fails unsent.
    local
        Read on this machine, without a token. Needs the extra "local".
    output
        File to write outcomes to, as JSON lines. Else they go to standard output, as text.
    format
        How to write outcomes.
    quiet
        Show neither progress nor totals. Failures are named all the same.
    """
    try:
        # Before the output is opened, for that empties it.
        check_language(lang)
        with ExitStack() as stack:
            url = stack.enter_context(_local_service()) if local else None
            token = "local" if local else None
            session = OCRSession(
                token, base_url=url, max_concurrency=concurrency, max_records=max_records
            )
            printer = Printer(
                stack.enter_context(_open(output)),
                format or ("jsonl" if output else "text"),
                headings=not names_one_image(images),
            )
            return anyio.run(_read, session, images, lang, printer, quiet)
    except (OptionError, OSError) as error:
        sys.stderr.write(f"ximilar-ocr: {error}\n")
        return USAGE


async def _read(
    session: OCRSession,
    words: Sequence[str],
    lang: str,
    printer: "Printer",
    quiet: bool,  # noqa: FBT001 - anyio.run passes arguments by place
) -> int:
    """Write outcomes as they come; return the exit code."""
    total = None if read_once(words) else await anyio.to_thread.run_sync(_count, words)
    try:
        with _progress(quiet=quiet) as progress:
            task = progress.add_task(f"reading {LANGUAGES[lang]}", total=total)
            async with session, session.stream(find_images(words), lang=lang) as outcomes:
                async for outcome in outcomes:
                    printer.write(outcome)
                    progress.advance(task)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; what Python would flush at exit has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    if not quiet:
        sys.stderr.write(f"{printer.totals()}\n")
    return SOME_FAILED if printer.failed else ALL_READ


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
    format: Format
    headings: bool = field(kw_only=True)
    read: int = field(init=False, default=0)
    failed: int = field(init=False, default=0)
    _start: float = field(init=False, factory=time.monotonic)

    def write(self, outcome: Outcome) -> None:
        """Write one outcome."""
        if outcome.ok:
            self.read += 1
        else:
            self.failed += 1
            sys.stderr.write(f"{outcome.image.name}: {outcome.error}\n")
        if self.format == "jsonl":
            self._write(json.dumps(outcome_to_json(outcome), ensure_ascii=False))
        elif outcome.ok:
            self._write_text(outcome.image.name, [t.text for t in outcome.record.ocr.texts])

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
        return f"{self.read} read, {self.failed} failed, {seconds:.1f} s"

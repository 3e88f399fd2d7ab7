"""What the commands share that ask about images: words in; text or JSON lines out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import anyio
import anyio.to_thread
from attrs import frozen
from cyclopts import Parameter

from ximilar_ocr_async._constants import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    RECOMMENDED_CONCURRENCY,
)
from ximilar_ocr_async._session import Images, OCRSession, Stream
from ximilar_ocr_async._validation import check_language
from ximilar_ocr_async.cli.inputs import (
    STANDARD_INPUT,
    expand,
    find_images,
    names_one_image,
    read_once,
)
from ximilar_ocr_async.cli.printer import Form, Format, Printer, open_output, progress
from ximilar_ocr_async.cli.telling import ALL_WELL, SOME_FAILED, let_go
from ximilar_ocr_async.errors import OptionError


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

    lang: str = DEFAULT_LANGUAGE
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
        form: How outcomes are written.
        format: How outcomes are written to standard output.
        is_local: Whether the images are read on this machine.
    """

    ask: Callable[[OCRSession, Images], Stream[Any]]
    form: Form
    format: Format
    is_local: bool = False


def run(words: Sequence[str], options: Options, command: Command) -> int:
    """Ask about the images that *words* name; return the exit code.

    Raises:
        OptionError: An option is outside its allowed values, or there are no images.
        OSError: A list cannot be read, or the output not be written.
    """
    # Before anything is sent.
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
            stack.enter_context(open_output(options.output)),
            command.form,
            format=options.format or ("jsonl" if options.output else command.format),
            headings=not names_one_image(words),
        )
        return anyio.run(_run, session, words, options, command, printer)


async def _run(
    session: OCRSession,
    words: Sequence[str],
    options: Options,
    command: Command,
    printer: Printer,
) -> int:
    """Write outcomes as they come; return the exit code."""
    total = None if read_once(words) else await anyio.to_thread.run_sync(_count, words)
    try:
        with progress(quiet=options.quiet) as bar:
            task = bar.add_task(f"reading {LANGUAGES[options.lang]}", total=total)
            async with session, command.ask(session, find_images(words)) as outcomes:
                async for outcome in outcomes:
                    printer.write(outcome)
                    bar.advance(task)
    except BrokenPipeError:
        return let_go()
    if not options.quiet:
        sys.stderr.write(f"{printer.totals()}\n")
    return SOME_FAILED if printer.failed else ALL_WELL


def _count(words: Sequence[str]) -> int:
    return sum(1 for word in words for _ in expand(word))


@contextmanager
def _local_service() -> Iterator[str]:
    try:
        # Imported late: an extra, which may not be installed.
        from ximilar_ocr_async.emulator import LocalEngine, serving  # noqa: PLC0415
        from ximilar_ocr_async.testing.service import Service  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[local]'"
        raise OptionError(f"--local needs {error.name}, of the extra local: {extra}") from None
    with serving(Service(LocalEngine())) as url:
        yield url

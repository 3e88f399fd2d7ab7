"""The part that "read" and "extract" share: arguments in; text or JSON lines out."""

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import anyio
from anyio import to_thread
from attrs import evolve, frozen
from cyclopts import CycloptsError, Parameter

from ximilar_ocr_async._constants import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    RECOMMENDED_CONCURRENCY,
)
from ximilar_ocr_async._session import Images, OCRSession, Stream
from ximilar_ocr_async._validation import check_language
from ximilar_ocr_async.cli.connection import Connection
from ximilar_ocr_async.cli.console import (
    SOME_FAILED,
    SUCCESS,
    discard_output,
    reason_of,
    write_message,
)
from ximilar_ocr_async.cli.draining import DRAIN, Drain
from ximilar_ocr_async.cli.inputs import count_images, find_images, names_one_image
from ximilar_ocr_async.cli.interrupts import interrupts
from ximilar_ocr_async.cli.lists import LINE, NUL, STANDARD_INPUT
from ximilar_ocr_async.cli.printer import Format, Printer, ProgressBar, Renderer, open_output
from ximilar_ocr_async.errors import OptionError


def _check_arguments(_: type, arguments: Any) -> None:
    # Cyclopts can let a lone hyphen through only together with everything that starts with one. It
    # does not say which of the last words come after a double hyphen.
    protected = len(sys.argv) - sys.argv.index("--") - 1 if "--" in sys.argv else 0
    for argument in arguments[: len(arguments) - protected]:
        if argument.startswith("-") and argument != STANDARD_INPUT:
            # A value may be secret, as that of --proxy. Of a ValueError all arguments are shown.
            name = argument.partition("=")[0]
            message = f'unknown option "{name}"; for a file of that name write "./{name}"'
            raise CycloptsError(msg=message)


Arguments: TypeAlias = Annotated[
    list[str], Parameter(allow_leading_hyphen=True, validator=_check_arguments)
]


@frozen(kw_only=True)
class Options:
    """Options that "read" and "extract" share. Their help shows these descriptions.

    Attributes:
        lang: Language of the text: en, zh, ko, ja or ru.
        concurrency: Maximum number of requests in flight, each with up to 10 images. The vendor
            recommends 3.
        max_records: Maximum number of records to send in total, resends included. Images beyond
            that fail without being sent.
        output: File to write outcomes to, as JSON lines. The default is standard output.
        format: Output format.
        quiet: Hide progress and totals. Failures are still shown.
        drain: Longest time in seconds for what is in flight when the command is interrupted.
        null: Names in lists end with a NUL character, as "find -print0" writes them, and not with
            a line break. Use it for files that others have named.
    """

    lang: str = DEFAULT_LANGUAGE
    concurrency: int = RECOMMENDED_CONCURRENCY
    max_records: int | None = None
    output: Path | None = None
    format: Format | None = None
    quiet: bool = False
    drain: float = DRAIN
    null: bool = False

    @property
    def ending(self) -> bytes:
        """What entries of lists end with."""
        return NUL if self.null else LINE


DEFAULTS = Options()

SharedOptions: TypeAlias = Annotated[Options, Parameter(name="*")]
"""The shared options, without a common prefix to their names."""


@frozen(kw_only=True)
class Command:
    """What a command does with each image, and how it renders the outcome.

    Attributes:
        start: Starts the call.
        renderer: How outcomes are rendered.
        format: Default format on standard output.
        is_local: Whether to read the images on this machine.
    """

    start: Callable[[OCRSession, Images], Stream[Any]]
    renderer: Renderer
    format: Format
    is_local: bool = False


def run(
    arguments: Sequence[str], options: Options, connection: Connection, command: Command
) -> int:
    """Run *command* on the images that *arguments* name; return the exit code.

    Raises:
        OptionError: An option has a value that is not allowed, or there are no images.
        OSError: A list cannot be read or the output cannot be written.
    """
    # Check the language before anything is sent.
    check_language(options.lang)
    with ExitStack() as stack:
        if command.is_local:
            connection = evolve(connection, base_url=stack.enter_context(_local_service()))
        bar = ProgressBar.make(quiet=options.quiet, is_paid=not command.is_local)
        session = connection.make_session(
            "local" if command.is_local else None,
            max_concurrency=options.concurrency,
            max_records=options.max_records,
            drain=options.drain,
            on_event=bar.hear,
        )
        printer = Printer(
            stack.enter_context(open_output(options.output)),
            command.renderer,
            format=options.format or ("jsonl" if options.output else command.format),
            headings=not names_one_image(arguments),
        )
        run = _Run(Drain(session), arguments, options, command, printer, bar)
        return anyio.run(interrupts.run, run.start)


@frozen
class _Run:
    """One run of a command: prints outcomes as they arrive."""

    drain: Drain
    arguments: Sequence[str]
    options: Options
    command: Command
    printer: Printer
    bar: ProgressBar

    async def start(self) -> int:
        """Read all images; return the exit code."""
        ending = self.options.ending
        total = await to_thread.run_sync(count_images, self.arguments, ending)
        try:
            with self.bar.show(f"reading {LANGUAGES[self.options.lang]}", total):
                await self.drain.run(self._read)
        except OSError as error:
            if error is not self.printer.broken:
                raise
            return self._end_broken(error)
        if self.drain.is_stopped:
            self._tell_interrupted()
        elif not self.options.quiet:
            write_message(self.printer.totals())
        return SOME_FAILED if self.printer.failed else SUCCESS

    async def _read(self) -> None:
        images = self.drain.pull(find_images(self.arguments, self.options.ending))
        async with self.command.start(self.drain.session, images) as outcomes:
            async for outcome in outcomes:
                if not self.drain.is_unread(outcome):
                    self.printer.write(outcome)

    def _end_broken(self, error: OSError) -> int:
        """Say what was paid for and cannot be written; return the exit code."""
        if self.printer.file is sys.stdout:
            discard_output()
            if isinstance(error, BrokenPipeError):
                # A reader that has seen enough, such as "head", is no error.
                return SOME_FAILED
        write_message(f"ximilar-ocr: the output cannot be written: {reason_of(error)}")
        written = f"{self.printer.written} outcomes were written before"
        write_message(f"{self.printer.totals()}; {written}; {self._costs()}")
        return SOME_FAILED

    def _tell_interrupted(self) -> None:
        write_message(f"interrupted: {self.printer.totals()}; {self._costs()}")
        if self.options.output is None:
            where = ""
        else:
            where = f", to another file than {str(self.options.output)!r}, which is written anew"
        message = f"nothing more was sent; to go on, read the images that have no outcome{where}"
        write_message(message)

    def _costs(self) -> str:
        lost = self.bar.maybe_billed
        more = f", and {lost} records may have been billed in vain" if lost else ""
        return f"{self.bar.credits:,} credits were spent{more}"


@contextmanager
def _local_service() -> Generator[str]:
    try:
        # Imported here because the extra may not be installed.
        from ximilar_ocr_async.emulator import LocalEngine, serving  # noqa: PLC0415
        from ximilar_ocr_async.testing.service import Service  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[local]'"
        raise OptionError(f"--local needs {error.name}, from the extra local: {extra}") from None
    with serving(Service(LocalEngine())) as url:
        yield url

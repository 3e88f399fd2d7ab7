"""Output and exit codes of the commands: documents and errors in, lines out."""

import codecs
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from io import RawIOBase, UnsupportedOperation
from pathlib import Path
from typing import Any, TextIO

import anyio

from ximilar_ocr_async.cli.interrupts import interrupts
from ximilar_ocr_async.cli.json_lines import to_json
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    OCRError,
    OptionError,
    in_one_line,
    shown,
)

SUCCESS, SOME_FAILED, USAGE = 0, 1, 2
"""Exit codes."""

MAX_NAME_SHOWN = 60
"""The longest name in a table [characters]."""


def run(command: Callable[[], Awaitable[int]]) -> int:
    """Run *command* and report the error that it may end with; return the exit code."""
    return anyio.run(interrupts.run, partial(_exit_code, command))


async def _exit_code(command: Callable[[], Awaitable[int]]) -> int:
    try:
        return await command()
    except BrokenPipeError as error:
        report_notes(error)
        return discard_output()
    except anyio.get_cancelled_exc_class() as error:
        report_notes(error)
        raise
    except (OptionError, AuthError, AddressError, OSError) as error:
        return report_error(error, USAGE)
    except OCRError as error:
        return report_error(error, SOME_FAILED)


def discard_output() -> int:
    """Redirect standard output to nowhere after its reader has closed it; return the exit code."""
    discard(sys.stdout)
    return SOME_FAILED


def discard(file: TextIO) -> None:
    """Redirect *file* to nowhere: it cannot be written, and the flush at exit would fail again."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)


@contextmanager  # pyright: ignore[reportDeprecated]
def standard_streams() -> Iterator[None]:
    """Have all three streams while the block is run, be they closed as by ``2>&-``.

    What is lost on standard error harms nothing, at exit neither.
    """
    if sys.stderr is None:
        # Not closed, because it is the process's own from now on.
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    try:
        yield
    finally:
        for file in (sys.stdout, sys.stderr):
            if file is not None:
                with harmless(file):
                    file.flush()


@contextmanager  # pyright: ignore[reportDeprecated]
def harmless(file: TextIO) -> Iterator[None]:
    """Redirect *file* to nowhere if the block, which writes to it, fails."""
    try:
        yield
    except (OSError, ValueError):
        discard(file)


def check_output(file: TextIO | None, name: str = "standard output") -> TextIO:
    """Return *file*; raise `OptionError` if it is known now that it cannot be written.

    Asked before anything is sent, because the results would be paid for and lost.
    """
    if file is None:
        raise OptionError(f"{name} is closed; redirect it to a file")
    try:
        # Writes nothing, and fails where nothing can be written.
        os.write(file.fileno(), b"")
    except UnsupportedOperation:
        pass  # not a file of the system
    except OSError as error:
        raise OptionError(f"{name} cannot be written: {reason_of(error)}") from None
    return file


def reason_of(error: OSError) -> str:
    """Return why a file cannot be used, without its name."""
    return error.strerror or type(error).__name__


def report_error(error: Exception, code: int) -> int:
    """Write *error* and its notes to standard error; return *code*."""
    write_message(f"ximilar-ocr: {error}")
    report_notes(error)
    return code


def report_notes(error: BaseException) -> None:
    """Write the notes of *error* to standard error, such as the ids of jobs already submitted."""
    for note in getattr(error, "__notes__", ()):
        write_message(f"ximilar-ocr: {note}")


def warn_of_secret(option: str, remedy: str) -> None:
    """Say that *option* was given with a secret in it, and how to do without."""
    danger = f"others on this machine can see the secret in {option}"
    write_message(f"ximilar-ocr: {danger}; {remedy}")


def write_message(text: str) -> None:
    """Write *text* to standard error, as one line: names of files may have line breaks in them."""
    # It may be gone, with its reader or its terminal. What it is told harms nothing.
    with harmless(sys.stderr):
        sys.stderr.write(f"{in_one_line(text)}\n")
        sys.stderr.flush()


def write_line(text: str, file: TextIO | None = None) -> None:
    """Write *text* and a newline to *file* and flush it. None means standard output."""
    stream: TextIO = sys.stdout if file is None else file
    # What is read from an image must not give orders to a terminal.
    line = _ORDERS.sub(_escaped, text) if stream.isatty() else text
    # What the encoding does not have, such as a name that is not UTF-8, must not end the run.
    encoding = stream.encoding or "utf-8"
    data = f"{line}\n".encode(encoding, _JSON_ESCAPES)
    if isinstance(raw := getattr(stream, "buffer", None), RawIOBase):
        # With PYTHONUNBUFFERED, Python drops what the system did not take at once.
        while data:
            data = data[raw.write(data) or 0 :]
    else:
        stream.write(data.decode(encoding))
        stream.flush()


_ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that steer a terminal or turn the direction of what follows, other than the tab and
the line break. Those of Unicode's category Cf that words and emoji need are not among them."""

_JSON_ESCAPES = "ximilar_ocr_async.json"
"""How characters are written that an encoding does not have: as escapes of JSON, which need to be
right where they stand in it, and can be read elsewhere."""


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _escape_for(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - nothing else is registered for
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_JSON_ESCAPES, _escape_for)


def to_table(document: Mapping[str, Any]) -> str:
    """Return a line with name and value for each entry of *document* that is not None."""
    given = {name: value for name, value in document.items() if value is not None}
    entries = {shown(name, MAX_NAME_SHOWN): value for name, value in given.items()}
    width = max(map(len, entries), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in entries.items())


def _cell(value: Any) -> str:
    return in_one_line(value if isinstance(value, str) else to_json(value))

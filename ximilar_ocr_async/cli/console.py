"""Output and exit codes of the commands: documents and errors in, lines out."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TextIO

import anyio

from ximilar_ocr_async.errors import AddressError, AuthError, OCRError, OptionError

SUCCESS, SOME_FAILED, USAGE = 0, 1, 2
"""Exit codes."""


def run(command: Callable[[], Awaitable[int]]) -> int:
    """Run *command* and report the error that it may end with; return the exit code."""
    return anyio.run(_exit_code, command)


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
    # Otherwise the flush at exit would fail.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SOME_FAILED


def report_error(error: Exception, code: int) -> int:
    """Write *error* and its notes to standard error; return *code*."""
    sys.stderr.write(f"ximilar-ocr: {error}\n")
    report_notes(error)
    return code


def report_notes(error: BaseException) -> None:
    """Write the notes of *error* to standard error, such as the ids of jobs already submitted."""
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write(f"ximilar-ocr: {note}\n")


def write_line(text: str, file: TextIO | None = None) -> None:
    """Write *text* and a newline to *file* and flush it. None means standard output."""
    file = file or sys.stdout
    # A file name that is not UTF-8 must not end the run. In JSON it becomes an escape.
    file.write(f"{text}\n".encode(errors="backslashreplace").decode())
    file.flush()


def to_json(document: Mapping[str, Any]) -> str:
    """Return *document* as one line of JSON."""
    return json.dumps(document, ensure_ascii=False)


def to_table(document: Mapping[str, Any]) -> str:
    """Return a line with name and value for each entry of *document* that is not None."""
    entries = {name: value for name, value in document.items() if value is not None}
    width = max(map(len, entries), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in entries.items())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Output and exit codes of the commands: documents and errors in, lines out."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite
from typing import Any, TextIO

import anyio

from ximilar_ocr_async.errors import AddressError, AuthError, OCRError, OptionError, in_one_line

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
    sys.stderr.write(f"{in_one_line(text)}\n")
    sys.stderr.flush()


def write_line(text: str, file: TextIO | None = None) -> None:
    """Write *text* and a newline to *file* and flush it. None means standard output."""
    file = file or sys.stdout
    # A file name that is not UTF-8 must not end the run. In JSON it becomes an escape.
    file.write(f"{text}\n".encode(errors="backslashreplace").decode())
    file.flush()


def to_json(document: Any, *, indent: int | None = None) -> str:
    """Return *document* as JSON, in one line unless an *indent* is given.

    A user's class may contain values that JSON has no type for, which become strings, and numbers
    that it has no words for, which become null.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str, indent=indent)
    try:
        return encoder.encode(document)
    except ValueError:
        return encoder.encode(_finite(document))


def _finite(value: Any) -> Any:
    """Return *value* with None in place of each number that is none or has no end."""
    if isinstance(value, Mapping):
        return {_finite(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def to_table(document: Mapping[str, Any]) -> str:
    """Return a line with name and value for each entry of *document* that is not None."""
    entries = {name: value for name, value in document.items() if value is not None}
    width = max(map(len, entries), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in entries.items())


def _cell(value: Any) -> str:
    return in_one_line(value) if isinstance(value, str) else to_json(value)

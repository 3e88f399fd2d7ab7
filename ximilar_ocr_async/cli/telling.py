"""How commands speak and end: documents and errors in, lines out."""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TextIO

import anyio

from ximilar_ocr_async.errors import AddressError, AuthError, OCRError, OptionError

ALL_WELL, SOME_FAILED, USAGE = 0, 1, 2


def run(command: Callable[[], Awaitable[int]]) -> int:
    """Run *command*; return the exit code, after an error with what went wrong."""
    return anyio.run(_end, command)


async def _end(command: Callable[[], Awaitable[int]]) -> int:
    try:
        return await command()
    except BrokenPipeError as error:
        tell_notes(error)
        return let_go()
    except anyio.get_cancelled_exc_class() as error:
        tell_notes(error)
        raise
    except (OptionError, AuthError, AddressError, OSError) as error:
        return complain(error, USAGE)
    except OCRError as error:
        return complain(error, SOME_FAILED)


def let_go() -> int:
    """Let go of standard output, whose reader has seen enough; return the exit code."""
    # What Python would flush at exit has nowhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SOME_FAILED


def complain(error: Exception, code: int) -> int:
    """Say on standard error what is wrong; return *code*."""
    sys.stderr.write(f"ximilar-ocr: {error}\n")
    tell_notes(error)
    return code


def tell_notes(error: BaseException) -> None:
    """Say on standard error what else is known of an error, such as ids of what was submitted."""
    for note in getattr(error, "__notes__", ()):
        sys.stderr.write(f"ximilar-ocr: {note}\n")


def put(text: str, file: TextIO | None = None) -> None:
    """Write lines to *file*, else to standard output, at once."""
    file = file or sys.stdout
    # Names of files that are not UTF-8 must not end the run; in JSON the result is an escape.
    file.write(f"{text}\n".encode(errors="backslashreplace").decode())
    file.flush()


def to_json(document: Mapping[str, Any]) -> str:
    """Return a line of JSON."""
    return json.dumps(document, ensure_ascii=False)


def to_lines(document: Mapping[str, Any]) -> str:
    """Return a line for each key that has a value, the values one under the other."""
    told = {name: value for name, value in document.items() if value is not None}
    width = max(map(len, told), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in told.items())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

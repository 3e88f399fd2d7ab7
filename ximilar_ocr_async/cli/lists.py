"""Lists in, their entries out: what stands in each line, as it arrives."""

import os
import stat
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import cast

from ximilar_ocr_async.errors import OptionError

STANDARD_INPUT = "-"
LIST_FILE = "@"
"""What the words begin with that name a file with a list."""

LINE, NUL = b"\n", b"\0"
"""What entries may end with."""

MAX_ENTRY = 8192
"""The longest entry [bytes]. Source: judgement; a path on Linux may have 4,096, and servers take
URLs of about 8,000."""

PIECE = 64 * 1024
"""How much of a list is read at once [bytes]."""


def read_list(word: str, ending: bytes = LINE) -> Iterator[list[str]]:
    """Yield the entries of a list as they arrive, some at a time. Blocks on the disk or a pipe.

    Args:
        word: A hyphen for standard input, or @ and the path of a file.
        ending: What entries end with.

    Raises:
        OptionError: It is no list. The message shows nothing of what is in it.
        OSError: The file cannot be read.
    """
    if word == STANDARD_INPUT:
        if sys.stdin is None:
            raise OptionError("standard input is closed, expected a list there")
        yield from _read(cast("BufferedIOBase", sys.stdin.buffer), "standard input", ending)
        return
    path = word.removeprefix(LIST_FILE)
    with Path(path).open("rb") as file:
        found = os.fstat(file.fileno())
        # A shell's <(...) makes a pipe. A device may never end.
        is_pipe = stat.S_ISFIFO(found.st_mode)
        if not (is_pipe or stat.S_ISREG(found.st_mode)):
            raise OptionError(f"{path!r} is neither a file nor a pipe, expected a list")
        # /proc has files without a size, which are made up as they are read. Some of them hold the
        # environment, and with it the token.
        if is_pipe or found.st_size:
            yield from _read(file, repr(path), ending)


def _read(file: BufferedIOBase, title: str, ending: bytes) -> Iterator[list[str]]:
    rest, place = b"", 1
    # Reads what has arrived, and does not wait for more.
    while piece := file.read1(PIECE):
        *whole, rest = (rest + piece).split(ending)
        names: list[str] = []
        for entry in (*whole, rest):
            if fault := _fault_of(entry):
                yield [name for name in names if name]
                raise OptionError(f"entry {place:,} of {title} {fault}")
            names.append(_decode(entry, ending))
            place += 1
        # The last one may go on.
        place -= 1
        yield [name for name in names[:-1] if name]
    if name := _decode(rest, ending):
        yield [name]


def _fault_of(entry: bytes) -> str | None:
    if len(entry) > MAX_ENTRY:
        return f"has more than {MAX_ENTRY:,} bytes"
    return "has a NUL character, which ends names only with --null" if NUL in entry else None


def _decode(entry: bytes, ending: bytes) -> str:
    # File names are bytes. This preserves those that are not UTF-8.
    return os.fsdecode(entry.removesuffix(b"\r") if ending == LINE else entry)

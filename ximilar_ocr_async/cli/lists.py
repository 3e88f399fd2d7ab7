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


def _read(file: BufferedIOBase, name: str, ending: bytes) -> Iterator[list[str]]:
    rest, number = b"", 1
    # Reads what has arrived, and does not wait for more.
    while piece := file.read1(PIECE):
        *whole, rest = (rest + piece).split(ending)
        for place, entry in enumerate((*whole, rest), number):
            _check(entry, f"entry {place:,} of {name}")
        number += len(whole)
        yield [_decode(entry, ending) for entry in whole if entry.strip(b"\r")]
    if rest:
        yield [_decode(rest, ending)]


def _check(entry: bytes, name: str) -> None:
    if len(entry) > MAX_ENTRY:
        raise OptionError(f"{name} has more than {MAX_ENTRY:,} bytes, expected a name or a URL")
    if NUL in entry:
        raise OptionError(f"{name} has a NUL character, which ends names only with --null")


def _decode(entry: bytes, ending: bytes) -> str:
    # File names are bytes. This preserves those that are not UTF-8.
    return os.fsdecode(entry.removesuffix(b"\r") if ending == LINE else entry)

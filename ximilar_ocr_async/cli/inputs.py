"""Command-line arguments in; the files and URLs that they name out."""

import os
import sys
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ximilar_ocr_async.cli.lists import LINE, LIST_FILE, STANDARD_INPUT, read_list
from ximilar_ocr_async.errors import OptionError

T = TypeVar("T")

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".bmp", ".tif", ".tiff", ".gif"}
)
"""Suffixes of images in a folder. Files that are named are used whatever their suffix."""

BLOCK = 100
"""How many files of a folder are found before other tasks get their turn."""


def names_one_image(arguments: Sequence[str]) -> bool:
    """Return whether *arguments* name exactly one image, whose text needs no heading."""
    if len(arguments) != 1 or _is_list(arguments[0]):
        return False
    argument = arguments[0]
    return _is_url(argument) or not (Path(argument).is_dir() or _is_pattern(argument))


async def find_images(arguments: Sequence[str], ending: bytes = LINE) -> AsyncGenerator[str | Path]:
    """Yield each image that *arguments* name, those of lists as they arrive.

    Args:
        arguments: Files, folders, patterns, URLs and lists. Only these words have such meanings:
            an entry of a list is one file or one URL.
        ending: What entries of lists end with.

    Raises:
        OptionError: There are no images, or a list is none.
    """
    found = False
    for argument in arguments:
        with _closing(_blocks(argument, ending)) as blocks:
            while (block := await _next(blocks, argument)) is not None:
                for image in block:
                    found = True
                    yield image
    if not found:
        raise OptionError(f"no images: {' '.join(arguments)}")


@contextmanager  # pyright: ignore[reportDeprecated]
def _closing(blocks: Generator[T]) -> Iterator[Generator[T]]:
    try:
        yield blocks
    finally:
        # One that an abandoned thread still waits for cannot be closed.
        with suppress(ValueError):
            blocks.close()


async def _next(blocks: Iterator[list[str | Path]], argument: str) -> list[str | Path] | None:
    """Return what *argument* names next; None at its end."""
    if argument == STANDARD_INPUT and os.name == "posix" and sys.stdin is not None:
        # A thread that waits for input would not hear of an interrupt. What cannot be waited for,
        # such as a file, is there.
        with suppress(OSError):
            await anyio.wait_readable(sys.stdin)
    # Nor would one that waits for what is to come through another pipe.
    is_slow = _is_list(argument) and _is_stream(argument)
    return await to_thread.run_sync(next, blocks, None, abandon_on_cancel=is_slow)


def count_images(arguments: Sequence[str], ending: bytes = LINE) -> int | None:
    """Return how many images *arguments* name; None if a list can be read only once.

    Blocks on the disk.
    """
    if any(_is_list(word) and _is_stream(word) for word in arguments):
        return None
    return sum(len(block) for word in arguments for block in _blocks(word, ending))


def _blocks(argument: str, ending: bytes) -> Generator[list[str | Path]]:
    """Yield the images that *argument* names, some at a time: URLs as strings, files as paths."""
    if _is_list(argument):
        for entries in read_list(argument, ending):
            yield [_image(entry) for entry in entries]
        return
    images = _expand(argument)
    while block := list(islice(images, BLOCK)):
        yield block


def _image(name: str) -> str | Path:
    return name if _is_url(name) else Path(name)


def _expand(argument: str) -> Iterator[str | Path]:
    """Yield the images that a word names, which is no list."""
    if not argument:
        return
    if _is_url(argument):
        yield argument
    elif Path(argument).is_dir():
        yield from _walk(argument)
    elif _is_pattern(argument):
        yield from map(Path, sorted(glob(argument, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
    else:
        yield Path(argument)


def _is_url(argument: str) -> bool:
    # As in `images`, a scheme may have letters of any size.
    return argument[:8].lower().startswith(("http://", "https://"))


def _is_list(argument: str) -> bool:
    if argument == STANDARD_INPUT:
        return True
    return argument.startswith(LIST_FILE) and not Path(argument).exists()


def _is_stream(argument: str) -> bool:
    return argument == STANDARD_INPUT or Path(argument.removeprefix(LIST_FILE)).is_fifo()


def _is_pattern(argument: str) -> bool:
    return has_magic(argument) and not Path(argument).exists()


def _walk(folder: str) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)

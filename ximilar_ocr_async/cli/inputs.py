"""Command-line arguments in; the files and URLs that they name out."""

import os
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

import anyio

from ximilar_ocr_async.errors import OptionError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".bmp", ".tif", ".tiff", ".gif"}
)
"""Suffixes of images in a folder. Files that are named are used whatever their suffix."""

STANDARD_INPUT = "-"


def names_one_image(arguments: Sequence[str]) -> bool:
    """Return whether *arguments* name exactly one image, whose text needs no heading."""
    if len(arguments) != 1 or arguments[0] == STANDARD_INPUT:
        return False
    argument = arguments[0]
    if _is_url(argument):
        return True
    return not (_is_list(argument) or Path(argument).is_dir() or _is_pattern(argument))


def names_a_stream(arguments: Sequence[str]) -> bool:
    """Return whether *arguments* name a list that can be read only once, such as a pipe."""
    return any(argument == STANDARD_INPUT or Path(argument[1:]).is_fifo() for argument in arguments)


async def find_images(arguments: Sequence[str]) -> AsyncGenerator[str | Path]:
    """Yield each image that *arguments* name; raise `OptionError` if there are none."""
    found = False
    for argument in arguments:
        async for image in _images_of(argument):
            found = True
            yield image
    if not found:
        raise OptionError(f"no images: {' '.join(arguments)}")


async def _images_of(argument: str) -> AsyncGenerator[str | Path]:
    """Yield the images that *argument* names. Lines of standard input are read as they arrive."""
    if argument == STANDARD_INPUT:
        async for line in anyio.wrap_file(sys.stdin.buffer):
            for image in expand(_decode(line)):
                yield image
    else:
        for image in expand(argument):
            yield image


def expand(argument: str) -> Iterator[str | Path]:
    """Yield the images that *argument* names: URLs as strings, files as paths."""
    if not argument:
        return
    if _is_url(argument):
        yield argument
    elif _is_list(argument):
        with Path(argument[1:]).open("rb") as lines:
            for line in lines:
                yield from expand(_decode(line))
    elif Path(argument).is_dir():
        yield from _walk(argument)
    elif _is_pattern(argument):
        yield from map(Path, sorted(glob(argument, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
    else:
        yield Path(argument)


def _decode(line: bytes) -> str:
    # File names are bytes. This preserves those that are not UTF-8.
    return os.fsdecode(line.rstrip(b"\r\n"))


def _is_url(argument: str) -> bool:
    return argument.startswith(("http://", "https://"))


def _is_list(argument: str) -> bool:
    return argument.startswith("@") and not Path(argument).exists()


def _is_pattern(argument: str) -> bool:
    return has_magic(argument) and not Path(argument).exists()


def _walk(folder: str) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)

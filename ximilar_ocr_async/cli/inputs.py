"""Words of a command line to images: files, folders, patterns, URLs and lists of them."""

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
"""What counts as an image in a folder; files that are named are taken as they are."""

STANDARD_INPUT = "-"


def names_one_image(words: Sequence[str]) -> bool:
    """Whether *words* can only be one image, so that its text needs no heading."""
    if len(words) != 1 or words[0] == STANDARD_INPUT:
        return False
    word = words[0]
    return _is_url(word) or not (_is_list(word) or Path(word).is_dir() or _is_pattern(word))


def read_once(words: Sequence[str]) -> bool:
    """Whether *words* name a list that is gone when it has been read."""
    return any(word == STANDARD_INPUT or Path(word[1:]).is_fifo() for word in words)


async def find_images(words: Sequence[str]) -> AsyncGenerator[str | Path]:
    """Yield each image that *words* name; raise `OptionError` after the last if there is none."""
    found = False
    for word in words:
        async for image in _images_of(word):
            found = True
            yield image
    if not found:
        raise OptionError(f"no images: {' '.join(words)}")


async def _images_of(word: str) -> AsyncGenerator[str | Path]:
    """Yield what one word names; of standard input, line by line as they come."""
    if word == STANDARD_INPUT:
        async for line in anyio.wrap_file(sys.stdin.buffer):
            for image in expand(_decode(line)):
                yield image
    else:
        for image in expand(word):
            yield image


def expand(word: str) -> Iterator[str | Path]:
    """Yield the images that one word names: a URL as it is, all else as paths."""
    if not word:
        return
    if _is_url(word):
        yield word
    elif _is_list(word):
        with Path(word[1:]).open("rb") as lines:
            for line in lines:
                yield from expand(_decode(line))
    elif Path(word).is_dir():
        yield from _walk(word)
    elif _is_pattern(word):
        yield from map(Path, sorted(glob(word, recursive=True)))  # noqa: PTH207 - not relative to a folder
    else:
        yield Path(word)


def _decode(line: bytes) -> str:
    # Names of files are bytes: one that is not UTF-8 comes through whole.
    return os.fsdecode(line.rstrip(b"\r\n"))


def _is_url(word: str) -> bool:
    return word.startswith(("http://", "https://"))


def _is_list(word: str) -> bool:
    return word.startswith("@") and not Path(word).exists()


def _is_pattern(word: str) -> bool:
    return has_magic(word) and not Path(word).exists()


def _walk(folder: str) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)

"""Words of a command line to images: files, folders, patterns, URLs and lists of them."""

import os
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from glob import glob, has_magic
from pathlib import Path

import anyio

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".bmp", ".tif", ".tiff", ".gif"}
)
"""What counts as an image in a folder; files that are named are taken as they are."""

STANDARD_INPUT = "-"


def names_one_image(words: Sequence[str]) -> bool:
    """Whether *words* can only be one image, so that its text needs no heading."""
    word = words[0] if len(words) == 1 else STANDARD_INPUT
    listed = word == STANDARD_INPUT or word.startswith("@") or has_magic(word)
    return not listed and not Path(word).is_dir()


async def find_images(words: Sequence[str]) -> AsyncGenerator[str | Path]:
    """Yield each image that *words* name; of standard input, line by line as they come."""
    for word in words:
        if word == STANDARD_INPUT:
            async for line in anyio.wrap_file(sys.stdin):
                for image in expand(line.rstrip("\n")):
                    yield image
        else:
            for image in expand(word):
                yield image


def expand(word: str) -> Iterator[str | Path]:
    """Yield the images that one word names: a URL as it is, all else as paths."""
    if not word:
        return
    if word.startswith("@") and not Path(word).exists():
        with Path(word[1:]).open(encoding="utf-8") as lines:
            for line in lines:
                yield from expand(line.rstrip("\n"))
    elif word.startswith(("http://", "https://")):
        yield word
    elif Path(word).is_dir():
        yield from _walk(word)
    elif has_magic(word) and not Path(word).exists():
        yield from map(Path, sorted(glob(word, recursive=True)))  # noqa: PTH207 - not relative to a folder
    else:
        yield Path(word)


def _walk(folder: str) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)

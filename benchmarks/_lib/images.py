"""Images to read: addresses without end, and files that look like images from outside."""

import random
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path


def url_of(number: int) -> str:
    """Return the address of an image."""
    return f"https://images.example/{number}.jpg"


def urls(number: int | None = None) -> Iterator[str]:
    """Yield addresses of so many images, or addresses without end."""
    return map(url_of, islice(count(), number))


async def fetch(url: str) -> bytes:
    """Return the bytes of an image, which are its address, to a service in a child process."""
    return url.encode()


def make_files(folder: Path, kinds: Mapping[str, tuple[int, int]]) -> dict[str, list[str]]:
    """Write image files into *folder*.

    Args:
        folder: Where they are written.
        kinds: The size of a file [bytes] and the number of files, by the name of the kind.

    Returns:
        The paths of the files, by the name of the kind.
    """
    files = {}
    for name, (size, number) in kinds.items():
        paths = [folder / f"{name}-{n}.jpg" for n in range(number)]
        for path in paths:
            path.write_bytes(b"\xff\xd8\xff\xe0" + random.randbytes(size - 4))  # noqa: S311 - pixels
        files[name] = [str(path) for path in paths]
    return files

"""A request body that is made while it is sent: parts in, pieces of bytes out, as often as wanted.

So a batch of large files takes the memory of one piece, and its size is known before it is read.
"""

import base64
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from attrs import define, field, frozen

from ximilar_ocr_async.errors import ImageError
from ximilar_ocr_async.images import FileFingerprint, Image, read_pieces, unreadable

try:
    from pybase64 import b64encode
except ModuleNotFoundError:  # an extra, which may not be installed
    b64encode = base64.b64encode  # type: ignore[assignment]

RAW = 192 * 1024
"""[bytes] of an image that are read at once; a multiple of 3, for base64 to pad at the end only."""

PIECE = RAW * 4 // 3
"""[bytes] of a piece, at least, but for the last; less than twice as much."""


@frozen
class Base64Image:
    """An image on its way: read, and encoded as base64, when its turn comes.

    Attributes:
        id: Of its record.
        stamp: Of its file when it was looked at.
    """

    id: str
    image: Image
    fingerprint: FileFingerprint

    def __len__(self) -> int:
        return -(-self.fingerprint.size // 3) * 4

    def __iter__(self) -> Iterator[bytes]:
        for piece in read_pieces(self.image, self.fingerprint, RAW):
            yield b64encode(piece)


Part: TypeAlias = bytes | Base64Image


@define
class RequestBody:
    """A body; iterating over it blocks on the disk where it *touches_disk*.

    Attributes:
        faulty: Id of the record whose image could not be read to its end; iterating raised why.
    """

    parts: Sequence[Part] = ()
    faulty: str | None = field(init=False, default=None)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def touches_disk(self) -> bool:
        """Whether any of it is in files."""
        pictures = (part for part in self.parts if isinstance(part, Base64Image))
        return any(not isinstance(picture.image.source, bytes) for picture in pictures)

    def __iter__(self) -> Iterator[bytes]:
        pieces: list[bytes] = []
        for piece in self._each():
            pieces.append(piece)
            if sum(map(len, pieces)) >= PIECE:
                yield b"".join(pieces)
                pieces.clear()
        if pieces:
            yield b"".join(pieces)

    def _each(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            try:
                yield from part
            except Exception as error:
                self.faulty = part.id
                if isinstance(error, ImageError):
                    raise
                raise unreadable(part.image, error) from None

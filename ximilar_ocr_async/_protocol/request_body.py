"""A request body that is made while it is sent: parts in, pieces of bytes out.

A batch of large files takes the memory of one piece only. The size of the body is known before any
file is read, and the body can be iterated over again.
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
"""How much of an image is read at once [bytes]. A multiple of 3, so base64 only pads the end."""

PIECE = RAW * 4 // 3
"""The smallest piece but for the last [bytes]. No piece is twice as large."""


@frozen
class Base64Image:
    """An image in a request body. It is read and encoded as base64 when it is iterated over.

    Attributes:
        id: The id of its record.
        image: The image.
        fingerprint: Identifies the version of the image that was examined.
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
    """The body of one request. Iterating over it blocks on the disk if it *touches_disk*.

    Attributes:
        parts: What the body consists of, in order.
        faulty: The id of the record whose image could not be read. Iterating raised the reason.
    """

    # They are large, and may hold the secrets of a webhook.
    parts: Sequence[Part] = field(default=(), repr=False)
    faulty: str | None = field(init=False, default=None)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def touches_disk(self) -> bool:
        """Whether iterating reads any files."""
        pictures = (part for part in self.parts if isinstance(part, Base64Image))
        return any(not isinstance(picture.image.source, bytes) for picture in pictures)

    def __iter__(self) -> Iterator[bytes]:
        pieces: list[bytes] = []
        for piece in self._small_pieces():
            pieces.append(piece)
            if sum(map(len, pieces)) >= PIECE:
                yield b"".join(pieces)
                pieces.clear()
        if pieces:
            yield b"".join(pieces)

    def _small_pieces(self) -> Iterator[bytes]:
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

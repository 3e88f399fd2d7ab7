"""What the user has: an image by URL, by path or as encoded bytes, and how its bytes are read.

An `Image` is a cheap handle. Only `examine` and `read_pieces` open files. They run in worker
threads when the image's batch has a slot.
"""

import os
import re
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from ximilar_ocr_async._constants import IMAGE_FORMATS, MAX_IMAGE_BYTES, MAX_NAME
from ximilar_ocr_async._validation import (
    URLObject,
    check_language,
    check_prompt,
    text_of_url,
    told,
)
from ximilar_ocr_async.errors import ImageError, OptionError, shown

Source: TypeAlias = str | os.PathLike[str] | bytes
"""A URL, a file or an encoded image. The type alone decides which: a `str` never opens a file."""

AnySource: TypeAlias = Source | URLObject
"""A source, or a URL as an object of a library's, which becomes its text."""

_OWN_KEYS = frozenset({"_id", "_url", "_base64", "lang", "prompt"})

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"%PDF", "PDF"),
    (b"<svg", "SVG"),
    (b"\x00\x00\x00\x0cjP  ", "JP2"),
    (b"8BPS", "PSD"),
)
_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEAD = 64
"""The number of bytes that are enough to recognize a format."""


def _check_lang(_: "Image", __: "Attribute[str | None]", value: str | None) -> None:
    if value is not None:
        check_language(value)


def _check_prompt(_: "Image", __: "Attribute[str | None]", value: str | None) -> None:
    if value is not None:
        check_prompt(value)


def _check_extra(_: "Image", __: "Attribute[Mapping[str, Any]]", value: Mapping[str, Any]) -> None:
    if not isinstance(value, Mapping):
        raise OptionError(f"extra is a {type(value).__name__}, expected a mapping")
    if taken := _OWN_KEYS & value.keys():
        raise OptionError(f"extra has {', '.join(sorted(taken))}, which the client sets itself")


def _check_id(_: "Image", __: "Attribute[str | None]", value: str | None) -> None:
    if not isinstance(value, str | None):
        raise OptionError(f"id of an image is {told(value)}, expected a string; pass str(id)")


def _source_of(given: AnySource) -> Source:
    """Return what is sent: a URL of a library's own class as its text, all else as it is."""
    if isinstance(given, str | bytes | os.PathLike):
        return given
    # What is no source at all fails as an image, and not where it is given.
    return text_of_url(given) or cast("Source", given)


def _shown_source(source: object) -> str:
    return repr(source) if isinstance(source, str | os.PathLike) else _name(source)


def _name(source: object) -> str:
    match source:
        case str():
            return source
        case bytes():
            return f"<{len(source):,} bytes>"
        case os.PathLike():
            with suppress(Exception):  # of the user's own class
                return os.fsdecode(source)
    return f"<{type(source).__name__}>"


@frozen
class Image:
    """One image to read, with options of its own.

    Attributes:
        source: The image: a URL as `str`, a file as `pathlib.Path`, or an encoded image as `bytes`.
            A URL as an object of httpx, yarl, pydantic and the like becomes a `str`.
        id: The caller's name for the image, of up to 4,096 characters. It comes back as
            ``Record.id``.
        lang: The language of the text. It takes precedence over the ``lang`` of the call.
        prompt: The question for the language model. It takes precedence over the ``prompt`` or the
            ``instructions`` of the call.
        extra: Additional keys for the record on the wire. The service returns them unchanged.
    """

    source: Source = field(repr=_shown_source, converter=_source_of)
    id: str | None = field(default=None, kw_only=True, validator=_check_id)
    lang: str | None = field(default=None, kw_only=True, validator=_check_lang)
    prompt: str | None = field(default=None, kw_only=True, validator=_check_prompt)
    extra: Mapping[str, Any] = field(factory=dict, kw_only=True, hash=False, validator=_check_extra)

    @property
    def name(self) -> str:
        """The URL or the path as it was given, or how many bytes; the id if there is no source."""
        is_empty = isinstance(self.source, str | bytes) and not self.source
        return (self.id if is_empty else None) or _name(self.source)


def check_source(image: Image) -> None:
    """Raise `ImageError` if an image cannot be sent under its id, without opening it."""
    if image.id is not None and not 0 < len(image.id) <= MAX_NAME:
        limit = f"expected 1 to {MAX_NAME:,} characters"
        raise ImageError(f"the id of an image has {len(image.id):,} characters, {limit}")
    match image.source:
        case str() as url if not is_url(url):
            raise ImageError(f"{url[:80]!r} is not an http(s) URL; for a file pass a pathlib.Path")
        case str() | bytes() | os.PathLike():
            return
        case other:
            kind = type(other).__name__
            raise ImageError(f"image is a {kind}, allowed are a URL, a Path, bytes and Image")


_PLAIN_URL = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)*(/[\w./%-]*)?", re.ASCII)


def is_url(text: str) -> bool:
    """Whether *text* is an http(s) URL."""
    if _PLAIN_URL.fullmatch(text):
        return True  # most URLs are plain, and parsing one takes ten times as long
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    is_clean = text.isprintable() and text == text.strip()
    return url.scheme in {"http", "https"} and has_host and is_clean


@frozen
class FileFingerprint:
    """Identifies the version of an image that was examined.

    Attributes:
        size: The size of the image [bytes].
        file: The device, the inode and the time of modification [ns] of the file. None for bytes.
    """

    size: int
    file: tuple[int, int, int] | None = None


def examine(image: Image) -> FileFingerprint:
    """Check that an image given as a file or as bytes can be sent. Blocks on the disk.

    Raises:
        ImageError: The image is unreadable, empty, of a format that is not accepted, or a URL.
    """
    match image.source:
        case str():
            raise ImageError(f"{shown(image.name)} is a URL, which only the service loads")
        case bytes() as data:
            fingerprint, head = FileFingerprint(len(data)), data[:_HEAD]
        case path:
            fingerprint, head = _examine_file(path)
    if not fingerprint.size:
        raise ImageError(f"{shown(image.name)} is empty")
    format_ = sniff(head)
    if format_ is None:
        raise ImageError(f"{shown(image.name)} is not an image")
    if format_ not in IMAGE_FORMATS:
        raise ImageError(
            f"{shown(image.name)} is {format_}, allowed are {', '.join(IMAGE_FORMATS)}"
        )
    return fingerprint


def read_pieces(
    image: Image, fingerprint: FileFingerprint, piece_size: int
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an image in pieces of up to *piece_size* [bytes]. Blocks on the disk.

    Raises:
        ImageError: The image cannot be read, or it no longer matches its *fingerprint*. The error
            comes before the last piece, so a body with a changed image is never complete.
    """
    if isinstance(image.source, bytes):
        view = memoryview(image.source)
        yield from (view[at : at + piece_size] for at in range(0, len(view), piece_size))
        return
    with _opened(cast("os.PathLike[str]", image.source)) as file:
        left = fingerprint.size
        while left:
            piece = file.read(min(piece_size, left))
            left -= len(piece)
            if not piece or (not left and _fingerprint(os.fstat(file.fileno())) != fingerprint):
                raise ImageError(f"{shown(image.name)} changed while it was being sent")
            yield piece


def unreadable(image: Image, error: Exception) -> ImageError:
    """Return the `ImageError` for an *error* that a source of the caller's own class raised."""
    return ImageError(f"a {type(image.source).__name__} cannot be read: {error!r}")


def _examine_file(path: "os.PathLike[str]") -> tuple[FileFingerprint, bytes]:
    with _opened(path) as file:
        found = os.fstat(file.fileno())
        if found.st_size > MAX_IMAGE_BYTES:
            size = f"{found.st_size:,} bytes, the limit is {MAX_IMAGE_BYTES:,}"
            raise ImageError(f"{_shown(path)} is {size}")
        # No more than its size: /proc has empty files that tell what the process knows.
        return _fingerprint(found), file.read(min(_HEAD, found.st_size))


def _fingerprint(found: os.stat_result) -> FileFingerprint:
    return FileFingerprint(found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))


@contextmanager
def _opened(path: "os.PathLike[str]") -> Generator[BinaryIO]:
    """Open a regular file; raise `ImageError` for anything else."""
    with _image_errors(path):
        # Looked at first, because opening a device or a pipe alone can do something.
        _check_regular(path, os.stat(path))  # noqa: PTH116 - takes any os.PathLike
        # Unbuffered, because reads are either large or the only one.
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            # And again, because it may have become another one meanwhile.
            _check_regular(path, os.fstat(file.fileno()))
            yield file


def _check_regular(path: "os.PathLike[str]", found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{_shown(path)} is not a file")


def _open_at_once(path: str, flags: int) -> int:
    """Open *path* without waiting, as for the writer of a pipe."""
    # Windows has neither such pipes nor the flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def _image_errors(path: "os.PathLike[str]") -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{_shown(path)} cannot be read: {reason}") from None


def _shown(path: "os.PathLike[str]") -> str:
    return shown(str(os.fspath(path)))


def sniff(head: bytes) -> str | None:
    """Return the format that the first bytes indicate, accepted or not; None for other data."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # The two letters alone would match many texts.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _sniff_ftyp(head)
    return None


def _sniff_ftyp(head: bytes) -> str | None:
    """Distinguish HEIC from its relatives by their brands [ISO/IEC 14496-12, 4.3]."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12], *(box[i : i + 4] for i in range(16, len(box), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIC"
    return "HEIF" if brands & {b"mif1", b"msf1"} else None

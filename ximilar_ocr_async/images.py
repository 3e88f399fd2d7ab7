"""What the user has: an image by URL, by path or as encoded bytes, and how its bytes are had.

An `Image` is a cheap handle. Nothing is opened before `examine` and `read_pieces`, which the batch
that holds a slot calls in worker threads.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from ximilar_ocr_async._constants import IMAGE_FORMATS, MAX_IMAGE_BYTES
from ximilar_ocr_async._validation import check_language, check_prompt
from ximilar_ocr_async.errors import ImageError, OptionError

Source: TypeAlias = str | os.PathLike[str] | bytes
"""A URL, a file or an encoded image, told apart by type alone: a `str` never opens a file."""

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
"""[bytes] that tell a format."""


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


def _name(source: object) -> str:
    match source:
        case bytes():
            return f"<{len(source):,} bytes>"
        case str() | os.PathLike():
            return repr(source)
        case _:
            return f"<{type(source).__name__}>"


@frozen
class Image:
    """One image to read, and what goes with it.

    Args:
        source: URL as `str`, file as `pathlib.Path`, or an encoded image as `bytes`.
        id: The caller's name for it; comes back as ``Record.id``.
        lang: Language of its text, before the call's own ``lang``.
        prompt: Question for the language model, before the call's own ``prompt`` or
            ``instructions``.
        extra: More keys for its record on the wire; the service hands them back.
    """

    source: Source = field(repr=_name)
    id: str | None = field(default=None, kw_only=True)
    lang: str | None = field(default=None, kw_only=True, validator=_check_lang)
    prompt: str | None = field(default=None, kw_only=True, validator=_check_prompt)
    extra: Mapping[str, Any] = field(factory=dict, kw_only=True, hash=False, validator=_check_extra)

    @property
    def name(self) -> str:
        """The source in a few words, fit for a message; the id of one that is not here."""
        if isinstance(self.source, os.PathLike):
            return os.fspath(self.source)
        return _name(self.source) if self.source else self.id or _name(self.source)


def check_source(image: Image) -> None:
    """Raise `ImageError` when the source is of no kind that can be sent; opens nothing."""
    match image.source:
        case str() as url if not is_url(url):
            raise ImageError(f"{url[:80]!r} is no http(s) URL; for a file pass pathlib.Path(...)")
        case str() | bytes() | os.PathLike():
            return
        case other:
            kind = type(other).__name__
            raise ImageError(f"image is a {kind}, allowed are a URL, a Path, bytes and Image")


_PLAIN_URL = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)*(/[\w./%-]*)?", re.ASCII)


def is_url(text: str) -> bool:
    """Whether *text* is an http(s) URL."""
    if _PLAIN_URL.fullmatch(text):
        return True  # as most are: taking one apart takes ten times as long
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError:
        return False
    is_clean = text.isprintable() and text == text.strip()
    return url.scheme in {"http", "https"} and has_host and is_clean


@frozen
class FileFingerprint:
    """What tells that an image is the one that was looked at: its *size* [bytes], and its file."""

    size: int
    file: tuple[int, int, int] | None = None


def examine(image: Image) -> FileFingerprint:
    """Look at an image given by file or bytes, whether it can be sent; blocks on the disk.

    Raises:
        ImageError: It cannot be read, is empty, or is of no format that the service takes; or it
            is a URL, which the service fetches.
    """
    match image.source:
        case str():
            raise ImageError(f"{image.name} is a URL, and not loaded here")
        case bytes() as data:
            fingerprint, head = FileFingerprint(len(data)), data[:_HEAD]
        case path:
            fingerprint, head = _look_at(path)
    if not fingerprint.size:
        raise ImageError(f"{image.name} is empty")
    format_ = sniff(head)
    if format_ is None:
        raise ImageError(f"{image.name} is no image")
    if format_ not in IMAGE_FORMATS:
        raise ImageError(f"{image.name} is {format_}, allowed are {', '.join(IMAGE_FORMATS)}")
    return fingerprint


def read_pieces(
    image: Image, fingerprint: FileFingerprint, most: int
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an image, *most* [bytes] at a time; blocks on the disk.

    Raises:
        ImageError: It cannot be read, or is not what it was when it got its *fingerprint*; before
            the last piece.
    """
    if isinstance(image.source, bytes):
        view = memoryview(image.source)
        yield from (view[start : start + most] for start in range(0, len(view), most))
        return
    with _opened(cast("os.PathLike[str]", image.source)) as file:
        left = fingerprint.size
        while left:
            piece = file.read(min(most, left))
            left -= len(piece)
            if not piece or (not left and _fingerprint(os.fstat(file.fileno())) != fingerprint):
                raise ImageError(f"{image.name} changed while it was sent")
            yield piece


def unreadable(image: Image, error: Exception) -> ImageError:
    """Return our error for whatever a source of the caller's own class raised."""
    return ImageError(f"a {type(image.source).__name__} cannot be read: {error!r}")


def _look_at(path: "os.PathLike[str]") -> tuple[FileFingerprint, bytes]:
    with _told_of(path):
        # Asked first because opening a pipe would wait for its writer.
        found = os.stat(path)  # noqa: PTH116 - takes any os.PathLike
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{os.fspath(path)!s} is not a file")
    if found.st_size > MAX_IMAGE_BYTES:
        told = f"{found.st_size:,} bytes, the most are {MAX_IMAGE_BYTES:,}"
        raise ImageError(f"{os.fspath(path)!s} has {told}")
    with _opened(path) as file:
        return _fingerprint(os.fstat(file.fileno())), file.read(_HEAD)


def _fingerprint(found: os.stat_result) -> FileFingerprint:
    return FileFingerprint(found.st_size, (found.st_dev, found.st_ino, found.st_mtime_ns))


@contextmanager
def _opened(path: "os.PathLike[str]") -> Iterator[BinaryIO]:
    # Unbuffered: what is read at once is large, or all that is read.
    with _told_of(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - any os.PathLike
        yield file


@contextmanager
def _told_of(path: "os.PathLike[str]") -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{os.fspath(path)!s} cannot be read: {reason}") from None


def sniff(head: bytes) -> str | None:
    """Name the format of an image from its first bytes, as in `IMAGE_FORMATS` or another."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # Two letters alone would take many a text for a bitmap.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _sniff_ftyp(head)
    return None


def _sniff_ftyp(head: bytes) -> str | None:
    """Tell HEIC, which the service takes, from its relatives, by brands [ISO/IEC 14496-12, 4.3]."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12], *(box[i : i + 4] for i in range(16, len(box), 4))}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIC"
    return "HEIF" if brands & {b"mif1", b"msf1"} else None

"""Image decoding: encoded images in, upright RGB pixels out."""

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from ximilar_ocr_async.testing.service import Unreadable

Pixels: TypeAlias = NDArray[np.uint8]
"""(height, width, 3) as RGB, 0 to 255, upright and contiguous."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""Formats that are decoded: those of the service except HEIC, which Pillow alone cannot decode."""

MAX_PIXELS = 40_000_000
"""Most pixels of an image, each of which takes 3 bytes. Source: judgement; an A3 scan at 400 dpi
has 31 million."""

WHITES = {"u": (65_535,), "i": (255, 65_535, 2**31 - 1), "f": (1, 255, 65_535)}
"""Values that may mean white, by numpy's kind of number. A file of 32 bits does not say which."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that turns each EXIF orientation upright. Source: EXIF 2.32, tag 274."""

_warning_filters = threading.Lock()


def decode(image: bytes) -> Pixels:
    """Decode the first frame of *image*, on a white background and turned upright.

    Raises:
        Unreadable: 415 for an unknown format, 413 for too many pixels, 422 for a broken file.
    """
    try:
        opened, orientation = _load(image)
        colours = _to_rgb(opened)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(415, _unknown_format(image)) from error
    except Image.DecompressionBombError as error:
        raise Unreadable(413, f"image has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # a decoder may raise nearly anything on broken bytes
        raise Unreadable(422, f"broken image file: {error or type(error).__name__}") from error
    method = UPRIGHT.get(orientation)
    return np.array(colours if method is None else colours.transpose(method))


def shrink(pixels: Pixels, long_side: int) -> Pixels:
    """Scale *pixels* down until no side is longer than *long_side* [px]. Never scale them up."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _load(image: bytes) -> tuple[Image.Image, int]:
    """Open and decode *image*; return it with its EXIF orientation, 1 to 8."""
    with _no_warnings():
        opened = Image.open(BytesIO(image), formats=FORMATS)
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise Unreadable(413, f"image is {width} x {height}, limit is {MAX_PIXELS:,} pixels")
        opened.load()
        # Only now: loading turns a TIFF upright, and a PNG may have its EXIF data at the end.
        return opened, opened.getexif().get(ExifTags.Base.Orientation, 1)


@contextmanager
def _no_warnings() -> Generator[None]:
    """Silence Pillow, which warns about odd EXIF data and large images.

    Warning filters belong to the whole process. Without the lock, two threads that save and restore
    them in turn could leave all warnings off.
    """
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded *image* of any mode to RGB; transparent parts become white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    background = Image.new("RGBA", image.size, "white")
    background.alpha_composite(image.convert("RGBA"))
    return background.convert("RGB")


def _to_8_bits(values: NDArray[Any]) -> Pixels:
    """Scale grey *values* of 16 or 32 bits; white is the least of `WHITES` that covers them all."""
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    peak = finite.max()
    white = next((white for white in WHITES[values.dtype.kind] if peak <= white), peak)
    # Cut first, for what is far below 0 would not fit when it is scaled.
    grey: Pixels = np.rint(np.clip(finite, 0, white) * (255 / white)).astype(np.uint8)
    return grey


def _unknown_format(image: bytes) -> str:
    """Return a message that names the formats to use instead."""
    # A HEIC file has its brand in the bytes 4 to 11.
    if image[4:8] == b"ftyp":
        return "HEIC cannot be decoded here, although the real service reads it: send a JPEG"
    return f"unknown image format, supported are {', '.join(FORMATS)}"

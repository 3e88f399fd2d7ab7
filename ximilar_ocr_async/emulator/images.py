"""Encoded images in, upright RGB pixels out. Owner of Pillow in this package."""

import threading
import warnings
from collections.abc import Iterator
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
"""What Pillow may open: the service's formats but HEIC, which Pillow alone cannot decode."""

MAX_PIXELS = 40_000_000
"""[px] A decoded image takes 3 bytes for each. Source: judgement; an A3 scan at 400 dpi has 31."""

WHITES = {"u": (65_535,), "i": (255, 65_535, 2**31 - 1), "f": (1, 255, 65_535)}
"""What may mean white, by numpy's kind of number; for 32 bits the file does not say which."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What to do about each EXIF orientation. Source: EXIF 2.32, tag 274."""

_warning_filters = threading.Lock()


def decode(image: bytes) -> Pixels:
    """Decode the first frame of *image*, composed on white and turned upright.

    Raises:
        Unreadable: 415 for an unknown format, 413 for too many pixels, 422 for a broken file.
    """
    try:
        opened, orientation = _load(image)
        colours = _in_rgb(opened)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(415, _unknown_format(image)) from error
    except Image.DecompressionBombError as error:
        raise Unreadable(413, f"image has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # broken bytes bring nearly any exception out of a decoder
        raise Unreadable(422, f"broken image file: {error or type(error).__name__}") from error
    method = UPRIGHT.get(orientation)
    return np.array(colours if method is None else colours.transpose(method))


def shrink(pixels: Pixels, long_side: int) -> Pixels:
    """Scale *pixels* down until no side is longer than *long_side* [px]; never up."""
    height, width = pixels.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _load(image: bytes) -> tuple[Image.Image, int]:
    """Open and decode *image*; also return its EXIF orientation, 1 to 8."""
    with _no_warnings():
        opened = Image.open(BytesIO(image), formats=FORMATS)
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise Unreadable(413, f"image is {width} x {height}, limit is {MAX_PIXELS:,} pixels")
        opened.load()
        # After load: Pillow turns a TIFF upright by itself, and a PNG may carry EXIF at its end.
        return opened, opened.getexif().get(ExifTags.Base.Orientation, 1)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence Pillow, which warns of odd EXIF data and of many pixels.

    Python's warning filters are the process's, hence the lock: two threads that saved and restored
    them by turns would leave all warnings off.
    """
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _in_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded *image* of any mode, transparent parts to white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_in_8_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    return paper.convert("RGB")


def _in_8_bits(values: NDArray[Any]) -> Pixels:
    """Scale grey *values* of 16 or 32 bits; white is the least of `WHITES` that holds them all."""
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    peak = finite.max()
    white = next((white for white in WHITES[values.dtype.kind] if peak <= white), peak)
    grey: Pixels = np.rint(np.clip(finite * (255 / white), 0, 255)).astype(np.uint8)
    return grey


def _unknown_format(image: bytes) -> str:
    """Say what *image* would have to be; the brand of a HEIC file stands in its bytes 4 to 11."""
    if image[4:8] == b"ftyp":
        return "HEIC is read by the service but not here, for Pillow cannot decode it: send a JPEG"
    return f"unknown image format; known are {', '.join(FORMATS)}"

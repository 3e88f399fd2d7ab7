"""Encoded images in, upright RGB pixels out, or a clear refusal."""

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ximilar_ocr_async.emulator.images import FORMATS, MAX_PIXELS, decode, shrink
from ximilar_ocr_async.testing.service.engine import Unreadable

HOLDERS = {
    "L": ("PNG", "TIFF", "BMP", "GIF", "JPEG"),
    "LA": ("PNG", "TIFF"),
    "I;16": ("PNG", "TIFF"),
    "P": ("PNG", "TIFF", "BMP", "GIF"),
    "PA": ("TIFF",),
    "RGB": ("PNG", "TIFF", "BMP", "WEBP", "JPEG"),
    "RGBA": ("PNG", "TIFF", "WEBP"),
    "CMYK": ("TIFF", "JPEG"),
    "YCbCr": ("TIFF", "JPEG"),
    "LAB": ("TIFF",),
}
"""Formats that hold each of Pillow's modes; 1-bit, 32-bit and real numbers have their own tests."""

COLOURS = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
SIDES = st.integers(1, 40)
NO_LOSS: dict[str, dict[str, Any]] = {
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
}
ALL_HOLDERS = [(mode, kind) for mode, kinds in HOLDERS.items() for kind in kinds]


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode *image*, with as little loss as *kind* allows."""
    file = io.BytesIO()
    image.save(file, kind, **NO_LOSS.get(kind, {}), **options)
    return file.getvalue()


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an RGB *image* to *mode*."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    if mode in {"P", "PA"}:
        return image.convert("P", palette=Image.Palette.ADAPTIVE).convert(mode)
    return image.convert(mode)


@cache
def grain(kind: str) -> bytes:
    """A small picture with a lot of detail, encoded as *kind*."""
    pixels = np.random.default_rng(1).integers(0, 256, (12, 17, 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels), kind)


def png_header(width: int, height: int) -> bytes:
    """The start of a grey PNG that claims to be *width* x *height*."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    return start + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 0) + b"IDAT"


@pytest.mark.parametrize("mode, kind", ALL_HOLDERS)
@settings(max_examples=25)
@given(colour=COLOURS, width=SIDES, height=SIDES)
def test_flat(mode: str, kind: str, colour: tuple[int, int, int], width: int, height: int) -> None:
    """A flat image of any mode in any format keeps its size and about its colour."""
    image = Image.new("RGB", (width, height), colour)
    pixels = decode(encode(in_mode(image, mode), kind))
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    seen = image.convert("L").convert("RGB") if mode in {"L", "LA", "I;16"} else image
    tolerance = 44 if mode == "LAB" else 4  # 8 bits of LAB are off by as much as 43
    np.testing.assert_allclose(pixels, np.asarray(seen), atol=tolerance)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit(kind: str) -> None:
    """A 1-bit image becomes black and white."""
    image = Image.new("1", (3, 2), 1)
    image.putpixel((1, 0), 0)
    assert decode(encode(image, kind))[:, :, 0].tolist() == [[255, 0, 255], [255, 255, 255]]


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([[0, 128, 255]], np.int32), [0, 128, 255]),
        (np.array([[-5, 257, 65_535]], np.int32), [0, 1, 255]),
        (np.array([[0, 2**30, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[0, 257, 514]], np.uint16), [0, 1, 2]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 0, 0]], np.float32), [0, 0, 0]),
        (np.array([[-1, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[np.nan, np.inf, 65_535]], np.float32), [0, 0, 255]),
        (np.array([[0, 1e38, 2e38]], np.float32), [0, 128, 255]),
        (np.array([[-3e38, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[-3e38, -1e38, -1e38]], np.float32), [0, 0, 0]),
    ],
)
def test_wide_greys(values: Any, expected: list[int]) -> None:
    """Grey values of 16 and 32 bits are scaled, not clipped, to the least white that fits."""
    assert decode(encode(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


def test_big_endian_16_bit() -> None:
    """A 16-bit TIFF of the other byte order is read the same."""
    values = np.array([[0, 257, 65_535]], ">u2")
    assert decode(encode(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@given(alpha=st.integers(0, 255))
def test_alpha(mode: str, alpha: int) -> None:
    """Black of any transparency is composed on white."""
    black = Image.new("RGBA", (2, 2), (0, 0, 0, alpha)).convert(mode)
    assert decode(encode(black))[0, 0].tolist() == [255 - alpha] * 3


@pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
def test_transparent_palette(transparency: bytes | int) -> None:
    """A palette's transparent colour becomes white, and its other colours stay."""
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    pixels = decode(encode(image, transparency=transparency))
    assert pixels.tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_transparent_colour() -> None:
    """A transparent colour of an image without a palette becomes white, too."""
    pixels = decode(encode(Image.new("RGB", (1, 1), (1, 2, 3)), transparency=(1, 2, 3)))
    assert pixels.tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_orientation(kind: str, orientation: int) -> None:
    """An image with an EXIF orientation is turned upright; an unknown one changes nothing."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    stored = {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }.get(orientation, upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = encode(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    np.testing.assert_allclose(decode(image), upright, atol=8)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame(kind: str) -> None:
    """Of several frames the first one counts."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    pixels = decode(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert pixels[0, 0].tolist() == [255, 0, 0]


@given(st.binary(max_size=300))
def test_arbitrary_bytes(image: bytes) -> None:
    """Arbitrary bytes raise nothing but a refusal."""
    with pytest.raises(Unreadable):
        decode(image)


@pytest.mark.parametrize("kind", FORMATS)
def test_cut(kind: str) -> None:
    """A file cut at any byte is either decoded or refused."""
    whole = grain(kind)
    for end in range(len(whole)):
        try:
            assert decode(whole[:end]).shape == (12, 17, 3)
        except Unreadable as refusal:
            assert refusal.code in {415, 422}  # noqa: PT017 - some cuts can be decoded


@given(kind=st.sampled_from(FORMATS), data=st.data())
def test_damaged(kind: str, data: st.DataObject) -> None:
    """A file with some bytes changed is either decoded or refused."""
    damaged = bytearray(grain(kind))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=5)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        assert decode(bytes(damaged)).ndim == 3
    except Unreadable as refusal:
        assert refusal.code in {413, 415, 422}  # noqa: PT017 - some damage does no harm


@pytest.mark.parametrize("width", [6_000, 12_000, 20_000])
def test_too_many_pixels(width: int) -> None:
    """An image with too many pixels is refused by its header alone, without a warning."""
    with pytest.raises(Unreadable, match=f"{MAX_PIXELS:,}") as refusal:
        decode(png_header(width, 10_000))
    assert refusal.value.code == 413


def test_unknown_format() -> None:
    """The refusal of an unknown format names those that are known."""
    with pytest.raises(Unreadable, match="JPEG, PNG, WEBP, BMP, TIFF, GIF") as refusal:
        decode(b"%PDF-1.7")
    assert refusal.value.code == 415


def test_heic() -> None:
    """The refusal of a HEIC file says that it is this service that cannot read it."""
    with pytest.raises(Unreadable, match="HEIC") as refusal:
        decode(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    assert refusal.value.code == 415


def test_broken_file() -> None:
    """The refusal of a broken file says what is wrong with it."""
    with pytest.raises(Unreadable, match="broken image file: image file is truncated") as refusal:
        decode(grain("BMP")[:200])
    assert refusal.value.code == 422


def test_odd_exif() -> None:
    """An image with broken EXIF data is read all the same, without a warning."""
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\x00\x12\x01\x03\x00"
    assert decode(encode(Image.new("RGB", (9, 7)), "JPEG", exif=exif)).shape == (7, 9, 3)


@given(width=SIDES, height=SIDES, long_side=SIDES)
def test_shrink(width: int, height: int, long_side: int) -> None:
    """A picture is shrunk to the long side, keeps its shape, and never grows."""
    small = shrink(np.zeros((height, width, 3), np.uint8), long_side)
    assert max(small.shape[:2]) == min(long_side, max(width, height))
    factor = max(small.shape[:2]) / max(width, height)
    np.testing.assert_allclose(small.shape[:2], (height * factor, width * factor), atol=0.99)

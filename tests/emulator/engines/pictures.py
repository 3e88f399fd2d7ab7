"""Pictures with text in them, and what engines read off them."""

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ximilar_ocr_async.emulator.engines.rapid import RapidRecogniser
from ximilar_ocr_async.models import Text

RAPID = RapidRecogniser()
"""One for all tests, for its model takes seconds to load."""


def drawn(text: str, size: tuple[int, int] = (420, 120), font: str | None = None) -> Image.Image:
    """A white picture with *text* in black."""
    image = Image.new("RGB", size, "white")
    face = ImageFont.truetype(font, 40) if font else ImageFont.load_default(size=40)
    ImageDraw.Draw(image).text((30, 30), text, font=face, fill="black")
    return image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode *image*."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def words(texts: Sequence[Text]) -> list[str]:
    """All texts without their spaces."""
    return ["".join(text.text.split()) for text in texts]

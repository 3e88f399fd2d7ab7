"""Pictures to read, no two runs with the same, so that nothing of an earlier run is remembered."""

import base64
import random
from io import BytesIO

from attrs import field, frozen
from PIL import ExifTags, Image, ImageDraw, ImageFont

from _lib.live.wire import PIECE

SIZE = 1000, 520
"""Width and height of the upright picture [px]. It is wide, so that a turned one shows."""

WORDS = ("Harbour Lane Cafe", "Two teas and one scone", "Thank you, come again", "Open until six")

TURNED = 6
"""The EXIF orientation of a picture that is to be shown turned clockwise by a quarter."""

NO_IMAGE = base64.b64encode(b"These bytes are no image. " * 20).decode()


@frozen
class Pictures:
    """Makes the pictures of one run.

    Attributes:
        mark: Number that all pictures of the run show, with their own number behind it.
    """

    mark: int = field(factory=lambda: random.randrange(1_000, 10_000))  # noqa: S311 - no secret

    def code(self, number: int) -> str:
        """Return the digits that the picture of that *number* shows, and no other picture."""
        return f"{self.mark}{number:03}"

    def draw(self, number: int, orientation: int = 1) -> str:
        """Draw the picture of that *number*.

        Args:
            number: Number of the picture.
            orientation: EXIF orientation. Whatever it is, the picture is upright to those who heed
                it. Either 1 or `TURNED`.

        Returns:
            A JPEG in base64.
        """
        picture = Image.new("RGB", SIZE, "white")
        pen = ImageDraw.Draw(picture)
        for line, words in enumerate((f"Order {self.code(number)}", *WORDS)):
            pen.text((60, 40 + 90 * line), words, "black", ImageFont.load_default(54))
        if orientation == TURNED:
            picture = picture.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        file = BytesIO()
        picture.save(file, "JPEG", quality=80, exif=exif)
        # Whole groups of three bytes, so that base64 can be continued behind them.
        image = file.getvalue() + b"\0" * (-file.tell() % 3)
        return base64.b64encode(image).decode()


def pad(head: bytes, tail: bytes, filling: bytes, size: int) -> list[bytes]:
    """Return the pieces of a body of about *size* [bytes], with *filling* between head and tail."""
    room = max(0, size - len(head) - len(tail)) // PIECE
    return [head, *[filling * PIECE] * room, tail]

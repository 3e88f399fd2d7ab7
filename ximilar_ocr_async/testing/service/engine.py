"""OCR engines: an encoded image and a language in, a reading out."""

from typing import Protocol

from attrs import frozen

from ximilar_ocr_async.models import Text


@frozen
class Reading:
    """What an engine read off one image.

    Attributes:
        width: [px] upright.
        height: [px] upright.
        texts: In reading order.
        answer: The language model's, if there was a prompt; engines leave it out.
    """

    width: int
    height: int
    texts: tuple[Text, ...]
    answer: str | None = None

    @property
    def full_text(self) -> str:
        """All texts in one."""
        return " ".join(text.text for text in self.texts)


class Unreadable(Exception):
    """An image cannot be read; the arguments become its record's failing status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Engine(Protocol):
    """Reads images. Must not hold the event loop: real engines work in threads."""

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read an encoded *image* in *lang*; raise `Unreadable` when it cannot be done."""
        ...

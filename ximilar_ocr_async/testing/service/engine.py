"""The interface of OCR engines: an encoded image and a language in, a reading out."""

from typing import Protocol

from attrs import frozen

from ximilar_ocr_async.models import Text


@frozen
class Reading:
    """What an engine read off one image.

    Attributes:
        width: Width of the upright image [px].
        height: Height of the upright image [px].
        texts: The texts in reading order.
        answer: The language model's completion, if there was a prompt. The service sets it; engines
            do not.
    """

    width: int
    height: int
    texts: tuple[Text, ...]
    answer: str | None = None

    @property
    def full_text(self) -> str:
        """All texts, separated by spaces."""
        return " ".join(text.text for text in self.texts)


class Unreadable(Exception):
    """An image cannot be read.

    Attributes:
        code: Code of the record's failing status.
        text: Text of the record's failing status.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Engine(Protocol):
    """Reads images. It must not block the event loop, so real engines work in threads."""

    async def read(self, image: bytes, lang: str) -> Reading:
        """Return the texts in an encoded *image*; raise `Unreadable` if it cannot be read."""
        ...

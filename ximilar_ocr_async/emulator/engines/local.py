"""The engine of the local service: images in, readings of the installed recognisers out."""

import os
from collections.abc import Sequence
from typing import Protocol

from anyio import CapacityLimiter, to_thread
from attrs import Factory, field, frozen

from ximilar_ocr_async.emulator.engines import rapid, tesseract
from ximilar_ocr_async.emulator.images import Pixels, decode
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service import Reading, Unreadable


class Recogniser(Protocol):
    """Reads text in pixels. Several threads may call it at the same time."""

    @property
    def languages(self) -> frozenset[str]:
        """Languages that it can read at present."""
        ...

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:
        """Return the texts in *pixels*, written in *lang*, which is one of `languages`."""
        ...


def _installed() -> tuple[Recogniser, ...]:
    # A property that is kept is one all the same.
    return rapid.RapidRecogniser(), tesseract.TesseractRecogniser()  # pyright: ignore[reportReturnType]


@frozen
class LocalEngine:
    """Reads images on this machine with the installed OCR programs.

    An instance of this should live as long as your application does, because it keeps the models.

    Attributes:
        recognisers: The recognisers, the preferred ones first. Each image is read by the first one
            that knows its language.
        cores: How many images are read at the same time, each in its own thread.
    """

    recognisers: Sequence[Recogniser] = field(factory=_installed)
    cores: int = field(factory=lambda: os.cpu_count() or 1)
    _limiter: CapacityLimiter = field(
        init=False, default=Factory(lambda self: CapacityLimiter(self.cores), takes_self=True)
    )

    @property
    def languages(self) -> frozenset[str]:
        """Languages that can be read at present. Runs the installed programs but loads no model."""
        return frozenset().union(*(recogniser.languages for recogniser in self.recognisers))

    async def read(self, image: bytes, lang: str) -> Reading:
        """Decode and read *image* in a worker thread, which cannot be cancelled once started."""
        return await to_thread.run_sync(self._read, image, lang, limiter=self._limiter)

    def _read(self, image: bytes, lang: str) -> Reading:
        recognise = self._recogniser_for(lang)
        pixels = decode(image)
        height, width = pixels.shape[:2]
        return Reading(width, height, recognise(pixels, lang))

    def _recogniser_for(self, lang: str) -> Recogniser:
        for recogniser in self.recognisers:
            if lang in recogniser.languages:
                return recogniser
        raise Unreadable(422, f"no installed engine reads {lang!r}; {_remedy(lang)}")


def _remedy(lang: str) -> str:
    """Return advice on what to install to read *lang*."""
    if lang in rapid.LANGUAGES:
        return "install the Python packages rapidocr and onnxruntime"
    if lang in tesseract.MODELS:
        package = f"tesseract-ocr-{tesseract.MODELS[lang].replace('_', '-')}"
        return f"install Debian's tesseract-ocr and {package}"
    return f"supported are {', '.join(tesseract.MODELS)}"

"""The engine of the local service: images in, readings by installed recognisers out."""

import os
from collections.abc import Sequence
from typing import Protocol

from anyio import CapacityLimiter, to_thread
from attrs import field, frozen

from ximilar_ocr_async.emulator.engines import rapid, tesseract
from ximilar_ocr_async.emulator.images import Pixels, decode
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service import Reading, Unreadable


class Recogniser(Protocol):
    """Reads pixels; callable from any thread, several at the same time."""

    @property
    def languages(self) -> frozenset[str]:
        """What it reads now."""
        ...

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:
        """Read *pixels* in *lang*, one of `languages`."""
        ...


def _installed() -> tuple[Recogniser, ...]:
    return rapid.RapidRecogniser(), tesseract.TesseractRecogniser()


@frozen
class LocalEngine:
    """Reads on this machine. Should live as long as the application, for it keeps the models.

    Attributes:
        recognisers: The first one that has the language reads it.
        cores: How many images are read at the same time, each in a thread.
    """

    recognisers: Sequence[Recogniser] = field(factory=_installed)
    cores: int = field(factory=lambda: os.cpu_count() or 1)
    _limiter: CapacityLimiter = field(init=False)

    @_limiter.default
    def _one_thread_for_each_core(self) -> CapacityLimiter:
        return CapacityLimiter(self.cores)

    @property
    def languages(self) -> frozenset[str]:
        """What is read now; asks the installed programs, but loads no model."""
        return frozenset().union(*(recogniser.languages for recogniser in self.recognisers))

    async def read(self, image: bytes, lang: str) -> Reading:
        """Decode and read *image* in a worker thread; once begun, it is not cut short."""
        return await to_thread.run_sync(self._read, image, lang, limiter=self._limiter)

    def _read(self, image: bytes, lang: str) -> Reading:
        recognise = self._recogniser(lang)
        pixels = decode(image)
        height, width = pixels.shape[:2]
        return Reading(width, height, recognise(pixels, lang))

    def _recogniser(self, lang: str) -> Recogniser:
        for recogniser in self.recognisers:
            if lang in recogniser.languages:
                return recogniser
        raise Unreadable(422, f"no installed engine reads {lang!r}; {_remedy(lang)}")


def _remedy(lang: str) -> str:
    """Say what to install to read *lang*."""
    if lang in rapid.LANGUAGES:
        return "install the Python packages rapidocr and onnxruntime"
    if lang in tesseract.MODELS:
        package = f"tesseract-ocr-{tesseract.MODELS[lang].replace('_', '-')}"
        return f"install Debian's tesseract-ocr and {package}"
    return f"known are {', '.join(tesseract.MODELS)}"

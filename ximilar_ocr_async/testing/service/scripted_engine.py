"""A scripted engine for tests: it answers what it was told to, after a set time."""

from collections.abc import Mapping

import anyio
from attrs import define, field

from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Reading, Unreadable

WIDTH, LINE_HEIGHT = 800.0, 40.0
"""[px] of the made-up image, which is as high as its lines."""


@define
class ScriptedEngine:
    """Reads *texts* without looking: one for each encoded image, or the same for all.

    Attributes:
        texts: What each image says, its lines apart by newlines.
        latency: [s] that a reading takes.
        calls: Readings begun.
        peak: Most readings at the same time.
    """

    texts: Mapping[bytes, str] | str = "hello"
    latency: float = 0.0
    calls: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    _reading: int = field(default=0, init=False)

    async def read(self, image: bytes, lang: str) -> Reading:  # noqa: ARG002
        """Answer with the lines that belong to *image*, in any language."""
        self.calls += 1
        self._reading += 1
        self.peak = max(self.peak, self._reading)
        try:
            await anyio.sleep(self.latency)
        finally:
            self._reading -= 1
        lines = self._text_of(image).splitlines()
        texts = tuple(_text(line, row * LINE_HEIGHT) for row, line in enumerate(lines))
        return Reading(int(WIDTH), int(LINE_HEIGHT) * max(1, len(lines)), texts)

    def _text_of(self, image: bytes) -> str:
        if isinstance(self.texts, str):
            return self.texts
        try:
            return self.texts[image]
        except KeyError:
            raise Unreadable(422, "the script has no such image") from None


def _text(line: str, top: float) -> Text:
    bottom = top + LINE_HEIGHT
    return Text(line, ((0.0, top), (WIDTH, top), (WIDTH, bottom), (0.0, bottom)), prob=0.99)

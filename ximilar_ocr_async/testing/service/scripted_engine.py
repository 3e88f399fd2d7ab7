"""An engine for tests: an encoded image in, the scripted text out after a set time."""

from collections.abc import Mapping

import anyio
from attrs import define, field

from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Reading, Unreadable

WIDTH, LINE_HEIGHT = 800.0, 40.0
"""Size of one line of the made-up image [px]. The image is as high as all its lines."""


@define
class ScriptedEngine:
    """Returns scripted texts without looking at the image.

    Attributes:
        texts: The text of each encoded image, or one text for all. Newlines separate lines.
        latency: How long a reading takes [s].
        calls: Number of readings started so far.
        peak: Largest number of readings at the same time so far.
    """

    texts: Mapping[bytes, str] | str = "hello"
    latency: float = 0.0
    calls: int = field(default=0, init=False)
    peak: int = field(default=0, init=False)
    _reading: int = field(default=0, init=False)

    async def read(self, image: bytes, lang: str) -> Reading:  # noqa: ARG002
        """Return the lines of *image*, whatever the language."""
        self.calls += 1
        self._reading += 1
        self.peak = max(self.peak, self._reading)
        try:
            await anyio.sleep(self.latency)
        finally:
            self._reading -= 1
        lines = self._text_of(image).splitlines()
        texts = tuple(_text(line, number * LINE_HEIGHT) for number, line in enumerate(lines))
        return Reading(int(WIDTH), int(LINE_HEIGHT) * max(1, len(lines)), texts)

    def _text_of(self, image: bytes) -> str:
        if isinstance(self.texts, str):
            return self.texts
        try:
            return self.texts[image]
        except KeyError:
            raise Unreadable(422, "the script has no text for the image") from None


def _text(line: str, top: float) -> Text:
    bottom = top + LINE_HEIGHT
    return Text(line, ((0.0, top), (WIDTH, top), (WIDTH, bottom), (0.0, bottom)), prob=0.99)

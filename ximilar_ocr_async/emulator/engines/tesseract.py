"""Tesseract as a recogniser: pixels in, lines of text out."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from statistics import fmean

from attrs import field, frozen

from ximilar_ocr_async.emulator.images import Pixels, shrink
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service import Unreadable

MODELS = {"en": "eng", "zh": "chi_sim", "ja": "jpn", "ko": "kor", "ru": "rus"}
"""Tesseract's name of each language. Debian's packages are tesseract-ocr-eng and so on."""

TIMEOUT = 60.0
"""Time limit for one image [s]. Source: judgement; a full page takes 5 s."""

LONG_SIDE = 4000
"""Longest side of an image [px]; larger ones are shrunk. A page at 300 dpi, the resolution that
Tesseract is made for, has 3,500."""

SEGMENTATION_MODE = "4"
"""Page segmentation mode (``--psm``): one column of text in various sizes, which keeps the cells of
a row together. Measured on 116 Korean and Russian lines, and on ten pictures without text: mode 4
read 106 lines and saw 11 words that are not there; mode 6, one block of text, 108 and 149; mode 3,
the default, 96 and 0."""

MIN_CONFIDENCE = 40.0
"""Least confidence of a word that is kept, from 0 to 100. Measured: it drops 30 of 41 words that
Tesseract saw in noise, blots and scribbles, and none of 601 words that it read correctly."""

SPACE_BESIDE_HAN = re.compile(
    r"(?<=[\u2e80-\u9fff\uff00-\uffef]) | (?=[\u2e80-\u9fff\uff00-\uffef])"
)
"""Matches a space next to a Chinese or Japanese character. Those scripts are written without
spaces, but Latin words within them keep theirs."""


@frozen
class Word:
    """A word that Tesseract read: a row of level 5 in its TSV.

    Attributes:
        line: Numbers of the page, block, paragraph and line that contain the word.
        left: Left edge of the box [px].
        top: Upper edge of the box [px].
        width: Width of the box [px].
        height: Height of the box [px].
        confidence: Tesseract's confidence, from 0 to 100.
        text: The word itself.
    """

    line: tuple[str, ...]
    left: int
    top: int
    width: int
    height: int
    confidence: float
    text: str


@frozen
class TesseractRecogniser:
    """Reads with the installed Tesseract. Any thread may call it.

    Attributes:
        program: Path of the program, or None if it is not installed.
        timeout: Time limit for one image [s].
    """

    program: str | None = field(factory=lambda: shutil.which("tesseract"))
    timeout: float = TIMEOUT

    @cached_property
    def languages(self) -> frozenset[str]:
        """Languages that Tesseract has models for. Tesseract is asked once."""
        if self.program is None:
            return frozenset()
        installed = self._run(["--list-langs"]).splitlines()
        return frozenset(lang for lang, model in MODELS.items() if model in installed)

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:
        """Return the lines in *pixels*, written in *lang*, which must be one of `languages`."""
        small = shrink(pixels, LONG_SIDE)
        height, width = small.shape[:2]
        pnm = b"P6 %d %d 255\n" % (width, height) + small.tobytes()
        table = self._run(
            ["stdin", "stdout", "-l", MODELS[lang], "--psm", SEGMENTATION_MODE, "tsv"], pnm
        )
        scale = pixels.shape[1] / width
        lines = groupby(_words(table), key=lambda word: word.line)
        return tuple(_text(list(words), lang, scale) for _, words in lines)

    def _run(self, arguments: list[str], image: bytes = b"") -> str:
        """Run Tesseract on *image* and return what it prints."""
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and arguments are constants
                [str(self.program), *arguments],
                input=image,
                capture_output=True,
                check=True,
                timeout=self.timeout,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().partition("\n")[0]
            raise Unreadable(500, f"tesseract failed: {reason or error.returncode}") from error
        except subprocess.TimeoutExpired as error:
            raise Unreadable(500, f"tesseract took more than {self.timeout:g} s") from error
        return done.stdout.decode(errors="replace")


def _words(table: str) -> Iterator[Word]:
    """Yield the confident words in Tesseract's TSV, whose texts may contain quotes but no tabs."""
    for row in table.splitlines()[1:]:
        *numbers, confidence, text = row.split("\t", 11)
        level, *line = numbers[:5]
        if level == "5" and text.strip() and float(confidence) >= MIN_CONFIDENCE:
            left, top, width, height = map(int, numbers[6:10])
            yield Word(tuple(line), left, top, width, height, float(confidence), text)


def _text(words: list[Word], lang: str, scale: float) -> Text:
    """Join the *words* of a line, in the frame of an image *scale* times as large."""
    line = " ".join(word.text for word in words)
    left, top = min(word.left for word in words) * scale, min(word.top for word in words) * scale
    right = max(word.left + word.width for word in words) * scale
    bottom = max(word.top + word.height for word in words) * scale
    return Text(
        text=SPACE_BESIDE_HAN.sub("", line) if lang in {"ja", "zh"} else line,
        polygon=((left, top), (right, top), (right, bottom), (left, bottom)),
        prob=fmean(word.confidence for word in words) / 100,
    )

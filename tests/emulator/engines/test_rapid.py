"""RapidOCR: pixels in, texts out."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from attrs import define, field
from numpy.typing import NDArray
from PIL import Image

from tests.emulator.engines.pictures import RAPID, drawn, words
from ximilar_ocr_async.emulator.engines.rapid import RapidOutput, RapidRecogniser
from ximilar_ocr_async.emulator.images import Pixels

CJK_FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
needs_cjk_font = pytest.mark.skipif(
    not CJK_FONT.is_file(), reason=f"{CJK_FONT} is missing (Debian's fonts-noto-cjk)"
)


@define
class FakeFound:
    """One text in the picture."""

    txts: Sequence[str] | None
    scores: Sequence[float] | None
    boxes: NDArray[np.float32] | None = field(
        factory=lambda: np.array([[[9, 9], [99, 9], [99, 19], [9, 19]]], np.float32)
    )


@define
class FakeModel:
    """Finds one text in each picture, with the next one of *scores*."""

    scores: list[float]
    calls: int = 0

    def __call__(self, pixels: Pixels, /) -> RapidOutput:
        """Find a text named by the number of the call."""
        assert pixels.shape == (300, 400, 3)
        self.calls += 1
        return FakeFound((f"reading {self.calls}",), (self.scores[self.calls - 1],))


def test_rapid_reads() -> None:
    """RapidOCR reads drawn lines from the top, with boxes around them and high confidence."""
    image = drawn("Hello World\nSecond line 42", (420, 160))
    first, second = RAPID(np.asarray(image), "en")
    assert words([first, second]) == ["HelloWorld", "Secondline42"]
    (left, top), (right, _), (_, bottom), _ = first.polygon
    assert (left, top) == pytest.approx((25, 35), abs=12)
    assert (right, bottom) == pytest.approx((245, 78), abs=20)
    assert all(type(number) is float for point in first.polygon for number in point)
    assert first.prob is not None
    assert 0.9 < first.prob <= 1


def test_rapid_on_a_blank_picture(blank: Pixels) -> None:
    """RapidOCR reads nothing on a blank picture."""
    assert RAPID(blank, "en") == ()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rapid_any_way_up(turns: int) -> None:
    """RapidOCR reads a page that lies on its side or on its head, and its boxes fit the page."""
    pixels = np.rot90(np.asarray(drawn("Harbour Lane 14\nMillbrook Cafe", (420, 160))), turns)
    texts = RAPID(np.ascontiguousarray(pixels), "en")
    assert words(texts) == ["HarbourLane14", "MillbrookCafe"]
    for text in texts:
        (left, top), (right, _), (_, bottom), _ = text.polygon
        assert 0 <= left < right <= pixels.shape[1]
        assert 0 <= top < bottom <= pixels.shape[0]
        inside = pixels[int(top) : int(bottom), int(left) : int(right)]
        assert inside.min() < 128


@pytest.mark.parametrize(
    "upright, turned, expected",
    [
        (0.84, 0.6, ["reading 1"]),
        (0.6, 0.84, ["reading 2"]),
        (0.86, 0.9, ["reading 1"]),
        (0.4, 0.3, []),
        (0.3, 0.4, []),
    ],
)
def test_rapid_keeps_the_better_reading(
    blank: Pixels, upright: float, turned: float, expected: list[str]
) -> None:
    """A doubtful page is read upside down, too; the better reading counts if it is any good."""
    model = FakeModel([upright, turned])
    assert [text.text for text in RapidRecogniser(load=lambda: model)(blank, "en")] == expected


def test_rapid_on_a_large_picture() -> None:
    """RapidOCR reads letters of 40 px on 4,000 px, and its boxes are in the picture's pixels."""
    image = Image.new("RGB", (4000, 1000), "white")
    image.paste(drawn("Terms and conditions"), (3000, 800))
    (text,) = RAPID(np.asarray(image), "en")
    assert words([text]) == ["Termsandconditions"]
    assert 3000 < text.polygon[0][0] < 3040
    assert 810 < text.polygon[0][1] < 850


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (60, 3000), (3000, 60)])
def test_rapid_on_strips(size: tuple[int, int]) -> None:
    """RapidOCR takes pictures of any shape."""
    assert RAPID(np.full((*size, 3), 255, np.uint8), "en") == ()


def test_rapid_reads_a_strip() -> None:
    """RapidOCR reads a line that fills its picture."""
    image = drawn("One narrow line of text, 1234567890", (800, 400)).crop((20, 28, 760, 82))
    assert words(RAPID(np.asarray(image), "en")) == ["Onenarrowlineoftext,1234567890"]


@needs_cjk_font
@pytest.mark.parametrize(
    "lang, line", [("ja", "もちろん日曜日だよ、カレー"), ("zh", "鲜牛奶与全麦面包")]
)
def test_rapid_reads_chinese_and_japanese(lang: str, line: str) -> None:
    """RapidOCR's model reads kana and han."""
    image = drawn(line, (620, 120), str(CJK_FONT))
    assert "".join(words(RAPID(np.asarray(image), lang))) == line


def test_reading_leaves_no_trace_in_the_home_directory(tmp_path: Path) -> None:
    """The engine's runtime neither marks the machine nor reports to its maker."""
    code = (
        "import numpy; from ximilar_ocr_async.emulator.engines.rapid import load_model;"
        "load_model()(numpy.zeros((64, 64, 3), numpy.uint8))"
    )
    # Its own sign of a test run would silence the runtime too, so little is handed down.
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert list(tmp_path.iterdir()) == []

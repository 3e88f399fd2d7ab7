"""Tesseract: pixels in, texts out, or why the program failed."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.emulator.engines.pictures import drawn
from ximilar_ocr_async.emulator.engines.tesseract import TesseractRecogniser
from ximilar_ocr_async.emulator.images import Pixels
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Unreadable

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="Tesseract is missing (Debian's tesseract-ocr)"
)
INSTALLED = ("List of available languages (3):", "eng", "chi_sim", "osd")
WORD = "5\t1\t{line}\t1\t1\t1\t{left}\t20\t30\t40\t{confidence}\t{text}"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Where a test writes what it runs instead of Tesseract."""
    return tmp_path / "tesseract"


def imitate(program: Path, *lines: str, code: int = 0, complaint: str = "") -> TesseractRecogniser:
    """Write a *program* that prints *lines* whatever it is asked; return its recogniser."""
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.stdin.buffer.read()\n"
        f"print({chr(10).join(lines)!r})\nsys.stderr.write({complaint!r})\nsys.exit({code})\n"
    )
    program.chmod(0o755)
    return TesseractRecogniser(str(program))


@needs_tesseract
def test_tesseract_reads() -> None:
    """Tesseract reads drawn lines from the top, with boxes around them."""
    recogniser = TesseractRecogniser()
    first, second = recogniser(np.asarray(drawn("Hello World\nSecond line 42", (420, 160))), "en")
    assert [first.text, second.text] == ["Hello World", "Second line 42"]
    (left, top), (right, _), (_, bottom), _ = first.polygon
    assert (left, top) == pytest.approx((30, 40), abs=12)
    assert (right, bottom) == pytest.approx((245, 70), abs=20)


@needs_tesseract
def test_tesseract_on_a_blank_picture(blank: Pixels) -> None:
    """Tesseract reads nothing on a blank picture."""
    assert TesseractRecogniser()(blank, "en") == ()


def test_tesseract_not_installed() -> None:
    """Without its program Tesseract reads no language."""
    assert TesseractRecogniser(None).languages == frozenset()


def test_tesseract_languages(program: Path) -> None:
    """Tesseract's languages are those of its models, asked once."""
    recogniser = imitate(program, *INSTALLED)
    assert recogniser.languages == {"en", "zh"}
    program.unlink()
    assert recogniser.languages == {"en", "zh"}


def test_tesseract_table(program: Path, blank: Pixels) -> None:
    """Words are joined to lines, and what is empty or doubtful is left out."""
    recogniser = imitate(
        program,
        "level\tpage_num\t...",
        "4\t1\t1\t1\t1\t0\t10\t20\t300\t40\t-1\t",
        WORD.format(line=1, left=10, confidence=90, text='"Oak'),
        WORD.format(line=1, left=60, confidence=80.5, text="shelf"),
        WORD.format(line=1, left=99, confidence=12, text="~;"),
        WORD.format(line=2, left=10, confidence=95, text=" "),
        WORD.format(line=3, left=10, confidence=95, text="42"),
    )
    polygon = (10, 20), (90, 20), (90, 60), (10, 60)
    oak, answer = recogniser(blank, "en")
    assert oak == Text('"Oak shelf', polygon, 0.8525)
    assert answer.text == "42"


@pytest.mark.parametrize("lang, line", [("ja", "東京Tower 12の上"), ("ko", "東 京 Tower 12 の 上")])
def test_tesseract_spaces(program: Path, blank: Pixels, lang: str, line: str) -> None:
    """Chinese and Japanese characters are joined without spaces; Latin words keep theirs."""
    pieces = ("東", "京", "Tower", "12", "の", "上")
    rows = [WORD.format(line=1, left=9, confidence=90, text=piece) for piece in pieces]
    (text,) = imitate(program, "header", *rows)(blank, lang)
    assert text.text == line


def test_tesseract_fails(program: Path, blank: Pixels) -> None:
    """When Tesseract fails, the refusal has the first line of its complaint."""
    recogniser = imitate(program, code=1, complaint="Error opening data file\nmore\n")
    with pytest.raises(Unreadable, match="tesseract failed: Error opening data file'") as refusal:
        recogniser(blank, "en")
    assert refusal.value.code == 500


def test_tesseract_fails_silently(program: Path, blank: Pixels) -> None:
    """When Tesseract fails without a word, the refusal has its exit code."""
    with pytest.raises(Unreadable, match="tesseract failed: 3'"):
        imitate(program, code=3)(blank, "en")


def test_tesseract_takes_too_long(program: Path, blank: Pixels) -> None:
    """A Tesseract that does not come back is ended."""
    recogniser = TesseractRecogniser(imitate(program).program, timeout=0.001)
    with pytest.raises(Unreadable, match=r"tesseract took more than 0\.001 s") as refusal:
        recogniser(blank, "en")
    assert refusal.value.code == 500

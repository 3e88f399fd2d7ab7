"""Engines: encoded images in, readings out, or a clear refusal."""

import io
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ximilar_ocr_async.emulator.engines.local import LocalEngine
from ximilar_ocr_async.emulator.engines.order import reading_order
from ximilar_ocr_async.emulator.engines.rapid import Found, RapidRecogniser
from ximilar_ocr_async.emulator.engines.tesseract import TesseractRecogniser
from ximilar_ocr_async.emulator.images import Pixels
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine

CJK_FONT = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
needs_cjk_font = pytest.mark.skipif(
    not CJK_FONT.is_file(), reason=f"{CJK_FONT} is missing (Debian's fonts-noto-cjk)"
)
needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="Tesseract is missing (Debian's tesseract-ocr)"
)
RAPID = RapidRecogniser()
"""One for all tests, for its model takes seconds to load."""

ORIENTATION = 0x0112
INSTALLED = ("List of available languages (3):", "eng", "chi_sim", "osd")
WORD = "5\t1\t{line}\t1\t1\t1\t{left}\t20\t30\t40\t{confidence}\t{text}"


def drawn(text: str, size: tuple[int, int] = (420, 120), font: str | None = None) -> Image.Image:
    """A white picture with *text* in black."""
    image = Image.new("RGB", size, "white")
    face = ImageFont.truetype(font, 40) if font else ImageFont.load_default(size=40)
    ImageDraw.Draw(image).text((30, 30), text, font=face, fill="black")
    return image


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode *image*."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def box(x: float, y: float, width: float = 30, height: float = 10, tilt: float = 0) -> Text:
    """A text named by its place on a page that is turned clockwise by *tilt* [rad]."""
    corners = (x, y), (x + width, y), (x + width, y + height), (x, y + height)
    sine, cosine = math.sin(tilt), math.cos(tilt)
    turned = tuple((x * cosine - y * sine, x * sine + y * cosine) for x, y in corners)
    return Text(f"{x:g},{y:g}", turned)


def words(texts: Sequence[Text]) -> list[str]:
    """All texts without their spaces."""
    return ["".join(text.text.split()) for text in texts]


@pytest.fixture
def blank() -> Pixels:
    """A white picture."""
    return np.full((300, 400, 3), 255, np.uint8)


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


@define
class FakeRecogniser:
    """Reads the size of the picture, in the languages that it is told."""

    languages: frozenset[str]
    name: str = "fake"
    seen: list[str] = field(factory=list)

    def __call__(self, pixels: Pixels, lang: str) -> tuple[Text, ...]:
        """Say who read what."""
        self.seen.append(lang)
        return (Text(f"{self.name} read {pixels.shape[1]} x {pixels.shape[0]}"),)


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

    def __call__(self, pixels: Pixels, /) -> Found:
        """Find a text named by the number of the call."""
        assert pixels.shape == (300, 400, 3)
        self.calls += 1
        return FakeFound((f"reading {self.calls}",), (self.scores[self.calls - 1],))


# --- Reading order


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    tilt=st.floats(-0.2, 0.2),
    seed=st.randoms(use_true_random=False),
    data=st.data(),
)
def test_order_of_a_table(
    rows: int, columns: int, tilt: float, seed: random.Random, data: st.DataObject
) -> None:
    """The cells of a table are read row by row, however they are shuffled or the page is tilted."""
    jitter = st.floats(-2, 2)
    cells = [
        box(100 * column, 30 * row + data.draw(jitter), tilt=tilt)
        for row in range(rows)
        for column in range(columns)
    ]
    shuffled = list(cells)
    seed.shuffle(shuffled)
    assert reading_order(shuffled) == tuple(cells)


@given(
    st.lists(
        st.builds(
            box,
            st.floats(0, 1000),
            st.floats(0, 1000),
            st.floats(0, 500),
            st.floats(0, 50),
            st.floats(-3, 3),
        )
    )
)
def test_order_keeps_all(texts: list[Text]) -> None:
    """Putting texts in order loses none and adds none."""
    assert sorted(map(str, reading_order(texts))) == sorted(map(str, texts))


def test_order_of_columns() -> None:
    """Texts that run downwards are columns, read from the right."""
    first, second, third = box(200, 0, 10, 90), box(100, 5, 10, 300), box(100, 310, 10, 50)
    assert reading_order([third, second, first]) == (first, second, third)


def test_order_of_letter_sizes() -> None:
    """A small print beside a headline shares its row; the line below the headline does not."""
    headline, small, below = box(0, 0, 200, 60), box(210, 25, 40, 12), box(0, 70, 200, 12)
    assert reading_order([below, small, headline]) == (headline, small, below)


# --- RapidOCR


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


# --- Tesseract


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


# --- The local engine


@pytest.mark.anyio
@pytest.mark.parametrize(
    "image",
    [
        encode(drawn("Hello World")),
        encode(drawn("Hello World").convert("P", palette=Image.Palette.ADAPTIVE)),
        encode(drawn("Hello World").convert("1"), "TIFF"),
    ],
    ids=["rgb", "palette", "1 bit"],
)
async def test_local_reads(image: bytes) -> None:
    """The local engine reads drawn words from images of several modes."""
    reading = await LocalEngine([RAPID]).read(image, "en")
    assert (reading.width, reading.height) == (420, 120)
    assert "".join(words(reading.texts)) == "HelloWorld"


@pytest.mark.anyio
async def test_local_orientation() -> None:
    """The local engine reads an image upright, by its EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    stored = drawn("Hello World").transpose(Image.Transpose.ROTATE_270)
    reading = await LocalEngine([RAPID]).read(encode(stored, "JPEG", exif=exif), "en")
    assert (reading.width, reading.height) == (420, 120)
    assert words(reading.texts) == ["HelloWorld"]


@pytest.mark.anyio
async def test_local_choice() -> None:
    """The first recogniser that has the language reads it."""
    first = FakeRecogniser(frozenset({"en", "ja"}), "first")
    second = FakeRecogniser(frozenset({"en", "ko"}), "second")
    engine = LocalEngine([first, second])
    assert engine.languages == {"en", "ja", "ko"}
    image = encode(Image.new("L", (3, 2)))
    for lang in ("en", "ko"):
        await engine.read(image, lang)
    assert (first.seen, second.seen) == (["en"], ["ko"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    "lang, remedy",
    [
        (
            "ko",
            "no installed engine reads 'ko'; install Debian's tesseract-ocr and tesseract-ocr-kor",
        ),
        (
            "en",
            "no installed engine reads 'en'; install the Python packages rapidocr and onnxruntime",
        ),
        ("xx", "no installed engine reads 'xx'; known are en, zh, ja, ko, ru"),
    ],
)
async def test_local_remedy(lang: str, remedy: str) -> None:
    """A language that no engine reads is refused with what to install."""
    with pytest.raises(Unreadable) as refusal:
        await LocalEngine([TesseractRecogniser(None)]).read(b"", lang)
    assert (refusal.value.code, refusal.value.text) == (422, remedy)


@pytest.mark.anyio
async def test_local_refuses() -> None:
    """What is no image is refused."""
    engine = LocalEngine([FakeRecogniser(frozenset({"en"}))])
    with pytest.raises(Unreadable) as refusal:
        await engine.read(b"no image", "en")
    assert refusal.value.code == 415


@pytest.mark.anyio
async def test_local_default() -> None:
    """The local engine uses what is installed, which is RapidOCR for these tests."""
    engine = LocalEngine()
    assert engine.languages >= {"en", "zh", "ja"}
    assert engine.cores >= 1


@pytest.mark.anyio
async def test_local_at_the_same_time() -> None:
    """Images read at the same time do not disturb each other."""
    engine = LocalEngine([RAPID], cores=2)
    readings = {}

    async def read(word: str) -> None:
        readings[word] = await engine.read(encode(drawn(word)), "en")

    async with anyio.create_task_group() as tasks:
        for word in ("Apple", "Banana", "Cherry", "Damson"):
            tasks.start_soon(read, word)
    assert {word: words(reading.texts) for word, reading in readings.items()} == {
        word: [word] for word in ("Apple", "Banana", "Cherry", "Damson")
    }


# --- The scripted engine


@pytest.mark.anyio
async def test_scripted_text() -> None:
    """The scripted engine reads the same lines in every image, below each other."""
    reading = await ScriptedEngine("one\ntwo").read(b"anything", "en")
    assert words(reading.texts) == ["one", "two"]
    assert reading_order(reading.texts[::-1]) == reading.texts
    assert reading.texts[1].polygon[2] == (reading.width, reading.height)


@pytest.mark.anyio
async def test_scripted_images() -> None:
    """The scripted engine reads each image by its bytes, and refuses one it was not told of."""
    engine = ScriptedEngine({b"a": "first", b"b": ""})
    assert words((await engine.read(b"a", "en")).texts) == ["first"]
    assert (await engine.read(b"b", "en")).texts == ()
    with pytest.raises(Unreadable) as refusal:
        await engine.read(b"c", "en")
    assert refusal.value.code == 422
    assert engine.calls == 3


@pytest.mark.anyio
async def test_scripted_counts() -> None:
    """The scripted engine counts readings, and how many there were at the same time."""
    engine = ScriptedEngine(latency=0.01)
    for readings in (2, 1):
        async with anyio.create_task_group() as tasks:
            for _ in range(readings):
                tasks.start_soon(engine.read, b"", "en")
    assert (engine.calls, engine.peak) == (3, 2)


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

"""The local engine: encoded images in, readings out, or a clear refusal."""

import anyio
import pytest
from attrs import define, field
from PIL import Image

from tests.emulator.engines.pictures import RAPID, drawn, encode, words
from ximilar_ocr_async.emulator.engines.local import LocalEngine
from ximilar_ocr_async.emulator.engines.tesseract import TesseractRecogniser
from ximilar_ocr_async.emulator.images import Pixels
from ximilar_ocr_async.models import Text
from ximilar_ocr_async.testing.service.engine import Unreadable

ORIENTATION = 0x0112


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
        ("xx", "no installed engine reads 'xx'; supported are en, zh, ja, ko, ru"),
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
        for word in ("Apple", "Banana"):
            tasks.start_soon(read, word)
    assert {word: words(reading.texts) for word, reading in readings.items()} == {
        word: [word] for word in ("Apple", "Banana")
    }

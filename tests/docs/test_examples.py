"""The example pictures are read through the local service, over real HTTP, with real OCR."""

import json
from pathlib import Path
from statistics import fmean

import anyio
import pytest
from attrs import frozen

from ximilar_ocr_async import Image, OCRSession, Outcome
from ximilar_ocr_async.emulator.engines.local import LocalEngine
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service.service import Service

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TRUTH = json.loads((EXAMPLES / "truth.json").read_text(encoding="utf-8"))

# Means of the character error rate that are no worse than what the manual states, with room for
# another version of an engine. Korean has the most room: Tesseract takes its rows for columns.
HIGHEST_MEAN = {"en": 0.02, "zh": 0.02, "ja": 0.02, "ko": 0.35, "ru": 0.10}


def distance(a: str, b: str) -> int:
    """Count the edits from one text to the other [Levenshtein]."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@frozen
class Readings:
    """What was read off the pictures, by file name, and the languages that could be."""

    outcomes: dict[str, Outcome]
    languages: frozenset[str]

    def error_rate(self, name: str) -> float:
        """Return the character error rate of one picture, spaces not counted."""
        truth = "".join("".join(TRUTH[name]["lines"]).split())
        read = "".join(self.outcomes[name].unwrap().text.split())
        return distance(truth, read) / max(1, len(truth))


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Read every picture once."""
    engine = LocalEngine()
    images = [
        Image(EXAMPLES / "images" / name, lang=picture["lang"]) for name, picture in TRUTH.items()
    ]

    async def read(url: str) -> list[Outcome]:
        async with OCRSession("local", base_url=url) as session:
            return await session.read_all(images)

    with serving(Service(engine)) as url:
        outcomes = anyio.run(read, url)
    return Readings(dict(zip(TRUTH, outcomes, strict=True)), engine.languages)


def test_the_truth_names_every_picture() -> None:
    """Each picture is described, and nothing else lies among them."""
    assert {path.name for path in (EXAMPLES / "images").iterdir()} == set(TRUTH)
    assert len(TRUTH) >= 24


@pytest.mark.parametrize("lang", HIGHEST_MEAN)
def test_pictures_are_read_with_few_errors(
    readings: Readings, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mean character error rate of a language stays under its bound, and is reported."""
    if lang not in readings.languages:
        pytest.skip(f"no installed engine reads {lang}: install Tesseract and its data")
    rates = {
        name: readings.error_rate(name)
        for name, picture in TRUTH.items()
        if picture["lang"] == lang
    }
    mean, worst = fmean(rates.values()), max(rates, key=lambda name: rates[name])
    with capsys.disabled():
        told = f"{lang}: character error rate {mean:.3f}, worst {rates[worst]:.3f} ({worst})"
        print(f"\n{told}", end="")  # noqa: T201 - the report that the manual quotes
    assert mean <= HIGHEST_MEAN[lang]


def test_a_picture_without_text_has_none(readings: Readings) -> None:
    """Nothing is read where nothing stands."""
    record = readings.outcomes["en-no-text.png"].unwrap()
    assert record.text == ""
    assert record.ocr.texts == ()


def test_languages_that_nothing_reads_fail_with_the_remedy(readings: Readings) -> None:
    """Without an engine for its language a picture fails, and the error says what to install."""
    for name, picture in TRUTH.items():
        outcome = readings.outcomes[name]
        assert outcome.ok == (picture["lang"] in readings.languages)
        assert outcome.ok or "install" in str(outcome.error)


def test_polygons_lie_on_the_picture(readings: Readings) -> None:
    """Every text has four corners within the picture as it was sent, upright."""
    for outcome in readings.outcomes.values():
        if outcome.ok:
            width, height = outcome.record.width, outcome.record.height
            assert width
            assert height
            for text in outcome.record.ocr.texts:
                assert len(text.polygon) == 4
                assert all(-1 <= x <= width + 1 and -1 <= y <= height + 1 for x, y in text.polygon)

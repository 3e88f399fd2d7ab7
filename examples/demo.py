"""A demo on this machine: a folder of images in; a table, overlays and JSON lines out.

Run it with ``make demo``. The local service reads the images with real OCR, and the client talks to
it over real HTTP, as it would talk to Ximilar's. At the end, three images are turned into objects,
from answers that are SCRIPTED: no language model is asked.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import anyio
import scripted_answers
import typed_answers
from attrs import frozen
from PIL import Image as PillowImage
from PIL import ImageDraw
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from ximilar_ocr_async import Failure, Image, OCRSession, Outcome, Record, Success
from ximilar_ocr_async.emulator.engines.local import LocalEngine
from ximilar_ocr_async.emulator.images import decode
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.export import to_json
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service

HERE = Path(__file__).parent
OUT = Path("out")
SURE, UNSURE = (0, 140, 80), (210, 50, 30)
SURE_FROM = 0.9
"""Least probability of a text whose outline has the colour `SURE`."""

console = Console()


@frozen
class Arrival:
    """An outcome and the time of its arrival.

    Attributes:
        outcome: The outcome.
        seconds: Time from the start to the arrival [s].
    """

    outcome: Outcome
    seconds: float


def find_images(languages: frozenset[str]) -> list[Image]:
    """Return the example images that can be read here; print how to get the others read."""
    truth = json.loads((HERE / "truth.json").read_text(encoding="utf-8"))
    images = [
        Image(HERE / "images" / name, lang=picture["lang"], id=name)
        for name, picture in truth.items()
    ]
    readable = [image for image in images if image.lang in languages]
    if len(readable) < len(images):
        missing = ", ".join(sorted({str(image.lang) for image in images} - languages))
        console.print(
            f"{len(images) - len(readable)} images ({missing}) are skipped: to read them too,"
            " install Tesseract and its data (Debian: tesseract-ocr-kor, tesseract-ocr-rus)."
        )
    return readable


async def read(images: Sequence[Image], url: str) -> list[Arrival]:
    """Read *images*; write each outcome to ``outcomes.jsonl`` as it arrives."""
    start = time.monotonic()
    arrivals: list[Arrival] = []
    columns = ("reading", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        (OUT / "outcomes.jsonl").open("w", encoding="utf-8") as file,
    ):
        task = progress.add_task("reading", total=len(images))
        async with OCRSession("local", base_url=url) as session, session.stream(images) as outcomes:
            async for outcome in outcomes:
                arrivals.append(Arrival(outcome, time.monotonic() - start))
                file.write(to_json(outcome) + "\n")
                progress.advance(task)
    return sorted(arrivals, key=lambda arrival: arrival.outcome.index)


def draw_overlay(image: Image, record: Record) -> None:
    """Draw the outline of each text on the image; save it as ``<name>.overlay.png``."""
    path = Path(str(image.source))
    # Decoded as the service does, so that polygons fit even if the file is stored rotated.
    picture = PillowImage.fromarray(decode(path.read_bytes()))
    pen = ImageDraw.Draw(picture)
    width = max(1, max(picture.size) // 400)
    for text in record.ocr.texts:
        color = SURE if (text.prob or 0) >= SURE_FROM else UNSURE
        pen.polygon([tuple(point) for point in text.polygon], outline=color, width=width)
    picture.save(OUT / f"{path.name}.overlay.png")


def show(arrivals: Sequence[Arrival]) -> None:
    """Print a table with one row for each image."""
    table = Table(title="Text in the images", expand=True)
    table.add_column("image", no_wrap=True)
    table.add_column("lang")
    # Takes the width that the other columns leave.
    table.add_column("first words", no_wrap=True, ratio=1)
    table.add_column("mean prob", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for arrival in arrivals:
        match arrival.outcome:
            case Success(image=image, record=record):
                probs = [text.prob or 0.0 for text in record.ocr.texts]
                words = escape(record.text) or "[dim](no text)[/]"
                mean = f"{fmean(probs):.2f}" if probs else "-"
            case Failure(image=image, error=error):
                words, mean = f"[red]{escape(str(error))}[/]", "-"
        table.add_row(image.id, image.lang, words, mean, f"{arrival.seconds:.1f}")
    console.print(table)


async def fill_in(url: str) -> list[Outcome[Any]]:
    """Turn the three images of ``typed_answers.py`` into objects of its classes."""
    async with OCRSession("local", base_url=url) as session:
        return await typed_answers.fill_in(session)


def show_typed_answers(engine: LocalEngine) -> bool:
    """Print the three typed answers, marked as scripted; return whether all succeeded."""
    with serving(Service(engine, gpt=ScriptedGPT(scripted_answers.answer))) as url:
        outcomes = anyio.run(fill_in, url)
    console.rule("Typed answers (SCRIPTED)")
    console.print(
        "The text is read from the images. The language model's answers are SCRIPTED, in "
        "examples/scripted_answers.py: no language model was asked."
    )
    for outcome in outcomes:
        print()
        typed_answers.show(outcome)
    console.rule("SCRIPTED: no language model was asked")
    return all(outcome.ok for outcome in outcomes)


def main() -> int:
    """Run the demo; return its exit code."""
    OUT.mkdir(exist_ok=True)
    engine = LocalEngine()
    service = Service(engine)
    images = find_images(engine.languages)
    with serving(service) as url:
        console.print(f"The local service listens on {url}.")
        arrivals = anyio.run(read, images, url)
    for arrival in arrivals:
        if isinstance(arrival.outcome, Success):
            draw_overlay(arrival.outcome.image, arrival.outcome.record)
    show(arrivals)
    succeeded = sum(arrival.outcome.ok for arrival in arrivals)
    seconds = max(arrival.seconds for arrival in arrivals)
    console.print(
        f"{succeeded} of {len(images)} images read in {seconds:.1f} s, {service.billed} records "
        f"billed; outcomes.jsonl and overlays are in {OUT}/."
    )
    are_typed = show_typed_answers(engine)
    return 0 if are_typed and succeeded == len(images) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The example of typed answers runs as printed, and the scripted answers of the demo fit it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(gpt: ScriptedGPT) -> subprocess.CompletedProcess[str]:
    """Run the example in front of a service whose language model is *gpt*."""
    with serving(Service(ScriptedEngine("some text"), gpt=gpt)) as url:
        return subprocess.run(
            [sys.executable, EXAMPLES / "typed_answers.py"],
            env=os.environ | {"XIMILAR_BASE_URL": url, "XIMILAR_API_TOKEN": "local"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )


def test_each_picture_becomes_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fenced, among words or as Python writes it, each scripted answer becomes an object."""
    monkeypatch.syspath_prepend(EXAMPLES)
    import scripted_answers  # noqa: PLC0415 - it is beside the scripts

    done = run(ScriptedGPT(scripted_answers.answer))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for wanted in (
        "en-card.png: TradingCard",
        "  hit_points: 90",
        "en-invoice.png: Invoice",
        "  issued: datetime.date(2025, 6, 3)",
        "  total: Decimal('1252.80')",
        "en-label.webp: Label",
        "    energy: 1780",
        "    'sea salt'",
    ):
        assert wanted in lines


def test_answers_that_do_not_fit_are_told() -> None:
    """Each picture says what is wrong with its answer, and the exit code is 1."""
    done = run(ScriptedGPT("I cannot tell."))
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "en-card.png",
        "en-invoice.png",
        "en-label.webp",
    ]
    assert done.stdout.count("the completion has no JSON object") == 3

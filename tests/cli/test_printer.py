"""Outcomes become text or JSON lines, failures, a progress bar and totals."""

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.command_line import CLI, start, write
from ximilar_ocr_async.cli.printer import RECORD_RENDERER, Printer
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import OCR, Record, Text
from ximilar_ocr_async.outcomes import Success

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files and terminals")


@pytest.mark.usefixtures("service")
def test_several_images_have_headings(cli: CLI) -> None:
    """Each text stands under the name of its image when there may be several."""
    write("a.jpg", "b.jpg")
    ran = cli("read", "a.jpg", "b.jpg")
    parts = sorted(ran.out.split("\n\n"))
    assert parts == ["", "==> a.jpg <==\na.jpg", "==> b.jpg <==\nb.jpg"]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("word", [".", "*.jpg", "@list.txt", "-"])
def test_one_image_of_what_might_be_several_has_a_heading(cli: CLI, word: str) -> None:
    """A folder, a pattern and a list give headings even to a single image."""
    write("a.jpg")
    Path("list.txt").write_text("a.jpg\n")
    assert "==> " in cli("read", word, stdin=b"a.jpg\n").out


@pytest.mark.usefixtures("service")
def test_lines_of_json_hold_outcomes(cli: CLI) -> None:
    """Each outcome is one line with its place, image, verdict, and record or error."""
    write("a.jpg")
    ran = cli("read", "a.jpg", "b.jpg", "--format", "jsonl")
    good, bad = sorted(ran.lines, key=lambda line: line["index"])
    assert (good["index"], good["image"], good["ok"]) == (0, "a.jpg", True)
    assert good["record"]["_ocr"]["full_text"] == "a.jpg"
    assert (bad["index"], bad["image"], bad["ok"]) == (1, "b.jpg", False)
    assert bad["error"]["type"] == "ImageError"


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("words", [["--output=out"], ["--output=out", "--format=jsonl"]])
def test_output_goes_to_a_file_as_json(cli: CLI, words: list[str]) -> None:
    """With an output file nothing is on standard output, and the file has JSON lines."""
    write("日本.jpg")
    ran = cli("read", "日本.jpg", *words)
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(Path("out").read_bytes())["record"]["_ocr"]["full_text"] == "日本.jpg"
    assert "日本.jpg" in Path("out").read_text(encoding="utf-8")


@pytest.mark.usefixtures("service")
def test_output_goes_to_a_file_as_text(cli: CLI) -> None:
    """Text can be asked for in a file, too."""
    write("a.jpg")
    cli("read", "a.jpg", "--output", "out", "--format", "text")
    assert Path("out").read_text() == "a.jpg\n"


@pytest.mark.usefixtures("service")
def test_quiet_hides_totals_and_no_failure(cli: CLI) -> None:
    """Quietly, only failures are named."""
    write("a.jpg")
    assert cli("read", "a.jpg", "--quiet").err == ""
    ran = cli("read", "b.jpg", "--quiet")
    assert ran.err == "b.jpg: b.jpg cannot be read: No such file or directory\n"


@pytest.mark.usefixtures("service")
def test_failures_are_named_and_counted(cli: CLI) -> None:
    """One failed image does not keep the others from being read, and the exit code is 1."""
    write("a.jpg")
    Path("b.jpg").write_text("no image")
    ran = cli("read", "a.jpg", "b.jpg")
    assert (ran.code, ran.out) == (1, "==> a.jpg <==\na.jpg\n\n")
    failure, totals = ran.err.splitlines()
    assert failure == "b.jpg: b.jpg is not an image"
    assert totals.startswith("1 read, 1 failed, ")


@pytest.mark.usefixtures("service")
def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """A pipe that is closed at its other end ends the run without a traceback."""
    write(*[f"{number:02}.jpg" for number in range(30)])
    with start("read", ".", "--concurrency=1") as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (1, "")


def screen(master: int) -> str:
    """Return what is shown on the terminal behind *master* until nobody has it any more."""
    shown = b""
    # The end of a terminal is an error of its own.
    with suppress(OSError):
        while piece := os.read(master, 65536):
            shown += piece
    return shown.decode()


@linux
@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("words, bar", [(["."], "12/12"), (["-"], "12/?"), (["--quiet", "."], "")])
def test_progress_is_shown_on_a_terminal(words: list[str], bar: str) -> None:
    """A terminal shows how far the run is, with the total if it is known; a pipe gets no bar."""
    names = [f"{number:02}.jpg" for number in range(12)]
    write(*names)
    master, slave = os.openpty()
    options = {"stderr": slave, "stdin": subprocess.PIPE, "env": {**os.environ, "TERM": "xterm"}}
    with start("read", *words, **options) as process:
        os.close(slave)
        process.stdin.write("\n".join(names))
        process.stdin.close()
        shown = screen(master)
        out = process.stdout.read()
    os.close(master)
    assert process.returncode == 0
    assert ("reading english" in shown) == bool(bar)
    assert bar in shown
    assert ("12 read, 0 failed" in shown) == bool(bar)
    assert ("0 failed, " in shown) == ("/s, 60 credits" in shown) == bool(bar)
    assert sorted(line for line in out.splitlines() if line in names) == names
    assert "\x1b" not in out


FORGED = "==> b.jpg <==\nforged"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1e", "\x85", "\u2028"])
def test_no_text_forges_a_heading(end: str) -> None:
    """Among texts with headings, a line of text that begins as a heading begins with a space."""
    texts = [Text(FORGED), Text(f"tea{end}{FORGED}{end * 2}a ==> b")]
    outcome = Success(index=0, image=Image(b""), record=Record(ocr=OCR(tuple(texts))))
    for headings in (False, True):
        file = io.StringIO(newline="")
        Printer(file, RECORD_RENDERER, format="text", headings=headings).write(outcome)
        found = [line for line in file.getvalue().splitlines() if line.startswith("==>")]
        assert found == (["==> <0 bytes> <=="] if headings else ["==> b.jpg <=="] * 2)
        assert file.getvalue().count("forged") == 2

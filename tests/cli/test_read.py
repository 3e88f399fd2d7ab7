"""``ximilar-ocr read``: images in; texts, totals and an exit code out."""

import json
import signal
from pathlib import Path

import anyio
import pytest
from attrs import define
from PIL import Image, ImageDraw, ImageFont

from tests.cli.echo import Echo, images
from tests.command_line import CLI, JPEG, served, start, write
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service


@define
class OneBatch:
    """Reads the records of the first request, and never comes to an end with others."""

    read_of_it: int = 0

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read *image* if its reading began before any had ended."""
        if self.read_of_it:
            await anyio.sleep_forever()
        # The other records of the request begin meanwhile.
        await anyio.sleep(0.01)
        self.read_of_it += 1
        return await ScriptedEngine().read(image, lang)


@pytest.mark.usefixtures("service")
def test_a_file_is_read(cli: CLI) -> None:
    """The text of one image stands on standard output, alone; the total on standard error."""
    Path("a.jpg").write_bytes(JPEG + b"two\nlines")
    ran = cli("read", "a.jpg")
    assert (ran.code, ran.out) == (0, "two\nlines\n")
    assert ran.err.startswith("1 read, 0 failed, ")


@pytest.mark.usefixtures("service")
def test_the_language_is_passed_on(cli: CLI, echo: Echo) -> None:
    """The language goes to the service and comes back with the record."""
    write("a.jpg")
    [line] = cli("read", "a.jpg", "--lang", "ja", "--format", "jsonl").lines
    assert (line["record"]["_ocr"]["lang"], echo.read_by) == ("ja", ["ja"])


@pytest.mark.usefixtures("service")
def test_more_images_than_a_request_holds_are_all_read(cli: CLI) -> None:
    """Images of several requests come out once each."""
    names = [f"{number:02}.jpg" for number in range(35)]
    write(*names)
    assert images(cli("read", ".", "--concurrency", "2", "--format", "jsonl")) == names


def test_without_a_token_nothing_is_read(cli: CLI) -> None:
    """Without a token the exit code is 2, and the message says where to get one."""
    ran = cli("read", "a.jpg")
    assert (ran.code, ran.out) == (2, "")
    assert "XIMILAR_API_TOKEN" in ran.err
    assert "https://app.ximilar.com" in ran.err


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    "words, message",
    [
        (["a.jpg", "--lang", "xx"], "lang is 'xx', allowed are en, zh, ko, ja, ru"),
        (["a.jpg", "--concurrency", "0"], "max_concurrency is 0, "),
        (["a.jpg", "--max-records", "-1"], "max_records is -1, "),
        (["a.jpg", "--concurrency", "many"], "--concurrency: unable to convert"),
        (["a.jpg", "--format", "xml"], "Choose from: "),
        (["a.jpg", "--langs", "en"], 'unknown option "--langs"'),
        (["a.jpg", "-q"], 'for a file of that name write "./-q"'),
        ([], "requires an argument"),
        (["nothing*.jpg"], "no images: nothing*.jpg"),
        (["empty", "@none.txt"], "no images: empty @none.txt"),
        (["-"], "no images: -"),
        ([""], "no images: "),
        (["@missing.txt"], "missing.txt"),
        (["a.jpg", "@missing.txt"], "missing.txt"),
        (["-", "@missing.txt"], "missing.txt"),
        (["a.jpg", "--output", "missing/out"], "missing/out"),
        (["a.jpg", "--output", "."], "Is a directory"),
    ],
)
def test_wrong_usage_is_told(cli: CLI, echo: Echo, words: list[str], message: str) -> None:
    """Wrong words exit with 2 and what is wrong on standard error; nothing is read or written."""
    write("a.jpg")
    Path("empty").mkdir()
    Path("none.txt").touch()
    ran = cli("read", *words)
    assert (ran.code, ran.out, echo.read_by) == (2, "", [])
    assert message in ran.err


@pytest.mark.usefixtures("service")
def test_wrong_usage_leaves_an_old_output_alone(cli: CLI) -> None:
    """A language that is not known does not cost the results that stand in the output."""
    Path("out").write_text("old results")
    assert cli("read", "a.jpg", "--lang", "xx", "--output", "out").code == 2
    assert Path("out").read_text() == "old results"


def test_local_reads_with_real_engines(cli: CLI) -> None:
    """With --local an image is read on this machine, without a token."""
    picture = Image.new("RGB", (360, 100), "white")
    face = ImageFont.load_default(size=40)
    ImageDraw.Draw(picture).text((30, 25), "Invoice 1042", font=face, fill="black")
    picture.save("a.png")
    ran = cli("read", "--local", "a.png", "--quiet")
    assert (ran.code, ran.out.split(), ran.err) == (0, ["Invoice", "1042"], "")


def test_an_interrupt_keeps_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130, and every image that was paid for by then stands in a whole line."""
    names = [f"{number:02}.jpg" for number in range(30)]
    write(*names)
    engine = OneBatch()
    with (
        served(Service(engine), monkeypatch),
        start("read", ".", "--concurrency=1", "--format=jsonl", "--drain=0.2") as process,
    ):
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    lines = [json.loads(line) for line in (first + out).splitlines()]
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(lines) == engine.read_of_it > 0
    assert {line["image"] for line in lines} <= set(names)
    assert all(line["ok"] for line in lines)


@pytest.mark.usefixtures("service")
def test_a_failed_list_is_fed_back(cli: CLI, echo: Echo) -> None:
    """The images of JSON lines are what the user gave, without quotes, and can be read again."""
    names = ["it's.jpg", 'a "b" c.jpg', "-x.jpg", "@y.jpg", "ü ?.jpg", "sub dir/a.jpg"]
    urls = ["http://127.0.0.1:9/a.jpg?x='1'", "HTTP://127.0.0.1:9/B.JPG"]
    listed = "\n".join([*names, *urls])
    first = cli("read", "-", "--format", "jsonl", stdin=listed.encode())
    assert {line["ok"] for line in first.lines} == {False}
    assert images(first) == [*names, *urls]
    write(*names)
    failed = "\n".join(images(first))
    again = cli("read", "-", "--format", "jsonl", stdin=failed.encode())
    assert images(again) == [*names, *urls]
    assert [line["ok"] for line in sorted(again.lines, key=lambda line: line["index"])] == [
        *([True] * len(names)),
        *([False] * len(urls)),
    ]
    assert len(echo.read_by) == len(names)
    assert all(f"{name}: " in first.err for name in [*names, *urls])

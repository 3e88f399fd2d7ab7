"""The command line: words in; texts or JSON lines, totals and an exit code out."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field
from PIL import Image, ImageDraw, ImageFont

from tests.command_line import CLI, JPEG, Ran, served, start, write
from tests.loopback import Site, answer
from ximilar_ocr_async.emulator.fetch import Fetch
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files and terminals")


@define
class Echo:
    """Reads off each image what stands in its bytes."""

    read_by: list[str] = field(factory=list)

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read *image*, and note in which language."""
        self.read_by.append(lang)
        text = image.removeprefix(JPEG).decode(errors="replace")
        return await ScriptedEngine(text).read(image, lang)


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


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in an empty folder."""
    return empty_folder


@pytest.fixture
def echo() -> Echo:
    """Give the engine of the service."""
    return Echo()


@pytest.fixture
def service(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve what the engine reads, and point the command line there."""
    with served(Service(echo, fetch=Fetch(allow_private=True)), monkeypatch) as service:
        yield service


def images(ran: Ran) -> list[str]:
    """Return the images of the JSON lines in the order of the input."""
    return [line["image"] for line in sorted(ran.lines, key=lambda line: line["index"])]


# --- Which images


@pytest.mark.usefixtures("service")
def test_a_file_is_read(cli: CLI) -> None:
    """The text of one image stands on standard output, alone; the total on standard error."""
    Path("a.jpg").write_bytes(JPEG + b"two\nlines")
    ran = cli("read", "a.jpg")
    assert (ran.code, ran.out) == (0, "two\nlines\n")
    assert ran.err.startswith("1 read, 0 failed, ")


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
@pytest.mark.parametrize("name", ["a[1].jpg", "@a.jpg", "what?.jpg"])
def test_names_that_look_like_more_are_files_when_there_are_such(cli: CLI, name: str) -> None:
    """A file whose name looks like a pattern or a list is read as itself, without a heading."""
    write(name)
    assert cli("read", name).out == f"{name}\n"


@pytest.mark.usefixtures("service")
def test_a_folder_is_read_to_its_depths(cli: CLI) -> None:
    """A folder gives its images and those of the folders in it, sorted, and nothing else."""
    names = ["f/a.jpg", "f/c.PNG", "f/b/a.jpeg", "f/b/b/x.tiff", "f/d/e.webp"]
    write(*names, "f/notes.txt", "f/b/page.pdf", "f/noextension")
    assert images(cli("read", "f", "--format", "jsonl")) == names


@pytest.mark.usefixtures("service")
def test_a_pattern_is_expanded(cli: CLI) -> None:
    """A pattern that the shell left alone gives what it matches, sorted."""
    write("b.jpg", "a.jpg", "a.png", "f/c.jpg")
    assert images(cli("read", "*.jpg", "--format", "jsonl")) == ["a.jpg", "b.jpg"]
    deep = cli("read", "**/c.j?g", "--format", "jsonl")
    assert images(deep) == ["f/c.jpg"]


@pytest.mark.usefixtures("service")
def test_a_url_is_sent_as_it_is(cli: CLI) -> None:
    """A URL is fetched by the service, and one image even with a question mark."""
    write("a.jpg")
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as site:
        try:
            assert site.stdout is not None
            port = site.stdout.readline().split(" port ")[1].split()[0]
            ran = cli("read", f"http://127.0.0.1:{port}/a.jpg?size=1")
        finally:
            site.kill()
    assert (ran.code, ran.out) == (0, "a.jpg\n")


@pytest.mark.usefixtures("service")
def test_lists_name_images_line_by_line(cli: CLI) -> None:
    """A list may name files, folders, patterns and lists, with blank lines and either newline."""
    write("a.jpg", "f/b.jpg", "c1.jpg", "c2.jpg", "d e.jpg")
    Path("list.txt").write_bytes(b"a.jpg\r\n\nf\nc*.jpg\n@more.txt")
    Path("more.txt").write_text("d e.jpg\n")
    wanted = ["a.jpg", "f/b.jpg", "c1.jpg", "c2.jpg", "d e.jpg"]
    assert images(cli("read", "@list.txt", "--format", "jsonl")) == wanted


@pytest.mark.usefixtures("service")
def test_standard_input_names_images(cli: CLI) -> None:
    """A hyphen stands for a list on standard input, among other words."""
    write("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    ran = cli("read", "d.jpg", "-", "a.jpg", "--format", "jsonl", stdin=b"b.jpg\nc.jpg\n")
    assert images(ran) == ["d.jpg", "b.jpg", "c.jpg", "a.jpg"]


@linux
@pytest.mark.usefixtures("service")
def test_names_need_not_be_unicode(cli: CLI) -> None:
    """A file whose name is not UTF-8 is read, from a folder and from a list."""
    name = b"caf\xe9.jpg"
    Path(os.fsdecode(name)).write_bytes(JPEG + b"menu")
    assert cli("read", ".").out == "==> caf\\udce9.jpg <==\nmenu\n\n"
    listed = cli("read", "-", "--format", "jsonl", stdin=name)
    assert (listed.code, images(listed)) == (0, [os.fsdecode(name)])


@linux
@pytest.mark.usefixtures("service")
def test_a_list_may_be_a_pipe(cli: CLI) -> None:
    """A list that can be read only once, as a shell's <(...) makes, loses nothing."""
    write("a.jpg", "b.jpg")
    receiver, sender = os.pipe()
    os.write(sender, b"a.jpg\nb.jpg\n")
    os.close(sender)
    try:
        ran = cli("read", f"@/dev/fd/{receiver}", "--format", "jsonl")
    finally:
        os.close(receiver)
    assert images(ran) == ["a.jpg", "b.jpg"]


# --- How they are read and written


@pytest.mark.usefixtures("service")
def test_the_language_is_passed_on(cli: CLI, echo: Echo) -> None:
    """The language goes to the service and comes back with the record."""
    write("a.jpg")
    [line] = cli("read", "a.jpg", "--lang", "ja", "--format", "jsonl").lines
    assert (line["record"]["_ocr"]["lang"], echo.read_by) == ("ja", ["ja"])


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
    assert failure == "b.jpg: b.jpg is no image"
    assert totals.startswith("1 read, 1 failed, ")


@pytest.mark.usefixtures("service")
def test_more_images_than_a_request_holds_are_all_read(cli: CLI) -> None:
    """Images of several requests come out once each."""
    names = [f"{number:02}.jpg" for number in range(35)]
    write(*names)
    assert images(cli("read", ".", "--concurrency", "2", "--format", "jsonl")) == names


# --- Wrong usage


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


@pytest.mark.parametrize("words", [["bogus"], ["--bogus"], ["serve", "--port", "many"]])
def test_unknown_commands_and_values_are_told(cli: CLI, words: list[str]) -> None:
    """What is no command, option or number exits with 2 and is named."""
    ran = cli(*words)
    assert (ran.code, ran.out) == (2, "")
    assert words[-1] in ran.err


# --- What is shown


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_shows_the_commands(cli: CLI, words: list[str]) -> None:
    """Help names both commands with what they do, and the exit codes."""
    ran = cli(*words)
    assert ran.code == 0
    for wanted in ("read ", "Read the text off images.", "serve ", "Exit codes: "):
        assert wanted in ran.out


def test_help_of_commands_shows_their_options(cli: CLI) -> None:
    """Each command explains its options."""
    for command, options in (
        ("read", "--lang --concurrency --max-records --local --output --format --quiet"),
        ("serve", "--port --allow-urls --allow-private-urls --faults"),
        ("serve", "--gpt-url --gpt-model --scripted-gpt"),
    ):
        ran = cli(command, "--help")
        assert ran.code == 0
        assert [option for option in options.split() if option not in ran.out] == []


def test_the_version_is_shown(cli: CLI) -> None:
    """The version is the package's own."""
    ran = cli("--version")
    assert ran.code == 0
    assert [part.isdecimal() for part in ran.out.strip().split(".")] == [True] * 3


def run(*words: str, before: str = "", after: str = "", **options: Any) -> Ran:
    """Run a command in a process of its own, with Python code around it."""
    code = f"import sys\n{before}\nfrom ximilar_ocr_async.cli import main\ntry:\n    main()\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}finally:\n    pass\n    {after}", *words],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_help_loads_no_engine() -> None:
    """Help comes without the commands, the engines and the server being loaded."""
    wanted = "print(sorted(name for name in sys.modules if name.startswith('ximilar_ocr_async.')))"
    loaded = run("--help", after=wanted).out.splitlines()[-1]
    assert "'ximilar_ocr_async.cli'" in loaded
    for name in ("cli.read", "cli.serve", "emulator"):
        assert f"ximilar_ocr_async.{name}" not in loaded


@pytest.mark.parametrize(
    "words, missing, message",
    [
        (["--help"], "cyclopts", "pip install 'ximilar-ocr-async[cli]'"),
        (["read", "a.jpg", "--local"], "uvicorn", "--local needs uvicorn, of the extra local: "),
        (["serve"], "PIL", "serve needs PIL, of the extra local: "),
    ],
)
def test_a_missing_extra_is_named(words: list[str], missing: str, message: str) -> None:
    """Without an extra the message says how to get it."""
    ran = run(*words, before=f"sys.modules[{missing!r}] = None")
    assert ran.code in {1, 2}
    assert ran.out == ""
    assert message in ran.err
    assert "pip install 'ximilar-ocr-async[" in ran.err
    assert "Traceback" not in ran.err


# --- Beginnings and ends


def test_local_reads_with_real_engines(cli: CLI) -> None:
    """With --local an image is read on this machine, without a token."""
    picture = Image.new("RGB", (360, 100), "white")
    face = ImageFont.load_default(size=40)
    ImageDraw.Draw(picture).text((30, 25), "Invoice 1042", font=face, fill="black")
    picture.save("a.png")
    ran = cli("read", "--local", "a.png", "--quiet")
    assert (ran.code, ran.out.split(), ran.err) == (0, ["Invoice", "1042"], "")


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_is_told(cli: CLI, port: str) -> None:
    """A number that is no port exits with 2."""
    ran = cli("serve", f"--port={port}")
    assert (ran.code, ran.out) == (2, "")
    assert f"port {port} cannot be had: a port is 0 to 65535" in ran.err


def test_a_busy_port_is_told(cli: CLI) -> None:
    """A port that somebody has exits with 2."""
    listener, url = bind()
    with listener:
        port = url.rpartition(":")[2]
        ran = cli("serve", "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert f"port {port} cannot be had" in ran.err


@pytest.mark.parametrize(
    "words, code", [([], 403), (["--allow-urls"], 403), (["--allow-private-urls"], 400)]
)
def test_serve_serves_until_interrupted(words: list[str], code: int) -> None:
    """The service prints its URL, answers there as its options say, and stops without a fuss."""
    with start("serve", "--port", "0", *words) as process:
        told = process.stdout.readline()
        url = told.split()[2].rstrip(",")
        try:
            answer = httpx.post(
                f"{url}/ocr/v2/read",
                json={"records": [{"_url": "http://127.0.0.1:1/"}]},
                headers={"Authorization": "Token abc"},
                timeout=60,
            )
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read(), process.stderr.read()
    assert told.startswith("serving on http://127.0.0.1:")
    assert "en" in told.partition("reading ")[2]
    assert answer.json()["records"][0]["_status"]["code"] == code
    assert (process.returncode, rest) == (0, ("", ""))


def test_serve_shows_planned_faults(tmp_path: Path) -> None:
    """The service says which faults are on, shows them, and logs nothing of what was planned."""
    plan = tmp_path / "plan.toml"
    plan.write_text("lost_replies = 1.0\ncredits = 1\n")
    with start("serve", "--port", "0", "--faults", str(plan)) as process:
        url = process.stdout.readline().split()[2].rstrip(",")
        told = process.stdout.readline()
        try:
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(f"{url}/account/v2/details/", timeout=60)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read(), process.stderr.read()
    assert told == "faults: lost_replies 1.0, credits 1, seed 0\n"
    assert (process.returncode, rest) == (0, ("", ""))


def ask_a_prompt(url: str) -> Any:
    """Return what the service at *url* answers to a prompt on an image without text."""
    blank = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(blank, "PNG")
    image = base64.b64encode(blank.getvalue()).decode()
    replied = httpx.post(
        f"{url}/ocr/v2/read_gpt",
        json={"records": [{"_base64": image, "prompt": "what?"}]},
        headers={"Authorization": "Token abc"},
        timeout=60,
    )
    return replied.json()["records"][0]["_gpt"]


def test_serve_says_that_its_answers_are_scripted() -> None:
    """The service says so when it starts, and in each answer."""
    with start("serve", "--port", "0", "--scripted-gpt") as process:
        url = process.stdout.readline().split()[2].rstrip(",")
        told = process.stdout.readline()
        try:
            gpt = ask_a_prompt(url)
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read(), process.stderr.read()
    assert told == "GPT answers are SCRIPTED: no language model is asked\n"
    assert gpt["json_result"]["scripted"] is True
    assert (process.returncode, rest) == (0, ("", ""))


def test_serve_asks_a_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service names its model, asks it with the key of the environment, and shows no key."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    message = {"role": "assistant", "content": "nothing at all"}
    completion = answer(json.dumps({"choices": [{"message": message}]}).encode())
    with Site(completion).open() as model:
        where = f"http://127.0.0.1:{model.port}/v1"
        words = ("--gpt-url", where, "--gpt-model", "tiny")
        with start("serve", "--port", "0", *words) as process:
            url = process.stdout.readline().split()[2].rstrip(",")
            told = process.stdout.readline()
            try:
                gpt = ask_a_prompt(url)
            finally:
                process.send_signal(signal.SIGINT)
                rest = process.stdout.read(), process.stderr.read()
    assert told == f"GPT answers come from tiny at {where}\n"
    assert (gpt["result"], "json_result" in gpt) == ("nothing at all", False)
    assert b"Authorization: Bearer sk-secret\r\n" in model.asked[0]
    assert (process.returncode, rest) == (0, ("", ""))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--gpt-model", "tiny"], "--gpt-url and --gpt-model go together"),
        (["--gpt-url", "https://llm.example"], "--gpt-url and --gpt-model go together"),
        (["--scripted-gpt", "--gpt-model", "tiny"], "--scripted-gpt asks no language model: "),
        (["--gpt-url", "http://llm.example", "--gpt-model", "tiny"], "--gpt-url: base_url is "),
    ],
)
def test_a_language_model_that_cannot_be_asked_is_told(
    cli: CLI, words: list[str], message: str
) -> None:
    """Half a language model, or one that plain http would lead to, exits with 2."""
    ran = cli("serve", *words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"ximilar-ocr: {message}")


def test_a_plan_that_is_none_is_told(cli: CLI) -> None:
    """A file of faults that is missing or wrong exits with 2, and nothing is served."""
    Path("plan.toml").write_text("unavailable = 2\n")
    for name, message in (
        ("plan.toml", "plan.toml: unavailable is 2, expected a number from 0 to 1"),
        ("missing.toml", "missing.toml cannot be read: No such file or directory"),
    ):
        ran = cli("serve", "--faults", name)
        assert (ran.code, ran.out, ran.err) == (2, "", f"ximilar-ocr: {message}\n")


def test_an_interrupt_keeps_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130, and every image that was paid for by then stands in a whole line."""
    names = [f"{number:02}.jpg" for number in range(30)]
    write(*names)
    engine = OneBatch()
    with (
        served(Service(engine), monkeypatch),
        start("read", ".", "--concurrency=1", "--format=jsonl") as process,
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
    assert sorted(line for line in out.splitlines() if line in names) == names
    assert "\x1b" not in out

"""Asynchronous requests on the command line: submitted, listed, shown and waited for."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.command_line import CLI, JPEG, Ran, served, start, write
from tests.loopback import Site, answer
from ximilar_ocr_async import OCRSession
from ximilar_ocr_async.cli import console
from ximilar_ocr_async.emulator.fetch import Fetch
from ximilar_ocr_async.models import JobInfo
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.faults import FaultPlan
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service

NOBODY = "00000000-0000-4000-8000-000000000000"
"""An id that no request has."""


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in an empty folder, with no token."""
    return empty_folder


class Echo(dict[bytes, str]):
    """Says of each image what stands in its bytes."""

    def __missing__(self, image: bytes) -> str:
        return image.removeprefix(JPEG).decode()


class Endless:
    """Comes to an end with an image that says so alone."""

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read *image* if it is short."""
        if image != JPEG + b"short":
            await anyio.sleep_forever()
        return await ScriptedEngine("short").read(image, lang)


def make_service(**options: Any) -> Service:
    """Make a service that reads off each image what stands in its bytes."""
    return Service(ScriptedEngine(Echo()), fetch=Fetch(allow_private=True), **options)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve, and point the command line there."""
    with served(make_service(), monkeypatch) as service:
        yield service


def submit(cli: CLI, *words: str) -> list[str]:
    """Submit images; return the ids."""
    ran = cli("jobs", "submit", *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def images(ran: Ran) -> list[str]:
    """Return the images of the JSON lines in the order of the input."""
    return [line["image"] for line in sorted(ran.lines, key=lambda line: line["index"])]


# --- From submission to outcomes


@pytest.mark.usefixtures("service")
def test_images_come_back_by_their_ids(cli: CLI) -> None:
    """What is submitted is listed, shown, and read when it is waited for, under its own names."""
    names = [f"{number:02}.jpg" for number in range(12)]
    write(*names)
    ids = submit(cli, ".")
    assert len(ids) == 2
    waited = cli("jobs", "wait", *ids, "--format", "jsonl")
    assert (waited.code, images(waited)) == (0, names)
    texts = {line["image"]: line["record"]["_ocr"]["full_text"] for line in waited.lines}
    assert texts == {name: name for name in names}
    assert waited.err.startswith("12 read, 0 failed, ")
    listed = cli("jobs", "list", "--status", "done", "--type", "ocr")
    assert {line["id"] for line in listed.lines} == set(ids)
    assert {line["status"] for line in listed.lines} == {"DONE"}
    shown = cli("jobs", "show", *ids)
    assert (shown.code, [line["id"] for line in shown.lines]) == (0, ids)
    assert sorted(len(line["response"]["records"]) for line in shown.lines) == [2, 10]


@pytest.mark.usefixtures("service")
def test_ids_come_from_lists_and_standard_input(cli: CLI) -> None:
    """Ids may stand in a file, on standard input or both, with blank lines, and count once."""
    write("a.jpg", "b.jpg")
    one, two = *submit(cli, "a.jpg"), *submit(cli, "b.jpg")
    Path("ids.txt").write_text(f"{one}\r\n\n")
    ran = cli("jobs", "wait", "@ids.txt", one, "-", "--quiet", stdin=f" {two}\n".encode())
    parts = sorted(ran.out.split("\n\n"))
    assert (ran.code, ran.err) == (0, "")
    assert parts == ["", "==> a.jpg <==\na.jpg", "==> b.jpg <==\nb.jpg"]


@pytest.mark.usefixtures("service")
def test_output_goes_to_a_file_as_json(cli: CLI) -> None:
    """With an output file nothing is on standard output, and the file has JSON lines."""
    write("a.jpg")
    ran = cli("jobs", "wait", *submit(cli, "a.jpg"), "--output", "out")
    assert (ran.code, ran.out) == (0, "")
    assert json.loads(Path("out").read_bytes())["record"]["_ocr"]["full_text"] == "a.jpg"


@pytest.mark.usefixtures("service")
def test_text_shows_states(cli: CLI) -> None:
    """As text a listed request has a line, and one that is shown a line for all that is known."""
    write("a.jpg")
    [request_id] = submit(cli, "a.jpg")
    cli("jobs", "wait", request_id)
    listed = cli("jobs", "list", "--format", "text").out.split()
    assert listed[:3] == [request_id, "DONE", "ocr"]
    shown = [
        line.split() for line in cli("jobs", "show", request_id, "--format=text").out.split("\n")
    ]
    assert ["id", request_id] in shown
    assert ["status", "DONE"] in shown
    assert ["records", "1"] in shown
    assert "created" in [line[0] for line in shown if line]


def test_what_the_service_does_not_tell_is_left_open(
    cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request without type, time and results is listed and shown with what there is."""
    told = {"id": "x", "status": {"code": 200}, "results": [{"id": "x", "status": "CREATED"}]}
    with Site(answer(json.dumps(told).encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        listed = cli("jobs", "list", "--format", "text")
    assert listed.out.split() == ["x", "CREATED", "-", "-"]
    created = {"status": "CREATED", "response": None}
    with Site(answer(json.dumps(created).encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        shown = cli("jobs", "show", "x", "--format", "text")
    assert shown.out == "id      x\nstatus  CREATED\n\n"


@pytest.mark.parametrize("command", [["show", "x"], ["list"]])
@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_what_the_service_says_of_a_webhook_is_not_shown(
    cli: CLI, monkeypatch: pytest.MonkeyPatch, command: list[str], form: str
) -> None:
    """Neither its headers nor its URL come into a file or on a terminal."""
    hook = {"endpoint": "https://user:s3cret@me.example", "headers": {"X-Hook": "s3cret"}}
    records = [{"_gpt": {"json_result": {"header": "kept"}}}]
    job = {
        "id": "x",
        "status": "DONE",
        "webhook": hook,
        "Webhook ": hook,
        "webhook_headers": ["s3cret"],
        "request": {"fields": [[{"WEBHOOK": hook, "Authorization": "s3cret"}], {"x-secret": 1}]},
        "response": {"hook": {"headers": "s3cret"}, "records": records},
    }
    told = job if command[0] == "show" else {"results": [job]}
    with Site(answer(json.dumps(told).encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        ran = cli("jobs", *command, "--format", form)
    assert (ran.code, "DONE" in ran.out, ran.err) == (0, True, "")
    assert "s3cret" not in ran.out
    info = JobInfo("x", extra={"webhook": hook})
    assert "s3cret" not in repr(info)
    if command[0] == "show" and form == "jsonl":
        assert ran.lines[0]["response"] == {"hook": {}, "records": records}
        assert ran.lines[0]["request"] == {"fields": [[{}], {}]}


def test_a_prompt_goes_to_the_language_model(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt, a language and an endpoint are submitted, and answered."""
    write("a.jpg")
    with served(make_service(gpt=ScriptedGPT({"what?": "a menu"})), monkeypatch):
        ids = submit(cli, "a.jpg", "--prompt", "what?", "--lang", "ja", "--endpoint", "read_gpt")
        [line] = cli("jobs", "wait", *ids, "--format", "jsonl").lines
    assert line["record"]["_gpt"]["result"] == "a menu"
    assert line["record"]["_ocr"]["lang"] == "ja"


@pytest.mark.usefixtures("service")
def test_images_without_a_file_have_names_too(cli: CLI) -> None:
    """An image of a URL comes back under it; of nameless bytes nothing is known but their text."""
    with Site(answer(JPEG + b"menu")).open() as site:
        url = site.url()
        ran = cli("jobs", "wait", *submit(cli, url), "--format", "jsonl")
    assert images(ran) == [url]

    async def submit_bytes() -> tuple[str, ...]:
        async with OCRSession() as session:
            return (await session.submit([JPEG + b"x"])).ids

    ran = cli("jobs", "wait", *anyio.run(submit_bytes))
    assert ran.out == "==> <0 bytes> <==\nx\n\n"


# --- What fails


@pytest.mark.usefixtures("service")
def test_images_that_are_not_submitted_are_named(cli: CLI) -> None:
    """One image that cannot be sent keeps no other from it, and the exit code is 1."""
    write("a.jpg")
    ran = cli("jobs", "submit", "a.jpg", "b.jpg")
    assert (ran.code, len(ran.out.split())) == (1, 1)
    assert ran.err == "b.jpg: b.jpg cannot be read: No such file or directory\n"


@pytest.mark.usefixtures("service")
def test_no_more_is_submitted_than_was_allowed(cli: CLI) -> None:
    """What would go over the cap is named, and the exit code is 1."""
    write("a.jpg", "b.jpg")
    ran = cli("jobs", "submit", ".", "--max-records", "1")
    assert (ran.code, len(ran.out.split())) == (1, 1)
    assert "max_records is 1" in ran.err


def test_failed_records_are_named(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that failed in a request that is done is named as it was submitted."""
    write("a.jpg")
    with served(make_service(faults=FaultPlan(record_errors=1)), monkeypatch):
        ran = cli("jobs", "wait", *submit(cli, "a.jpg"), "--quiet")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("a.jpg: 500: planned fault: record_errors")


def test_a_failed_request_is_told(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that came to no good end exits with 1 and its state."""
    write("a.jpg")
    with served(make_service(faults=FaultPlan(failed_jobs=1)), monkeypatch):
        ids = submit(cli, "a.jpg")
        ran = cli("jobs", "wait", *ids)
        shown = cli("jobs", "show", *ids, "--format", "text")
    assert (ran.code, ran.out) == (1, "")
    assert f"asynchronous request {ids[0]} ended as FAILED" in ran.err
    assert ["status", "FAILED"] in [line.split() for line in shown.out.splitlines()]


@pytest.mark.usefixtures("service")
def test_unknown_ids_are_named(cli: CLI) -> None:
    """Ids that nothing has exit with 1, each named, after what the others came to."""
    write("a.jpg")
    ids = [NOBODY, *submit(cli, "a.jpg"), "nothing"]
    waited = cli("jobs", "wait", *ids)
    assert (waited.code, waited.out) == (1, "==> a.jpg <==\na.jpg\n\n")
    shown = cli("jobs", "show", *ids)
    assert (shown.code, [line["id"] for line in shown.lines]) == (1, ids[1:2])
    for ran in (waited, shown):
        first, second = ran.err.splitlines()
        assert {NOBODY in first, NOBODY in second} == {True, False}
        assert {"nothing" in first, "nothing" in second} == {True, False}


@pytest.mark.parametrize("format_", ["text", "jsonl"])
def test_an_odd_answer_about_one_request_costs_no_other(
    cli: CLI, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    """What cannot be understood of a request is told, and the next one is asked for."""
    with Site(answer(b'{"id": "r1", "status": {"code": 200}, "type": []}')).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        ran = cli("jobs", "show", "r1", "r2", "--format", format_)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (1, "", 2)
    assert len(site.asked) == 2


def test_a_deadline_is_kept(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done by the deadline is written, the rest can be waited for again; 1 is the code."""
    write("short", "long")
    with served(Service(Endless()), monkeypatch):
        ids = [*submit(cli, "short"), *submit(cli, "long")]
        cli("jobs", "wait", ids[0])
        ran = cli("jobs", "wait", *ids, "--deadline", "3", "--quiet")
    assert (ran.code, ran.out) == (1, "==> short <==\nshort\n\n")
    assert "1 of 2 asynchronous requests are not done after 3 s; they go on" in ran.err


def test_a_refused_token_is_told(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token fails images that are submitted; of all else it is wrong usage."""
    write("a.jpg")
    with served(make_service(token="good"), monkeypatch):
        monkeypatch.setenv("XIMILAR_API_TOKEN", "b4d-t0ken")
        submitted = cli("jobs", "submit", "a.jpg")
        others = [cli("jobs", *w) for w in (["list"], ["show", "x"], ["wait", "x"])]
    assert (submitted.code, submitted.out) == (1, "")
    assert submitted.err.startswith("a.jpg: 401: Invalid token.")
    for ran in others:
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("ximilar-ocr: 401: Invalid token.")
        assert "b4d-t0ken" not in ran.err


# --- Wrong usage


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    "words, message",
    [
        (["submit", "a.jpg", "--lang", "xx"], "lang is 'xx', allowed are en, zh, ko, ja, ru"),
        (["submit", "nothing*.jpg"], "no images: nothing*.jpg"),
        (["submit", "@missing.txt"], "missing.txt"),
        (["submit", "a.jpg", "--prompt", " "], "prompt is blank"),
        (["submit", "a.jpg", "--type", ""], "type is ''"),
        (["submit", "a.jpg", "--max-records", "-1"], "max_records is -1"),
        (["submit", "a.jpg", "--webhook", "nowhere"], "url of a webhook is 'nowhere'"),
        (["submit", "a.jpg", "--webhook-header", "A: b"], "--webhook-header goes with --webhook"),
        (["list", "extra"], "extra"),
        (["show", "-"], "no ids: -"),
        (["wait", "@empty.txt"], "no ids: @empty.txt"),
        (["wait", "@missing.txt"], "missing.txt"),
        (["wait", "x", ".."], "id is '..'"),
        (["wait", "x", "--deadline", "-1"], "deadline is -1.0"),
        (["wait", "x", "--deadline", "nan"], "deadline is nan"),
        (["wait", "x", "--output", "missing/out"], "missing/out"),
        (["wait", "x", "--wait"], 'unknown option "--wait"'),
    ],
)
def test_wrong_usage_is_told(cli: CLI, words: list[str], message: str) -> None:
    """Wrong words exit with 2 and what is wrong on standard error; nothing is written."""
    write("a.jpg")
    Path("empty.txt").touch()
    ran = cli("jobs", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    "words", [["x", "--deadline", "-1"], ["."], ["@missing.txt"], ["x", "--format", "xml"]]
)
def test_wrong_usage_leaves_an_old_output_alone(cli: CLI, words: list[str]) -> None:
    """A deadline, an id or a list that cannot be does not cost the results in the output."""
    Path("out").write_text("old results")
    assert cli("jobs", "wait", *words, "--output", "out").code == 2
    assert Path("out").read_text() == "old results"


@pytest.mark.usefixtures("service")
def test_a_header_without_a_name_is_not_shown(cli: CLI) -> None:
    """A secret that stands where a header was expected is told without being shown."""
    hook = ["--webhook", "https://example.com/", "--webhook-header", "s3cret"]
    ran = cli("jobs", "submit", "a.jpg", *hook)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == 'ximilar-ocr: --webhook-header has no colon, expected "Name: value"\n'


@pytest.mark.parametrize("words", [["submit", "a.jpg"], ["list"], ["show", "x"], ["wait", "x"]])
def test_a_missing_token_is_told(cli: CLI, words: list[str]) -> None:
    """Without a token the exit code is 2, and the message says where to get one."""
    ran = cli("jobs", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "XIMILAR_API_TOKEN" in ran.err


@pytest.mark.usefixtures("service")
def test_a_reader_that_has_seen_enough_is_no_error(cli: CLI) -> None:
    """A pipe that is closed at its other end ends a list without a traceback."""
    write("a.jpg")
    submit(cli, "a.jpg")
    with start("jobs", "list", stdin=subprocess.DEVNULL) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize("command", ["show", "wait"])
def test_a_list_of_ids_that_is_not_there_is_misuse(cli: CLI, command: str) -> None:
    """It is told of before anything is asked."""
    ran = cli("jobs", command, "@missing.txt")
    assert (ran.code, "missing.txt" in ran.err) == (2, True)


@pytest.mark.usefixtures("service")
def test_ids_that_nobody_reads_are_told_of(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard output is closed, what was submitted is named on standard error."""
    write("a.jpg")

    def closed(_: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("ximilar_ocr_async.cli.submit.write_line", closed)
    monkeypatch.setattr("ximilar_ocr_async.cli.console.discard_output", lambda: 1)
    ran = cli("jobs", "submit", "a.jpg")
    assert (ran.code, "submitted before: " in ran.err) == (1, True)


def test_what_was_submitted_is_told_of_at_an_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    """The notes of what is cancelled come to standard error."""

    async def command() -> int:
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            error.add_note("submitted before: r1")
            raise
        return 0

    async def main() -> None:
        with anyio.move_on_after(0):
            await console._exit_code(command)

    anyio.run(main)
    assert capsys.readouterr().err == "ximilar-ocr: submitted before: r1\n"

"""The receiver on the command line: deliveries in, JSON lines out."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.test_jobs import NOBODY, make_service, submit
from tests.command_line import CLI, served, start, write
from ximilar_ocr_async.emulator.server import bind

HEADER = "X-Hook: s3cret"
HEADERS = {"X-Hook": "s3cret"}


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in an empty folder, with no token."""
    return empty_folder


def stop(process: Any) -> tuple[int, str, str]:
    """Interrupt a command; return its exit code and what else it wrote."""
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read(), process.stderr.read()
    return process.wait(), *rest


@contextmanager
def receiving(*words: str) -> Iterator[tuple[Any, str]]:
    """Receive in a process of its own; yield it and where."""
    Path("header").write_text(f"{HEADER}\n")
    with start("webhook", "--port", "0", "--header", "@header", *words) as process:
        told = process.stderr.readline()
        assert told.startswith("receiving on http://127.0.0.1:")
        yield process, told.split()[-1]


def deliver(url: str, headers: dict[str, str], **document: Any) -> httpx.Response:
    """Post a delivery."""
    return httpx.post(f"{url}/hook", headers=headers, json=document, timeout=60)


@pytest.mark.parametrize("verify", ["secret", "refetch"])
def test_what_is_done_is_written_as_it_comes(
    cli: CLI, monkeypatch: pytest.MonkeyPatch, verify: str
) -> None:
    """What the service delivers comes as lines with the request's id; Ctrl-C ends it with 0."""
    write("a.jpg", "b.jpg")
    with (
        served(make_service(), monkeypatch),
        receiving("--verify", verify) as (process, url),
    ):
        hook = ["--webhook", f"{url}/hook", "--webhook-header", "@header"]
        [request_id] = submit(cli, "a.jpg", "b.jpg", *hook)
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        ended = stop(process)
    assert ended[:2] == (0, "")
    assert {line["id"] for line in lines} == {request_id}
    assert {line["image"]: line["record"]["_ocr"]["full_text"] for line in lines} == {
        "a.jpg": "a.jpg",
        "b.jpg": "b.jpg",
    }


def test_a_secret_is_made_where_none_is_given(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is made is shown once, by the submission or the receiver, and opens it."""
    write("a.jpg")
    with served(make_service(), monkeypatch):
        ran = cli("jobs", "submit", "a.jpg", "--webhook", "http://127.0.0.1:1/")
    told, header = ran.err.splitlines()
    assert (ran.code, "your secret" in told) == (0, True)
    assert header.startswith("X-Webhook-Secret: ")
    with start("webhook", "--port", "0") as process:
        told, header, where = (process.stderr.readline() for _ in range(3))
        url = where.split()[-1]
        name, _, secret = header.strip().partition(": ")
        codes = [
            deliver(url, headers, id="x", status="DONE", response={"records": []}).status_code
            for headers in ({}, {name: "guess"}, {name: secret})
        ]
        ended = stop(process)
    assert "your secret" in told
    assert codes == [401, 401, 204]
    assert ended[:2] == (0, "")


def test_lines_are_added_to_a_file(tmp_path: Path) -> None:
    """An output that is there is kept, for what was delivered is not delivered again."""
    Path("out").write_text("old results\n")
    record = {"_id": "日本", "_status": {"code": 200}, "_ocr": {"full_text": "menu"}}
    with receiving("--output", "out") as (process, url):
        told = {"id": "x", "status": "DONE", "response": {"records": [record]}}
        assert deliver(url, HEADERS, **told).status_code == 204
        ended = stop(process)
    old, line = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    assert (ended, old) == ((0, "", ""), "old results")
    assert (json.loads(line)["id"], json.loads(line)["image"]) == ("x", "日本")


def test_what_brings_no_results_is_told() -> None:
    """A delivery without results is named, with where to look, and not wanted again."""
    with receiving() as (process, url):
        code = deliver(url, HEADERS, id="x", status="FAILED").status_code
        ended = stop(process)
    told = "x: the delivery has no results; see: ximilar-ocr jobs show x\n"
    assert (code, ended) == (204, (0, "", told))


def test_what_cannot_be_fetched_is_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A delivery whose results are not to be had is named each time, and refused with 503."""
    with served(make_service(), monkeypatch), receiving("--verify=refetch") as (process, url):
        codes = [deliver(url, HEADERS, id=NOBODY).status_code for _ in range(2)]
        code, out, err = stop(process)
    assert (codes, code, out) == ([503, 503], 0, "")
    told = f"{NOBODY}: asynchronous request {NOBODY}: "
    assert [line.startswith(told) for line in err.splitlines()] == [True, True]


def test_a_delivery_that_breaks_off_is_nothing() -> None:
    """A sender that goes away in the middle leaves no line and no traceback."""
    with receiving() as (process, url):
        head = f"POST / HTTP/1.1\r\nHost: x\r\n{HEADER}\r\nContent-Length: 9\r\n\r\n{{"
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sender:
            sender.sendall(head.encode())
        assert deliver(url, HEADERS, name="x").status_code == 400
        ended = stop(process)
    assert ended[:2] == (0, "")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--port", "99999"], "port is 99999, allowed are 0 to 65535"),
        (["--header", "s3cret"], '--header has no colon, expected "Name: value"'),
        (["--header", "s p: x"], "'s p' is not a valid header name"),
        (["--verify", "nobody"], "Choose from: "),
        (["--verify", "refetch"], "XIMILAR_API_TOKEN"),
        (["--port", "0", "--output", "missing/out"], "missing/out"),
    ],
)
def test_wrong_usage_is_told(cli: CLI, words: list[str], message: str) -> None:
    """Wrong words exit with 2 and what is wrong on standard error, without a secret."""
    ran = cli("webhook", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "s3cret" not in ran.err


def test_a_busy_port_is_told(cli: CLI) -> None:
    """A port that somebody has exits with 2."""
    listener, url = bind()
    with listener:
        port = url.rpartition(":")[2]
        ran = cli("webhook", "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert port in ran.err


@pytest.mark.parametrize("missing", ["uvicorn", "starlette"])
def test_a_missing_extra_is_named(missing: str) -> None:
    """Without the server the message says how to get it."""
    before = f"import sys; sys.modules[{missing!r}] = None"
    program = f"{before}; from ximilar_ocr_async.cli import main; main()"
    words = [sys.executable, "-c", program, "webhook"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ximilar-ocr: webhook needs {missing}")
    assert "pip install 'ximilar-ocr-async[webhook]'" in done.stderr

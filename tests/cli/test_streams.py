"""Streams that are closed or cannot be written end nothing, and cost nothing that was paid for."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.echo import Echo
from tests.command_line import start, write
from ximilar_ocr_async.cli.console import discard, standard_streams
from ximilar_ocr_async.cli.serve import _announce

pytestmark = [
    pytest.mark.usefixtures("service"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's devices"),
]

NAMES = [f"{number:02}.jpg" for number in range(30)]


def ended(*words: str, **options: Any) -> tuple[int, str, str]:
    """Run a command in a process of its own; return its exit code and what it wrote."""
    with start(*words, **options) as process:
        out = process.stdout.read() if process.stdout else ""
        err = process.stderr.read() if process.stderr else ""
    return process.returncode, out, err


def closing(*descriptors: int) -> Callable[[], None]:
    """Return what closes streams in a process before it begins."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@contextmanager
def abandoned() -> Iterator[int]:
    """Give the end of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def full() -> Iterator[int]:
    """Give a device that is full."""
    device = os.open("/dev/full", os.O_WRONLY)
    yield device
    os.close(device)


@contextmanager
def hung_up() -> Iterator[int]:
    """Give a terminal that was closed."""
    master, slave = os.openpty()
    os.close(master)
    yield slave
    os.close(slave)


@pytest.mark.parametrize("broken", [abandoned, full, hung_up])
@pytest.mark.parametrize("output", [[], ["--output=out"]])
def test_messages_that_cannot_be_written_harm_nothing(broken: Any, output: list[str]) -> None:
    """All is read, also what comes after the first failure, and each outcome is written."""
    write(*NAMES)
    with broken() as stderr:
        words = ["read", "missing.jpg", ".", "--format=jsonl", *output]
        code, out, _ = ended(*words, stderr=stderr)
    lines = [json.loads(line) for line in (Path("out").read_text() if output else out).splitlines()]
    assert (code, len(lines), sum(line["ok"] for line in lines)) == (1, 31, 30)


def test_progress_that_cannot_be_shown_harms_nothing(echo: Echo) -> None:
    """A terminal that is closed in the midst of it all, with its bar, costs no outcome."""
    write(*NAMES)
    master, slave = os.openpty()
    options = {
        "stderr": slave,
        "env": {**os.environ, "TERM": "xterm"},
        "preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        "stdin": subprocess.PIPE,
    }
    with start("read", "missing.jpg", "-", "--output=out", **options) as process:
        os.close(slave)
        process.stdin.write("\n".join(NAMES[:15]) + "\n")
        process.stdin.flush()
        shown = b""
        while b"16/?" not in shown:
            shown += os.read(master, 65536)
        os.close(master)
        process.stdin.write("\n".join(NAMES[15:]))
        process.stdin.close()
    assert process.returncode == 1
    assert len(Path("out").read_text().splitlines()) == 31
    assert len(echo.read_by) == 30


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 2)])
def test_streams_that_are_closed_are_not_missed(closed: tuple[int, ...]) -> None:
    """Without standard input and standard error, all is read and the exit code is 0."""
    write("a.jpg")
    code, out, err = ended("read", "a.jpg", preexec_fn=closing(*closed))
    assert (code, out) == (0, "a.jpg\n")
    assert "Traceback" not in err


def test_a_file_needs_no_standard_output() -> None:
    """With --output, standard output may be closed, and so may all others."""
    write("a.jpg")
    words = ["read", "a.jpg", "--output=out"]
    code, *_ = ended(*words, preexec_fn=closing(0, 1, 2))
    assert (code, len(Path("out").read_text().splitlines())) == (0, 1)


@pytest.mark.parametrize(
    "words",
    [
        ["read", "a.jpg"],
        ["extract", "a.jpg", "--fields=a: str"],
        ["jobs", "submit", "a.jpg"],
        ["jobs", "list"],
        ["jobs", "show", "r1"],
        ["jobs", "wait", "r1"],
        ["account"],
        ["webhook", "--port=0"],
    ],
)
@pytest.mark.parametrize("is_full", [False, True])
def test_what_cannot_be_written_is_not_asked_for(
    words: list[str], is_full: bool, echo: Echo
) -> None:
    """Where standard output is closed or full from the start, nothing is sent or paid for."""
    write("a.jpg")
    options: dict[str, Any] = {}
    with full() as device:
        options["preexec_fn"] = lambda: os.dup2(device, 1) if is_full else os.close(1)
        code, _, err = ended(*words, **options)
    reason = "cannot be written: No space left on device" if is_full else "is closed; redirect it"
    assert (code, echo.read_by) == (2, [])
    assert f"ximilar-ocr: standard output {reason}" in err
    assert "Traceback" not in err


def test_input_that_is_closed_is_no_list() -> None:
    """A list on standard input needs one."""
    code, _, err = ended("read", "-", preexec_fn=lambda: os.close(0))
    message = "ximilar-ocr: standard input is closed, expected a list there\n"
    assert (code, err) == (2, message)


def test_a_device_is_an_output(echo: Echo) -> None:
    """What goes to /dev/null is read and gone; no device is emptied."""
    write(*NAMES)
    code, _, err = ended("read", ".", "--output=/dev/null")
    assert (code, err[:7], len(echo.read_by)) == (0, "30 read", 30)


def test_a_full_device_is_known_before_anything_is_sent(echo: Echo) -> None:
    """An output that cannot be written from the start costs nothing."""
    write("a.jpg")
    code, _, err = ended("read", "a.jpg", "--output=/dev/full")
    message = "ximilar-ocr: --output /dev/full cannot be written: No space left on device\n"
    assert (code, err, echo.read_by) == (2, message, [])


LIMITED = """
import resource
from ximilar_ocr_async.cli import main

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
try:
    main()
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
"""
"""The command line, for which no file becomes longer than a few outcomes."""


@pytest.mark.parametrize("is_unbuffered", ["", "1"])
@pytest.mark.parametrize("is_file", [False, True])
def test_an_output_that_breaks_is_told_of_with_what_was_paid(
    is_file: bool, is_unbuffered: str, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full, nothing more is sent, and the credits that were spent are told."""
    write(*NAMES)
    monkeypatch.setenv("PYTHONUNBUFFERED", is_unbuffered)
    words = ["read", ".", "--format=jsonl", "--concurrency=1", "--quiet"]
    with Path("out").open("w") as out:
        given: dict[str, Any] = {"stdout": None if is_file else out}
        words += ["--output=out"] if is_file else []
        code, _, err = ended(*words, program=(sys.executable, "-c", LIMITED), **given)
    reason, costs = err.splitlines()
    assert code == 1
    assert reason == f"ximilar-ocr: the output cannot be written: {os.strerror(errno.EFBIG)}"
    whole = Path("out").read_text().count("\n")
    assert f"; {whole} outcomes were written before; " in costs
    assert " credits were spent" in costs
    assert len(echo.read_by) < 30


def test_a_file_without_a_reader_is_told_of(echo: Echo) -> None:
    """A broken pipe that is not standard output is no reader that has seen enough."""
    write(*NAMES)
    os.mkfifo("pipe")
    with start("read", ".", "--output=pipe", "--concurrency=1") as process:
        with Path("pipe").open() as reader:
            reader.readline()
        err = process.stderr.read()
    assert process.returncode == 1
    assert "ximilar-ocr: the output cannot be written: Broken pipe\n" in err
    assert " credits were spent" in err
    assert len(echo.read_by) <= 30


def test_ids_are_told_on_standard_error_when_nobody_reads_them() -> None:
    """When standard output breaks, nothing more is submitted, and what was taken is named."""
    write(*NAMES)
    with abandoned() as stdout:
        code, _, err = ended("jobs", "submit", ".", stdout=stdout)
    lines = err.splitlines()
    assert code == 1
    assert lines[0] == (
        "ximilar-ocr: standard output cannot be written: Broken pipe; nothing more is sent"
    )
    assert lines[1].startswith("ximilar-ocr: submitted before: ")
    assert len(set(lines[1:])) == len(lines[1:]) <= 3


def test_nobody_needs_to_hear_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose standard output is closed serves all the same."""
    monkeypatch.setattr(sys, "stdout", None)
    _announce("serving")
    assert sys.stdout is None


def test_what_has_no_descriptor_is_not_redirected() -> None:
    """A stream in memory stays as it is."""
    stream = io.StringIO()
    discard(stream)
    stream.write("still here")
    assert stream.getvalue() == "still here"


def test_standard_error_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has none gets one that goes nowhere."""
    monkeypatch.setattr(sys, "stderr", None)
    with standard_streams():
        assert sys.stderr is not None
        sys.stderr.write("nobody hears")
        sys.stderr.close()

"""Whole runs: every question has its answer, no credit too many is spent, and no token is told."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import live
import pytest
from _lib.live.lab import Limits
from _lib.live.wire import Place
from attrs import evolve, frozen

from tests.live.services import (
    CountsDown,
    Greedy,
    GreedyAndStubborn,
    Late,
    Secretive,
    Sighted,
    Stubborn,
    guarded,
    trust,
)
from tests.loopback import Site, answer
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service import Service

TOKEN = "0123456789abcdef0123456789abcdef01234567"

SHORT = Limits(
    total=60.0,
    exchange=10.0,
    idle=0.2,
    lag=1.0,
    quiet=0.05,
    late=0.4,
    pause=0.02,
    calm=0.1,
    hang_up=0.03,
    sizes=(200_000, 600_000, 900_000),
    crowd=12,
    readers=6,
    again=1,
)


FAILED, HUNG_UP = "Are failed records billed?", "Is it billed if the client hung up after the body"
ONE = "What does a good answer hold?"


@frozen
class Ran:
    """What a run came to: its exit code, its report, and what it printed."""

    code: int
    report: str
    printed: str

    def came(self, question: str) -> str:
        """Return the row of the report that begins with a *question*."""
        return next(row for row in self.report.splitlines() if row.startswith(f"| {question}"))

    @property
    def credits(self) -> list[list[int]]:
        """The credits before each question, after it, and spent for it."""
        cells = re.findall(r" \| (\d+), (\d+), (\d+) \|$", self.report, re.MULTILINE)
        return [list(map(int, cell)) for cell in cells]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Ask a service all questions, and see that the token is neither printed nor written."""

    def run(url: str, budget: int, limits: Limits = SHORT) -> Ran:
        path = tmp_path / "out/report.md"
        code = live.ask(Place(url, TOKEN, trust), budget, limits, path)
        ran = Ran(code, path.read_text(encoding="utf-8"), "".join(capsys.readouterr()))
        assert TOKEN not in ran.report + ran.printed
        return ran

    return run


def test_the_service_in_miniature_answers_every_question(run: Callable[..., Ran]) -> None:
    """With credits for all of it, nothing is left open, and the account agrees with the books."""
    service = Service(Sighted(), token=TOKEN)
    with serving(service) as url:
        ran = run(url, 1000)
    assert ran.code == 0
    assert "not asked" not in ran.report
    assert "failed:" not in ran.report
    assert f"spent in all: {service.spent} credits of 1000" in ran.came("What was spent in all?")
    assert sum(spent for _, _, spent in ran.credits) == service.spent
    assert all(after - before == spent for before, after, spent in ran.credits)
    for question, words in {
        "What does the account say?": "credits\\_counter: 0, credits\\_limit: 2147483647",
        "Which TLS": "plain HTTP<br>HTTP/1.1, server: uvicorn",
        "What does a refusal look like: a wrong token": "401, application/json: Invalid token.",
        "What does a refusal look like: no token": "401,",
        "What does a refusal look like: a wrong path": "404, application/json: Not found.",
        "What does a refusal look like: a wrong method": "405,",
        "What does a refusal look like: broken JSON": "the body is not JSON",
        "What does a good answer hold?": "\\_id echoed: yes<br>a key of our own echoed: yes",
        "Are failed records billed?": "failed records are free",
        "Is a request billed whose client hung up before": "0 of 1 billed",
        "Is it billed if the client hung up after the body": "1 of 1 billed",
        "Is it billed if the client hung up in the middle": "1 of 1 billed",
        "Is the same image billed twice?": "1 of 1 billed",
        "Is the EXIF orientation heeded?": "orientation: heeded",
        "How long do ten records take against one?": "order kept: yes<br>read: 10 of 10",
        "How long do ten records take, once more?": "median of 2",
        "Which is the largest body": "0.9 MB: 400,",
        "Is a picture read that makes a body of 0.9 MB?": "200 'OK'",
        "What comes of a record without": "a record needs \\_url or \\_base64",
        "What comes of more than ten": "11 records, allowed are 1 to 10",
        "What comes of an unknown language": "lang is 'tlh'",
        "What comes of an unknown field": "unknown image format",
        "What does a 429 look like?": "12 of 200<br>no 429 came",
        "Which failing statuses came": "405, application/json",
        "How long is an idle connection kept?": "still open after 0.2 s",
    }.items():
        assert words in ran.came(question), question
    assert "statistics: {'processing time'" in ran.report
    assert "a body of 0.6 MB?" not in ran.report


def test_a_gateway_shows_in_the_report(run: Callable[..., Ran], tmp_path: Path) -> None:
    """TLS, compression, refusals of crowds and large bodies, and an idle connection's end do."""
    service = Service(Sighted(is_heedful=False), token=TOKEN)
    with guarded(service, tmp_path) as url:
        ran = run(url, 200, evolve(SHORT, idle=5.0))
    assert service.spent <= 200
    assert "TLSv1.3; of h2 and http/1.1 it chose None" in ran.came("Which TLS")
    assert "gzip, " in ran.came("How long do ten records take against one?")
    assert "0.9 MB: 413, text/html" in ran.came("Which is the largest body")
    assert "200 'OK'" in ran.came("Is a picture read that makes a body of 0.6 MB?")
    crowd = ran.came("What does a 429 look like?")
    assert "429, application/json: slow down, Token \\*\\*\\*; Retry-After: 1" in crowd
    assert "    set-cookie: who=***" in ran.report.splitlines()
    assert "it was closed after" in ran.came("How long is an idle connection kept?")
    assert "0 of 1 billed" in ran.came("Is a request billed whose client hung up before")
    assert "1 of 1 billed" in ran.came(HUNG_UP)
    assert "orientation: not heeded" in ran.came("Is the EXIF orientation heeded?")


@pytest.mark.parametrize("budget", [0, 4, 23, 57, 100])
def test_no_more_is_spent_than_may_be(run: Callable[..., Ran], budget: int) -> None:
    """What does not fit is not asked, and what is cheaper is asked all the same."""
    service = Service(Sighted())
    with serving(service) as url:
        ran = run(url, budget)
    assert service.spent <= budget
    assert f"At most {budget} credits will be spent" in ran.printed
    assert "not asked: it may cost" in ran.report
    assert "no 503 came" in ran.came("Which failing statuses came")


@pytest.mark.parametrize(
    "kind, answers",
    [
        (Greedy, {FAILED: "failed records are billed"}),
        (CountsDown, {FAILED: "failed records are free", HUNG_UP: "1 of 1 billed"}),
        (Late, {FAILED: "failed records are free", HUNG_UP: "1 of 1 billed"}),
        (Stubborn, {ONE: "what it cost is not known", FAILED: "not asked: the account does not"}),
        (GreedyAndStubborn, {"What comes of more than ten": "not asked: it may cost 55"}),
        (Secretive, {ONE: "what it cost is not known", FAILED: "not asked: the account does"}),
    ],
)
def test_whatever_the_account_tells_the_budget_holds(
    run: Callable[..., Ran], kind: type[Service], answers: dict[str, str]
) -> None:
    """A counter may fall, lag, stand still or be hidden: no more is spent, at most less learned."""
    service = kind(Sighted())
    with serving(service) as url:
        ran = run(url, 100)
    assert service.spent <= 100
    for question, words in answers.items():
        assert words in ran.came(question)
    assert "still open" in ran.came("How long is an idle connection kept?")


@contextmanager
def nobody() -> Iterator[str]:
    """Give an address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def site(said: bytes) -> Iterator[str]:
    """Give the address of a server that has one answer for all."""
    with Site(said).open() as opened:
        yield f"http://127.0.0.1:{opened.port}"


@pytest.mark.parametrize(
    "somewhere, words",
    [
        (nobody(), "failed: OSError: All connection attempts failed, from ConnectionRefusedError"),
        (site(b"220 smtp ready\r\n"), "failed: NoAnswer: no whole answer"),
        (site(answer(b"<h1>Log in</h1>")), "no records came, but 200, no content type: &lt;h1>"),
        (site(answer(b'{"records": [7]}')), "failed: ValueError"),
        (site(answer(b"x" * 9)[:-1]), "failed: NoAnswer: no whole answer"),
        (site(answer(TOKEN.encode())), "200, no content type: \\*\\*\\*"),
    ],
)
def test_what_is_no_such_service_is_reported(
    run: Callable[..., Ran], somewhere: Iterator[str], words: str
) -> None:
    """Each question fails for itself, the report is written, and the exit code says so."""
    with somewhere as url:  # type: ignore[attr-defined]
        ran = run(url, 1000)
    assert ran.code == 1
    assert words in ran.came("What does a good answer hold?")
    assert ran.came("What was spent in all?")


def test_the_time_is_bounded(run: Callable[..., Ran]) -> None:
    """What there was no time for is said, and the report is written all the same."""
    with serving(Service(Sighted(latency=60))) as url:
        ran = run(url, 100, evolve(SHORT, total=1.0))
    assert "credits\\_counter" in ran.came("What does the account say?")
    assert "no answer: the 1 s for all were over" in ran.came(ONE)
    assert "no answer: the 1 s for all were over" in ran.came("How long is an idle connection")
    assert "spent in all: 0 credits of 100" in ran.came("What was spent in all?")


def test_a_request_that_takes_too_long_is_given_up(run: Callable[..., Ran]) -> None:
    """It is counted as if it had cost its whole price, and the others are asked."""
    service = Service(Sighted(latency=60))
    with serving(service) as url:
        ran = run(url, 12, evolve(SHORT, exchange=0.3))
    assert "failed: TimeoutError" in ran.came("What does a good answer hold?")
    assert "not asked: it may cost 15 credits, and 7" in ran.came("Are failed records billed?")
    assert "still open" in ran.came("How long is an idle connection kept?")


def test_a_run_that_is_broken_off_leaves_its_report(tmp_path: Path) -> None:
    """The script takes its options from the environment, and Ctrl-C loses nothing."""
    with serving(Service(Sighted(latency=60))) as url:
        env = os.environ | {"TOKEN": TOKEN, "CREDITS": "100", "URL": url}
        with subprocess.Popen(
            [sys.executable, "-u", live.__file__],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            lines = iter(process.stdout.readline, "")
            told = next(line for line in lines if ONE in line)
            process.send_signal(signal.SIGINT)
            told += process.stdout.read()
    report = (tmp_path / live.REPORT).read_text(encoding="utf-8")
    assert process.returncode == live.INTERRUPTED
    assert "| What does the account say? |" in report
    assert TOKEN not in told + report

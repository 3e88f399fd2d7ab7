"""The account on the command line: text or JSON out, or why there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import CLI, PROGRAM, served
from tests.loopback import Site, answer
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in an empty folder, with no token."""
    return empty_folder


def test_the_account_is_json_in_a_pipe(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the service tells comes as one object, under its own names; nothing is billed."""
    with served(Service(ScriptedEngine()), monkeypatch) as service:
        ran = cli("account")
    assert (ran.code, ran.err) == (0, "")
    [account] = ran.lines
    assert (account["credits_counter"], account["credits_limit"]) == (0, 2147483647)
    assert (account["email"], account["verified"]) == ("local@example.com", True)
    assert service.billed == 0


def test_the_account_is_lines_when_asked_for(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """As text each key has a line, and those without a value have none."""
    told = {"status": 200, "credits_counter": 7, "email": "a@b.c", "plan": None, "teams": ["é"]}
    with Site(answer(json.dumps(told).encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        ran = cli("account", "--format", "text")
    lines = [line.split() for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert ["credits_counter", "7"] in lines
    assert ["email", "a@b.c"] in lines
    assert ["teams", '["é"]'] in lines
    assert {"plan", "credits_limit"}.isdisjoint(line[0] for line in lines)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's terminals")
def test_the_account_is_lines_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets text without being asked."""
    master, slave = os.openpty()
    with (
        served(Service(ScriptedEngine()), monkeypatch),
        subprocess.Popen([*PROGRAM, "account"], stdout=slave) as process,
    ):
        os.close(slave)
        process.wait()
        shown = os.read(master, 65536).decode()
    os.close(master)
    assert process.returncode == 0
    assert ["last_name", "Service"] in [line.split() for line in shown.splitlines()]


def test_a_refused_token_is_told(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token exits with 2 and one line that says where to look, without the token."""
    with served(Service(ScriptedEngine(), token="good"), monkeypatch):
        monkeypatch.setenv("XIMILAR_API_TOKEN", "b4d-t0ken")
        ran = cli("account")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "the service was reached, and refuses the token: see https://app.ximilar.com" in ran.err
    assert "b4d-t0ken" not in ran.err


def test_a_wrong_address_is_told(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with something else behind it exits with 2 and says what to check."""
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n"
    with Site(moved).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        ran = cli("account")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.endswith("; check base_url or XIMILAR_BASE_URL, certificates and proxy\n")


def test_a_missing_token_is_told(cli: CLI) -> None:
    """Without a token the exit code is 2, and the message says where to get one."""
    ran = cli("account")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "XIMILAR_API_TOKEN" in ran.err

"""``ximilar-ocr serve`` serves as its options say until it is interrupted."""

import base64
import io
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.command_line import CLI, start
from tests.loopback import Site, answer
from ximilar_ocr_async.emulator.server import bind


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_cannot_be_is_told(cli: CLI, port: str) -> None:
    """A number that is no port exits with 2."""
    ran = cli("serve", f"--port={port}")
    assert (ran.code, ran.out) == (2, "")
    assert f"cannot listen on port {port}: port is {port}, allowed are 0 to 65535" in ran.err


def test_a_busy_port_is_told(cli: CLI) -> None:
    """A port that somebody has exits with 2."""
    listener, url = bind()
    with listener:
        port = url.rpartition(":")[2]
        ran = cli("serve", "--port", port)
    assert (ran.code, ran.out) == (2, "")
    assert f"cannot listen on port {port}" in ran.err


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


def test_serve_answers_under_names_of_its_own() -> None:
    """Names are refused unless they were allowed, with any port."""
    with start("serve", "--port", "0", "--allow-host", "box.example", "--allow-host=b") as process:
        url = process.stdout.readline().split()[2].rstrip(",")
        try:
            codes = [
                httpx.get(
                    f"{url}/account/v2/details/",
                    headers={"Authorization": "Token abc", "Host": host},
                    timeout=60,
                ).status_code
                for host in ("localhost", "box.example:80", "B", "evil.example")
            ]
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read(), process.stderr.read()
    assert codes == [200, 200, 200, 421]
    assert (process.returncode, rest) == (0, ("", ""))


def test_a_name_that_is_none_is_told(cli: CLI) -> None:
    """A name with a port, or a URL, exits with 2."""
    ran = cli("serve", "--allow-host", "box.example:8000")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("ximilar-ocr: --allow-host: 'box.example:8000' is not the name of a ")


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
        (["--scripted-gpt", "--gpt-model", "tiny"], "--scripted-gpt uses no language model: "),
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

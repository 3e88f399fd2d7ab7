"""Headers of webhooks come from files, and those that are typed are warned of."""

import os
from pathlib import Path

import pytest

from tests.cli.test_jobs import make_service
from tests.cli.test_webhook import deliver, stop
from tests.command_line import CLI, served, start, write
from ximilar_ocr_async import OptionError
from ximilar_ocr_async.cli.headers import parse_headers

SEEN = "ximilar-ocr: others on this machine can see the secret in "


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in a folder with two headers in a file."""
    Path("headers").write_bytes(b"\nX-Hook: s3cret \r\n\nX-Other:a:b\n")
    return empty_folder


def test_headers_are_the_lines_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A file has a header in each line, with blank lines, blanks and either end of line."""
    headers = parse_headers(["@headers"], "--header")
    assert headers == {"X-Hook": "s3cret", "X-Other": "a:b"}
    assert capsys.readouterr().err == ""


def test_headers_may_come_through_a_pipe() -> None:
    """A pipe, as a shell's <(...) makes, serves for what is in the environment."""
    receiver, sender = os.pipe()
    os.write(sender, b"X-Hook: s3cret")
    os.close(sender)
    try:
        assert parse_headers([f"@/dev/fd/{receiver}"], "--header") == {"X-Hook": "s3cret"}
    finally:
        os.close(receiver)


@pytest.mark.parametrize("words", [["X-Hook: s3cret"], ["@headers", "X-More: s3cret"]])
def test_a_secret_that_is_typed_is_warned_of(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A header in the words of the command is taken, and the warning does not repeat it."""
    assert "s3cret" in parse_headers(words, "--header").values()
    assert capsys.readouterr().err == f"{SEEN}--header; give --header @FILE\n"


@pytest.mark.parametrize(
    "words, told",
    [
        (["s3cret"], '--header has no colon, expected "Name: value"'),
        (["@bad"], '--header has no colon, expected "Name: value"'),
        (["@headers", "X-Hook: s3cret"], "--header gives 'X-Hook' twice"),
    ],
)
def test_what_is_no_header_is_told_without_it(words: list[str], told: str) -> None:
    """The message shows no value, and nothing of a line that has no name."""
    Path("bad").write_text("X: 1\ns3cret\n")
    # Their frames hold what was typed, so they are not for the watch over tracebacks.
    try:
        parse_headers(words, "--header")
    except OptionError as error:
        assert str(error) == told  # noqa: PT017 - see above
    else:
        raise AssertionError


@pytest.mark.parametrize(
    "line, told",
    [
        ("X-Hook: s3cr\x1bet", "header X-Hook is empty or not all visible ASCII"),
        ("X-Hook: s3cr\u00e9t", "header X-Hook is empty or not all visible ASCII"),
        ("X-Hook:", "header X-Hook is empty or not all visible ASCII"),
        ("X Hook: s3cret", "'X Hook' is not a valid header name"),
        ("X-Hook: " + "s3cret" * 1000, "header X-Hook has 6,000 characters, the limit is 4,096"),
        ("X-Hook: " + "s3cret" * 2000, "entry 1 of 'odd' has more than 8,192 bytes"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ["webhook", "--port", "0", "--header", "@odd"],
        ["jobs", "submit", "a.jpg", "--webhook", "https://x.example", "--webhook-header", "@odd"],
    ],
    ids=lambda words: words[0],
)
def test_odd_headers_are_told(cli: CLI, command: list[str], line: str, told: str) -> None:
    """A header that cannot be sent exits with 2 and a line that does not show it."""
    Path("odd").write_text(line, encoding="utf-8")
    write("a.jpg")
    ran = cli(*command)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert told in ran.err
    assert "s3cr" not in ran.err


@pytest.mark.parametrize("path", ["missing", "/dev/zero"])
def test_a_file_that_has_no_headers_is_told(cli: CLI, path: str) -> None:
    """A file that is not there, or that may never end, exits with 2 and is named."""
    ran = cli("webhook", "--port", "0", "--header", f"@{path}")
    assert (ran.code, ran.out) == (2, "")
    assert path in ran.err


def test_a_secret_of_a_file_is_in_no_word_of_the_command() -> None:
    """The receiver takes what brings the headers of the file, and shows them to nobody."""
    with start("webhook", "--port", "0", "--header", "@headers") as process:
        told = process.stderr.readline()
        words = "\n".join(process.args)
        url = told.split()[-1]
        given = {"X-Hook": "s3cret", "X-Other": "a:b"}
        codes = [deliver(url, headers, id="x").status_code for headers in ({}, given)]
        code, out, err = stop(process)
    assert told.startswith("receiving on http://127.0.0.1:")
    assert (codes, code) == ([401, 204], 0)
    assert "s3cret" not in words + told + out + err


def test_a_password_in_the_url_of_a_webhook_is_warned_of(
    cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning says that headers do without it, and does not show it."""
    write("a.jpg")
    with served(make_service(), monkeypatch):
        url = "http://user:s3cret@127.0.0.1:1/"
        hook = ["--webhook", url, "--webhook-header", "@headers"]
        ran = cli("jobs", "submit", "a.jpg", *hook)
    reason = "its headers prove deliveries without a password"
    assert (ran.code, ran.err) == (0, f"{SEEN}--webhook; {reason}\n")

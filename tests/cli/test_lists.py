"""Lists name files and URLs, and nothing in them does more than that."""

import io
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.cli.echo import Echo, images
from tests.command_line import CLI, JPEG, start, write
from ximilar_ocr_async.cli import lists

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's files")

TOKEN = "t0ken-of-a-test"

COMMANDS = [
    ["read", "--format", "jsonl"],
    ["extract", "--fields", "due: date"],
    ["jobs", "submit"],
]
"""The commands that take images."""

HOSTILE = ["@/proc/self/environ", "@/dev/zero", "@more.txt", "f", "*.jpg", "-", "--help"]
"""What means something among the words of a command, and nothing in a list."""


@pytest.fixture(autouse=True)
def token(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it sets one, too
    """Put a token into the environment that is found in any output."""
    monkeypatch.setenv("XIMILAR_API_TOKEN", TOKEN)


# --- Lines


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("word", ["-", "@list"])
def test_a_line_names_one_file_and_does_nothing_else(
    cli: CLI, echo: Echo, command: list[str], word: str
) -> None:
    """No line of a list opens another list, a folder or a pattern: it fails as a file."""
    write("a.jpg", "f/b.jpg")
    Path("more.txt").write_text("a.jpg\n")
    listed = "\n".join(HOSTILE).encode()
    Path("list").write_bytes(listed)
    ran = cli(*command, word, stdin=listed)
    assert (ran.code, echo.read_by) == (1, [])
    failures = [line for line in ran.err.splitlines() if " failed, " not in line]
    assert sorted(line.partition(": ")[0] for line in failures) == sorted(HOSTILE)


@linux
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_name_with_a_line_break_costs_no_token(command: list[str]) -> None:
    """The name of an unzipped file, listed without --null, brings no environment to light."""
    # In a process of its own, whose environment /proc knows.
    with start(*command, "-", stdin=-1) as process:
        out, err = process.communicate("f/scan\n@/proc/self/environ\n.jpg\n")
    assert process.returncode == 1
    assert "@/proc/self/environ cannot be read" in err
    assert TOKEN not in out + err


@linux
@pytest.mark.parametrize("word", ["-", "@list"])
def test_names_may_end_with_a_nul(cli: CLI, word: str) -> None:
    """With --null a name is what stands between two NULs, whatever it is."""
    names = ["a\n@b.jpg", "@c.jpg", " ", "d.jpg\r", "-e.jpg"]
    write(*names)
    listed = "".join(f"{name}\0" for name in names).encode()
    Path("list").write_bytes(listed)
    ran = cli("read", word, "--null", "--format", "jsonl", stdin=listed)
    assert (ran.code, images(ran)) == (0, names)


@linux
def test_names_of_submissions_may_end_with_a_nul(cli: CLI) -> None:
    """A submission takes lists with NULs, too."""
    write("a\nb.jpg")
    ran = cli("jobs", "submit", "-", "--null", stdin=b"a\nb.jpg\0")
    assert (ran.code, ran.err) == (0, "")
    waited = cli("jobs", "wait", *ran.out.split(), "--format", "jsonl")
    assert images(waited) == ["a\nb.jpg"]


def test_lines_are_read_as_they_arrive() -> None:
    """An image is read before the list has come to its end."""
    write("a.jpg", "b.jpg")
    with start("read", "-", "--quiet", stdin=-1) as process:
        read = []
        for name in ("a.jpg", "b.jpg"):
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            read.append([process.stdout.readline() for _ in range(3)][1])
        process.stdin.close()
        assert process.wait() == 0
    assert read == ["a.jpg\n", "b.jpg\n"]


def test_an_interrupt_is_heard_while_a_list_says_nothing() -> None:
    """Ctrl-C ends with 130, although the list has not come to its end."""
    write("a.jpg")
    with start("read", "-", "--quiet", stdin=-1) as process:
        process.stdin.write("a.jpg\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (process.wait(), "Traceback" in process.stderr.read()) == (130, False)


def test_a_list_is_longer_than_what_is_read_at_once(cli: CLI) -> None:
    """Lines that stand across the pieces in which a list is read are whole."""
    write("a.jpg")
    count = 2 * lists.PIECE // len("./a.jpg\n") + 1
    listed = b"./a.jpg\n" * count
    ran = cli("read", "-", "--format", "jsonl", "--quiet", "--concurrency", "64", stdin=listed)
    assert images(ran) == ["a.jpg"] * count


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a slow pipe does."""

    def read1(self, size: int | None = -1, /) -> bytes:
        """Return at most three bytes."""
        return super().read1(min(size or 0, 3))


@given(entries=st.lists(st.binary(max_size=9).filter(lambda entry: b"\0" not in entry)))
@example(entries=[b"x" * 8192, b"a\r", b"\r", b"", b" ", b"caf\xe9"])
def test_any_names_come_back(entries: list[bytes]) -> None:
    """Whatever names end with a NUL each in a list, they come back, but for empty ones."""
    listed = b"".join(entry + b"\0" for entry in entries)
    found = itertools.chain.from_iterable(lists._read(Trickle(listed), "x", lists.NUL))
    assert [os.fsencode(name) for name in found] == [entry for entry in entries if entry]


# --- What is no list


@linux
@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
@pytest.mark.parametrize("command", [*COMMANDS, ["jobs", "show"], ["jobs", "wait"]], ids=" ".join)
def test_a_device_is_no_list(cli: CLI, path: str, command: list[str]) -> None:
    """A list on a device, which may never end, exits with 2."""
    ran = cli(*command, f"@{path}")
    assert (ran.code, ran.out) == (2, "")
    assert path in ran.err


@linux
@pytest.mark.parametrize("null", [[], ["--null"]])
def test_what_the_system_makes_up_is_no_list(cli: CLI, null: list[str]) -> None:
    """The environment shows no variable, even if it is typed as a list."""
    ran = cli("read", "@/proc/self/environ", *null)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "ximilar-ocr: no images: @/proc/self/environ\n"


@pytest.mark.parametrize(
    "listed, reason",
    [
        (b"s3cret" * 1500, "entry 2 of standard input has more than 8,192 bytes"),
        (b"s3cret" * 15000, "entry 2 of standard input has more than 8,192 bytes"),
        (b"s3cret\0more\0", "entry 2 of standard input has a NUL character"),
        (b"\nx\ns3cret\0more", "entry 4 of standard input has a NUL character"),
    ],
)
def test_a_list_that_is_none_ends_the_run(cli: CLI, listed: bytes, reason: str) -> None:
    """What came before it is read, the exit code is 2, and the message shows nothing of it."""
    write("a.jpg", "x")
    ran = cli("read", "a.jpg", "-", "--format", "jsonl", stdin=b"a.jpg\n" + listed)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert images(ran)[:2] == ["a.jpg", "a.jpg"]
    assert ran.err.startswith(f"ximilar-ocr: {reason}")
    assert "s3cret" not in ran.out + ran.err


def test_ids_in_a_list_are_checked_before_the_service_is_asked(cli: CLI) -> None:
    """A list that holds no ids exits with 2 and a short line, whatever is in it."""
    for line in ("x" * 300, "a\x1bb", "x" * 10_000, "a\0b"):
        Path("ids").write_text(f"first\n{line}\n")
        ran = cli("jobs", "show", "@ids")
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert len(ran.err) < 700
        assert "\x1b" not in ran.err


# --- What is no image


@linux
def test_what_is_no_file_is_neither_read_nor_waited_for(cli: CLI) -> None:
    """A pipe, a device and a folder fail in lists and folders; the image beside them is read."""
    write("f/a.jpg")
    os.mkfifo("f/b.jpg")
    ran = cli("read", "f", "-", "--format", "jsonl", stdin=b"f/b.jpg\n/dev/zero\n/dev/null\nf\n")
    good = [line["image"] for line in ran.lines if line["ok"]]
    said = [line["error"]["message"] for line in ran.lines if not line["ok"]]
    assert (ran.code, good, len(said)) == (1, ["f/a.jpg"], 5)
    assert all(message.endswith(" is not a file") for message in said)


@linux
def test_a_name_begins_no_line(cli: CLI) -> None:
    """Line breaks and orders to the terminal in a name are escaped, but not in JSON's own name."""
    good, bad = "a\n==> b.jpg <==\x1b[2J.jpg", "c\nd.jpg: forged\x1b[2J.jpg"
    write(good)
    Path(bad).write_text("no image")
    ran = cli("read", ".", "--quiet")
    assert ran.out.splitlines()[0] == "==> a\\n==> b.jpg <==\\x1b[2J.jpg <=="
    escaped = "c\\nd.jpg: forged\\x1b[2J.jpg"
    assert ran.err == f"{escaped}: {escaped} is not an image\n"
    assert images(cli("read", ".", "--format", "jsonl")) == [good, bad]


def test_long_names_are_cut(cli: CLI) -> None:
    """The message about a long line shows the beginning of it."""
    ran = cli("read", "-", "--quiet", stdin=b"x" * 8000)
    assert ran.code == 1
    assert ran.err.count("x" * 500) == 2
    assert len(ran.err) < 1200


# --- Names that look like options


def test_names_behind_a_double_hyphen_are_files(cli: CLI) -> None:
    """A file whose name begins with a hyphen is read if a double hyphen comes before it."""
    Path("-x.jpg").write_bytes(JPEG + b"x")
    write("y.jpg")
    assert cli("read", "--", "-x.jpg").out == "x\n"
    ran = cli("read", "--format", "jsonl", "--quiet", "y.jpg", "--", "-x.jpg", "-", stdin=b"y.jpg")
    assert (ran.code, images(ran)) == (0, ["y.jpg", "-x.jpg", "y.jpg"])


def test_what_comes_before_a_double_hyphen_is_checked(cli: CLI) -> None:
    """A misspelt option is told of, even if a double hyphen follows."""
    ran = cli("read", "-x.jpg", "--", "-y.jpg")
    assert (ran.code, ran.out) == (2, "")
    assert 'unknown option "-x.jpg"; for a file of that name write "./-x.jpg"' in ran.err

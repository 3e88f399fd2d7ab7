"""The commands are found, explain themselves, and load no more than they need."""

import subprocess
import sys
from typing import Any

import pytest

from tests.command_line import CLI, Ran


@pytest.mark.parametrize("words", [["bogus"], ["--bogus"], ["serve", "--port", "many"]])
def test_unknown_commands_and_values_are_told(cli: CLI, words: list[str]) -> None:
    """What is no command, option or number exits with 2 and is named."""
    ran = cli(*words)
    assert (ran.code, ran.out) == (2, "")
    assert words[-1] in ran.err


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_shows_the_commands(cli: CLI, words: list[str]) -> None:
    """Help names both commands with what they do, and the exit codes."""
    ran = cli(*words)
    assert ran.code == 0
    for wanted in ("read ", "Read the text in images.", "serve ", "Exit codes: "):
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
        (["read", "a.jpg", "--local"], "uvicorn", "--local needs uvicorn, from the extra local: "),
        (["serve"], "PIL", "serve needs PIL, from the extra local: "),
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

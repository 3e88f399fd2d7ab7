"""The command line as tests run it: in this process, or in one of its own."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import frozen

from ximilar_ocr_async.cli import main
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service.service import Service

JPEG = b"\xff\xd8\xff"
"""What makes the client take the rest for an image."""

PROGRAM = (sys.executable, "-c", "from ximilar_ocr_async.cli import main; main()")


@frozen
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


CLI: TypeAlias = Callable[..., Ran]


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a test in an empty folder, with no token and a wide terminal."""
    monkeypatch.chdir(tmp_path)
    for name in ("XIMILAR_API_TOKEN", "XIMILAR_API_KEY", "XIMILAR_BASE_URL", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CLI:
    """Run a command in this process."""

    def run(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["ximilar-ocr", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        # The frames of its end hold the words that were typed, secrets among them.
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        return Ran(code, *capsys.readouterr())

    return run


@contextmanager
def served(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve, and point the command line there."""
    with serving(service) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        yield service


def write(*names: str) -> None:
    """Write images that say what they are called."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(JPEG + name.encode())


@contextmanager
def start(*words: str, **options: Any) -> Iterator[Any]:
    """Run a command in a process of its own while the block is run; kill it if that fails."""
    with subprocess.Popen(
        [*options.pop("program", PROGRAM), *words],
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        text=True,
        **options,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise

"""Child processes as their parent sees them: a function's name goes in, its result comes out."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

FOLDER = Path(__file__).parent.parent
"""Where children run, so that they import the benchmarks by name."""


def run(function: str, **arguments: Any) -> Any:
    """Call *function* in a process of its own, and return what it returns.

    Args:
        function: Its module and name, such as `"concurrency.share"`.
        arguments: What it is called with, as JSON; `without` lists modules that it cannot import.
    """
    done = subprocess.run(
        _command(function, arguments), cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@frozen
class Child:
    """A process that runs as long as the block of `running` that it was started by."""

    process: "subprocess.Popen[str]"

    def read_line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self) -> Any:
        """Send it an empty line, and return the line of JSON that it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.read_line())

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(function: str, **arguments: Any) -> Iterator[Child]:
    """Run *function* in a process of its own, which is killed at the end of the block."""
    with subprocess.Popen(
        _command(function, arguments),
        cwd=FOLDER,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def _command(function: str, arguments: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "_lib.child", function, json.dumps(arguments)]

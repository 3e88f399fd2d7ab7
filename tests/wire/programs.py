"""Programs of the system, run in the foreground on loopback ports of their own."""

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from attrs import define, field, frozen

PATIENCE = 20.0
"""[s] that a program may take to listen."""

# Debian keeps servers out of the path of ordinary users.
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"


@frozen
class Program:
    """What is run, and with what configuration.

    Attributes:
        name: Name of the program.
        arguments: What it is called with. Its configuration is the file "configuration".
        configuration: Its configuration. As in the arguments, names in it such as `%(port)s` are
            replaced: `port` is where it listens, `service` the port of the service, `folder` where
            its files may lie, and `identity` a file with key and certificate.
        is_tls: Whether it speaks TLS to its clients.
    """

    name: str
    arguments: str
    configuration: str
    is_tls: bool = False

    @property
    def path(self) -> str | None:
        """Where it is installed. None if it is not."""
        return shutil.which(self.name, path=_PATH)

    @property
    def missing(self) -> str:
        """What is missing to run it; empty if nothing is."""
        return "" if self.path else f"{self.name} is not installed"


@define(eq=False)
class Running:
    """A program that runs. Lives as long as the block of `running`.

    Attributes:
        port: Where it listens.
    """

    port: int
    _command: list[str] = field(repr=False)
    _folder: Path
    _process: "subprocess.Popen[bytes]" = field(init=False, repr=False)

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._launch()
        with anyio.move_on_after(PATIENCE):
            while self._process.poll() is None:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", self.port)).aclose()
                except OSError:
                    await anyio.sleep(0.01)
                else:
                    return
        raise RuntimeError(f"{self._command[0]} does not listen: {self.log}")

    def _launch(self) -> None:
        with (self._folder / "log").open("ab") as log:
            # A group of its own, so that its workers can be killed with it.
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={"PATH": _PATH, "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def reload(self) -> None:
        """Have it replace its workers by new ones, as it does for a new configuration."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """Kill it and all of its workers at once."""
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """End it, in order if it does so soon."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.kill()

    @property
    def log(self) -> str:
        """What it said."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")


@asynccontextmanager
async def running(program: Program, folder: Path, **values: object) -> AsyncIterator[Running]:
    """Run a program with its files in *folder*, and end it with the block."""
    runs = _prepare(program, folder, values)
    try:
        await runs.start()
        yield runs
    finally:
        runs.end()


def _prepare(program: Program, folder: Path, values: Mapping[str, object]) -> Running:
    folder.mkdir()
    port = free_port()
    known = {"folder": folder, "port": port, **values}
    (folder / "configuration").write_text(program.configuration % known, encoding="utf-8")
    command = [program.path or program.name, *(program.arguments % known).split()]
    return Running(port, command, folder)


def free_port() -> int:
    """Return a port on which nobody listens and from which no system sends."""
    # A port that the system also sends from could be taken while its program restarts.
    while True:
        port = random.randrange(16_000, 32_000)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

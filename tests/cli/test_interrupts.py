"""The first signal lets what is in flight come to its end; the second one ends the process."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

import ximilar_ocr_async.cli
from tests.command_line import CLI, served, start, write
from ximilar_ocr_async.cli.draining import Drain
from ximilar_ocr_async.cli.interrupts import Interrupts, interrupts
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.errors import SessionStateError
from ximilar_ocr_async.testing import InProcessService
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

NAMES = [f"{number:02}.jpg" for number in range(40)]


@define
class Gate:
    """Reads images once it is open, and says when the first one has come."""

    begun: threading.Event = field(factory=threading.Event)
    opened: threading.Event = field(factory=threading.Event)
    read_of_it: int = 0

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read *image*."""
        self.begun.set()
        while not self.opened.is_set():  # noqa: ASYNC110 - of another thread
            await anyio.sleep(0.01)
        self.read_of_it += 1
        return await ScriptedEngine().read(image, lang)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_in_flight_is_written(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is sent, what was sent is awaited and written, and what it cost is told."""
    write(*NAMES)
    gate = Gate()
    with (
        served(Service(gate), monkeypatch),
        start("read", ".", "--concurrency=1", "--output=out", "--quiet") as process,
    ):
        gate.begun.wait()
        process.send_signal(number)
        # It may send more before it hears of the signal. That is read, too.
        gate.opened.set()
        err = process.stderr.read()
    lines = [json.loads(line) for line in Path("out").read_text().splitlines()]
    assert process.returncode == 128 + number
    assert len(lines) == gate.read_of_it > 0
    assert all(line["ok"] for line in lines)
    told, advice = err.splitlines()
    assert told.startswith(f"interrupted: {len(lines)} read, 0 failed, ")
    assert told.endswith(f"; {5 * len(lines)} credits were spent")
    assert advice.endswith("to another file than 'out', which is written anew")


def test_what_does_not_come_to_its_end_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """After --drain, what is in flight is given up, and may have been billed."""
    write(*NAMES)
    gate = Gate()
    with (
        served(Service(gate), monkeypatch),
        start("read", ".", "--concurrency=1", "--drain=0.1") as process,
    ):
        gate.begun.wait()
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert (process.returncode, out) == (130, "")
    assert "0 credits were spent, and 10 records may have been billed in vain" in err
    assert err.endswith("to go on, read the images that have no outcome\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_at_once(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever signals again does not wait for what is in flight."""
    write(*NAMES)
    gate = Gate()
    with (
        served(Service(gate), monkeypatch),
        start("read", ".", "--concurrency=1", "--drain=3600") as process,
    ):
        gate.begun.wait()
        repeat(process, number)
        out, err = process.stdout.read(), process.stderr.read()
    assert (process.returncode, out, err) == (128 + number, "", "")


def repeat(process: Any, number: signal.Signals) -> None:
    """Send a signal again and again, until the process has ended."""
    while process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


@pytest.mark.parametrize("word", ["-", "@list"])
def test_a_list_that_does_not_come_is_not_waited_for(
    word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood in it is read, and neither a pipe nor a named one holds up the end."""
    write("a.jpg")
    os.mkfifo("list")
    gate = Gate()
    gate.opened.set()
    options = {"stdin": subprocess.PIPE} if word == "-" else {}
    with served(Service(gate), monkeypatch), start("read", word, **options) as process:
        with process.stdin or Path("list").open("w") as listed:
            listed.write("a.jpg\n")
            listed.flush()
            assert process.stdout.readline() == "==> a.jpg <==\n"
            process.send_signal(signal.SIGINT)
            err = process.stderr.read()
    assert process.returncode == 130
    assert err.startswith("interrupted: 1 read, 0 failed, ")


def test_ids_of_what_is_in_flight_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission that is interrupted names all requests that the service has taken."""
    write(*NAMES)
    service = Service(ScriptedEngine())
    words = ["jobs", "submit", "-", "x.jpg"]
    with served(service, monkeypatch), start(*words, stdin=subprocess.PIPE) as process:
        process.stdin.write("\n".join(NAMES[:20]) + "\n")
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        ids = (first + process.stdout.read()).split()
        err = process.stderr.read()
        process.stdin.close()
    assert process.returncode == 143
    assert len(ids) == len(set(ids)) > 0
    assert f"interrupted: {len(ids)} requests were submitted, and nothing more is sent" in err


@pytest.mark.parametrize(
    "words", [["account", "--deadline=3600"], ["jobs", "list"], ["jobs", "wait", "r1"]]
)
def test_what_costs_nothing_is_cancelled(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that pays for nothing waits for nothing, and leaves no traceback."""
    listener, url = bind()
    monkeypatch.setenv("XIMILAR_BASE_URL", url)
    monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
    with listener, start(*words) as process:
        with listener.accept()[0]:
            process.send_signal(signal.SIGINT)
            err = process.stderr.read()
    assert (process.returncode, "Traceback" in err) == (130, False)


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that nohup has started reads on when the terminal is closed."""
    write("a.jpg")
    gate = Gate()
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    with served(Service(gate), monkeypatch), start("read", "a.jpg", **ignoring) as process:
        gate.begun.wait()
        process.send_signal(signal.SIGHUP)
        gate.opened.set()
        assert process.stdout.read()
    assert process.returncode == 0


@pytest.mark.usefixtures("service")
def test_other_threads_have_no_signals(cli: CLI) -> None:
    """The command line works in a thread, too, where no handler can be installed."""
    write("a.jpg")
    codes = []
    handlers = [signal.getsignal(number) for number in SIGNALS]
    thread = threading.Thread(target=lambda: codes.append(cli("read", "a.jpg").code))
    thread.start()
    thread.join()
    assert codes == [0]
    Interrupts.leave_to_server()
    in_thread = threading.Thread(target=Interrupts.leave_to_server)
    in_thread.start()
    in_thread.join()
    assert [signal.getsignal(number) for number in SIGNALS] == handlers


@pytest.mark.usefixtures("service")
def test_handlers_are_as_before(cli: CLI) -> None:
    """A program that calls the command line has its own handlers afterwards."""
    write("a.jpg")
    before = [signal.getsignal(number) for number in SIGNALS]
    cli("read", "a.jpg")
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs terminals")
def test_the_cursor_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar hides the cursor of the terminal; a process that ends at once shows it."""
    write(*NAMES)
    gate = Gate()
    master, slave = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with served(Service(gate), monkeypatch), start("read", ".", stderr=slave) as process:
        os.close(slave)
        gate.begun.wait()
        repeat(process, signal.SIGINT)
    shown = os.read(master, 1_000_000)
    os.close(master)
    assert process.returncode == 130
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")


def test_an_error_of_a_command_comes_alone() -> None:
    """What a command raises stands in no group."""

    async def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        anyio.run(Interrupts().run, fail)


def test_a_server_ignores_what_is_ignored() -> None:
    """A service that nohup has started goes on when the terminal is closed."""
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Interrupts.leave_to_server()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


@pytest.mark.anyio
async def test_work_that_is_stopped_before_it_begins_is_not_begun() -> None:
    """A signal while the session is being entered sends nothing, and is no error."""
    service = InProcessService()
    drain = Drain(service.session())
    drain.stop()

    async def work() -> None:
        await anyio.wait_all_tasks_blocked()
        await drain.session.read("https://images.example/a.jpg")

    await drain.run(work)
    assert service.log == []


@pytest.mark.anyio
async def test_a_session_that_cannot_be_entered_is_told_of() -> None:
    """What is wrong with the session comes up alone, in no group."""
    async with InProcessService().session() as session:
        drain = Drain(session)
        with pytest.raises(SessionStateError, match="entered once"):
            await drain.run(anyio.sleep_forever)


def test_a_signal_that_was_heard_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command made of it, the process ends as one that the signal ended."""

    def run() -> None:
        interrupts.number = signal.SIGTERM

    monkeypatch.setattr(ximilar_ocr_async.cli, "_run", run)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as caught:
        ximilar_ocr_async.cli.main()
    assert caught.value.code == 128 + signal.SIGTERM

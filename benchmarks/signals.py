"""Signals at random moments: none is ignored, and what was billed is counted or marked.

Each trial is a program of its own that reads images from a service on this machine and gets a
signal. It must end by it, and no image that was billed may fail without a mark.

What a handler raises may come up within asyncio itself, between the end of a step of a task and the
note that the next one is due. That task is never run again, and asyncio waits for it when it ends.
Such a program cannot end, whatever it does; it is counted beside the others.
"""

import argparse
import itertools
import json
import random
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console
from rich.table import Table

PROGRAM = """
import asyncio, itertools, json, os, signal, sys, threading
import anyio
from ximilar_ocr_async import OCRSession

url, library = sys.argv[1:]
told = []
URL = "https://images.example/", ".jpg"
loops = []

def give_up():
    # Nothing is due, and yet there is a task that waits for nothing.
    tasks = asyncio.all_tasks(loops[0]) if loops and not loops[0]._ready else ()
    is_lost = any(task._fut_waiter is None for task in tasks)
    print(json.dumps({"end": "lost" if is_lost else "killed"}), flush=True)
    os._exit(1)

watch = threading.Timer(20, give_up)
watch.daemon = True
watch.start()

def leave(*_):
    raise SystemExit(3)

signal.signal(signal.SIGTERM, leave)

async def main():
    if library == "asyncio":
        loops.append(asyncio.get_running_loop())
    async with OCRSession("t", base_url=url, max_concurrency=16, adaptive=False) as session:
        print("begun", flush=True)
        async with session.stream(str(n).join(URL) for n in itertools.count()) as outcomes:
            async for outcome in outcomes:
                told.append(outcome)

try:
    anyio.run(main, backend=library)
except BaseException as error:
    end = type(error).__name__
for name in ("SIGINT", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
failed = [o.image.source for o in told if not o.ok and not o.maybe_billed]
print(json.dumps({"end": end, "failed": failed}))
"""


class Service(ThreadingHTTPServer):
    """Bills a request when it has come whole, works for a while, and answers."""

    daemon_threads = True

    def __init__(self, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seconds = seconds
        self.billed: set[str] = set()
        self.lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        """Pass over clients that went away."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        """Read images."""
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["records"]
        with self.server.lock:
            self.server.billed.update(row["_url"] for row in rows)
        time.sleep(self.server.seconds)
        records = [{"_id": row["_id"], "_ocr": {"texts": [], "full_text": "x"}} for row in rows]
        body = json.dumps({"records": records, "status": {"code": 200, "text": "OK"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def trial(library: str, seconds: float, number: signal.Signals, longest: float) -> dict[str, Any]:
    """Send a signal at a random moment; return how the program ended, and what was billed."""
    with Service(seconds) as service:
        # It looks often whether it is to end, because there are many trials.
        threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{service.server_port}"
        arguments = [sys.executable, "-c", PROGRAM, url, library]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "begun\n"
            time.sleep(random.uniform(0, longest))  # noqa: S311 - no secret
            program.send_signal(number)
            told: dict[str, Any] = json.loads(program.stdout.read() or '{"end": "killed"}')
        service.shutdown()
        told["unmarked"] = len(service.billed.intersection(told.get("failed", ())))
    return told


def main() -> int:
    """Run all trials and print a table; return 1 if a signal was ignored or money not marked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100, help="of each kind")
    trials = parser.parse_args().trials
    table = Table(title="Signals at random moments")
    columns = ("loop", "service [s]", "signal", "trials", "ignored", "billed and not marked")
    for column in (*columns, "lost in asyncio"):
        table.add_column(column)
    failed = 0
    kinds = itertools.product(("asyncio", "trio"), (0.001, 0.2), (signal.SIGINT, signal.SIGTERM))
    for library, seconds, number in kinds:
        longest = 0.15 if seconds < 0.1 else 0.5
        ends = [trial(library, seconds, number, longest) for _ in range(trials)]
        ignored = sum(end["end"] == "killed" for end in ends)
        unmarked = sum(end["unmarked"] for end in ends)
        lost = sum(end["end"] == "lost" for end in ends)
        failed += ignored + unmarked
        counts = map(str, (trials, ignored, unmarked, lost))
        table.add_row(library, str(seconds), number.name, *counts)
    Console().print(table)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

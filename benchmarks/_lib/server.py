"""A fast service for benchmarks: answers every request alike, after a set time, up to a capacity.

It runs in a child process (``_lib/service.py``), prints its URL, and serves until its standard
input is closed. A request that would be one more in flight than the capacity gets 429 at once.
``POST /control`` with ``{"latency": 0.2, "capacity": 20, "texts": 20}`` sets it up and clears its
counts; ``GET /counts`` tells them, and what CPU they took. What it answers stands in
``_lib/answers.py``. It speaks just enough HTTP/1.1 for clients that send a Content-Length, and
nothing else. Of a body it looks for the ids of records, and keeps nothing.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any

import uvloop
from attrs import asdict, define, field

from _lib.answers import Answers

ID = re.compile(rb'"_id": ?"([^"]*)"')
READ, READ_GPT = b"/ocr/v2/read", b"/ocr/v2/read_gpt"
LONGEST_ID = 100
"""[bytes] that the end of one piece and the beginning of the next may share."""


@define
class State:
    """How the service behaves, and what it saw.

    Attributes:
        latency: The time from a request to its answer [s].
        capacity: The requests in flight above which it refuses.
        texts: The texts in each record of an answer.
        failing: One in so many records of it has failed; 0 for none.
        unknown: One in so many has keys that nobody documents; 0 for none.
        in_flight: The requests that wait for their answer now.
        peak: The most of them at once.
        requests: The requests to read that came.
        records: The records in those that were not refused.
        refused: The requests that were refused.
        received: The length of all bodies [bytes].
        cpu: The CPU time that was taken when the counts were cleared [s].
        answered: When each request was answered well [s by the loop's clock].
        answers: What writes answers, by the path of the request.
    """

    latency: float = 0.0
    capacity: int = 1_000_000
    texts: int = 0
    failing: int = 0
    unknown: int = 0
    in_flight: int = 0
    peak: int = 0
    requests: int = 0
    records: int = 0
    refused: int = 0
    received: int = 0
    cpu: float = 0.0
    answered: list[float] = field(factory=list)
    answers: dict[bytes, Answers] = field(factory=dict)

    def set(self, settings: dict[str, Any]) -> None:
        """Behave as told from now on, and forget what was seen."""
        fresh = State(**settings)
        told = ("latency", "capacity", "texts", "failing", "unknown")
        for name in (*told, "peak", "requests", "records", "refused", "received"):
            setattr(self, name, getattr(fresh, name))
        self.answered.clear()
        self.cpu = time.process_time()
        self.answers = {
            path: Answers(self.texts, gpt, self.failing, self.unknown)
            for path, gpt in ((READ, False), (READ_GPT, True))
        }

    def counts(self) -> dict[str, Any]:
        """Return what was seen; *cpu* [s] since the counts were cleared."""
        counts = asdict(self, filter=lambda one, _: one.name != "answers")
        return counts | {"cpu": time.process_time() - self.cpu}


class Connection(asyncio.Protocol):
    """One connection, whose requests come one after the other.

    Attributes:
        state: The state of the service, which all connections share.
        head: What has come of a request's head.
        path: The path of the request whose body comes.
        left: What is still to come of the body [bytes].
        ids: The ids that were found in the body so far.
        tail: The end of the body so far, in which the next id may begin.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.head = b""
        self.path = b""
        self.left = 0
        self.ids: list[bytes] = []
        self.tail = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        if not self.left:
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self.path = b"", head.split(b" ", 2)[1]
            self.ids, self.tail = [], b""
            for line in head.split(b"\r\n"):
                if line[:15].lower() == b"content-length:":
                    self.left = int(line[15:])
        self.left -= len(data)
        self.state.received += len(data)
        self.look(data)
        if not self.left:
            self.handle()

    def look(self, data: bytes) -> None:
        """Find the ids in a piece of the body."""
        piece = self.tail + data
        found = 0
        if self.path == b"/control":
            self.tail = piece
            return
        while (start := piece.find(b'"_id"', found)) >= 0:
            match = ID.match(piece, start)
            if match is None:
                break
            self.ids.append(match[1])
            found = match.end()
        self.tail = piece[max(found, len(piece) - LONGEST_ID) :]

    def handle(self) -> None:
        """Route a request."""
        state = self.state
        if self.path == b"/counts":
            self.answer(b"200 OK", json.dumps(state.counts()).encode())
        elif self.path == b"/control":
            state.set(json.loads(self.tail))
            self.answer(b"200 OK", b"{}")
        else:
            self.read(self.ids)

    def read(self, ids: list[bytes]) -> None:
        """Read records after the latency, or refuse them at once."""
        state = self.state
        state.requests += 1
        if state.in_flight >= state.capacity:
            state.refused += 1
            status = b'{"status": {"code": 429, "text": "too many requests"}}'
            self.answer(b"429 Too Many Requests", status)
            return
        state.in_flight += 1
        state.records += len(ids)
        state.peak = max(state.peak, state.in_flight)
        if state.latency:
            loop = asyncio.get_running_loop()
            loop.call_later(state.latency, self.finish, self.path, ids)
        else:
            self.finish(self.path, ids)

    def finish(self, path: bytes, ids: list[bytes]) -> None:
        """Answer a request that was read."""
        self.state.in_flight -= 1
        self.state.answered.append(asyncio.get_running_loop().time())
        self.answer(b"200 OK", self.state.answers[path].write(ids))

    def answer(self, status: bytes, body: bytes) -> None:
        """Send an answer, unless the client went away."""
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        if not self.transport.is_closing():
            self.transport.write(head + body)


def serve() -> None:
    """Print the URL, and serve until standard input is closed."""
    uvloop.run(_serve())


async def _serve() -> None:
    loop, state = asyncio.get_running_loop(), State()
    state.set({})
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()

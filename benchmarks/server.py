"""A fast service for benchmarks: says what it was asked, after a set time, up to a set capacity.

    python benchmarks/server.py

It listens on a free loopback port, which it prints, until its standard input is closed. A request
that would be one more in flight than the capacity gets 429 at once. ``POST /control`` with
``{"latency": 0.2, "capacity": 20}`` sets it up and clears its counts; ``GET /counts`` tells them.
It speaks just enough HTTP/1.1 for clients that send a Content-Length, and nothing else.
"""

import asyncio
import json
import sys
from typing import Any

from attrs import asdict, define, field


@define
class State:
    """How the service behaves, and what it saw."""

    latency: float = 0.0
    capacity: int = 1_000_000
    in_flight: int = 0
    peak: int = 0
    requests: int = 0
    records: int = 0
    refused: int = 0
    # When each request was answered well [s by the loop's clock].
    answered: list[float] = field(factory=list)


class Connection(asyncio.Protocol):
    """One connection; its requests come one after the other."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        size = 0
        for line in head.split(b"\r\n"):
            if line[:15].lower() == b"content-length:":
                size = int(line[15:])
        if len(rest) >= size:
            self.buffer = rest[size:]
            self.handle(head.split(b" ", 2)[1], rest[:size])

    def handle(self, path: bytes, body: bytes) -> None:
        """Route a request."""
        state = self.state
        if path == b"/counts":
            self.answer(b"200 OK", asdict(state))
        elif path == b"/control":
            fresh = State(**json.loads(body))
            for name in ("latency", "capacity", "peak", "requests", "records", "refused"):
                setattr(state, name, getattr(fresh, name))
            state.answered.clear()
            self.answer(b"200 OK", {})
        else:
            self.read(json.loads(body)["records"])

    def read(self, records: list[dict[str, Any]]) -> None:
        """Read records after the latency, or refuse them at once."""
        state = self.state
        state.requests += 1
        if state.in_flight >= state.capacity:
            state.refused += 1
            status = {"code": 429, "text": "too many requests"}
            self.answer(b"429 Too Many Requests", {"status": status})
            return
        state.in_flight += 1
        state.records += len(records)
        state.peak = max(state.peak, state.in_flight)
        asyncio.get_running_loop().call_later(state.latency, self.finish, records)

    def finish(self, records: list[dict[str, Any]]) -> None:
        """Answer a request that was read."""
        self.state.in_flight -= 1
        self.state.answered.append(asyncio.get_running_loop().time())
        rows = [{"_id": r["_id"], "_ocr": {"full_text": "read", "texts": []}} for r in records]
        self.answer(b"200 OK", {"records": rows, "status": {"code": 200, "text": "OK"}})

    def answer(self, status: bytes, document: Any) -> None:
        """Send an answer, unless the client went away."""
        body = json.dumps(document).encode()
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        if not self.transport.is_closing():
            self.transport.write(head + body)


async def main() -> None:
    """Serve until standard input is closed."""
    loop, state = asyncio.get_running_loop(), State()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())

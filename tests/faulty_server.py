"""A server on a real socket that answers as a test tells it to, down to the byte."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream
from attrs import define, field

Behaviour = Callable[["Connection"], Awaitable[None]]


@define
class Connection:
    """One connection of a client's."""

    stream: SocketStream
    received: bytes = b""

    async def read_request(self) -> bytes:
        """Read one whole request; return its body."""
        while b"\r\n\r\n" not in self.received:
            self.received += await self.stream.receive()
        head, _, body = self.received.partition(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(body) < size:
            body += await self.stream.receive()
        self.received = b""
        return body

    async def answer(self, body: bytes, *, status: str = "200 OK", more: str = "") -> None:
        """Send one whole answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        await self.stream.send(head.encode() + body)

    async def reset(self) -> None:
        """Cut the line without a goodbye."""
        raw = self.stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.stream.aclose()


@define
class FaultyServer:
    """Where it listens, and how many connections came."""

    url: str
    connections: int = field(default=0)


@asynccontextmanager
async def faulty_server(behave: Behaviour) -> AsyncIterator[FaultyServer]:
    """Serve on a free loopback port; each connection behaves as told and is then closed."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    server = FaultyServer(f"http://127.0.0.1:{port}")

    async def handle(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            # The client may go away at any moment, as clients do.
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await behave(Connection(stream))

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield server
        group.cancel_scope.cancel()

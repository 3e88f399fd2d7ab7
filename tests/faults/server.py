"""A server on a real socket that answers as it is told, down to the byte, and keeps books."""

import json
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, TypeAlias

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, SocketStream
from anyio.streams.tls import TLSStream
from attrs import define, field

Behaviour: TypeAlias = Callable[["Connection"], Awaitable[None]]
Row: TypeAlias = dict[str, Any]
Way: TypeAlias = Literal["open", "refused", "blackhole"]
"""What becomes of those who connect: "refused" is a bound port on which nobody listens, and
"blackhole" one whose queue is full, so that the kernel drops every packet."""

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""How it shows that the client went away, as clients do at any moment; failed handshakes too."""


@define(eq=False)
class FaultyServer:
    """Where it listens, what it saw, and what it bills.

    Attributes:
        url: Where it listens.
        tls: Context with which it speaks TLS. None for plain HTTP.
        connections: Number of connections that were made.
        open: Number of connections that are open now.
        most_open: Highest number of connections that were open at once, while a request came.
        requests: Number of requests that came whole.
        in_flight: Number of requests of which a byte came and that are not over.
        most_in_flight: Highest number of requests in flight at once.
        bills: How often each image was paid for, by its name.
        overheard: What passed through the server where it is a proxy.
        is_healed: Whether every request is answered well from now on.
    """

    url: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    bills: Counter[str] = field(factory=Counter)
    overheard: bytearray = field(factory=bytearray, repr=False)
    is_healed: bool = False
    _open_way: Callable[[], None] = field(init=False, default=lambda: None, repr=False)
    _needed: int = field(init=False, default=0)
    _met: anyio.Event = field(init=False, factory=anyio.Event, repr=False)

    def heal(self) -> None:
        """Answer every request well from now on, and let everybody connect."""
        self.is_healed = True
        self._open_way()

    def gather(self, requests: int) -> None:
        """Hold answers back once, until so many *requests* are in flight side by side."""
        self._needed, self._met = requests, anyio.Event()

    async def meet(self) -> None:
        """Wait for the others that were asked for."""
        if self.in_flight >= self._needed:
            self._needed = 0
            self._met.set()
        await self._met.wait()


@define(eq=False, repr=False)
class Connection:
    """One connection of a client.

    Attributes:
        raw: The connection itself.
        server: The server to which it was made.
        number: Its place among the server's connections, counted from 1.
        stream: What the request comes over: TLS, or the connection itself.
        received: Bytes that came and were not read yet.
    """

    raw: ByteStream
    server: FaultyServer
    number: int
    stream: ByteStream = field(init=False)
    received: bytes = b""
    _is_busy: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.stream = self.raw

    async def secure(self) -> None:
        """Shake hands, if the server speaks TLS and did not yet; no goodbye will be said in it."""
        if self.server.tls is not None and self.stream is self.raw:
            self.stream = await TLSStream.wrap(
                self.raw, server_side=True, ssl_context=self.server.tls, standard_compatible=False
            )

    def overhear(self) -> None:
        """Be a proxy: what comes from now on is beyond it, in TLS of its own or in none."""
        self.raw = self.stream = _Overheard(self.stream, self.server.overheard)

    # ---- in

    async def receive(self) -> bytes:
        """Receive what comes next; count a request that begins with it."""
        data = await self.stream.receive()
        if not self._is_busy:
            self._is_busy = True
            self.server.in_flight += 1
            self.server.most_in_flight = max(self.server.most_in_flight, self.server.in_flight)
            # Not as soon as it is made, for the end of another one is heard no sooner.
            self.server.most_open = max(self.server.most_open, self.server.open)
        return data

    async def read_head(self) -> int:
        """Read up to the body of the next request; return the body's size [bytes]."""
        while b"\r\n\r\n" not in self.received:
            self.received += await self.receive()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        return next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))

    async def read_body(self, size: int) -> bytes:
        """Read the *size* [bytes] of a body."""
        body = bytearray(self.received)
        while len(body) < size:
            body += await self.receive()
        # A client that was answered early may have sent its next request by now.
        self.received = bytes(body[size:])
        self.server.requests += 1
        return bytes(body[:size])

    async def read_request(self) -> bytes:
        """Read one whole request; return its body."""
        return await self.read_body(await self.read_head())

    async def take(self) -> list[Row]:
        """Read one whole request; return its records."""
        await self.secure()
        rows: list[Row] = json.loads(await self.read_request())["records"]
        return rows

    def bill(self, rows: list[Row]) -> None:
        """Have the records paid for."""
        self.server.bills.update(row["name"] for row in rows)

    async def work(self, seconds: float) -> None:
        """Take *seconds* [s] over a request, or less if its client goes away."""
        with anyio.move_on_after(seconds):
            self.received += await self.stream.receive()

    # ---- out

    async def answer(self, body: bytes, *, status: str = "200 OK", more: str = "") -> None:
        """Send one whole answer."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.finish()
        await self.stream.send(head.encode() + body)

    def finish(self) -> None:
        """Count the request as over."""
        self.server.in_flight -= self._is_busy
        self._is_busy = False

    async def close(self) -> None:
        """Close the line, with the goodbye of TCP but not with that of TLS."""
        await self.raw.aclose()

    async def reset(self) -> None:
        """Cut the line without a goodbye."""
        raw = self.raw.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.raw.aclose()

    async def stall(self) -> None:
        """Say nothing more, until the client goes away."""
        while True:
            await self.raw.receive()

    async def read_nothing(self) -> None:
        """Leave what comes to the kernel; that the client goes away will not be seen."""
        self.server.open -= 1
        # On asyncio, anyio reads ahead of who accepted a connection.
        if transport := getattr(self.raw, "_transport", None):
            transport.pause_reading()
        try:
            await anyio.sleep_forever()
        finally:
            self.server.open += 1


@define(eq=False)
class _Overheard(ByteStream):
    """A stream that keeps what comes."""

    stream: ByteStream
    heard: bytearray

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await self.stream.receive(max_bytes)
        self.heard += data
        return data

    async def send(self, item: bytes) -> None:
        await self.stream.send(item)

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def attend(server: FaultyServer, behave: Behaviour, stream: SocketStream) -> None:
    """Have a connection to the server behave as told, and close it."""
    server.connections += 1
    server.open += 1
    connection = Connection(stream, server, server.connections)
    try:
        async with stream:
            with suppress(*GONE):
                await behave(connection)
    finally:
        connection.finish()
        server.open -= 1


@asynccontextmanager
async def faulty_server(
    behave: Behaviour,
    *,
    tls: ssl.SSLContext | None = None,
    way: Way = "open",
    window: int | None = None,
) -> AsyncIterator[FaultyServer]:
    """Serve on a free loopback port; each connection behaves as told and is then closed.

    Args:
        behave: What a connection does.
        tls: To speak TLS with, where a connection's behaviour begins with ``secure()``.
        way: What becomes of those who connect, until the server is healed.
        window: [bytes] that the kernel receives ahead of the server, about; else its own choice.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if window is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    listening.bind(("127.0.0.1", 0))
    listening.settimeout(0)
    port = listening.getsockname()[1]
    server = FaultyServer(f"http{'' if tls is None else 's'}://127.0.0.1:{port}", tls)
    crowd = _fill_queue(listening) if way == "blackhole" else []

    async def serve() -> None:
        async with await SocketListener.from_socket(listening) as listener:
            await listener.serve(partial(attend, server, behave))

    async with anyio.create_task_group() as group:

        def open_way() -> None:
            server._open_way = lambda: None
            for idler in crowd:
                idler.close()
            listening.listen(128)
            group.start_soon(serve)

        server._open_way = open_way
        if way == "open":
            open_way()
        yield server
        group.cancel_scope.cancel()
    listening.close()


def _fill_queue(listening: socket.socket) -> list[socket.socket]:
    """Let so many connect that there is no room for more; return them."""
    listening.listen(0)
    crowd = [socket.socket() for _ in range(3)]
    for idler in crowd:
        idler.settimeout(0)
        with suppress(BlockingIOError):
            idler.connect(listening.getsockname())
    return crowd

"""The service behind the programs: it bills, works, answers, and loses answers as it is told."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext

import anyio
from anyio.abc import SocketListener, TaskGroup
from attrs import define, field

from tests.faults.server import Behaviour, Connection, FaultyServer, Row, attend
from tests.faults.steps import reply_to
from tests.wire.programs import free_port

EVERY = 20
"""Of so many requests one loses its answer, where answers are lost: 5 %."""

GRACE = 0.5
"""[s] for which a server that goes still answers over its connections. Whoever closes them at once
closes some of them just as a request comes."""


@define(eq=False)
class Backend(FaultyServer):
    """A server that can go away for a while, and come back.

    Attributes:
        behave: What a connection does.
        group: Runs the connections.
        port: Where it listens.
        lost: Names of the images of which it lost an answer after it had billed them.
        losses: Number of answers that it lost.
        is_here: Whether it listens.
    """

    behave: Behaviour = field(kw_only=True)
    group: TaskGroup = field(kw_only=True)
    port: int = field(kw_only=True)
    lost: set[str] = field(factory=set)
    losses: int = 0
    is_here: bool = False
    _due: int = field(init=False, default=EVERY // 2)
    _known: set[Connection] = field(init=False, factory=set)
    _accepting: anyio.CancelScope = field(init=False, factory=anyio.CancelScope, repr=False)

    def come(self) -> None:
        """Begin to listen."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(128)
        listening.settimeout(0)
        self._accepting, self.is_here = anyio.CancelScope(), True
        self.group.start_soon(self._accept, listening, self._accepting)

    async def _accept(self, listening: socket.socket, scope: anyio.CancelScope) -> None:
        with scope:
            async with await SocketListener.from_socket(listening) as listener:
                await listener.serve(partial(attend, self, self.behave), self.group)

    async def go(self) -> None:
        """Listen no more, answer what still comes over open connections, and close them."""
        self._accepting.cancel()
        self.is_here = False
        with anyio.move_on_after(GRACE):
            while self.open:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.005)
        for connection in [*self._known]:
            await connection.close()

    async def serve(self, connection: Connection, seconds: float, *, loses: bool) -> None:
        """Serve the requests of a connection, until an answer is lost or the server goes."""
        self._known.add(connection)
        try:
            while True:
                rows = await connection.take()
                if loses and self._is_due(rows):
                    await self._lose(connection, rows, seconds)
                    return
                connection.bill(rows)
                await connection.work(seconds)
                more = "" if self.is_here else "Connection: close\r\n"
                await connection.answer(json.dumps(reply_to(rows)).encode(), more=more)
                if more:
                    return
        finally:
            self._known.discard(connection)

    def _is_due(self, rows: list[Row]) -> bool:
        # An image that loses two answers ends as a failure, and rightly so.
        if self.requests < self._due or self.lost & {row["name"] for row in rows}:
            return False
        self._due += EVERY
        return True

    async def _lose(self, connection: Connection, rows: list[Row], seconds: float) -> None:
        self.losses += 1
        if self.losses % 2:
            connection.bill(rows)
            await connection.work(seconds)
            end = connection.close
        else:
            await connection.work(seconds)
            connection.bill(rows)
            end = connection.reset
        self.lost |= {row["name"] for row in rows}
        await end()


def serves(seconds: float, *, loses: bool = False) -> Behaviour:
    """Serve each request in so many *seconds* [s].

    Args:
        seconds: [s] that a request takes.
        loses: Whether some requests are billed and their connection breaks off after that time.
            By turns they are billed at its beginning, and at its very end.
    """

    async def behave(connection: Connection) -> None:
        assert isinstance(connection.server, Backend)
        await connection.server.serve(connection, seconds, loses=loses)

    return behave


@asynccontextmanager
async def serving(behave: Behaviour, *, tls: SSLContext | None = None) -> AsyncIterator[Backend]:
    """Serve on a loopback port; each connection behaves as told and is then closed."""
    port = free_port()
    url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
    async with anyio.create_task_group() as group:
        backend = Backend(url, tls, behave=behave, group=group, port=port)
        backend.come()
        yield backend
        group.cancel_scope.cancel()

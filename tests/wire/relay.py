"""A relay before a program, which overhears all that clients say to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketStream
from attrs import define, field

from tests.faults.server import GONE


@define(eq=False)
class Relay:
    """Where it listens, where to it leads, and what it heard. Lives as long as its block."""

    to: int
    port: int = 0
    heard: bytearray = field(factory=bytearray, repr=False)

    async def attend(self, client: SocketStream) -> None:
        """Pass on what either side says, until one of them goes."""
        async with client:
            with suppress(*GONE):
                async with await anyio.connect_tcp("127.0.0.1", self.to) as server:
                    await self._join(client, server)

    async def _join(self, client: SocketStream, server: SocketStream) -> None:
        async with anyio.create_task_group() as group:

            async def carry(source: SocketStream, sink: SocketStream) -> None:
                with suppress(*GONE):
                    async for data in source:
                        if source is client:
                            self.heard += data
                        await sink.send(data)
                group.cancel_scope.cancel()

            group.start_soon(carry, client, server)
            group.start_soon(carry, server, client)


@asynccontextmanager
async def overhearing(to: int) -> AsyncIterator[Relay]:
    """Relay connections to the port *to*, until the block is left."""
    relay = Relay(to)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        async with anyio.create_task_group() as group:
            relay.port = listener.extra(anyio.abc.SocketAttribute.local_port)
            group.start_soon(listener.serve, relay.attend)
            yield relay
            group.cancel_scope.cancel()

"""Relays on this machine: TLS before a server of plain HTTP, and a proxy that opens tunnels."""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from ssl import SSLContext
from typing import TypeVar
from urllib.parse import quote, urlsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.from_thread import start_blocking_portal
from anyio.streams.tls import TLSListener
from attrs import define, field

from tests.faults.certificates import identity
from tests.faults.server import GONE

T = TypeVar("T")

PASSWORD = "p/ss w0rd"
"""What the proxy asks for."""


@define
class Proxy:
    """A proxy whose tunnels all end at the same port of this machine.

    Attributes:
        url: Where it listens, with user and password.
        heads: What it was asked for.
        carried: All that clients said in its tunnels.
    """

    url: str
    heads: list[bytes] = field(factory=list)
    carried: bytearray = field(factory=bytearray)


@asynccontextmanager
async def secured(plain_url: str, name: str = "127.0.0.1") -> AsyncIterator[str]:
    """Speak TLS as *name* for the server at *plain_url*; yield the address."""

    async def carry(client: ByteStream) -> None:
        await _exchange(client, _port(plain_url), bytearray())

    async with _listening(carry, identity(name)) as port:
        yield f"https://{name}:{port}"


@asynccontextmanager
async def proxy(target_url: str) -> AsyncIterator[Proxy]:
    """Be a proxy that opens tunnels to the port of *target_url*, for one user."""
    word = b64encode(f"user:{PASSWORD}".encode())

    async def tunnel(client: ByteStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await client.receive()
        opened.heads.append(head)
        if b"Proxy-Authorization: Basic " + word not in head:
            await client.send(b"HTTP/1.1 407 Who asks?\r\nContent-Length: 0\r\n\r\n")
            return
        await client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await _exchange(client, _port(target_url), opened.carried)

    async with _listening(tunnel) as port:
        opened = Proxy(f"http://user:{quote(PASSWORD, safe='')}@127.0.0.1:{port}")
        yield opened


@contextmanager
def beside(relay: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a relay in an event loop of its own, in a thread."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(relay) as value:
        yield value


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


@asynccontextmanager
async def _listening(
    handle: Callable[[ByteStream], Awaitable[None]], tls: SSLContext | None = None
) -> AsyncIterator[int]:
    async def serve(client: ByteStream) -> None:
        async with client:
            with suppress(*GONE):
                await handle(client)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        server = TLSListener(listener, tls, standard_compatible=False) if tls else listener
        group.start_soon(server.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def _exchange(client: ByteStream, port: int, said: bytearray) -> None:
    """Carry bytes between *client* and a *port* here, until either ends; keep what is *said*."""
    async with (
        await anyio.connect_tcp("127.0.0.1", port) as server,
        anyio.create_task_group() as group,
    ):

        async def carry(source: ByteStream, target: ByteStream) -> None:
            with suppress(*GONE):
                async for piece in source:
                    if source is client:
                        said.extend(piece)
                    await target.send(piece)
            group.cancel_scope.cancel()

        group.start_soon(carry, client, server)
        await carry(server, client)

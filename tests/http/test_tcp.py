"""Connecting on real sockets: names, several addresses, and what the kernel tells."""

import socket
from typing import Any

import anyio
import pytest

from ximilar_ocr_async._http import tcp
from ximilar_ocr_async._http.tcp import TCPStream, connect, receive

pytestmark = pytest.mark.anyio

NOWHERE = "127.0.0.2"
"""Nobody listens on this address of the loopback."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


@pytest.fixture
def listener() -> Any:
    """Give a socket that listens on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""

    async def answer(_: str, port: int, **_more: object) -> list[Any]:
        families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in addresses]
        return [(f, 1, 6, "", (a, port)) for f, a in zip(families, addresses, strict=True)]

    monkeypatch.setattr(anyio, "getaddrinfo", answer)


async def test_bytes_go_there_and_come_back(listener: socket.socket) -> None:
    """What is sent arrives, and at the end there are no bytes."""
    stream = await connect("127.0.0.1", listener.getsockname()[1])
    peer, _ = listener.accept()
    with peer:
        assert stream.receive_nowait() is None
        await stream.send(b"hello", 5.0)
        assert peer.recv(100) == b"hello"
        peer.sendall(b"well")
        assert await receive(stream, 5.0) == b"well"
    assert await receive(stream, 5.0) == b""
    stream.close()


async def test_a_peer_that_reads_nothing_is_given_up(listener: socket.socket) -> None:
    """Sending ends with a timeout once nothing more leaves."""
    stream = await connect("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(TimeoutError):
        await stream.send(bytes(30_000_000), 0.05)
    with pytest.raises(TimeoutError):
        await receive(stream, 0.05)
    stream.close()


async def test_the_kernel_tells_what_was_acknowledged(listener: socket.socket) -> None:
    """Bytes that the other side has taken are counted, where the system counts them."""
    stream = await connect("127.0.0.1", listener.getsockname()[1])
    before = stream.acknowledged()
    await stream.send(b"hello", 5.0)
    peer, _ = listener.accept()
    with peer:
        assert peer.recv(100) == b"hello"
        after = stream.acknowledged()
    assert before is None or (after is not None and after - before == len(b"hello"))
    stream.close()
    assert stream.acknowledged() is None


@pytest.mark.parametrize("told", [b"", AttributeError()], ids=["old", "none"])
def test_what_no_kernel_tells_is_unknown(told: bytes | Exception) -> None:
    """Where the system does not count what the other side has taken, that stays unknown."""

    class Socket:
        def getsockopt(self, *_: int) -> bytes:
            if isinstance(told, Exception):
                raise told
            return told

    socket_: Any = Socket()
    assert TCPStream(socket_).acknowledged() is None


async def test_a_refused_connection_says_so() -> None:
    """The error is the system's own, not one about attempts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", port)


async def test_the_first_address_that_accepts_is_used(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may have addresses where nobody listens."""
    resolve_to(monkeypatch, NOWHERE, "::1", "127.0.0.1")
    stream = await connect("service.example", listener.getsockname()[1])
    assert stream._socket.getpeername() == listener.getsockname()
    stream.close()


async def test_of_two_that_accept_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses that accept in the same turn give one connection, and the other is closed."""
    made: list[socket.socket] = []
    both = anyio.Event()

    async def accept(_: object) -> socket.socket:
        made.append(socket.socket())
        one = made[-1]
        if len(made) == 1:
            await both.wait()
        both.set()
        return one

    monkeypatch.setattr(tcp, "HEAD_START", 0.0)
    monkeypatch.setattr(tcp, "_connect", accept)
    resolve_to(monkeypatch, "127.0.0.1", "127.0.0.1")
    stream = await connect("service.example", 443)
    assert sorted(one.fileno() < 0 for one in made) == [False, True]
    stream.close()


async def test_where_nobody_accepts_the_first_error_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name with several addresses fails as its first address does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    resolve_to(monkeypatch, NOWHERE, "127.0.0.1")
    with pytest.raises(ConnectionRefusedError):
        await connect("service.example", port)


async def test_connecting_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts under way leave no socket behind, which would warn."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        idlers = [socket.socket() for _ in range(4)]
        for idler in idlers:
            idler.settimeout(0)
            idler.connect_ex(full.getsockname())
        resolve_to(monkeypatch, "127.0.0.1", "127.0.0.1")
        with anyio.move_on_after(0.05) as scope:
            await connect("service.example", full.getsockname()[1])
        assert scope.cancelled_caught
        for idler in idlers:
            idler.close()


async def test_addresses_of_both_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One family that leads nowhere does not hold up the other."""
    resolve_to(monkeypatch, "10.0.0.1", "10.0.0.2", "::1", "::2", "::3")
    found = await tcp._resolve("service.example", 443)
    assert [address[0] for _, address in found] == ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]
    assert await tcp._resolve("::1", 443) == [(socket.AF_INET6, ("::1", 443))]

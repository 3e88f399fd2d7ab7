"""TCP on plain sockets: bytes out and in, with nothing read ahead and nothing held back.

The event loops' own streams read ahead. On asyncio they also drop what lies unread when a write
fails, and with it the response that says why.
"""

import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, Protocol, TypeAlias

import anyio
from attrs import define

PIECE = 64 * 1024
"""How much is read at once [bytes]."""

HEAD_START = 0.25
"""How long [s] an address is tried alone before the next one is tried, too [RFC 8305, 8]."""

_BYTES_ACKED_SIZE = 8
_BYTES_ACKED = slice(120, 120 + _BYTES_ACKED_SIZE)
"""The position of tcpi_bytes_acked in Linux's TCP_INFO [linux/tcp.h, since 4.1]."""

_Address: TypeAlias = tuple[int, Any]
"""The family and the address of a socket."""


class Stream(Protocol):
    """Bytes to and from another side: over TCP, or over TLS on another stream."""

    async def send(self, data: bytes, seconds: float) -> None:
        """Send *data*; raise `TimeoutError` if none of it leaves for *seconds*."""
        ...

    def receive_nowait(self) -> bytes | None:
        """Return what has arrived; None if nothing has, and no bytes at the end."""
        ...

    async def wait_readable(self) -> None:
        """Wait until something has arrived, which need not be for whoever reads."""
        ...

    def acknowledged(self) -> int | None:
        """Return how many bytes the other side has acknowledged; None if that is unknown."""
        ...

    def close(self) -> None:
        """Close at once."""
        ...


async def receive(stream: Stream, seconds: float) -> bytes:
    """Return what arrives next, or no bytes at the end.

    Raises:
        TimeoutError: Nothing arrived for *seconds*.
    """
    while (data := stream.receive_nowait()) is None:
        with anyio.fail_after(seconds):
            await stream.wait_readable()
    return data


@define(eq=False)
class TCPStream:
    """A connected socket. It must not block."""

    _socket: socket.socket

    async def send(self, data: bytes, seconds: float) -> None:
        """Send *data*; raise `TimeoutError` if none of it leaves for *seconds*."""
        left = memoryview(data)
        # It may hold the token, and locals of tracebacks are shown.
        del data
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                with anyio.fail_after(seconds):
                    await anyio.wait_writable(self._socket)

    def receive_nowait(self) -> bytes | None:
        """Return what has arrived; None if nothing has, and no bytes at the end."""
        try:
            return self._socket.recv(PIECE)
        except BlockingIOError:
            return None

    async def wait_readable(self) -> None:
        """Wait until something has arrived, or the end has."""
        await anyio.wait_readable(self._socket)

    def acknowledged(self) -> int | None:
        """Return how many bytes the other side has acknowledged; None if the system cannot tell."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
        except (AttributeError, OSError):  # not Linux, or closed
            return None
        acked = info[_BYTES_ACKED]
        return int.from_bytes(acked, sys.byteorder) if len(acked) == _BYTES_ACKED_SIZE else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


async def connect(host: str, port: int) -> TCPStream:
    """Connect to the first address of *host* that accepts; try its addresses side by side.

    Raises:
        OSError: The name has no address, or none of its addresses accepts. The error of the first
            address that failed is raised.
    """
    first, *others = await _resolve(host, port)
    if not others:
        return TCPStream(await _connect(first))
    sockets: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(address: _Address, failed: anyio.Event) -> None:
        try:
            sockets.append(await _connect(address))
            group.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
            failed.set()

    try:
        async with anyio.create_task_group() as group:
            for address in (first, *others):
                failed = anyio.Event()
                group.start_soon(attempt, address, failed)
                with anyio.move_on_after(HEAD_START):
                    await failed.wait()
    except BaseException:
        _close(sockets)
        raise
    if not sockets:
        raise errors[0]
    # Two may have accepted in the same turn of the loop.
    _close(sockets[1:])
    return TCPStream(sockets[0])


async def _resolve(host: str, port: int) -> list[_Address]:
    """Return the addresses of *host*, those of the two families in turn [RFC 8305, 4]."""
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
    except ValueError:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(_interleave([(int(family), address) for family, *_, address in found]))
    return [(int(family), (host, port))]


def _interleave(found: list[_Address]) -> Iterator[_Address]:
    six = [address for address in found if address[0] == socket.AF_INET6]
    rest = [address for address in found if address[0] != socket.AF_INET6]
    return (each for each in chain.from_iterable(zip_longest(six, rest)) if each is not None)


async def _connect(where: _Address) -> socket.socket:
    family, address = where
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.settimeout(0)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            connecting.connect(address)
        except BlockingIOError:
            await anyio.wait_writable(connecting)
            if number := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(number, os.strerror(number)) from None
    except BaseException:
        connecting.close()
        raise
    return connecting


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()

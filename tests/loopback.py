"""A web server on this machine that has one answer for all."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import define, field


def answer(body: bytes, status: str = "200 OK") -> bytes:
    """Return an answer of HTTP."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@define
class Site:
    """A web server on 127.0.0.1 that gives all the same *answer*, and keeps what it was asked.

    Lives as long as its ``with`` block; without an answer it says nothing until the end of it.
    """

    answer: bytes | None
    asked: list[bytes] = field(factory=list)
    # Set when the first request has come.
    heard: threading.Event = field(factory=threading.Event)
    connections: int = 0
    _listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _over: threading.Event = field(factory=threading.Event)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def url(self, host: str = "127.0.0.1") -> str:
        """Return the address of a page of this site, called *host*."""
        return f"http://{host}:{self.port}/image.png"

    @contextmanager
    def open(self) -> Iterator["Site"]:
        """Answer until the block is left."""
        thread = threading.Thread(target=self._accept)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            socket.create_connection(("127.0.0.1", self.port)).close()
            thread.join()
            self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._over.is_set():
                    return
                self.connections += 1
                # The client may have left.
                with suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        self.asked.append(_request(connection))
        self.heard.set()
        if self.answer is None:
            self._over.wait()
        else:
            connection.sendall(self.answer)


def _request(connection: Any) -> bytes:
    """Return a request with its body."""
    asked = b""
    while piece := connection.recv(65536):
        asked += piece
        head, end, body = asked.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return asked

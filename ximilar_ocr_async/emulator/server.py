"""The local service on a loopback port, in the current thread or in one of its own."""

import logging
import socket
import struct
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.emulator.callers import LOCAL, Callers
from ximilar_ocr_async.testing.service import Service

HOST = "127.0.0.1"

MAX_CONNECTIONS = 512
"""The most connections at a time, and the most requests. Source: judgement; on most systems a
process may have 1,024 open files."""

TIMEOUTS = {"head": 10.0, "body": 60.0, "response": 60.0}
"""How long the parts of a request may take to come [s], the head from when the connection is free,
and how long a response that is sent may take to be received. Source: judgement; on one machine the
longest of them takes a second."""

MAX_UNRECEIVED = 512 * 1024 * 1024
"""The most bytes of responses that are held for clients that do not receive them."""

IDLE_TIMEOUT = 5
"""How long a connection is kept between requests [s]. Source: uvicorn's default."""

AT_ONCE = struct.pack("ii", 1, 0)
"""Says that a socket is closed without waiting for what was sent to be received."""

INCOMPLETE_RESPONSE = "ASGI callable returned without completing response."
"""What uvicorn logs as an error when a response is cut off."""


def bind(port: int = 0) -> tuple[socket.socket, str]:
    """Bind a loopback *port*, or any free one if it is 0; return the socket and its URL."""
    if port not in range(65536):
        # Checked here because create_server would leave its socket open.
        raise OSError(f"port is {port}, allowed are 0 to 65535")
    listener = socket.create_server((HOST, port))
    return listener, f"http://{HOST}:{listener.getsockname()[1]}"


def serve_until_interrupted(
    service: Service, listener: socket.socket, callers: Callers = LOCAL
) -> None:
    """Serve *callers* on *listener* in the current thread until Ctrl-C is pressed."""
    with suppress(KeyboardInterrupt):
        _server(service, callers).run(sockets=[listener])


@contextmanager
def serving(service: Service, callers: Callers = LOCAL) -> Generator[str]:
    """Serve *callers* in a thread on a free port; yield the URL.

    On exit, requests that are still in progress are dropped, because nobody waits for them.
    """
    listener, url = bind()
    server = _server(service, callers, shutdown_timeout=0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield url
    finally:
        # uvicorn logs dropped requests as errors.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        thread.join()
        listener.close()


def make_server(application: Any, *, shutdown_timeout: int | None = None) -> uvicorn.Server:
    """Make a server of bounded connections. It does not log requests, which may contain secrets.

    Args:
        application: ASGI application to serve.
        shutdown_timeout: How long shutdown waits for requests in progress [s]. None waits until
            they are finished.
    """
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=_Protocol,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS + 1,  # which uvicorn counts as too many
            timeout_keep_alive=IDLE_TIMEOUT,
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=shutdown_timeout,
        )
    )


class _Protocol(H11Protocol):
    """A connection that is closed if it is one too many, or if something on it takes too long.

    uvicorn limits only how many requests there are, and how long a connection is idle.
    """

    _awaited: str | None = None
    _is_stuck = False
    _timer: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Look at what is still to come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the rest of one that has come already."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait until the client has received what was sent."""
        super().pause_writing()
        self._is_stuck = True
        self._watch()
        # uvicorn's set of all connections, each one of this class.
        peers: Any = self.connections
        if sum(peer.transport.get_write_buffer_size() for peer in peers) > MAX_UNRECEIVED:
            self._let_go()

    def resume_writing(self) -> None:
        """Wait no longer for the client to receive."""
        super().resume_writing()
        self._is_stuck = False
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Limit how long the next part of a request may take."""
        awaited = self._next_part()
        if awaited != self._awaited:
            self._stop()
            self._awaited = awaited
            if awaited is not None:
                self._timer = self.loop.call_later(TIMEOUTS[awaited], self._let_go)

    def _let_go(self) -> None:
        # Else the system would go on to hold what the client does not receive.
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _next_part(self) -> str | None:
        if self._is_stuck:
            return "response"
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else None

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _server(
    service: Service, callers: Callers, *, shutdown_timeout: int | None = None
) -> uvicorn.Server:
    if service.faults.lost_replies or service.faults.lost_submits:
        logging.getLogger("uvicorn.error").addFilter(_is_unplanned)
    return make_server(app(service, callers=callers), shutdown_timeout=shutdown_timeout)


def _is_unplanned(record: logging.LogRecord) -> bool:
    return record.msg != INCOMPLETE_RESPONSE

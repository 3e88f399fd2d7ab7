"""The local service on a loopback port, in the current thread or in one of its own."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn

from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.testing.service import Service

HOST = "127.0.0.1"

INCOMPLETE_RESPONSE = "ASGI callable returned without completing response."
"""What uvicorn logs as an error when a response is cut off."""


def bind(port: int = 0) -> tuple[socket.socket, str]:
    """Bind a loopback *port*, or any free one if it is 0; return the socket and its URL."""
    if port not in range(65536):
        # Checked here because create_server would leave its socket open.
        raise OSError(f"port is {port}, allowed are 0 to 65535")
    listener = socket.create_server((HOST, port))
    return listener, f"http://{HOST}:{listener.getsockname()[1]}"


def serve_until_interrupted(service: Service, listener: socket.socket) -> None:
    """Serve on *listener* in the current thread until Ctrl-C is pressed."""
    with suppress(KeyboardInterrupt):
        _server(service).run(sockets=[listener])


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve in a thread on a free port; yield the URL.

    On exit, requests that are still in progress are dropped, because nobody waits for them.
    """
    listener, url = bind()
    server = _server(service, shutdown_timeout=0)
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
    """Make a server that does not log requests, because they may contain secrets.

    Args:
        application: ASGI application to serve.
        shutdown_timeout: How long shutdown waits for requests in progress [s]. None waits until
            they are finished.
    """
    return uvicorn.Server(
        uvicorn.Config(
            application,
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=shutdown_timeout,
        )
    )


def _server(service: Service, *, shutdown_timeout: int | None = None) -> uvicorn.Server:
    if service.faults.lost_replies or service.faults.lost_submits:
        logging.getLogger("uvicorn.error").addFilter(_is_unplanned)
    return make_server(app(service), shutdown_timeout=shutdown_timeout)


def _is_unplanned(record: logging.LogRecord) -> bool:
    return record.msg != INCOMPLETE_RESPONSE

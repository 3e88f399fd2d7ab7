"""The local service on a loopback port: in this thread, or beside it in one of its own."""

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

CUT = "ASGI callable returned without completing response."
"""What uvicorn logs as an error when an answer is cut."""


def bind(port: int = 0) -> tuple[socket.socket, str]:
    """Bind a loopback port, 0 being any that is free; return the socket and its URL."""
    if port not in range(65536):
        # Asked first because create_server would leave its socket open.
        raise OSError("a port is 0 to 65535")
    listener = socket.create_server((HOST, port))
    return listener, f"http://{HOST}:{listener.getsockname()[1]}"


def serve_until_interrupted(service: Service, listener: socket.socket) -> None:
    """Serve until interrupted."""
    with suppress(KeyboardInterrupt):
        _server(service).run(sockets=[listener])


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve in a thread on a free port; yield the URL.

    At the end, requests that are being answered are dropped, for nobody waits for them any more.
    """
    listener, url = bind()
    server = _server(service, outage_timeout=0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield url
    finally:
        # uvicorn calls it an error that requests are dropped.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.should_exit = True
        thread.join()
        listener.close()


def make_server(application: Any, *, outage_timeout: int | None = None) -> uvicorn.Server:
    """Make a server of an ASGI application that logs no requests, for they may hold secrets.

    Args:
        application: Of this program.
        outage_timeout: [s] that requests which are being answered get at the end; untold, any.
    """
    return uvicorn.Server(
        uvicorn.Config(
            application,
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=outage_timeout,
        )
    )


def _server(service: Service, *, outage_timeout: int | None = None) -> uvicorn.Server:
    if service.faults.lost_replies or service.faults.lost_submits:
        logging.getLogger("uvicorn.error").addFilter(_is_unplanned)
    return make_server(app(service), outage_timeout=outage_timeout)


def _is_unplanned(record: logging.LogRecord) -> bool:
    return record.msg != CUT

"""The local service on a loopback port: in this thread, or beside it in one of its own."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from ximilar_ocr_async.emulator.service import Service

HOST = "127.0.0.1"


def bind(port: int = 0) -> tuple[socket.socket, str]:
    """Bind a loopback port, 0 being any that is free; return the socket and its URL."""
    listener = socket.create_server((HOST, port))
    return listener, f"http://{HOST}:{listener.getsockname()[1]}"


def serve(service: Service, listener: socket.socket) -> None:
    """Serve until interrupted."""
    _server(service).run(sockets=[listener])


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve in a thread on a free port; yield the URL."""
    listener, url = bind()
    server = _server(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _server(service: Service) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(service.app, log_level="warning", lifespan="off", access_log=False)
    )

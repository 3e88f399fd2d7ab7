"""Real servers for the example backends, each in a thread on a free port of loopback."""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from attrs import frozen
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ximilar_ocr_async.emulator.server import bind

PATIENCE = 30.0
"""[s] after which something that should happen does not."""


@frozen
class Served:
    """An application in a server, and the statuses that it answered with, one for each request."""

    url: str
    http: httpx.Client
    statuses: list[int]
    clients: Callable[[], Collection[object]] = tuple

    @property
    def connections(self) -> int:
        """How many clients are connected; 0 where the server does not tell."""
        return len(self.clients())


def until(happened: Callable[[], object]) -> None:
    """Wait until it has."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextmanager
def client(url: str) -> Iterator[httpx.Client]:
    """Give a client of a server at *url*."""
    # All is plain http; certificates would take time to load.
    with httpx.Client(base_url=url, timeout=PATIENCE, verify=False) as http:  # noqa: S501
        yield http


@contextmanager
def served(app: ASGIApp) -> Iterator[Served]:
    """Serve in a thread on a free port, lifespan and all; drop what is unanswered at the end."""
    statuses: list[int] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["type"] == "http":
                statuses.append(message["status"])
            await send(message)

        await app(scope, receive, note)

    listener, url = bind()
    server = uvicorn.Server(
        uvicorn.Config(watched, log_level="critical", timeout_graceful_shutdown=0)
    )

    def run() -> None:
        with suppress(SystemExit):  # uvicorn's, where the application does not start
            server.run(sockets=[listener])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        if not server.started:
            raise RuntimeError("the application did not start")
        with client(url) as http:
            yield Served(url, http, statuses, lambda: server.server_state.connections)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def served_by_aiohttp(app: Any) -> Iterator[Served]:
    """Serve an aiohttp application as `served` does, and as the example's last line does."""
    web = import_module("aiohttp.web")
    statuses: list[int] = []
    started, stop = threading.Event(), threading.Event()
    listener, url = bind()

    async def note(_: Any, response: Any) -> None:
        statuses.append(response.status)

    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)

    async def serve() -> None:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        started.set()
        while not stop.is_set():  # noqa: ASYNC110 - the event belongs to threads
            await anyio.sleep(0.01)
        await runner.cleanup()

    app.on_response_prepare.append(note)
    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    try:
        until(lambda: started.is_set() or not thread.is_alive())
        with client(url) as http:
            yield Served(url, http, statuses, lambda: runner.server.connections)
    finally:
        stop.set()
        thread.join()
        listener.close()


@contextmanager
def served_by_threads(app: Any) -> Iterator[Served]:
    """Serve a WSGI application with a thread for each request."""
    make_server = import_module("werkzeug.serving").make_server
    statuses: list[int] = []

    def watched(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def note(status: str, *rest: Any) -> Any:
            statuses.append(int(status.split(maxsplit=1)[0]))
            return start_response(status, *rest)

        return app(environ, note)

    server = make_server("127.0.0.1", 0, watched, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with client(url) as http:
            yield Served(url, http, statuses)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def served_flask(module: Any) -> Iterator[Served]:
    """Serve the example with threads, and do at the end what it left for the end of the process."""
    with ExitStack() as at_exit, pytest.MonkeyPatch.context() as patch:
        patch.setattr(atexit, "register", at_exit.callback)
        with served_by_threads(module.create_app()) as backend:
            yield backend


@contextmanager
def served_example(name: str) -> Iterator[Served]:
    """Serve the example backend of that name."""
    module = load_example(name)
    if name == "aiohttp":
        serving = served_by_aiohttp(module.create_app())
    elif name == "flask":
        serving = served_flask(module)
    else:
        serving = served(module.app)
    with serving as backend:
        yield backend


def load_example(name: str) -> Any:
    """Return the module of an example; skip the test if its framework is not installed."""
    pytest.importorskip(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # By name, as uvicorn does; to mypy the examples are no package.
    module = import_module(f"examples.web_{name}")
    # Litestar has made the root logger its own, which the other tests need.
    root.handlers[:] = handlers
    root.setLevel(level)
    return module

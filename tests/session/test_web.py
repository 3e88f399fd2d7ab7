"""The example web backends, each in a real server, with a real client and a local service."""

import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
import uvicorn
from attrs import frozen
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ximilar_ocr_async
from ximilar_ocr_async import OCRSession, RetryPolicy
from ximilar_ocr_async.emulator import asgi
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

PNG = b"\x89PNG\r\n\x1a\n"
HOUR = 3600.0
PATIENCE = 30.0
"""[s] after which something that should happen does not."""


@frozen
class Served:
    """An application in a server, and the statuses that it answered with, one for each request."""

    url: str
    http: httpx.Client
    statuses: list[int]
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self.server.server_state.connections)


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
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        # All is plain http; certificates would take time to load.
        with httpx.Client(base_url=url, timeout=PATIENCE, verify=False) as http:  # noqa: S501
            yield Served(url, http, statuses, server)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def until(happened: Callable[[], object]) -> None:
    """Wait until it has."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


async def fetch(url: str) -> bytes:
    """Fetch an image on which its own address stands."""
    return PNG + url.encode()


class Echo(dict[bytes, str]):
    """Says of each image what comes after its signature."""

    def __missing__(self, image: bytes) -> str:
        return image.removeprefix(PNG).rstrip(b"\0").decode()


@pytest.fixture(params=["fastapi", "litestar", "starlette"])
def app(request: pytest.FixtureRequest) -> ASGIApp:
    """Give the application of each example."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # By name, as uvicorn does; to mypy the examples are no package.
    app: ASGIApp = import_module(f"examples.web_{request.param}").app
    # Litestar has made the root logger its own, which the other tests need.
    root.handlers[:] = handlers
    root.setLevel(level)
    return app


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[OCRSession]:
    """Give all sessions that are made, which send an image once only."""
    made: list[OCRSession] = []

    def make(**options: Any) -> OCRSession:
        made.append(OCRSession(**options, retry=RetryPolicy(attempts=1)))
        return made[-1]

    monkeypatch.setattr(ximilar_ocr_async, "OCRSession", make)
    return made


@pytest.fixture
def engine() -> ScriptedEngine:
    """Give an engine that reads what the test wrote."""
    return ScriptedEngine(Echo())


@pytest.fixture
def service(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Give a local service that the environment points to."""
    with served(asgi.app(Service(engine, fetch=fetch))) as service:
        point_to(service.url, monkeypatch)
        yield service


@pytest.fixture
def backend(app: ASGIApp, service: Served, sessions: list[OCRSession]) -> Iterator[Served]:
    """Give a backend that reads from the local service."""
    assert not service.statuses
    with served(app) as backend:
        yield backend
    assert len(sessions) == 1


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the backend find its service at *url*."""
    monkeypatch.setenv("XIMILAR_BASE_URL", url)
    monkeypatch.setenv("XIMILAR_API_TOKEN", "token-of-a-test")


def upload(backend: Served, image: bytes) -> httpx.Response:
    """Upload an image as a form's file."""
    return backend.http.post("/upload", files={"image": image})


def read_url(backend: Served, url: str) -> httpx.Response:
    """Have the image at *url* read."""
    return backend.http.get("/read", params={"url": url})


def test_an_uploaded_image_is_read(backend: Served) -> None:
    """The text of an uploaded image comes back, of a large one that went through a file too."""
    for padding in (0, 3_000_000):
        answer = upload(backend, PNG + b"two\nlines" + bytes(padding))
        assert answer.status_code == 200
        assert answer.json() == {"text": "two lines", "texts": 2}


def test_an_image_is_read_by_url(backend: Served) -> None:
    """The text of an image comes back that the service fetched."""
    answer = read_url(backend, "https://images.example/a.png")
    assert answer.status_code == 200
    assert answer.json() == {"text": "https://images.example/a.png", "texts": 1}


def test_a_path_for_a_url_opens_no_file(backend: Served, service: Served, tmp_path: Path) -> None:
    """A path where a URL belongs is the client's error; the file is not opened, nothing is sent."""
    path = tmp_path / "secret.png"
    path.write_bytes(PNG + b"secret")
    opened = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and arguments[0] == str(path):
            opened.append(arguments)

    sys.addaudithook(note)
    for url in (f"{path}", f"file://{path}", f"file://localhost{path}", f"http:{path}", f" {path}"):
        answer = read_url(backend, url)
        assert answer.status_code == 422
        assert "is not an http(s) URL" in answer.json()["detail"]
    assert not opened
    assert not service.statuses
    path.read_bytes()
    assert opened


def test_a_path_for_a_file_opens_no_file(backend: Served, service: Served) -> None:
    """A form's field that is text and no file is the client's error, and nothing is sent."""
    for field in ({"image": (None, __file__)}, {"other": PNG}):
        answer = backend.http.post("/upload", files=field)
        assert answer.status_code in {400, 422}
    assert not service.statuses


def test_what_is_no_image_is_the_clients_error(backend: Served) -> None:
    """An upload that is no image is refused, and the answer says so."""
    answer = upload(backend, b"plain text")
    assert answer.status_code == 422
    assert answer.json() == {"detail": "<10 bytes> is not an image"}


def test_parallel_uploads_share_requests(
    backend: Served, service: Served, engine: ScriptedEngine
) -> None:
    """Of 50 clients at once each gets its own text, and the service gets fewer requests."""
    engine.latency = 0.3
    images = [PNG + f"text {number}".encode() for number in range(50)]
    with ThreadPoolExecutor(len(images)) as pool:
        answers = list(pool.map(partial(upload, backend), images))
    assert [answer.json()["text"] for answer in answers] == [f"text {n}" for n in range(50)]
    assert engine.calls == 50
    assert len(service.statuses) < 50


@pytest.mark.parametrize("way", ["upload", "url"])
def test_a_client_that_leaves_cancels_its_read(
    backend: Served, service: Served, engine: ScriptedEngine, way: str
) -> None:
    """When the client goes away the request to the service ends, and others are served."""

    async def ask_and_leave() -> None:
        async with httpx.AsyncClient(timeout=None) as http, anyio.create_task_group() as group:  # noqa: S113
            if way == "upload":
                ask = partial(http.post, f"{backend.url}/upload", files={"image": PNG})
            else:
                ask = partial(http.get, f"{backend.url}/read", params={"url": "https://a.example"})
            group.start_soon(ask)
            await anyio.to_thread.run_sync(until, lambda: engine.calls)
            assert service.connections == 1
            group.cancel_scope.cancel()

    engine.latency = HOUR
    anyio.run(ask_and_leave)
    until(lambda: backend.statuses)
    assert backend.statuses == [499]
    until(lambda: not service.connections)
    engine.latency = 0.0
    assert upload(backend, PNG + b"still here").json()["text"] == "still here"


def test_a_client_that_leaves_while_it_sends_harms_nobody(backend: Served, service: Served) -> None:
    """Half an upload is not read, and others are served."""
    head = "POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n"
    form = "Content-Type: multipart/form-data; boundary=half\r\n\r\n--half\r\n"
    url = httpx.URL(backend.url)
    with socket.create_connection((url.host, url.port)) as client:
        client.sendall((head + form).encode())
        until(lambda: backend.connections)
    until(lambda: not backend.connections)
    assert upload(backend, PNG + b"still here").json()["text"] == "still here"
    assert len(service.statuses) == 1


def test_errors_become_answers(
    app: ASGIApp, sessions: list[OCRSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told of its own errors; of others, whose they are and nothing more."""
    troubles = [
        (Response('{"status": {"code": 400, "text": "too small"}}', 400), 422, "400: too small"),
        (Response("this account is 4711", 401), 502, "images cannot be read now"),
        (Response("no JSON"), 502, "images cannot be read now"),
        (Response(status_code=429), 503, "images cannot be read now"),
        (Response(status_code=500), 503, "images cannot be read now"),
    ]

    async def troubled(scope: Scope, receive: Receive, send: Send) -> None:
        await trouble(scope, receive, send)

    with served(troubled) as service:
        point_to(service.url, monkeypatch)
        with served(app) as backend:
            for trouble, status, detail in troubles:  # noqa: B007 - troubled answers with it
                answer = upload(backend, PNG)
                assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert len(service.statuses) == len(troubles)
    assert len(sessions) == 1


@pytest.mark.usefixtures("sessions")
def test_a_service_out_of_reach_is_an_answer_too(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no service listens, the client is told to come again."""
    listener, url = bind()
    listener.close()
    point_to(url, monkeypatch)
    with served(app) as backend:
        assert upload(backend, PNG).status_code == 503


def test_the_session_closes_with_the_application(
    app: ASGIApp, service: Served, sessions: list[OCRSession]
) -> None:
    """One session serves all requests, and is closed with its connections when the server stops."""
    with served(app) as backend:
        assert [upload(backend, PNG + b"a").status_code for _ in range(3)] == [200] * 3
        assert service.connections == 1
        assert repr(sessions[0]).startswith("<OCRSession open")
    assert [repr(session) for session in sessions] == ["<OCRSession closed>"]
    until(lambda: not service.connections)
    gc.collect()  # what was left open would warn

"""The example web backends, each in a real server, with a real client and a local service."""

import gc
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

import ximilar_ocr_async
from tests.session.web_servers import Served, load_example, served, served_example, until
from ximilar_ocr_async import OCRSession, RetryPolicy
from ximilar_ocr_async.emulator import asgi
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

PNG = b"\x89PNG\r\n\x1a\n"
HOUR = 3600.0
EXAMPLES = ("aiohttp", "django", "fastapi", "flask", "litestar", "starlette")
TELLING = ("fastapi", "litestar", "starlette")
"""Those that answer even a client that left, with 499."""


async def fetch(url: str) -> bytes:
    """Fetch an image on which its own address stands."""
    return PNG + url.encode()


class Echo(dict[bytes, str]):
    """Says of each image what comes after its signature."""

    def __missing__(self, image: bytes) -> str:
        return image.removeprefix(PNG).rstrip(b"\0").decode()


class Held(ScriptedEngine):
    """Reads when it is let."""

    def __init__(self, texts: Echo) -> None:
        super().__init__(texts)
        self.gate = Event()

    async def read(self, image: bytes, lang: str) -> Reading:
        """Wait, and then read."""
        reading = await super().read(image, lang)
        while not self.gate.is_set():  # noqa: ASYNC110 - the event belongs to threads
            await anyio.sleep(0.01)
        return reading


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> str:
    """Name each example whose framework is installed."""
    # Loaded before `sessions` puts a function in the place of a class that Litestar looks at.
    load_example(request.param)
    return str(request.param)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[OCRSession]:
    """Give all sessions that are made, which send an image once only."""
    return note_sessions(monkeypatch)


def note_sessions(monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[OCRSession]:
    """Return all sessions that will be made, with *options* in the place of the example's own."""
    made: list[OCRSession] = []
    options["retry"] = RetryPolicy(attempts=1)

    def make(**given: Any) -> OCRSession:
        made.append(OCRSession(**given | options))
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
def backend(example: str, service: Served, sessions: list[OCRSession]) -> Iterator[Served]:
    """Give a backend that reads from the local service."""
    assert not service.statuses
    with served_example(example) as backend:
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
    example: str, backend: Served, service: Served, engine: ScriptedEngine, way: str
) -> None:
    """When the client goes away the request to the service ends, and others are served."""
    if example == "flask":
        pytest.skip("a WSGI server does not tell that a client left")
    # The session learns how long an answer takes, and waits no longer for one that nobody needs.
    assert upload(backend, PNG).status_code == 200
    backend.statuses.clear()

    async def ask_and_leave() -> None:
        async with httpx.AsyncClient(timeout=None) as http, anyio.create_task_group() as group:  # noqa: S113
            if way == "upload":
                ask = partial(http.post, f"{backend.url}/upload", files={"image": PNG})
            else:
                ask = partial(http.get, f"{backend.url}/read", params={"url": "https://a.example"})
            group.start_soon(ask)
            await anyio.to_thread.run_sync(until, lambda: engine.calls == 2)
            assert service.connections == 1
            group.cancel_scope.cancel()

    engine.latency = HOUR
    anyio.run(ask_and_leave)
    until(lambda: not service.connections)
    assert backend.statuses == ([499] if example in TELLING else [])
    engine.latency = 0.0
    assert upload(backend, PNG + b"still here").json()["text"] == "still here"


def test_abandoned_uploads_are_not_paid_for(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of clients that leave while their images wait for a slot, none is paid for; others are."""
    if example == "flask":
        pytest.skip("a WSGI server does not tell that a client left")
    engine, sessions = Held(Echo()), note_sessions(monkeypatch, max_concurrency=1)
    with served(asgi.app(Service(engine))) as service, ExitStack() as stack:
        point_to(service.url, monkeypatch)
        backend = stack.enter_context(served_example(example))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        stays = pool.submit(upload, backend, PNG + b"stays")
        until(lambda: engine.calls == 1)
        url = httpx.URL(backend.url)
        request = backend.http.build_request("POST", "/upload", files={"image": PNG + b"leaves"})
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        sent = f"POST /upload HTTP/1.1\r\n{head}\r\n".encode() + request.read()
        clients = [socket.create_connection((url.host, url.port)) for _ in range(30)]
        for client in clients:
            client.sendall(sent)
        until(lambda: sessions[0].stats.queued == len(clients))
        for client in clients:
            client.close()
        until(lambda: sessions[0].stats.queued == 0)
        engine.gate.set()
        assert stays.result().json()["text"] == "stays"
    assert engine.calls == 1


def test_a_client_that_leaves_while_it_sends_harms_nobody(
    example: str, backend: Served, service: Served
) -> None:
    """Half an upload is not read, and others are served."""
    head = "POST /upload HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n"
    form = "Content-Type: multipart/form-data; boundary=half\r\n\r\n--half\r\n"
    url = httpx.URL(backend.url)
    with socket.create_connection((url.host, url.port)) as client:
        client.sendall((head + form).encode())
        until(lambda: backend.connections or example == "flask")
    until(lambda: not backend.connections)
    assert upload(backend, PNG + b"still here").json()["text"] == "still here"
    assert len(service.statuses) == 1


def test_errors_become_answers(
    example: str, sessions: list[OCRSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told of its own errors; of others, whose they are and nothing more."""
    troubles = [
        (Response('{"status": {"code": 400, "text": "too small"}}', 400), 422, "400: too small"),
        (Response("this account is 4711", 401), 502, "images cannot be read now"),
        (Response("no JSON"), 502, "images cannot be read now"),
        (Response(status_code=429), 503, "images cannot be read now"),
        (Response(status_code=500), 503, "images cannot be read now"),
        (Response("buy credits", 402), 502, "images cannot be read now"),
    ]

    async def troubled(scope: Scope, receive: Receive, send: Send) -> None:
        await trouble(scope, receive, send)

    with served(troubled) as service:
        point_to(service.url, monkeypatch)
        with served_example(example) as backend:
            for trouble, status, detail in troubles:  # noqa: B007 - troubled answers with it
                answer = upload(backend, PNG)
                assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert len(service.statuses) == len(troubles)
    assert len(sessions) == 1


@pytest.mark.parametrize("example", [*TELLING, "django"], indirect=True)
def test_a_backend_without_a_token_does_not_start(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the session cannot be opened the server ends."""
    monkeypatch.delenv("XIMILAR_API_TOKEN", raising=False)
    monkeypatch.delenv("XIMILAR_API_KEY", raising=False)
    with pytest.raises(RuntimeError, match="did not start"), served_example(example):
        pass


@contextmanager
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Have the backend find a service that answers as soon as the event is set."""
    gate = Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        # The event belongs to threads.
        while scope["type"] == "http" and not gate.is_set():  # noqa: ASYNC110
            await anyio.sleep(0.01)
        await Response("too late", 500)(scope, receive, send)

    with served(wait) as service:
        point_to(service.url, monkeypatch)
        yield gate


def test_a_full_queue_is_told_to_come_again(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that comes when the queue is full is told at once when to come again."""
    sessions = note_sessions(monkeypatch, max_concurrency=1, max_queue=1)
    with stalled(monkeypatch) as gate, served_example(example) as backend:
        with ThreadPoolExecutor(2) as pool:
            pool.submit(upload, backend, PNG)
            until(lambda: sessions[0].stats.in_flight == 1)
            pool.submit(upload, backend, PNG)
            until(lambda: sessions[0].stats.queued == 1)
            answer = upload(backend, PNG)
            gate.set()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json() == {"detail": "images cannot be read now"}


def test_a_deadline_that_passes_is_a_timeout(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose image is not read in time gets the status of a gateway's timeout."""
    note_sessions(monkeypatch, deadline=0.1)
    with stalled(monkeypatch) as gate, served_example(example) as backend:
        answer = upload(backend, PNG)
        gate.set()
    assert answer.status_code == 504
    assert answer.json() == {"detail": "images cannot be read now"}


def test_the_service_says_when_to_come_again(
    example: str, sessions: list[OCRSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service says in Retry-After is told to the client."""
    busy = Response("busy", 429, headers={"Retry-After": "7"})
    with served(busy) as service:
        point_to(service.url, monkeypatch)
        with served_example(example) as backend:
            answer = upload(backend, PNG)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert len(sessions) == 1


@pytest.mark.usefixtures("sessions")
def test_a_service_out_of_reach_is_an_answer_too(
    example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no service listens, the client is told to come again."""
    listener, url = bind()
    listener.close()
    point_to(url, monkeypatch)
    with served_example(example) as backend:
        assert upload(backend, PNG).status_code == 503


def test_the_session_closes_with_the_application(
    example: str, service: Served, sessions: list[OCRSession]
) -> None:
    """One session serves all requests, and is closed with its connections when the server stops."""
    with served_example(example) as backend:
        assert [upload(backend, PNG + b"a").status_code for _ in range(3)] == [200] * 3
        assert service.connections == 1
        assert repr(sessions[0]).startswith("<OCRSession open")
    assert [repr(session) for session in sessions] == ["<OCRSession closed>"]
    until(lambda: not service.connections)
    gc.collect()  # what was left open would warn

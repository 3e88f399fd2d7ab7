"""Services to ask: the one in miniature, others that bill and tell otherwise, and a gateway."""

import json
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from attrs import define, evolve, field
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.faults.certificates import OURS, authority
from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.emulator.images import decode
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.testing.service import Reading, Reply, Request, Service, Unreadable
from ximilar_ocr_async.testing.service.contract import DETAILS, Task


@define
class Sighted:
    """Looks at pictures without reading them, which would take long.

    Attributes:
        latency: How long it looks at one [s].
        is_heedful: Whether it turns pictures upright.
    """

    latency: float = 0.1
    is_heedful: bool = True

    async def read(self, image: bytes, lang: str) -> Reading:  # noqa: ARG002
        """Return the size of *image* and no text."""
        await anyio.sleep(self.latency)
        height, width = decode(image).shape[:2]
        width, height = (width, height) if self.is_heedful else (height, width)
        return Reading(width, height, ())


class Greedy(Service):
    """Bills what it could not read as well."""

    def _bill(self, tasks: Sequence[Task], readings: Sequence[Reading | Unreadable]) -> None:
        self.billed += len(readings)
        self.spent += sum(task.credits for task in tasks)


class Teller(Service):
    """Tells of the account in its own way."""

    async def answer(self, request: Request) -> Reply:
        """Return the reply; change what is said of the account."""
        reply = await super().answer(request)
        return self.tell(reply) if request.path == DETAILS and reply.status == 200 else reply

    def tell(self, reply: Reply) -> Reply:
        """Return the reply about the account."""
        raise NotImplementedError


class CountsDown(Teller):
    """Tells what is left."""

    def tell(self, reply: Reply) -> Reply:
        """Return a reply in which the counter falls."""
        return evolve(reply, document={"credits_counter": 1000 - self.spent})


class Stubborn(Teller):
    """Tells the same always."""

    def tell(self, reply: Reply) -> Reply:
        """Return a reply in which the counter stands still."""
        return evolve(reply, document={"credits_counter": 7})


class GreedyAndStubborn(Greedy, Stubborn):
    """Bills all, and tells nothing of it."""


class Secretive(Teller):
    """Tells nothing of the account."""

    def tell(self, reply: Reply) -> Reply:  # noqa: ARG002
        """Return a refusal."""
        return Reply(404, {"detail": "Not found."})


class Late(Teller):
    """Tells what was spent a while ago."""

    delay = 0.2

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen: list[tuple[float, int]] = []

    def tell(self, reply: Reply) -> Reply:
        """Return what was spent before the delay."""
        now = time.monotonic()
        told = max((spent for at, spent in self.seen if at <= now - self.delay), default=0)
        return evolve(reply, document={"credits_counter": told})

    def _bill(self, tasks: Sequence[Task], readings: Sequence[Reading | Unreadable]) -> None:
        super()._bill(tasks, readings)
        self.seen.append((time.monotonic(), self.spent))


@define
class Gateway:
    """Stands before a service: takes no large bodies and no crowds, and repeats the token.

    Attributes:
        inner: What it stands before.
        largest: Size of the largest body that it takes [bytes].
        crowd: How many requests it takes at the same time.
    """

    inner: ASGIApp
    largest: int = 700_000
    crowd: int = 5
    _inside: int = field(init=False, default=0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self._inside -= 1

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        # Long enough for others to come meanwhile.
        await anyio.sleep(0.02)
        if int(headers.get(b"content-length", 0)) > self.largest:
            more = [(b"content-type", b"text/html"), (b"connection", b"close")]
            await _refuse(send, 413, b"<h1>Request Entity Too Large</h1>", more)
        elif self._inside > self.crowd:
            token = headers.get(b"authorization", b"")
            body = json.dumps({"detail": f"slow down, {token.decode()}"}).encode()
            more = [(b"retry-after", b"1"), (b"x-token", token), (b"set-cookie", b"who=me")]
            await _refuse(send, 429, body, [(b"content-type", b"application/json"), *more])
        else:
            await self.inner(scope, receive, send)


async def _refuse(send: Send, status: int, body: bytes, headers: list[Any]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def guarded(service: Service, folder: Path) -> Iterator[str]:
    """Serve behind a gateway that speaks TLS and closes idle connections after a second."""
    pem = folder / "server.pem"
    authority(OURS).issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    config = uvicorn.Config(
        Gateway(GZipMiddleware(app(service), minimum_size=200)),
        lifespan="on",
        log_level="critical",
        ssl_certfile=pem,
        timeout_keep_alive=1,
        timeout_graceful_shutdown=0,
    )
    listener, url = bind()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield url.replace("http:", "https:")
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def trust() -> ssl.SSLContext:
    """Return a context that believes our certificates."""
    context = ssl.create_default_context()
    authority(OURS).configure_trust(context)
    return context

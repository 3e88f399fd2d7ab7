"""A service in process that tests watch and trouble."""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import httpx
from attrs import define, field

from ximilar_ocr_async import OCRError, OCRSession, Outcome
from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

Trouble: TypeAlias = httpx.Response | Exception
"""What a request gets in place of an answer of the service's."""


class _Echo(dict[bytes, str]):
    """Says of each image what its bytes are."""

    def __missing__(self, image: bytes) -> str:
        return image.decode()


async def _fetch(url: str) -> bytes:
    return url.encode()


@define
class World(httpx.AsyncBaseTransport):
    """The service, the way to it, and what was seen on that way."""

    engine: ScriptedEngine = field(factory=lambda: ScriptedEngine(_Echo(), latency=1.0))
    # Answered in turn to the first requests; None lets one through to the service.
    troubles: list[Trouble | None] = field(factory=list)
    # Says what a request of these records gets, when no trouble's turn it is.
    rule: Callable[[list[dict[str, Any]]], Trouble | None] = field(default=lambda _: None)
    # Whether troubles come without the service's latency.
    quick: bool = False
    # Awaited before each request is looked at.
    before: Callable[[], Awaitable[None]] = field(default=anyio.lowlevel.checkpoint)
    # Changes each answer of the service's on its way back.
    meddle: Callable[[dict[str, Any]], None] = field(default=lambda _: None)
    # (records, lang) of each request, and its path.
    batches: list[list[dict[str, Any]]] = field(factory=list)
    langs: list[str] = field(factory=list)
    paths: list[str] = field(factory=list)
    headers: list[httpx.Headers] = field(factory=list)
    times: list[float] = field(factory=list)
    # Requests in flight that the service takes; it refuses more at once.
    capacity: int = 1000
    refused: int = 0
    in_flight: int = 0
    peak: int = 0
    finished: int = 0
    service: Service = field(init=False)

    @service.default
    def _service_around_the_engine(self) -> Service:
        return Service(self.engine, fetch=_fetch)

    def __attrs_post_init__(self) -> None:
        self._inner = httpx.ASGITransport(app(self.service))

    _inner: httpx.ASGITransport = field(init=False)

    def session(self, **options: Any) -> OCRSession:
        """Make a session that reads from this service."""
        client = httpx.AsyncClient(transport=self)
        return OCRSession("token-of-a-test", http_client=client, **options)

    @property
    def sizes(self) -> list[int]:
        """Records in each request."""
        return [len(batch) for batch in self.batches]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, with a trouble if it is its turn."""
        await self.before()
        body = json.loads(await request.aread())
        self.batches.append(body["records"])
        self.langs.append(body["lang"])
        self.paths.append(request.url.path)
        self.headers.append(request.headers)
        self.times.append(anyio.current_time())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answer(request, body["records"])
        finally:
            self.in_flight -= 1

    async def _answer(
        self, request: httpx.Request, records: list[dict[str, Any]]
    ) -> httpx.Response:
        if self.in_flight > self.capacity:
            self.refused += 1
            return failing(429)  # type: ignore[no-any-return]
        trouble = self.troubles.pop(0) if self.troubles else self.rule(records)
        if trouble is not None:
            await anyio.sleep(0 if self.quick else self.engine.latency)
            if isinstance(trouble, Exception):
                raise trouble
            return trouble
        response = await self._inner.handle_async_request(request)
        document = json.loads(await response.aread())
        self.meddle(document)
        self.finished += 1
        return httpx.Response(response.status_code, json=document)


def urls(count: int) -> list[str]:
    """Return addresses of as many images; the engine reads the address itself off each."""
    return [f"https://images.example/{number}.jpg" for number in range(count)]


def failing(code: int, text: str = "trouble", headers: dict[str, str] | None = None) -> Any:
    """Return an answer with a failing status."""
    return httpx.Response(code, json={"status": {"code": code, "text": text}}, headers=headers)


def error_of(outcome: Outcome) -> OCRError:
    """Return why an image was not read."""
    assert not outcome.ok
    return outcome.error


def texts(outcomes: Iterable[Any]) -> list[str]:
    """Return what was read, outcome by outcome."""
    return [outcome.unwrap().text for outcome in outcomes]

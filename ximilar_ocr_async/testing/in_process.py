"""The service without sockets: requests of an httpx client in, answers or planned faults out."""

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias

import anyio
import httpx

from ximilar_ocr_async import OCRSession
from ximilar_ocr_async.testing.clock import start_beside
from ximilar_ocr_async.testing.service import (
    DELIVERY_TIMEOUT,
    GPT,
    PAGE,
    Cut,
    FaultPlan,
    Garbled,
    Interference,
    Jobs,
    Request,
    ScriptedEngine,
    Service,
    Stalled,
    Unreadable,
    Webhook,
)

BASE_URL = "https://localhost"
TOKEN = "testing"  # noqa: S105 - it opens nothing

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""What time it is when the event loop's clock stands at 0, as it does when virtual time begins."""

Texts: TypeAlias = Mapping[str, str] | Mapping[bytes, str] | str
"""What images say: by URL, by bytes, or the same for all."""


class InProcessService(httpx.AsyncBaseTransport):
    """Stands in for Ximilar's service, without sockets; any number of sessions may share it.

    It fetches nothing and looks at no picture: it says what it was told to. What the client gives
    up while it is being read is not billed. Asynchronous requests are worked off one after the
    other, and are kept for two weeks by the event loop's clock.

    Args:
        faults: What goes wrong; nothing if there is no plan.
        texts: What each image says, by its URL or its bytes; or what all of them say. An image that
            is not in it says its own URL, or the SHA-256 of its bytes as hexadecimal digits.
        latency: [s] that a reading takes.
        token: The one that is allowed; any if there is none.
        gpt: Answers prompts, as a `ScriptedGPT` does; records that have one fail without it.
        receiver: What is behind the addresses of webhooks, such as an ``httpx.ASGITransport`` of
            the program; without it none is delivered.
    """

    def __init__(
        self,
        faults: FaultPlan | None = None,
        *,
        texts: Texts | None = None,
        latency: float = 0.0,
        token: str | None = None,
        gpt: GPT | None = None,
        receiver: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._receiver = receiver
        self._service = Service(
            ScriptedEngine(texts if isinstance(texts, str) else _Script(texts or {}), latency),
            fetch=_fetch,
            gpt=gpt,
            token=token,
            faults=faults or FaultPlan(),
            jobs=Jobs(self._deliver, _now, start_beside),
            # Threads do not mix with virtual time.
            inline=sys.maxsize,
        )

    def session(self, **options: Any) -> OCRSession:
        """Make a session that reads from this service; *options* are those of `OCRSession`."""
        own: dict[str, Any] = {
            "token": self._service.token or TOKEN,
            "base_url": BASE_URL,
            "http_client": self.client(),
        }
        return OCRSession(**own | options)

    def client(self) -> httpx.AsyncClient:
        """Make an ``http_client`` for those who make the session themselves."""
        return httpx.AsyncClient(transport=self, base_url=BASE_URL)

    @property
    def requests(self) -> int:
        """Requests that came, whatever became of them."""
        return self._service.requests

    @property
    def records(self) -> int:
        """Records in the requests that were fit to be read, each time that they were sent."""
        return self._service.records

    @property
    def billed(self) -> int:
        """Records that were read, which Ximilar would bill."""
        return self._service.billed

    @property
    def spent(self) -> int:
        """What they cost [credits]."""
        return self._service.spent

    @property
    def bills(self) -> Counter[str]:
        """How often each image was billed, by its URL or the SHA-256 of its bytes (hex digits)."""
        return self._service.bills

    def __repr__(self) -> str:
        return (
            f"<InProcessService, {self.requests} requests, {self.records} records,"
            f" {self.billed} billed, faults: {self._service.faults}>"
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        authorization = request.headers.get("Authorization")
        body = await request.aread()
        url = request.url
        query, origin = url.query.decode(), f"{url.scheme}://{url.netloc.decode()}"
        asked = Request(request.method, url.path, authorization, body, query, origin)
        try:
            reply = await self._service.answer(asked)
        except Interference as fault:
            return await _show(fault)
        headers = {"Content-Type": "application/json", **reply.headers}
        return httpx.Response(reply.status, content=reply.body, headers=headers)

    async def _deliver(self, webhook: Webhook, body: bytes) -> None:
        if self._receiver is None:
            raise Unreadable(403, "there is no receiver")
        headers = {"Content-Type": "application/json", **webhook.headers}
        request = httpx.Request("POST", webhook.endpoint, headers=headers, content=body)
        with anyio.fail_after(DELIVERY_TIMEOUT):
            response = await self._receiver.handle_async_request(request)
            await response.aread()
        if not response.is_success:
            raise Unreadable(400, f"the receiver answered {response.status_code}")


class _Address(bytes):
    """A URL in place of the image behind it."""

    __slots__ = ()


class _Script(dict[bytes, str]):
    """What each image says, by its bytes or by its address."""

    def __init__(self, texts: Mapping[str, str] | Mapping[bytes, str]) -> None:
        super().__init__(
            (key.encode() if isinstance(key, str) else key, text) for key, text in texts.items()
        )

    def __missing__(self, image: bytes) -> str:
        if isinstance(image, _Address):
            return image.decode(errors="surrogatepass")
        return sha256(image).hexdigest()


def _now() -> datetime:
    return BEGINNING + timedelta(seconds=anyio.current_time())


async def _fetch(url: str) -> bytes:
    return _Address(url.encode(errors="surrogatepass"))


async def _show(fault: Interference) -> httpx.Response:
    """Respond, or raise, as httpx does when something came in between."""
    match fault:
        case Garbled():
            return httpx.Response(200, html=PAGE)
        case Cut():
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        case Stalled():
            await anyio.sleep_forever()
    raise httpx.ConnectError("All connection attempts failed")

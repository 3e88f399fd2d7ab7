"""The service without sockets: requests of an httpx client in, answers or planned faults out."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx

from ximilar_ocr_async import OCRSession
from ximilar_ocr_async.testing.clock import start_beside
from ximilar_ocr_async.testing.scripting import Script, SeenRequest, respond, see
from ximilar_ocr_async.testing.service import (
    DELIVERY_TIMEOUT,
    GPT,
    PAGE,
    Cut,
    FaultPlan,
    Garbled,
    Interference,
    Jobs,
    Reply,
    Request,
    ScriptedEngine,
    Service,
    Stalled,
    Unreadable,
    Webhook,
    refuse,
)
from ximilar_ocr_async.testing.texts import Texts, fetch, script_of

BASE_URL = "https://localhost"
TOKEN = "testing"  # noqa: S105 - it opens nothing

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
"""What time it is when the event loop's clock stands at 0, as it does when virtual time begins."""


class InProcessService(httpx.AsyncBaseTransport):
    """Stands in for Ximilar's service, without sockets; any number of sessions may share it.

    It fetches nothing and looks at no picture: it says what it was told to. What the client gives
    up while it is being read is not billed. Asynchronous requests are worked off one after the
    other, and are kept for two weeks by the event loop's clock.

    What goes wrong by chance is said by a `FaultPlan`, what goes wrong with certain requests by a
    script::

        service.reply = in_turn(httpx.Response(503), None, httpx.ConnectError("refused"))
        service.reply = lambda seen: httpx.Response(400) if "bad" in str(seen.records) else None
        service.reply = lambda seen: {"credits_counter": 7} if seen.method == "GET" else None
        service.alter = lambda document: document["records"].reverse()

    Args:
        faults: What goes wrong; nothing if there is no plan.
        texts: What each image says, by its URL or its bytes; or what all of them say. An image that
            is not in it says its own URL, or the SHA-256 of its bytes as hexadecimal digits.
        latency: [s] that a reading takes, and a reply of *reply*.
        token: The one that is allowed; any if there is none.
        gpt: Answers prompts, as a `ScriptedGPT` does; records that have one fail without it.
        receiver: What is behind the addresses of webhooks, such as an ``httpx.ASGITransport`` of
            the program; without it none is delivered.
        reply: Called with each request. It returns what the request gets in the service's place,
            or None to let it through. `in_turn` makes one for the first requests.
        alter: Called with the JSON document of each answer of the service's own, which it may
            change before the answer goes back.
        capacity: Requests in flight that the service takes; it refuses what is above it with 429.

    Attributes:
        reply: As given; it may be set at any time.
        alter: As given; it may be set at any time.
        capacity: As given; it may be set at any time.
        log: The requests that came, whatever became of them, in their order.
        in_flight: Requests that are not answered yet.
        peak: Most requests in flight at the same time.
        refused: Requests that were above the capacity.
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
        reply: Script | None = None,
        alter: Callable[[dict[str, Any]], object] | None = None,
        capacity: int | None = None,
    ) -> None:
        self.reply: Script | None = reply
        self.alter: Callable[[dict[str, Any]], object] | None = alter
        self.capacity = capacity
        self.log: list[SeenRequest] = []
        self.in_flight = 0
        self.peak = 0
        self.refused = 0
        self._receiver = receiver
        self._engine = ScriptedEngine(script_of({} if texts is None else texts), latency)
        self._service = Service(
            self._engine,
            fetch=fetch,
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
    def latency(self) -> float:
        """[s] that a reading takes, and a reply of `reply`; it may be set at any time."""
        return self._engine.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._engine.latency = seconds

    @property
    def requests(self) -> int:
        """Requests that came, whatever became of them."""
        return len(self.log)

    @property
    def sizes(self) -> list[int]:
        """Records in each request that had any, in the order in which they came."""
        return [len(seen.records) for seen in self.log if seen.records]

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
        await request.aread()
        seen = see(request)
        self.log.append(seen)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answer(seen, request)
        finally:
            self.in_flight -= 1

    async def _answer(self, seen: SeenRequest, request: httpx.Request) -> httpx.Response:
        if self.capacity is not None and self.in_flight > self.capacity:
            self.refused += 1
            return _show(refuse(429, f"the capacity is {self.capacity} requests in flight"))
        said = self.reply(seen) if self.reply else None
        if said is not None:
            await anyio.sleep(self.latency)
            return respond(said)
        try:
            reply = await self._service.answer(_request_of(request))
        except Interference as fault:
            return await _interfere(fault)
        return _show(reply, self.alter)

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


def _now() -> datetime:
    return BEGINNING + timedelta(seconds=anyio.current_time())


def _request_of(request: httpx.Request) -> Request:
    url = request.url
    return Request(
        request.method,
        url.path,
        request.headers.get("Authorization"),
        request.content,
        url.query.decode(),
        f"{url.scheme}://{url.netloc.decode()}",
    )


def _show(reply: Reply, alter: Callable[[dict[str, Any]], object] | None = None) -> httpx.Response:
    body = reply.body
    if alter is not None:
        # A copy: the service keeps what it answers.
        document = json.loads(body)
        alter(document)
        body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", **reply.headers}
    return httpx.Response(reply.status, content=body, headers=headers)


async def _interfere(fault: Interference) -> httpx.Response:
    """Respond, or raise, as httpx does when something came in between."""
    match fault:
        case Garbled():
            return httpx.Response(200, html=PAGE)
        case Cut():
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        case Stalled():
            await anyio.sleep_forever()
    raise httpx.ConnectError("All connection attempts failed")

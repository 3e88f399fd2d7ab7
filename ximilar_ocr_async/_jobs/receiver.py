"""Deliveries to a webhook in, outcomes out; what waits for a job is woken by them."""

import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, TypeAlias
from weakref import WeakSet

import anyio
from attrs import define, field, frozen

from ximilar_ocr_async._constants import MAX_RECORDS, MAX_RESPONSE_BYTES
from ximilar_ocr_async._protocol import Webhook, jobs
from ximilar_ocr_async._validation import check_at_least
from ximilar_ocr_async.errors import OptionError, ReplyError, WebhookError
from ximilar_ocr_async.outcomes import Outcome

KEPT_BYTES = 32 * 1024 * 1024
"""[bytes of JSON] of deliveries that no job took yet; beyond it, the oldest are left to polling."""

KEPT_IDS = 100_000
"""Ids of deliveries that are remembered, so that a second one is told from the first."""


@frozen
class Delivery:
    """What a webhook was told: that an asynchronous request is done.

    Args:
        id: Of the request.
        body: What came, as JSON; None where that is not to be believed.
    """

    id: str
    body: bytes | None = field(default=None, repr=False)

    @property
    def outcomes(self) -> tuple[Outcome, ...] | None:
        """(n) of its images, of which all that is known is URL and name.

        None where they are to be fetched, by ``session.job(id)``.
        """
        return self.decode(range(MAX_RECORDS))

    def decode(self, places: Sequence[int]) -> tuple[Outcome, ...] | None:
        """Return the outcomes of images in these *places*, if they do not tell theirs."""
        if self.body is None:
            return None
        try:
            return tuple(jobs.decode_outcomes(_load(self.body), self.id, places))
        except ReplyError:
            return None


Handle: TypeAlias = Callable[[Delivery], Awaitable[None]]


@define(eq=False)
class WebhookReceiver:
    """Takes deliveries. Give it to `OCRSession.submit` in its webhook's place, and mount its `app`.

    It belongs to one event loop at a time; jobs of any sessions there may wait for it.

    Args:
        webhook: Its headers are what proves a delivery.
        verify: ``secret`` believes what comes with the headers; ``refetch`` believes only that
            something is done, and has it fetched from the service.
        max_bytes: [bytes] of a delivery.
    """

    webhook: Webhook
    verify: Literal["secret", "refetch"] = "secret"
    max_bytes: int = MAX_RESPONSE_BYTES
    # Ids of the last that came, the oldest first.
    _seen: dict[str, None] = field(init=False, factory=dict, repr=False)
    # Of those that are being handled.
    _handled: set[str] = field(init=False, factory=set, repr=False)
    # Those that no job took yet, the oldest first, each with its size [bytes]; and all their size.
    _kept: dict[str, tuple[Delivery, int]] = field(init=False, factory=dict, repr=False)
    _size: int = field(init=False, default=0, repr=False)
    _jobs: WeakSet[object] = field(init=False, factory=WeakSet, repr=False)
    # Of those that wait; nothing of an event loop is left behind.
    _waiting: set[anyio.Event] = field(init=False, factory=set, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.verify not in {"secret", "refetch"}:
            raise OptionError(f"verify is {self.verify!r}, allowed are secret, refetch")
        check_at_least("max_bytes", self.max_bytes, 1)

    # ---- the webhook's end

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise `WebhookError` unless *headers* bring the webhook's own."""
        given = {name.lower(): value for name, value in headers.items()}
        is_same = [
            hmac.compare_digest(_bytes(given.get(name.lower(), "")), _bytes(value))
            for name, value in self.webhook.headers.items()
        ]
        if not all(is_same):
            raise WebhookError("the delivery does not bring the webhook's headers", status=401)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Delivery | None:
        """Take a delivery; return nothing if it was there before.

        Raises:
            WebhookError: It is none; ``status`` is what to answer.
        """
        self.check(headers)
        if len(body) > self.max_bytes:
            told = f"the delivery is {len(body):,} bytes, the limit is {self.max_bytes:,}"
            raise WebhookError(told, status=413)
        delivery, is_done = self._parse(body)
        if delivery.id in self._handled:
            raise WebhookError("this delivery is being handled", status=503)
        if delivery.id in self._seen:
            return None
        if is_done:
            self._seen[delivery.id] = None
        if len(self._seen) > KEPT_IDS:
            del self._seen[next(iter(self._seen))]
        self._keep(delivery, len(body))
        return delivery

    def _parse(self, body: bytes) -> tuple[Delivery, bool]:
        """Return the delivery in *body*, and whether it is the last of its request."""
        document = _load(body)
        request_id = document.get("id") if isinstance(document, Mapping) else None
        if not isinstance(request_id, str) or not request_id:
            raise WebhookError("the delivery names no asynchronous request", status=400)
        is_done = jobs.state_of(document) == jobs.DONE
        is_believed = is_done and self.verify == "secret"
        return Delivery(request_id, body if is_believed else None), is_done

    def app(self, handle: Handle | None = None) -> Any:
        """Make an ASGI application, of Starlette, that takes deliveries by POST at any path.

        Args:
            handle: Awaited with each delivery before it is answered; needs no job. Its own
                `WebhookError` says what to answer, so that the delivery comes again.
        """
        # Imported late: an extra, which may not be installed.
        from starlette.applications import Starlette  # noqa: PLC0415
        from starlette.requests import ClientDisconnect, Request  # noqa: PLC0415
        from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415
        from starlette.routing import Route  # noqa: PLC0415

        async def deliver(request: Request) -> Response:
            try:
                # Before anything of the body is looked at.
                self.check(request.headers)
                body = await _read(request.stream(), self.max_bytes)
                delivery = self.receive(request.headers, body)
                if delivery and handle:
                    await self._handle(delivery, handle)
            except WebhookError as error:
                return PlainTextResponse(str(error), error.status or 400)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody hears it
            return Response(status_code=204)

        return Starlette(routes=[Route("/{path:path}", deliver, methods=["POST"])])

    async def _handle(self, delivery: Delivery, handle: Handle) -> None:
        self._handled.add(delivery.id)
        try:
            await handle(delivery)
        except BaseException:
            # It was not heard of, so that it is new when it comes again.
            self._seen.pop(delivery.id, None)
            raise
        finally:
            self._handled.discard(delivery.id)

    # ---- the jobs' end

    def listen(self, job: object) -> None:
        """Keep what comes from now on for *job* to take, as long as there is such a job."""
        self._jobs.add(job)

    def take(self, ids: Container[str]) -> list[Delivery]:
        """Return what came of the requests with these *ids*, once."""
        found = [request_id for request_id in self._kept if request_id in ids]
        return [self._drop(request_id) for request_id in found]

    async def wait(self, ids: Container[str]) -> None:
        """Wait until something may be taken of the requests with these *ids*."""
        if any(request_id in ids for request_id in self._kept):
            return
        arrival = anyio.Event()
        self._waiting.add(arrival)
        try:
            await arrival.wait()
        finally:
            self._waiting.discard(arrival)

    def _keep(self, delivery: Delivery, size: int) -> None:
        if not self._jobs:
            self._kept.clear()
            self._size = 0
            return
        if delivery.id in self._kept:
            self._drop(delivery.id)
        self._kept[delivery.id] = (delivery, size)
        self._size += size
        while self._size > KEPT_BYTES:
            # Polling will find it.
            self._drop(next(iter(self._kept)))
        for arrival in self._waiting:
            arrival.set()

    def _drop(self, request_id: str) -> Delivery:
        delivery, size = self._kept.pop(request_id)
        self._size -= size
        return delivery


def _load(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise WebhookError("the delivery is not JSON", status=400) from None


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


async def _read(pieces: AsyncGenerator[bytes], limit: int) -> bytes:
    """Return a body, or of one that is over *limit* [bytes] a little more than that."""
    body = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            body += piece
            if len(body) > limit:
                break
    return bytes(body)

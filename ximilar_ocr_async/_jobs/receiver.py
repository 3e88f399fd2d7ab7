"""Deliveries to a webhook in, outcomes out. A delivery wakes whatever waits for its job."""

import hmac
from collections import OrderedDict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from functools import partial
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakSet

import anyio
from attrs import define, field, frozen

from ximilar_ocr_async._concurrency import NotCopied, decode_aside
from ximilar_ocr_async._constants import MAX_RECORDS, MAX_RESPONSE_BYTES
from ximilar_ocr_async._protocol import Document, Webhook, jobs
from ximilar_ocr_async._validation import check_at_least, check_kind, check_request_id, told
from ximilar_ocr_async.errors import OptionError, ReplyError, WebhookError
from ximilar_ocr_async.outcomes import Outcome

KEPT_BYTES = 32 * 1024 * 1024
"""The most bytes of deliveries kept for jobs. Beyond it the oldest go, and polling fetches them."""

MAX_KEPT = 20_000
"""The most deliveries kept for jobs. However small, each takes about 300 bytes beside its body.
Source: measured with Python 3.11."""

KEPT_IDS = 100_000
"""The most ids of deliveries that are remembered to recognize a repeated delivery."""


@frozen
class Delivery:
    """A report to a webhook that an asynchronous request is done.

    Attributes:
        id: The id of the asynchronous request.
        body: The delivery as JSON. None if the delivery is only a hint that must be verified.
    """

    id: str
    body: bytes | None = field(default=None, repr=False)

    @property
    def outcomes(self) -> tuple[Outcome, ...] | None:
        """(n) outcomes, whose images only have a URL and an id.

        None if they have to be fetched with ``session.job(id)``. Each time they are decoded anew,
        in 0.1 s for each megabyte: where other tasks wait, await `read_outcomes`.
        """
        return self.decode(range(MAX_RECORDS))

    async def read_outcomes(self) -> tuple[Outcome, ...] | None:
        """Return the `outcomes`, which are decoded in a thread if that may take long."""
        return await decode_aside(lambda: self.outcomes, len(self.body or b""))

    def decode(self, places: Sequence[int]) -> tuple[Outcome, ...] | None:
        """Return the outcomes; *places* are those of images whose records do not name theirs."""
        if self.body is None:
            return None
        outcomes = jobs.decode_outcomes(Document.of(self.body), self.id, places)
        return None if isinstance(outcomes, ReplyError) else tuple(outcomes)


Handle: TypeAlias = Callable[[Delivery], Awaitable[None]]


@define(eq=False)
class WebhookReceiver(NotCopied):
    """Receives deliveries. Pass it to `OCRSession.submit` as the webhook, and mount its `app`.

    A receiver belongs to one event loop at a time. Jobs of all sessions there may wait for it.

    Attributes:
        webhook: The webhook, whose headers prove a delivery.
        verify: With ``secret`` a delivery with the right headers is trusted. With ``refetch`` it is
            only a hint that the request is done, and the results are fetched from the service.
        max_bytes: The largest delivery that is accepted [bytes].
        _seen: The ids of the last deliveries, the oldest first.
        _handled: The ids of the deliveries that the user's function is handling.
        _kept: The deliveries that no job took yet with their sizes [bytes] and their numbers, the
            oldest first.
        _size: The size of all kept deliveries [bytes].
        _count: How many deliveries were kept so far.
        _waiting: The events of waiting tasks, and the ids that they wait for. Each is removed,
            because it belongs to an event loop.
        _is_mounted: Whether the application that it made is mounted.
    """

    webhook: Webhook
    verify: Literal["secret", "refetch"] = "secret"
    max_bytes: int = MAX_RESPONSE_BYTES
    _seen: OrderedDict[str, None] = field(init=False, factory=OrderedDict, repr=False)
    _handled: set[str] = field(init=False, factory=set, repr=False)
    # These lose their oldest entries, for which a dict takes longer and longer.
    _kept: OrderedDict[str, tuple[Delivery, int, int]] = field(
        init=False, factory=OrderedDict, repr=False
    )
    _size: int = field(init=False, default=0, repr=False)
    _count: int = field(init=False, default=0, repr=False)
    _jobs: WeakSet[object] = field(init=False, factory=WeakSet, repr=False)
    _waiting: dict[anyio.Event, Container[str]] = field(init=False, factory=dict, repr=False)
    _is_mounted: bool = field(init=False, default=False, repr=False)

    def __attrs_post_init__(self) -> None:
        check_kind("webhook", self.webhook, Webhook, "a Webhook")
        if self.verify not in ("secret", "refetch"):
            raise OptionError(f"verify is {told(self.verify)}, allowed are secret, refetch")
        check_at_least("max_bytes", self.max_bytes, 1)

    # ---- what the webhook uses

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise `WebhookError` unless *headers* contain the webhook's own headers."""
        words = [pair for pair in headers.items() if all(isinstance(word, str) for word in pair)]
        given = {name.lower(): value for name, value in words}
        matches = [
            hmac.compare_digest(_bytes(given.get(name.lower(), "")), _bytes(value))
            for name, value in self.webhook.headers.items()
        ]
        if not all(matches):
            raise WebhookError("the delivery lacks the webhook's headers", status=401)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Delivery | None:
        """Accept a delivery. Return None if it is a repetition.

        Raises:
            WebhookError: The delivery is refused. Respond with its ``status``.
        """
        self.check(headers)
        return self._accept(self._parse(body), len(body))

    def _accept(self, told: tuple[Delivery, bool], size: int) -> Delivery | None:
        """Keep a delivery, and whether it is the last one; return None if it is a repetition."""
        delivery, is_done = told
        if delivery.id in self._handled:
            raise WebhookError("this delivery is being handled", status=503)
        if delivery.id in self._seen:
            return None
        if is_done:
            self._remember(delivery.id)
        self._keep(delivery, size)
        return delivery

    def _parse(self, body: bytes) -> tuple[Delivery, bool]:
        """Return the delivery in *body*, and whether it is the last one for its request."""
        if len(body) > self.max_bytes:
            message = f"the delivery is {len(body):,} bytes, the limit is {self.max_bytes:,}"
            raise WebhookError(message, status=413)
        document = _load(body)
        request_id = document.get("id")
        try:
            check_request_id(request_id)
        except OptionError:
            message = "the delivery names no asynchronous request"
            raise WebhookError(message, status=400) from None
        is_done = jobs.state_of(document) == jobs.DONE
        is_trusted = is_done and self.verify == "secret"
        return Delivery(request_id, body if is_trusted else None), is_done

    def _remember(self, request_id: str) -> None:
        self._seen[request_id] = None
        if len(self._seen) > KEPT_IDS:
            self._seen.popitem(last=False)

    def app(self, handle: Handle | None = None, *, mounted: bool = True) -> Any:
        """Make a Starlette application that accepts deliveries by POST at any path.

        Args:
            handle: Awaited with each delivery, even without a job, before the response is sent. If
                it raises `WebhookError`, the response has its status, to have it delivered again.
            mounted: Whether you mount it. The service is then given the URL with a slash at its
                end: without one, a mount responds with a redirect, which the service does not
                follow. For a route of one path say False, and the service is given the URL as it
                is.
        """
        # Imported late, because Starlette is an extra that may not be installed.
        from starlette.applications import Starlette  # noqa: PLC0415
        from starlette.requests import ClientDisconnect, Request  # noqa: PLC0415
        from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415

        async def deliver(request: Request) -> Response:
            if request.method != "POST":
                return PlainTextResponse("post deliveries", 405, {"Allow": "POST"})
            try:
                # Checked before any of the body is read.
                self.check(request.headers)
                body = await _read(request.stream(), self.max_bytes)
                parse = partial(self._parse, body)
                delivery = self._accept(await decode_aside(parse, len(body)), len(body))
                if delivery and handle:
                    await self._handle(delivery, handle)
            except WebhookError as error:
                return PlainTextResponse(str(error), error.status or 400)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody receives it
            return Response(status_code=204)

        application = Starlette()
        no_page = application.router.default

        async def anywhere(scope: Any, receive: Any, send: Any) -> None:
            is_http = scope["type"] == "http"
            answer = await deliver(Request(scope, receive)) if is_http else no_page
            await answer(scope, receive, send)

        # No route, because none matches where a path ends with the mount, and Starlette redirects.
        application.router.default = anywhere
        self._is_mounted = mounted
        return application

    async def _handle(self, delivery: Delivery, handle: Handle) -> None:
        self._handled.add(delivery.id)
        try:
            await handle(delivery)
        except BaseException:
            # Forgotten, so that the next delivery is not taken for a repetition.
            self._seen.pop(delivery.id, None)
            raise
        finally:
            self._handled.discard(delivery.id)

    # ---- what jobs use

    def reached_at(self) -> Webhook:
        """Return the webhook with the URL at which the service reaches the application."""
        if not self._is_mounted:
            return self.webhook
        parts = urlsplit(self.webhook.url)
        path = f"{parts.path.rstrip('/')}/"
        return Webhook(parts._replace(path=path).geturl(), self.webhook.headers)

    def listen(self, job: object) -> None:
        """Keep deliveries from now on for *job* to take. This ends when the job is collected."""
        self._jobs.add(job)

    def take(self, ids: Container[str]) -> list[Delivery]:
        """Remove and return the deliveries for the requests with these *ids*."""
        found = sorted(self._kept_of(ids), key=lambda request_id: self._kept[request_id][2])
        return [self._drop(request_id) for request_id in found]

    async def wait(self, ids: Container[str]) -> None:
        """Wait until there may be a delivery for one of the requests with these *ids*."""
        if any(True for _ in self._kept_of(ids)):
            return
        arrival = anyio.Event()
        self._waiting[arrival] = ids
        try:
            await arrival.wait()
        finally:
            del self._waiting[arrival]

    def _kept_of(self, ids: Container[str]) -> Iterable[str]:
        """Return which of *ids* are kept, in a time that goes with the fewer of both."""
        if isinstance(ids, Collection) and len(ids) < len(self._kept):
            return {request_id for request_id in ids if request_id in self._kept}
        return (request_id for request_id in self._kept if request_id in ids)

    def _keep(self, delivery: Delivery, size: int) -> None:
        if not self._jobs:
            self._kept.clear()
            self._size = 0
            return
        if delivery.id in self._kept:
            self._drop(delivery.id)
        self._count += 1
        self._kept[delivery.id] = (delivery, size, self._count)
        self._size += size
        while self._size > KEPT_BYTES or len(self._kept) > MAX_KEPT:
            # Polling will fetch its results.
            self._drop(next(iter(self._kept)))
        for arrival, ids in self._waiting.items():
            if delivery.id in ids:
                arrival.set()

    def _drop(self, request_id: str) -> Delivery:
        delivery, size, _ = self._kept.pop(request_id)
        self._size -= size
        return delivery


def _load(body: bytes) -> Document:
    try:
        document = Document.of(body)
    except ValueError:
        document = None
    if document is None or document.members.fault:
        raise WebhookError("the delivery is not JSON", status=400)
    return document


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


async def _read(pieces: AsyncGenerator[bytes], limit: int) -> bytes:
    """Return a body. Stop soon after *limit* [bytes], and return what was read by then."""
    body = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            body += piece
            if len(body) > limit:
                break
    return bytes(body)

"""The local service as an ASGI application: HTTP requests in, HTTP responses out."""

from functools import partial

from attrs import define
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ximilar_ocr_async.emulator.callers import Callers
from ximilar_ocr_async.emulator.deliveries import Delivery
from ximilar_ocr_async.testing.service import (
    PAGE,
    Cut,
    Garbled,
    Interference,
    Reply,
    Request,
    Service,
    Stalled,
    refuse,
)

MAX_BODY = 128 * 1024 * 1024
"""Longest request body [bytes]. The real service's limit is unknown."""


MAX_HELD = 512 * 1024 * 1024
"""The most bytes of request bodies held at a time, until they are answered. Source: judgement."""


@define
class _Held:
    """The bodies that are held, and what their responses may repeat of them.

    Attributes:
        size: Their size [bytes].
    """

    size: int = 0


def app(service: Service, *, callers: Callers | None = None, max_body: int = MAX_BODY) -> Starlette:
    """Make an application that passes requests to *service*.

    Asynchronous requests are processed while the application's lifespan is active. Webhooks are
    delivered to this machine only, unless the service already has its own way to deliver them.

    Args:
        service: Answers the requests.
        callers: Decides who may ask; None where only this program can.
        max_body: Longest request body [bytes]; a longer one is refused with 413.
    """
    service.jobs.deliver = service.jobs.deliver or Delivery()
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    respond = partial(_respond, service, callers, max_body, _Held())
    routes = [Route("/{path:path}", respond, methods=methods)]
    return Starlette(routes=routes, lifespan=lambda _: service.jobs.processing())


class _BrokenResponse(Response):
    """Announces a body but never sends it, so that the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _respond(
    service: Service, callers: Callers | None, max_body: int, held: _Held, request: HTTPRequest
) -> Response:
    try:
        refusal = callers.refusal(request.headers.getlist) if callers else None
        reply = refusal or await _reply(service, max_body, held, request)
    except ClientDisconnect:
        # The client is gone and receives nothing, but Starlette requires a response.
        return Response(status_code=400)
    except Interference as fault:
        return await _respond_to_fault(fault, request)
    return Response(reply.body, reply.status, reply.headers, media_type="application/json")


async def _reply(service: Service, max_body: int, held: _Held, request: HTTPRequest) -> Reply:
    chunks: list[bytes] = []
    try:
        refusal = await _read_body(request, max_body, held, chunks)
        return refusal or await _answer(service, request, b"".join(chunks))
    finally:
        held.size -= sum(map(len, chunks))


async def _answer(service: Service, request: HTTPRequest, body: bytes) -> Reply:
    return await service.answer(
        Request(
            request.method,
            request.url.path,
            request.headers.get("authorization"),
            body,
            query=request.url.query,
            origin=f"{request.url.scheme}://{request.url.netloc}",
        )
    )


async def _read_body(
    request: HTTPRequest, limit: int, held: _Held, chunks: list[bytes]
) -> Reply | None:
    """Read the body into *chunks*. Return a refusal if it is longer than *limit* [bytes].

    What is refused is read to its end and dropped: a client that is cut off while it sends never
    sees the response.
    """
    refusal, size = None, 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            refusal = refuse(413, f"the request is over {limit:,} bytes")
        elif refusal is None and held.size + len(chunk) > MAX_HELD:
            refusal = refuse(503, f"requests of {MAX_HELD:,} bytes are being answered")
        if refusal is None:
            chunks.append(chunk)
            held.size += len(chunk)
        else:
            held.size -= sum(map(len, chunks))
            chunks.clear()
    return refusal


async def _respond_to_fault(fault: Interference, request: HTTPRequest) -> Response:
    """Respond with what the client sees when *fault* keeps the reply from it."""
    match fault:
        case Cut():
            return _BrokenResponse()
        case Garbled():
            return HTMLResponse(PAGE)
        case Stalled():
            # The body has been read, so the next message is the client's disconnect.
            await request.receive()
    return HTMLResponse(PAGE, 502)

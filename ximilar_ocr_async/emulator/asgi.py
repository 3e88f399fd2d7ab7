"""The local service as an ASGI application: HTTP requests in, HTTP responses out."""

from functools import partial

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
    respond = partial(_respond, service, callers, max_body)
    routes = [Route("/{path:path}", respond, methods=methods)]
    return Starlette(routes=routes, lifespan=lambda _: service.jobs.processing())


class _BrokenResponse(Response):
    """Announces a body but never sends it, so that the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _respond(
    service: Service, callers: Callers | None, max_body: int, request: HTTPRequest
) -> Response:
    try:
        refusal = callers.refusal(request.headers.getlist) if callers else None
        reply = refusal or await _reply(service, max_body, request)
    except ClientDisconnect:
        # The client is gone and receives nothing, but Starlette requires a response.
        return Response(status_code=400)
    except Interference as fault:
        return await _respond_to_fault(fault, request)
    return Response(reply.body, reply.status, reply.headers, media_type="application/json")


async def _reply(service: Service, max_body: int, request: HTTPRequest) -> Reply:
    body = await _read_body(request, max_body)
    if body is None:
        return refuse(413, f"the request is over {max_body:,} bytes")
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


async def _read_body(request: HTTPRequest, limit: int) -> bytes | None:
    """Return the body, or None if it is longer than *limit* [bytes].

    An oversized body is read to its end and dropped: a client that is cut off while it sends never
    sees the response.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
    return b"".join(chunks) if size <= limit else None


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

"""The local service as an ASGI application: HTTP in, HTTP out. The one owner of starlette."""

from functools import partial

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

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
"""[bytes] of a request. The real service's limit is not known."""


def app(service: Service, *, max_body: int = MAX_BODY) -> Starlette:
    """Make the application that carries requests of up to *max_body* [bytes] to *service*.

    Its lifespan is when asynchronous requests are worked off. Their webhooks are delivered to this
    machine, unless the service has another way.
    """
    service.jobs.deliver = service.jobs.deliver or Delivery()
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    respond = partial(_respond, service, max_body)
    routes = [Route("/{path:path}", respond, methods=methods)]
    return Starlette(routes=routes, lifespan=lambda _: service.jobs.working())


class _BrokenResponse(Response):
    """Announces a body that never comes, over which the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _respond(service: Service, max_body: int, request: HTTPRequest) -> Response:
    try:
        reply = await _answer(service, max_body, request)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody hears it
    except Interference as fault:
        return await _show(fault, request)
    return Response(reply.body, reply.status, reply.headers, media_type="application/json")


async def _answer(service: Service, max_body: int, request: HTTPRequest) -> Reply:
    body = await _body(request, max_body)
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


async def _body(request: HTTPRequest, limit: int) -> bytes | None:
    """Return the body, or nothing when it is over *limit* [bytes]; the rest is read all the same.

    A client that is cut off while it sends never sees the answer.
    """
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
    return b"".join(pieces) if size <= limit else None


async def _show(fault: Interference, request: HTTPRequest) -> Response:
    """Respond as far as a client is to see that something came in between."""
    match fault:
        case Cut():
            return _BrokenResponse()
        case Garbled():
            return HTMLResponse(PAGE)
        case Stalled():
            # After the body there is nothing to receive but that the client has gone.
            await request.receive()
    return HTMLResponse(PAGE, 502)

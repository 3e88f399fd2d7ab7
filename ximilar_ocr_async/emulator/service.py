"""The local service as an ASGI application: Ximilar's OCR in miniature, around any engine."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import uuid4

import anyio
import anyio.to_thread
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import Route

from ximilar_ocr_async.emulator.contract import Reply, Request, Task, accept, compose, refuse
from ximilar_ocr_async.emulator.engines import Engine, Reading, Unreadable

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""URL to encoded image; raises `Unreadable`."""

MAX_BODY = 128 * 1024 * 1024
"""[bytes] of a request. The real service's limit is not known."""

INLINE = 1024 * 1024
"""[bytes] of a request that are parsed on the event loop."""


@define(eq=False)
class Service:
    """Answers requests. Lives as long as its server.

    Args:
        engine: Reads the images.
        fetch: Fetches those given by URL; without it they are refused.
        token: The one that is allowed; any if there is none.
        max_body: [bytes] of a request at most.
    """

    engine: Engine
    fetch: Fetch | None = None
    token: str | None = field(default=None, repr=False)
    max_body: int = MAX_BODY
    # Records that were read, which the real service would bill.
    billed: int = field(init=False, default=0)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._respond, methods=methods)])

    async def _respond(self, request: HTTPRequest) -> Response:
        try:
            body = await _body(request, self.max_body)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody hears it
        if body is None:
            reply = refuse(413, f"the request is over {self.max_body:,} bytes")
        else:
            authorization = request.headers.get("authorization")
            path = request.url.path
            reply = await self.answer(Request(request.method, path, authorization, body))
        # Not Starlette's JSON, which breaks on half of a surrogate pair where a string has one.
        document = json.dumps(reply.document)
        return Response(document, reply.status, media_type="application/json")

    async def answer(self, request: Request) -> Reply:
        """Answer one request."""
        start = time.monotonic()
        accepted = await self._accept(request)
        if isinstance(accepted, Reply):
            return accepted
        readings = await self._read_all(accepted)
        self.billed += sum(isinstance(reading, Reading) for reading in readings)
        seconds = time.monotonic() - start
        return compose(accepted, readings, request_id=str(uuid4()), seconds=seconds)

    async def _accept(self, request: Request) -> Reply | list[Task]:
        def accept_it() -> Reply | list[Task]:
            return accept(request, token=self.token, billed=self.billed)

        if len(request.body) <= INLINE:
            return accept_it()
        return await anyio.to_thread.run_sync(accept_it)

    async def _read_all(self, tasks: list[Task]) -> list[Reading | Unreadable]:
        """Read the records side by side; the engine knows how many it can do at once."""
        readings: dict[int, Reading | Unreadable] = {}

        async def read(place: int, task: Task) -> None:
            try:
                readings[place] = await self._read(task)
            except Unreadable as fault:
                readings[place] = fault

        async with anyio.create_task_group() as group:
            for place, task in enumerate(tasks):
                group.start_soon(read, place, task)
        return [readings[place] for place in range(len(tasks))]

    async def _read(self, task: Task) -> Reading:
        if task.fault is not None:
            raise task.fault
        image = task.image
        if image is None:
            if self.fetch is None:
                raise Unreadable(403, "URLs are not fetched here; serve with --allow-urls")
            image = await self.fetch(str(task.url))
        return await self.engine.read(image, task.lang)


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

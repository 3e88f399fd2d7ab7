"""A Starlette backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_starlette:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import ximilar_ocr_async as ocr


def answer_to(error: ocr.OCRError) -> tuple[dict[str, str], int, dict[str, str]]:
    """Return the body, the status and the headers of the answer to the client.

    A client that can mend its request is told how; other errors are logged. None becomes a 401,
    because the token is the backend's, not the client's.
    """
    match error:
        case ocr.ImageError() | ocr.OptionError() | ocr.RequestRejected():
            return {"detail": str(error)}, 422, {}
        case ocr.DeadlineExceeded() | ocr.RequestTimeout():
            status = 504
        case ocr.AuthError() | ocr.AddressError() | ocr.ReplyError():
            status = 502
        case _:
            status = 503
    logging.getLogger(__name__).error("%r", error)
    wait = error.retry_after
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    return {"detail": "images cannot be read now"}, status, headers


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[dict[str, ocr.OCRSession]]:
    """Open one session for the life of the application, so that all clients share its batches."""
    async with ocr.OCRSession(max_queue=100, deadline=30) as session:
        yield {"session": session}


async def respond_to_error(_: Request, error: Any) -> JSONResponse:
    """Answer with what `answer_to` says."""
    return JSONResponse(*answer_to(error))


async def respond_to_disconnect(_: Request, __: Exception) -> Response:
    """Respond to a client that disconnected while it was sending or waiting."""
    return Response(status_code=499)


async def wait_for_disconnect(request: Request) -> None:
    """Raise when the client disconnects; drop the rest of the request's body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def read(request: Request, image: bytes | str) -> JSONResponse:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    found: list[ocr.Record] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_disconnect, request)
            found.append(await request.state.session.read(image))
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # Exception handlers match the error itself, not a group that contains it.
        raise errors.exceptions[0] from None
    [record] = found
    return JSONResponse({"text": record.text, "texts": len(record.ocr.texts)})


async def upload(request: Request) -> JSONResponse:
    """Read the image in the form's field *image*."""
    async with request.form() as form:
        image = form.get("image")
        if image is None or isinstance(image, str):
            raise HTTPException(422, "the form has no file named image")
        data = await image.read()
    return await read(request, data)


async def read_url(request: Request) -> JSONResponse:
    """Read the image at *url*, which the service fetches."""
    return await read(request, request.query_params.get("url", ""))


app = Starlette(
    routes=[Route("/upload", upload, methods=["POST"]), Route("/read", read_url)],
    exception_handlers={ocr.OCRError: respond_to_error, ClientDisconnect: respond_to_disconnect},
    lifespan=lifespan,
)

"""A FastAPI backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_fastapi:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
from fastapi import FastAPI, File, HTTPException, Request
from fastapi.responses import JSONResponse

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
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, ocr.OCRSession]]:
    """Open one session for the life of the application, so that all clients share its batches."""
    async with ocr.OCRSession(max_queue=100, deadline=30) as session:
        yield {"session": session}


app = FastAPI(lifespan=lifespan)


@app.exception_handler(ocr.OCRError)
async def respond_to_error(_: Request, error: ocr.OCRError) -> JSONResponse:
    """Answer with what `answer_to` says."""
    return JSONResponse(*answer_to(error))


async def wait_for_disconnect(request: Request) -> None:
    """Raise when the client disconnects; drop the rest of the request's body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise HTTPException(499, "the client disconnected")


async def read(request: Request, image: bytes | str) -> dict[str, str | int]:
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
    return {"text": record.text, "texts": len(record.ocr.texts)}


@app.post("/upload")
async def upload(request: Request, image: Annotated[bytes, File()]) -> dict[str, str | int]:
    """Read the image in the form's field *image*."""
    return await read(request, image)


@app.get("/read")
async def read_url(request: Request, url: str) -> dict[str, str | int]:
    """Read the image at *url*, which the service fetches."""
    return await read(request, url)

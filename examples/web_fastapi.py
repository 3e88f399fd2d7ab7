"""A FastAPI backend: an image in, uploaded or by URL; its text out.

Run it from the checkout, and ask it::

    XIMILAR_API_TOKEN=... uvicorn examples.web_fastapi:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

Without a token, ``ximilar-ocr serve --allow-urls`` gives a service to try it with: put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio
from fastapi import FastAPI, File, HTTPException, Request
from fastapi.responses import JSONResponse

import ximilar_ocr_async as ocr

CLIENTS_FAULT = (ocr.ImageError, ocr.OptionError, ocr.RequestRejected)
OUR_FAULT = (ocr.AuthError, ocr.ReplyError)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, ocr.OCRSession]]:
    """Hold one session while the application lives: all clients share its batches."""
    async with ocr.OCRSession() as session:
        yield {"session": session}


app = FastAPI(lifespan=lifespan)


@app.exception_handler(ocr.OCRError)
async def answer_error(_: Request, error: ocr.OCRError) -> JSONResponse:
    """Tell the client what it can mend, and the log what it cannot."""
    if isinstance(error, CLIENTS_FAULT):
        return JSONResponse({"detail": str(error)}, 422)
    logging.getLogger(__name__).error("%r", error)
    status = 502 if isinstance(error, OUR_FAULT) else 503
    return JSONResponse({"detail": "images cannot be read now"}, status)


async def wait_for_disconnect(request: Request) -> None:
    """Raise when the client goes away; what is left of the request's body is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise HTTPException(499, "the client went away")


async def read(request: Request, image: bytes | str) -> dict[str, str | int]:
    """Read *image* for as long as its client waits; a `str` is a URL and never opens a file."""
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_disconnect, request)
            record = await request.state.session.read(image)
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # Handlers know what went wrong, not a group of it.
        raise errors.exceptions[0] from None
    return {"text": record.text, "texts": len(record.ocr.texts)}


@app.post("/upload")
async def upload(request: Request, image: Annotated[bytes, File()]) -> dict[str, str | int]:
    """Read the image in the form's field *image*."""
    return await read(request, image)


@app.get("/read")
async def read_url(request: Request, url: str) -> dict[str, str | int]:
    """Read the image at *url*, which the service fetches."""
    return await read(request, url)

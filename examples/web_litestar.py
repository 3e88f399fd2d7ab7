"""A Litestar backend: an image in, uploaded or by URL; its text out.

Run it from the checkout, and ask it::

    XIMILAR_API_TOKEN=... uvicorn examples.web_litestar:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

Without a token, ``ximilar-ocr serve --allow-urls`` gives a service to try it with: put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State, UploadFile
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromQuery, MultipartBody

import ximilar_ocr_async as ocr

CLIENTS_FAULT = (ocr.ImageError, ocr.OptionError, ocr.RequestRejected)
OUR_FAULT = (ocr.AuthError, ocr.ReplyError)

AnyRequest = Request[Any, Any, State]


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Hold one session while the application lives: all clients share its batches."""
    async with ocr.OCRSession() as app.state.session:
        yield


async def provide_session(state: State) -> ocr.OCRSession:
    """Return the session that `lifespan` holds."""
    session: ocr.OCRSession = state.session
    return session


def answer_error(_: AnyRequest, error: ocr.OCRError) -> Response[dict[str, str]]:
    """Tell the client what it can mend, and the log what it cannot."""
    if isinstance(error, CLIENTS_FAULT):
        return Response({"detail": str(error)}, status_code=422)
    logging.getLogger(__name__).error("%r", error)
    status = 502 if isinstance(error, OUR_FAULT) else 503
    return Response({"detail": "images cannot be read now"}, status_code=status)


async def wait_for_disconnect(request: AnyRequest) -> None:
    """Raise when the client goes away; what is left of the request's body is dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise HTTPException(status_code=499, detail="the client went away")


async def read(
    request: AnyRequest, session: ocr.OCRSession, image: bytes | str
) -> dict[str, str | int]:
    """Read *image* for as long as its client waits; a `str` is a URL and never opens a file."""
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_disconnect, request)
            record = await session.read(image)
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # Handlers know what went wrong, not a group of it.
        raise errors.exceptions[0] from None
    return {"text": record.text, "texts": len(record.ocr.texts)}


@dataclass
class Form:
    """What is uploaded."""

    image: UploadFile


@post("/upload", status_code=200)
async def upload(
    request: AnyRequest,
    session: NamedDependency[ocr.OCRSession],
    data: MultipartBody[Form],
) -> dict[str, str | int]:
    """Read the image in the form's field *image*."""
    return await read(request, session, await data.image.read())


@get("/read")
async def read_url(
    request: AnyRequest, session: NamedDependency[ocr.OCRSession], url: FromQuery[str]
) -> dict[str, str | int]:
    """Read the image at *url*, which the service fetches."""
    return await read(request, session, url)


app = Litestar(
    route_handlers=[upload, read_url],
    dependencies={"session": Provide(provide_session)},
    exception_handlers={ocr.OCRError: answer_error},
    lifespan=[lifespan],
)

"""A Litestar backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_litestar:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

import logging
import math
from collections.abc import AsyncGenerator
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

AnyRequest = Request[Any, Any, State]


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
async def lifespan(app: Litestar) -> AsyncGenerator[None]:
    """Open one session for the life of the application, so that all clients share its batches."""
    async with ocr.OCRSession(max_queue=100, deadline=30) as app.state.session:
        yield


async def provide_session(state: State) -> ocr.OCRSession:
    """Return the session that `lifespan` opened."""
    session: ocr.OCRSession = state.session
    return session


def respond_to_error(_: AnyRequest, error: ocr.OCRError) -> Response[dict[str, str]]:
    """Answer with what `answer_to` says."""
    body, status, headers = answer_to(error)
    return Response(body, status_code=status, headers=headers)


async def wait_for_disconnect(request: AnyRequest) -> None:
    """Raise when the client disconnects; drop the rest of the request's body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise HTTPException(status_code=499, detail="the client disconnected")


async def read(
    request: AnyRequest, session: ocr.OCRSession, image: bytes | str
) -> dict[str, str | int]:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    found: list[ocr.Record] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_for_disconnect, request)
            found.append(await session.read(image))
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # Exception handlers match the error itself, not a group that contains it.
        raise errors.exceptions[0] from None
    [record] = found
    return {"text": record.text, "texts": len(record.ocr.texts)}


@dataclass
class Upload:
    """A multipart form with one file.

    Attributes:
        image: The image to read.
    """

    image: UploadFile


@post("/upload", status_code=200)
async def upload(
    request: AnyRequest,
    session: NamedDependency[ocr.OCRSession],
    data: MultipartBody[Upload],
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
    exception_handlers={ocr.OCRError: respond_to_error},
    lifespan=[lifespan],
)

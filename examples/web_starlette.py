"""A Starlette backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_starlette:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ximilar_ocr_async.integrations.starlette import (
    client_session,
    exception_handlers,
    ocr_lifespan,
)

MAX_UPLOAD = 32 * 1024 * 1024
"""[bytes] of a form at most; Starlette's own default is no limit. Source: judgement."""


async def read(request: Request, image: bytes | str) -> JSONResponse:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    session = await client_session(request)
    record = await session.read(image)
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
    # One session for the life of the application, so that all clients share its batches.
    lifespan=ocr_lifespan(max_queue=100, deadline=30),
    exception_handlers=exception_handlers,
    max_body_size=MAX_UPLOAD,
)

"""An aiohttp backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... python examples/web_aiohttp.py
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``python``.
"""

from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

import ximilar_ocr_async as ocr
from ximilar_ocr_async.integrations import answer_to

SESSION = web.AppKey("session", ocr.OCRSession)

MAX_UPLOAD = 32 * 1024 * 1024
"""[bytes] of a form at most; aiohttp's own default is 1 MiB. Source: judgement."""


async def open_session(app: web.Application) -> AsyncIterator[None]:
    """Open one session for the life of the application, so that all clients share its batches."""
    async with ocr.OCRSession(max_queue=100, deadline=30) as app[SESSION]:
        yield


@web.middleware
async def respond_to_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors with what `answer_to` says."""
    try:
        return await handler(request)
    except ocr.OCRError as error:
        body, status, headers = answer_to(error)
        return web.json_response(body, status=status, headers=headers)


async def read(request: web.Request, image: bytes | str) -> web.Response:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    record = await request.app[SESSION].read(image)
    return web.json_response({"text": record.text, "texts": len(record.ocr.texts)})


async def upload(request: web.Request) -> web.Response:
    """Read the image in the form's field *image*."""
    image = (await request.post()).get("image")
    if not isinstance(image, web.FileField):
        raise web.HTTPUnprocessableEntity(text="the form has no file named image")
    with image.file:
        data = image.file.read()
    return await read(request, data)


async def read_url(request: web.Request) -> web.Response:
    """Read the image at *url*, which the service fetches."""
    return await read(request, request.query.get("url", ""))


def create_app() -> web.Application:
    """Make the application; it opens its session when it is started."""
    app = web.Application(middlewares=[respond_to_errors], client_max_size=MAX_UPLOAD)
    app.cleanup_ctx.append(open_session)
    app.add_routes([web.post("/upload", upload), web.get("/read", read_url)])
    return app


if __name__ == "__main__":
    # Without handler_cancellation the image of a client that left would still be read, and billed.
    web.run_app(create_app(), host="127.0.0.1", port=8080, handler_cancellation=True)

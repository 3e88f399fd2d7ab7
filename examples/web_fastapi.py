"""A FastAPI backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_fastapi:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

from typing import Annotated

from fastapi import Depends, FastAPI, UploadFile

from ximilar_ocr_async.integrations.starlette import (
    ClientSession,
    client_session,
    exception_handlers,
    ocr_lifespan,
)

MAX_UPLOAD = 32 * 1024 * 1024
"""[bytes] of a form at most; FastAPI's own default is no limit. Source: judgement."""

app = FastAPI(
    # One session for the life of the application, so that all clients share its batches.
    lifespan=ocr_lifespan(max_queue=100, deadline=30),
    exception_handlers=exception_handlers,
    max_body_size=MAX_UPLOAD,
)

Session = Annotated[ClientSession, Depends(client_session)]


async def read(session: ClientSession, image: bytes | str) -> dict[str, str | int]:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    record = await session.read(image)
    return {"text": record.text, "texts": len(record.ocr.texts)}


@app.post("/upload")
async def upload(session: Session, image: UploadFile) -> dict[str, str | int]:
    """Read the image in the form's field *image*."""
    return await read(session, await image.read())


@app.get("/read")
async def read_url(session: Session, url: str) -> dict[str, str | int]:
    """Read the image at *url*, which the service fetches."""
    return await read(session, url)

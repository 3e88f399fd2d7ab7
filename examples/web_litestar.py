"""A Litestar backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_litestar:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.
"""

from dataclasses import dataclass

from litestar import Litestar, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromQuery, MultipartBody

from ximilar_ocr_async.integrations.litestar import ClientSession, OCRPlugin

MAX_UPLOAD = 32 * 1024 * 1024
"""[bytes] of a form at most; Litestar's own default is 10 MB. Source: judgement."""


async def read(session: ClientSession, image: bytes | str) -> dict[str, str | int]:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened."""
    record = await session.read(image)
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
    ocr: NamedDependency[ClientSession], data: MultipartBody[Upload]
) -> dict[str, str | int]:
    """Read the image in the form's field *image*."""
    return await read(ocr, await data.image.read())


@get("/read")
async def read_url(
    ocr: NamedDependency[ClientSession], url: FromQuery[str]
) -> dict[str, str | int]:
    """Read the image at *url*, which the service fetches."""
    return await read(ocr, url)


app = Litestar(
    [upload, read_url],
    # One session for the life of the application, so that all clients share its batches.
    plugins=[OCRPlugin(max_queue=100, deadline=30)],
    request_max_body_size=MAX_UPLOAD,
)

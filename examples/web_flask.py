"""A Flask backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... flask --app examples.web_flask run --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``flask``.

Other programs with threads can use a session in the same way.
"""

import atexit
from contextlib import ExitStack

from anyio.from_thread import start_blocking_portal
from flask import Flask, request

import ximilar_ocr_async as ocr
from ximilar_ocr_async.integrations import answer_to


def create_app() -> Flask:
    """Make the application, and one session that the threads of this process share.

    Call this in each worker, not before the workers are forked: no thread survives a fork.
    """
    stack = ExitStack()
    atexit.register(stack.close)
    # The session lives on an event loop in a thread of its own. The portal is the way there.
    portal = stack.enter_context(start_blocking_portal())
    session = stack.enter_context(
        portal.wrap_async_context_manager(ocr.OCRSession(max_queue=100, deadline=30))
    )

    def read(image: bytes | str) -> dict[str, str | int]:
        """Read *image*. A `str` is always a URL, so that no file is opened."""
        record = portal.call(session.read, image)
        return {"text": record.text, "texts": len(record.ocr.texts)}

    app = Flask(__name__)
    app.register_error_handler(ocr.OCRError, answer_to)

    @app.post("/upload")
    def upload() -> dict[str, str | int]:
        """Read the image in the form's field *image*."""
        return read(request.files["image"].read())

    @app.get("/read")
    def read_url() -> dict[str, str | int]:
        """Read the image at *url*, which the service fetches."""
        return read(request.args.get("url", ""))

    return app

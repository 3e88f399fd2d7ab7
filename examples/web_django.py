"""A Django backend: an image in, uploaded or by URL; its text out.

Run it from the repository's root, and send it an image::

    XIMILAR_API_TOKEN=... uvicorn examples.web_django:app --port 8080
    curl -F image=@examples/images/en-card.png http://127.0.0.1:8080/upload

To try it without a token, start ``ximilar-ocr serve --allow-urls`` and put
``XIMILAR_BASE_URL=http://127.0.0.1:8000 XIMILAR_API_TOKEN=local`` before ``uvicorn``.

In a project of your own, `app` and `lifespan` belong into ``asgi.py``, and the rest into views.
"""

# Django has no types of its own.
# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import ximilar_ocr_async as ocr
from ximilar_ocr_async.integrations import answer_to

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)
django_app = get_asgi_application()


async def lifespan(state: dict[str, Any], receive: Receive, send: Send) -> None:
    """Open one session for the life of the application, so that all clients share its batches."""
    await receive()
    try:
        session = ocr.OCRSession(max_queue=100, deadline=30)
    except ocr.OptionError as error:
        # Such as that there is no token. Otherwise the server would start all the same.
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    async with session as state["session"]:
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve requests with Django, which knows no lifespan, and the lifespan without it."""
    if scope["type"] == "lifespan":
        await lifespan(scope["state"], receive, send)
    else:
        await django_app(scope, receive, send)


async def read(request: HttpRequest, image: bytes | str) -> JsonResponse:
    """Read *image* while its client waits. A `str` is always a URL, so that no file is opened.

    Django cancels this when the client disconnects.
    """
    try:
        record = await request.scope["state"]["session"].read(image)
    except ocr.OCRError as error:
        body, status, headers = answer_to(error)
        return JsonResponse(body, status=status, headers=headers)
    return JsonResponse({"text": record.text, "texts": len(record.ocr.texts)})


async def upload(request: HttpRequest) -> JsonResponse:
    """Read the image in the form's field *image*."""
    image = request.FILES.get("image")
    if image is None:
        return JsonResponse({"detail": "the form has no file named image"}, status=422)
    return await read(request, image.read())


async def read_url(request: HttpRequest) -> JsonResponse:
    """Read the image at *url*, which the service fetches."""
    return await read(request, request.GET.get("url", ""))


urlpatterns = [path("upload", upload), path("read", read_url)]

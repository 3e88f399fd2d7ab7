"""The session in Litestar: a plugin that opens it, hands it to handlers, and answers errors.

::

    @post("/read")
    async def read(data: MultipartBody[Upload], ocr: NamedDependency[ClientSession]) -> dict:
        return to_dict(await ocr.read(await data.image.read()))


    app = Litestar([read], plugins=[OCRPlugin(deadline=30)])
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.plugins import InitPlugin

import ximilar_ocr_async as ocr
from ximilar_ocr_async.integrations.clients import Client, ClientSession
from ximilar_ocr_async.integrations.http_errors import answer_to

__all__ = ["ClientSession", "OCRPlugin"]

_CLIENT = "ximilar_ocr_async.client"

_Request = Request[Any, Any, State]


class OCRPlugin(InitPlugin):
    """Opens one session for the life of the application.

    Handlers get it as the dependency ``ocr``, a `ClientSession`, whose calls end when the client
    goes away. They then raise an `HTTPException` with status 499. The session itself is
    ``app.state.ocr_session``. Errors are answered as `answer_to` says.

    Args:
        options: Those of `OCRSession`. They are checked when the application starts.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add lifespan, dependency and answers to errors; those of the program go before them."""
        app_config.lifespan = [self._open, *app_config.lifespan]
        app_config.dependencies = {"ocr": Provide(_provide), **app_config.dependencies}
        app_config.exception_handlers = {ocr.OCRError: _respond, **app_config.exception_handlers}
        return app_config

    @asynccontextmanager  # pyright: ignore[reportDeprecated]
    async def _open(self, app: Litestar) -> AsyncIterator[None]:
        async with ocr.OCRSession(**self._options) as app.state.ocr_session:
            yield


async def _provide(request: _Request) -> ClientSession:
    client = request.scope["state"].setdefault(_CLIENT, Client(request.receive, _gone))
    return ClientSession(request.app.state.ocr_session, client)


def _gone() -> HTTPException:
    return HTTPException(status_code=499, detail="the client disconnected")


def _respond(_: _Request, error: ocr.OCRError) -> Response[dict[str, str]]:
    body, status, headers = answer_to(error)
    return Response(body, status_code=status, headers=headers)

"""The session in FastAPI and Starlette: a lifespan, the session for a request, errors as answers.

::

    app = FastAPI(lifespan=ocr_lifespan(deadline=30), exception_handlers=exception_handlers)


    @app.post("/read")
    async def read(image: UploadFile, ocr: Annotated[ClientSession, Depends(client_session)]):
        return to_dict(await ocr.read(await image.read()))
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response

import ximilar_ocr_async as ocr
from ximilar_ocr_async.integrations.clients import Client, ClientSession
from ximilar_ocr_async.integrations.http_errors import answer_to

__all__ = [
    "ClientSession",
    "client_session",
    "exception_handlers",
    "get_session",
    "ocr_lifespan",
]

_SESSION = "ocr_session"
_CLIENT = "ximilar_ocr_async.client"

_Stateful = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
_Stateless = Callable[[Any], AbstractAsyncContextManager[None]]


def ocr_lifespan(lifespan: _Stateful | _Stateless | None = None, /, **options: Any) -> _Stateful:
    """Return a lifespan that opens one session for the application.

    Args:
        lifespan: A lifespan of the application's own, which runs inside; its state is kept.
        options: Those of `OCRSession`. They are checked when the application starts.
    """

    @asynccontextmanager  # pyright: ignore[reportDeprecated]
    async def opened(app: Any) -> AsyncIterator[Mapping[str, Any]]:
        async with ocr.OCRSession(**options) as session:
            if lifespan is None:
                yield {_SESSION: session}
                return
            async with lifespan(app) as state:
                yield {**(state or {}), _SESSION: session}

    return opened


async def get_session(connection: HTTPConnection) -> ocr.OCRSession:
    """Return the application's session. Its calls go on when the client goes away."""
    # FastAPI would run it in a thread if it were no coroutine.
    session: ocr.OCRSession | None = getattr(connection.state, _SESSION, None)
    if session is None:
        raise ocr.SessionStateError("there is no session: pass lifespan=ocr_lifespan() to the app")
    return session


async def client_session(request: Request) -> ClientSession:
    """Return the session for a request, whose calls end when its client goes away.

    They then raise an `HTTPException` with status 499. Read the body first: what is left of it
    when a call begins is dropped.
    """
    session = await get_session(request)
    client = request.scope.setdefault(_CLIENT, Client(request.receive, _gone))
    return ClientSession(session, client)


def _gone() -> HTTPException:
    return HTTPException(499, "the client disconnected")


async def _respond(_: Request, error: Exception) -> Response:
    if isinstance(error, ocr.OCRError):
        return JSONResponse(*answer_to(error))
    return Response(status_code=499)  # it left while it was sending, and nobody receives this


exception_handlers: dict[Any, Any] = {ocr.OCRError: _respond, ClientDisconnect: _respond}
"""Answers to errors, for ``exception_handlers`` of the application; `answer_to` says which."""

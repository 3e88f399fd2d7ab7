"""The session in Litestar, as a plugin."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from litestar import Litestar, Request, Response, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency, Provide
from litestar.middleware import DefineMiddleware
from litestar.params import MultipartBody
from litestar.types import ASGIApp, Receive, Scope, Send

from tests.helpers import urls
from tests.integrations.visits import Visit, form
from ximilar_ocr_async import OCRError, RetryPolicy
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.integrations.litestar import ClientSession, OCRPlugin
from ximilar_ocr_async.testing import InProcessService


async def read_one(_: Any) -> list[int]:
    """Read one image."""
    return [1]


pytestmark = pytest.mark.anyio


@dataclass
class Upload:
    """A form with one file."""

    image: UploadFile


@post("/read", status_code=200)
async def read(ocr: NamedDependency[ClientSession], data: MultipartBody[Upload]) -> dict[str, Any]:
    """Read an upload."""
    return to_dict(await ocr.read(await data.image.read()))


@post("/many", status_code=200)
async def many(ocr: NamedDependency[ClientSession]) -> int:
    """Read a hundred images."""
    return len(await ocr.read_all(urls(100)))


def pass_on(app: ASGIApp) -> ASGIApp:
    """Do nothing, between the server and the handler."""

    async def passed(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return passed


@asynccontextmanager
async def running(service: InProcessService, **options: Any) -> AsyncIterator[Litestar]:
    """Run an application that reads from *service*."""
    own = {key: options.pop(key) for key in [*options] if key.endswith(("ers", "ies"))}
    async with service.client() as client:
        options = {"token": "abc", "max_concurrency": 1, "http_client": client, **options}
        app = Litestar(
            [read, many],
            plugins=[OCRPlugin(**options)],
            middleware=[DefineMiddleware(pass_on)],
            **own,
        )
        async with app.lifespan():
            yield app


async def test_a_client_that_waits_gets_its_record(service: InProcessService) -> None:
    """An upload is read, and many images are, by the one session of the application."""
    async with running(service) as app:
        one = await Visit("/read").make(app, {})
        many = await Visit("/many", b"").make(app, {})
        assert "open" in repr(app.state.ocr_session)
    assert (one.status, one.document["_status"]["code"]) == (200, 200)
    assert (many.status, many.document) == (200, 100)
    assert "closed" in repr(app.state.ocr_session)


async def test_who_has_left_already_is_not_paid_for(service: InProcessService) -> None:
    """A client that left when its upload was there costs nothing."""
    async with running(service) as app, anyio.create_task_group() as group:
        visits = [Visit(path) for path in ("/read", "/many") * 20]
        for visit in visits:
            visit.left.set()
            group.start_soon(visit.make, app, {})
    assert {visit.status for visit in visits} <= {499, None}
    assert service.requests == 0


async def test_who_leaves_while_waiting_is_not_paid_for(service: InProcessService) -> None:
    """Images that wait for a slot are withdrawn; the others are read."""
    service.latency = 100.0
    async with running(service, timeout=200) as app:
        async with anyio.create_task_group() as group:
            stays, leave = Visit("/read"), [Visit(path) for path in ("/read", "/many") * 9]
            group.start_soon(stays.make, app, {})
            await anyio.sleep(1)
            for visit in leave:
                group.start_soon(visit.make, app, {})
            await anyio.sleep(1)
            for visit in leave:
                visit.left.set()
    assert stays.status == 200
    assert service.billed == 1


async def test_errors_are_answers(service: InProcessService) -> None:
    """What is no image is the client's error; what is the service's says when to come again."""
    async with running(service) as app:
        visit = await Visit("/read", form(b"text")).make(app, {})
    assert (visit.status, visit.document) == (422, {"detail": "<4 bytes> is not an image"})
    busy = InProcessService(reply=lambda _: httpx.Response(429, headers={"Retry-After": "7"}))
    async with running(busy, retry=RetryPolicy(attempts=1)) as app:
        visit = await Visit("/read").make(app, {})
    assert (visit.status, visit.headers["retry-after"]) == (503, "7")


async def test_what_the_program_says_goes_first(service: InProcessService) -> None:
    """Handlers of errors and dependencies of the program's own are kept."""

    def answer(_: Request[Any, Any, Any], __: OCRError) -> Response[str]:
        return Response("mine", status_code=418, media_type="text/plain")

    class Mine(ClientSession):
        def __init__(self) -> None:
            self.read_all: Any = read_one

    async def provide() -> Any:
        return Mine()

    async with running(service, exception_handlers={OCRError: answer}) as app:
        visit = await Visit("/read", form(b"text")).make(app, {})
        assert visit.status == 418
    async with running(service, dependencies={"ocr": Provide(provide)}) as app:
        visit = await Visit("/many", b"").make(app, {})
        assert visit.document == 1

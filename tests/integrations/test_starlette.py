"""The session in FastAPI and Starlette: no client that left is paid for, and errors are answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import anyio
import httpx
import pytest
from attrs import define
from fastapi import Depends, FastAPI, UploadFile
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.helpers import PNG, urls
from tests.integrations.visits import Visit, form
from ximilar_ocr_async import OCRError, OCRSession, RetryPolicy, SessionStateError
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.integrations.starlette import (
    ClientSession,
    client_session,
    exception_handlers,
    get_session,
    ocr_lifespan,
)
from ximilar_ocr_async.testing import InProcessService

HOUR = 3600.0

pytestmark = pytest.mark.anyio


async def pass_on(request: Request, call_next: Callable[..., Awaitable[Response]]) -> Response:
    """Do nothing, between the server and the handler."""
    return await call_next(request)


def fastapi(**options: Any) -> FastAPI:
    """Make an application of FastAPI."""
    app = FastAPI(exception_handlers=exception_handlers, **options)

    @app.post("/read")
    async def read(
        image: UploadFile, session: Annotated[ClientSession, Depends(client_session)]
    ) -> dict[str, Any]:
        return to_dict(await session.read(await image.read()))

    @app.post("/many")
    async def many(session: Annotated[ClientSession, Depends(client_session)]) -> int:
        return len(await session.read_all(urls(100)))

    @app.post("/both")
    async def both(session: Annotated[ClientSession, Depends(client_session)]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read, urls(2)[0])
            group.start_soon(session.read, urls(2)[1])

    return app


def starlette(**options: Any) -> Starlette:
    """Make an application of Starlette."""

    async def read(request: Request) -> Response:
        async with request.form() as given:
            image: Any = given["image"]
            data = await image.read()
        return JSONResponse(to_dict(await (await client_session(request)).read(data)))

    async def many(request: Request) -> Response:
        return JSONResponse(len(await (await client_session(request)).read_all(urls(100))))

    async def both(request: Request) -> Response:
        async with anyio.create_task_group() as group:
            for url in urls(2):
                group.start_soon((await client_session(request)).read, url)
        return Response()

    routes = [
        Route("/read", read, methods=["POST"]),
        Route("/many", many, methods=["POST"]),
        Route("/both", both, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=exception_handlers, **options)


def mounted(**options: Any) -> Starlette:
    """Make an application in another, which has the session."""
    return Starlette(routes=[Mount("/in", fastapi()), Mount("/", starlette())], **options)


def behind(**options: Any) -> FastAPI:
    """Make an application behind a middleware that has its own way to receive."""
    return fastapi(middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)] * 2, **options)


@define
class Backend:
    """An application that runs."""

    app: Any
    state: dict[str, Any]

    @property
    def session(self) -> OCRSession:
        """Its session."""
        session: OCRSession = self.state["ocr_session"]
        return session

    async def visit(self, visit: Visit) -> Visit:
        """Make a request."""
        return await visit.make(self.app, dict(self.state))


@pytest.fixture(params=[fastapi, starlette, mounted, behind], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give each way to make an application."""
    found: Callable[..., Any] = request.param
    return found


@asynccontextmanager
async def running(
    make: Callable[..., Any], service: InProcessService, **options: Any
) -> AsyncIterator[Backend]:
    """Run an application that reads from *service*."""
    options = {"token": "abc", "max_concurrency": 1, **options}
    async with service.client() as client:
        app = make(lifespan=ocr_lifespan(http_client=client, **options))
        async with app.router.lifespan_context(app) as state:
            yield Backend(app, state)


async def test_a_client_that_waits_gets_its_record(
    make: Callable[..., Any], service: InProcessService
) -> None:
    """An upload is read, and its record is the answer."""
    async with running(make, service) as backend:
        visit = await backend.visit(Visit("/read"))
        assert visit.status == 200
        assert visit.document["_status"]["code"] == 200
        many = await backend.visit(Visit("/many", b""))
    assert (many.status, many.document) == (200, 100)
    assert service.billed == 101


async def test_who_has_left_already_is_not_paid_for(
    make: Callable[..., Any], service: InProcessService
) -> None:
    """A client that left when its upload was there costs nothing, however many there are."""
    async with running(make, service) as backend, anyio.create_task_group() as group:
        visits = [Visit(path) for path in ("/read", "/many") * 50]
        for visit in visits:
            visit.left.set()
            group.start_soon(backend.visit, visit)
    assert {visit.status for visit in visits} <= {499, None}
    assert (service.requests, service.billed) == (0, 0)


async def test_who_leaves_while_waiting_is_not_paid_for(
    make: Callable[..., Any], service: InProcessService
) -> None:
    """Images that wait for a slot are withdrawn, of single reads and of many; others are read."""
    service.latency = HOUR
    async with running(make, service, timeout=2 * HOUR) as backend:
        async with anyio.create_task_group() as group:
            stays = Visit("/read")
            group.start_soon(backend.visit, stays)
            await anyio.sleep(1)
            leave = [Visit(path) for path in ("/read", "/many") * 20]
            for visit in leave:
                group.start_soon(backend.visit, visit)
            await anyio.sleep(1)
            assert service.requests == 1
            for visit in leave:
                visit.left.set()
        assert stays.status == 200
        assert backend.session.stats.queued == 0
    assert {visit.status for visit in leave} <= {499, None}
    assert service.billed == 1


async def test_who_leaves_while_sending_is_not_read(
    make: Callable[..., Any], service: InProcessService
) -> None:
    """Of half an upload nothing is sent, and nothing breaks."""
    visit = Visit("/read", form(PNG)[:-9], cut=True)
    visit.left.set()
    async with running(make, service) as backend:
        await backend.visit(visit)
    assert visit.status in {400, 499, None}
    assert service.requests == 0


async def test_all_calls_of_a_request_end_with_its_client(
    make: Callable[..., Any], service: InProcessService
) -> None:
    """Two calls at once end both, although the server tells of the client's leaving once."""
    service.latency = HOUR
    async with running(make, service) as backend:
        visit = Visit("/both", b"", told=1)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(visit_and_pass, backend, visit)
                await anyio.sleep(1)
                visit.left.set()
        assert backend.session.stats.queued == 0


async def visit_and_pass(backend: Backend, visit: Visit) -> None:
    """Make a request whose handler has a task group of its own, and so an error for each call."""
    try:
        await backend.visit(visit)
    except* Exception as errors:  # noqa: BLE001 - however many frameworks put it into groups
        assert "the client disconnected" in repr(errors)  # noqa: PT017


@pytest.mark.parametrize(
    "upload, status",
    [(form(b"plain text"), 422), (form(b""), 422), (form(b"%PDF-1.7"), 422)],
    ids=["text", "empty", "pdf"],
)
async def test_what_is_no_image_is_the_clients_error(
    make: Callable[..., Any], service: InProcessService, upload: bytes, status: int
) -> None:
    """A file that cannot be read is an answer that says so, and is not sent."""
    async with running(make, service) as backend:
        visit = await backend.visit(Visit("/read", upload))
    assert visit.status == status
    assert visit.document["detail"].startswith("<")
    assert service.requests == 0


async def test_the_client_is_told_when_to_come_again(make: Callable[..., Any]) -> None:
    """Errors of the service are no group and no 500: the answer has `Retry-After`."""
    busy = httpx.Response(429, headers={"Retry-After": "7"})
    service = InProcessService(reply=lambda _: busy)
    async with running(make, service, retry=RetryPolicy(attempts=1)) as backend:
        visit = await backend.visit(Visit("/read"))
    assert (visit.status, visit.headers["retry-after"]) == (503, "7")
    assert visit.document == {"detail": "images cannot be read now"}


async def test_a_handler_of_the_programs_own_gets_the_error_itself(
    service: InProcessService,
) -> None:
    """A program that answers errors in its own way is given them, and never a group."""
    seen: list[Exception] = []

    async def answer(_: Request, error: Exception) -> Response:
        seen.append(error)
        return JSONResponse("mine", 418)

    def make(**options: Any) -> FastAPI:
        app = fastapi(**options)
        app.add_exception_handler(OCRError, answer)
        return app

    async with running(make, service) as backend:
        visit = await backend.visit(Visit("/read", form(b"text")))
    assert (visit.status, visit.document) == (418, "mine")
    assert isinstance(seen[0], OCRError)


async def test_a_lifespan_of_the_programs_own_runs_inside(service: InProcessService) -> None:
    """It begins after the session and ends before it, and its state is kept."""
    told: list[str] = []

    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[dict[str, str]]:
        told.append("begun")
        yield {"mine": "kept"}
        told.append("ended")

    @asynccontextmanager
    async def bare(_: Any) -> AsyncIterator[None]:
        yield

    async with service.client() as client:
        lifespan = ocr_lifespan(own, token="abc", http_client=client)
        async with lifespan(FastAPI()) as state:
            assert state is not None
            assert (state["mine"], told) == ("kept", ["begun"])
            session = state["ocr_session"]
            assert (await session.read(PNG)).status.ok
        assert told == ["begun", "ended"]
        assert "closed" in repr(session)
        async with ocr_lifespan(bare, token="abc", http_client=client)(FastAPI()) as state:
            assert [*(state or {})] == ["ocr_session"]


async def test_without_the_lifespan_there_is_a_word(service: InProcessService) -> None:
    """A program that forgot the lifespan is told of it."""
    with pytest.raises(SessionStateError, match="lifespan=ocr_lifespan"):
        await get_session(HTTPConnection({"type": "http", "state": {}}))
    assert service.requests == 0


async def test_what_calls_raise_and_return_is_as_ever(service: InProcessService) -> None:
    """Any call can be bound to the client; it is cancelled from outside as it would be."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(running(fastapi, service))
        visit = Visit("/", b"")
        scope = {"type": "http", "state": backend.state, "method": "GET", "headers": []}
        session = await client_session(Request(scope, visit.receive))
        assert session.session is backend.session
        assert (await session.bind(backend.session.account)()).credits_counter == 0
        with pytest.raises(ZeroDivisionError):
            await session.bind(divide)(0)
        with anyio.move_on_after(0.5) as patience:
            await session.read(PNG)
        assert patience.cancelled_caught
        visit.left.set()
        visit.told = 1
        for _ in range(2):
            with pytest.raises(Exception, match="the client disconnected"):
                await session.read(PNG)


async def divide(number: int) -> float:
    """Divide."""
    return 1 / number


async def test_a_server_that_does_not_tell_ends_no_call(service: InProcessService) -> None:
    """Where asking for the client fails, calls go on to their end."""

    async def receive() -> Any:
        raise RuntimeError("nothing is known")

    async with running(fastapi, service) as backend:
        scope = {"type": "http", "state": backend.state, "method": "GET", "headers": []}
        record = await (await client_session(Request(scope, receive))).read(PNG)
    assert record.status.ok

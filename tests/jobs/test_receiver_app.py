"""Deliveries over HTTP: read no further than need be, and handled by the program."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.helpers import urls
from tests.jobs.deliveries import GIVEN, HEADERS, news, posting, receiver
from ximilar_ocr_async import Delivery, Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService


def test_the_app_answers_as_a_server_does() -> None:
    """Mounted in a program's own application, it takes deliveries, and says what is wrong."""
    handled: list[Delivery] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery)

    there = receiver(max_bytes=1000)
    with TestClient(Starlette(routes=[Mount("/hooks", there.app(handle))])) as client:

        def post(body: bytes, headers: dict[str, str] = HEADERS) -> tuple[int, str]:
            response = client.post("/hooks/ximilar", content=body, headers=headers)
            return response.status_code, response.text

        assert post(news()) == (204, "")
        assert post(news()) == (204, "")
        assert post(news(), {}) == (401, "the delivery lacks the webhook's headers")
        assert post(b"?") == (400, "the delivery is not JSON")
        status, told = post(b" " * 1001)
        assert (status, "the limit is 1,000" in told) == (413, True)
        assert client.get("/hooks/ximilar").status_code == 405
    assert [delivery.id for delivery in handled] == ["r1"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers, status, most", [({}, 401, 0), (HEADERS, 413, 3)], ids=["secret", "size"]
)
async def test_a_body_is_read_no_further_than_need_be(
    headers: dict[str, str], status: int, most: int
) -> None:
    """Of what nobody vouches for nothing is read; of what is too large, a little over the limit."""
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        "http_version": "1.1",
        "scheme": "https",
        "server": ("me.example", 443),
    }
    await receiver(max_bytes=2500).app()(scope, receive, send)
    assert sent[0]["status"] == status
    assert read <= most


@pytest.mark.anyio
async def test_a_body_in_pieces_is_one_delivery() -> None:
    """Whatever pieces it comes in, and at any path."""

    async def pieces() -> AsyncIterator[bytes]:
        for byte in news():
            yield bytes([byte])

    there = receiver()
    async with posting(there) as client:
        response = await client.post("/any/where", content=pieces(), headers=HEADERS)
    assert response.status_code == 204
    assert there.receive(GIVEN, news()) is None


@pytest.mark.anyio
async def test_a_handler_that_raises_makes_the_delivery_new_again() -> None:
    """What the program could not take is not lost where it is told once more."""
    handled: list[str] = []

    async def handle(delivery: Delivery) -> None:
        if not handled:
            handled.append("failed")
            raise ConnectionError("no database")
        handled.append(delivery.id)

    async with posting(receiver(), handle) as client:
        with pytest.raises(ConnectionError):
            await client.post("/", content=news(), headers=HEADERS)
        for _ in range(2):
            response = await client.post("/", content=news(), headers=HEADERS)
            assert response.status_code == 204
    assert handled == ["failed", "r1"]


@pytest.mark.anyio
async def test_a_handler_that_is_cancelled_makes_the_delivery_new_again() -> None:
    """A server that shuts down has not taken what it was about to handle."""

    async def handle(_: Delivery) -> None:
        await anyio.sleep_forever()

    there = receiver()
    async with posting(there, handle) as client:
        with anyio.move_on_after(1):
            await client.post("/", content=news(), headers=HEADERS)
    assert there.receive(GIVEN, news()) is not None


@pytest.mark.anyio
async def test_a_delivery_that_is_being_handled_is_not_taken_twice() -> None:
    """The second is to come again, for the first may still fail."""
    begun, go_on = anyio.Event(), anyio.Event()

    async def handle(_: Delivery) -> None:
        begun.set()
        await go_on.wait()

    there = receiver()
    client = httpx.AsyncClient(transport=httpx.ASGITransport(there.app(handle)))
    codes = []

    async def post() -> None:
        answer = await client.post("https://me.example/", content=news("r1"), headers=GIVEN)
        codes.append(answer.status_code)

    async with client, anyio.create_task_group() as group:
        group.start_soon(post)
        await begun.wait()
        await post()
        go_on.set()
    await anyio.lowlevel.checkpoint()
    assert codes == [503, 204]


def mount(app: Any, path: str) -> Starlette:
    """Mount as Starlette does."""
    return Starlette(routes=[Mount(path, app)])


def mount_in_fastapi(app: Any, path: str) -> FastAPI:
    """Mount as FastAPI does."""
    there = FastAPI()
    there.mount(path, app)
    return there


def mount_in_another(app: Any, path: str) -> Any:
    """Mount in an application that is mounted at the beginning of the path."""
    outer, inner = path.rsplit("/", 1)
    return mount(mount_in_fastapi(app, f"/{inner}"), outer) if outer else mount(app, path)


def mount_in_litestar(app: Any, path: str) -> Any:
    """Mount as Litestar does."""
    handler = asgi(path, is_mount=True, copy_scope=True)(_plain(app))
    return Litestar([handler])


def _plain(app: Any) -> Any:
    async def passed(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return passed


def bare(app: Any, _: str) -> Any:
    """Serve it alone."""
    return app


MOUNTS = [mount, mount_in_fastapi, mount_in_another, mount_in_litestar, bare]


@pytest.mark.anyio
@pytest.mark.parametrize("root_path", ["", "/proxied"])
@pytest.mark.parametrize("path", ["/hook", "/hook/", "/api/hook", "/hook?key=1", "/hook/?key=1"])
@pytest.mark.parametrize("way", MOUNTS, ids=lambda way: way.__name__)
async def test_a_mount_is_reached_with_and_without_the_slash(
    way: Any, path: str, root_path: str
) -> None:
    """Wherever it is mounted and however its URL ends, each delivery comes."""
    handled: list[str] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.id)

    webhook = Webhook(f"https://me.example{root_path}{path}")
    there = WebhookReceiver(webhook)
    place = path.partition("?")[0].rstrip("/")
    outer = way(there.app(handle), place)
    service = InProcessService(receiver=httpx.ASGITransport(outer, root_path=root_path))
    async with service.session() as session:
        job = await session.submit(urls(12), webhook=there)
        assert [outcome.ok for outcome in await job.wait()] == [True] * 12
    assert sorted(handled) == sorted(job.ids)
    assert there.webhook == webhook


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/hook", "/hook/"])
async def test_a_route_of_one_path_is_given_the_url_as_it_is(path: str) -> None:
    """Where the application is at one path only, that path is what the service calls."""
    handled: list[str] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.id)

    there = WebhookReceiver(Webhook(f"https://me.example{path}"))
    route = Route(path, there.app(handle, mounted=False), methods=["POST"])
    service = InProcessService(receiver=httpx.ASGITransport(Starlette(routes=[route])))
    async with service.session() as session:
        job = await session.submit(urls(1), webhook=there)
        await job.wait()
    assert handled == list(job.ids)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/hook", "/hook/"])
async def test_a_route_of_what_begins_so_is_as_good_as_a_mount(path: str) -> None:
    """A route that takes the rest of the path takes both forms of the URL."""
    there = WebhookReceiver(Webhook(f"https://me.example{path}"))
    route = Route("/hook{rest:path}", there.app(), methods=["POST"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=[route]))) as http:
        for url in (there.webhook.url, there.reached_at().url):
            headers = dict(there.webhook.headers)
            answer = await http.post(url, content=news("r1"), headers=headers)
            assert answer.status_code == 204


@pytest.mark.parametrize("path", ["", "/hook"])
def test_the_end_of_a_mount_is_no_redirect(path: str) -> None:
    """Where a server says that the mount is the whole path, the delivery is taken there."""
    there = receiver()
    with TestClient(there.app(), root_path="/hook") as client:
        answer = client.post(path, content=news(), headers=HEADERS, follow_redirects=False)
        assert answer.status_code == 204
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/hook"):
            pass


@pytest.mark.anyio
async def test_half_a_delivery_is_none() -> None:
    """A sender that leaves while it sends has delivered nothing."""
    there, sent = receiver(), []
    messages: list[Any] = [
        {"type": "http.request", "body": news()[:9], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    await there.app()(scope, receive, send)
    assert sent[0]["status"] == 400
    assert there.receive(GIVEN, news()) is not None

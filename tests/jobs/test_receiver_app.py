"""Deliveries over HTTP: read no further than need be, and handled by the program."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from tests.jobs.deliveries import GIVEN, HEADERS, news, posting, receiver
from ximilar_ocr_async import Delivery


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

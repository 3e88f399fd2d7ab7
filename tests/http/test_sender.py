"""The transport on real sockets: how far a request came decides what its failure means."""

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from tests.faults.server import Connection, faulty_server
from tests.helpers import error_of
from tests.http.replies import URL, behave_well, httpx_abandons_generators, reply_to
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    ConnectionFailed,
    Image,
    OCRSession,
    ReplyError,
    ReplyLost,
    RequestTimeout,
    RetryPolicy,
)
from ximilar_ocr_async._http import sender

pytestmark = pytest.mark.anyio
ONCE = RetryPolicy(attempts=1)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


async def failure_of(url: str, **options: Any) -> Any:
    """Read one image once; return its failure."""
    async with OCRSession("t", base_url=url, retry=ONCE, **options) as session:
        (outcome,) = await session.read_all([URL])
    assert not outcome.ok
    return outcome


async def test_a_refused_connection_was_not_billed() -> None:
    """Where nobody listens, nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outcome = await failure_of(f"http://127.0.0.1:{port}")
    assert isinstance(outcome.error, ConnectionFailed)
    assert not outcome.maybe_billed


@httpx_abandons_generators
async def test_a_line_cut_while_sending_was_not_billed() -> None:
    """Before the last byte of the body has left, the service cannot have understood it."""

    async def cut(connection: Connection) -> None:
        await connection.stream.receive()
        await connection.reset()

    image = b"\x89PNG\r\n\x1a\n" + bytes(30_000_000)
    async with faulty_server(cut) as server:
        async with OCRSession("t", base_url=server.url, retry=ONCE) as session:
            (outcome,) = await session.read_all([image])
    assert isinstance(error_of(outcome), ConnectionFailed)
    assert not outcome.maybe_billed


async def _close(connection: Connection) -> None:
    await connection.stream.aclose()


async def _half_an_answer(connection: Connection) -> None:
    await connection.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def _garbage(connection: Connection) -> None:
    await connection.stream.send(b"\x00\x01\x02 what is this\r\n\r\n")


async def _broken_gzip(connection: Connection) -> None:
    await connection.answer(b"not gzip", more="Content-Encoding: gzip\r\n")


@httpx_abandons_generators
@pytest.mark.parametrize("end", [_close, Connection.reset, _half_an_answer, _garbage, _broken_gzip])
async def test_a_reply_lost_after_sending_is_maybe_billed(end: Any) -> None:
    """Once the whole body has left, a missing answer leaves open what was billed."""

    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await end(connection)

    async with faulty_server(behave) as server:
        outcome = await failure_of(server.url)
    assert isinstance(outcome.error, ReplyLost | ReplyError)
    assert outcome.maybe_billed
    assert outcome.error.__cause__ is outcome.error.__context__ is None


async def test_an_answer_that_trickles_in_for_ever_is_given_up() -> None:
    """The timeout bounds the whole request, not the time between two bytes."""

    async def trickle(connection: Connection) -> None:
        await connection.read_request()
        await connection.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await connection.stream.send(b" ")
            await anyio.sleep(0.01)

    async with faulty_server(trickle) as server:
        outcome = await failure_of(server.url, timeout=0.3)
    assert isinstance(outcome.error, ReplyLost)


async def test_a_service_that_falls_silent_is_given_up_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a byte less time is waited than a request may take in all."""
    monkeypatch.setattr(sender, "READ_TIMEOUT", 0.1)

    async def fall_silent(connection: Connection) -> None:
        await connection.read_request()
        await connection.stall()

    async with faulty_server(fall_silent) as server:
        outcome = await failure_of(server.url)
    assert isinstance(outcome.error, RequestTimeout)
    assert str(outcome.error) == "ReadTimeout: nothing was received for 0.1 s"
    assert outcome.maybe_billed


async def test_redirects_are_not_followed() -> None:
    """The token and the images go to the address that was given, and to no other."""

    async def redirect(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(b"", status="307 Moved", more=f"Location: {server.url}/x\r\n")

    async with faulty_server(redirect) as server:
        outcome = await failure_of(server.url)
    assert isinstance(outcome.error, AddressError)
    assert outcome.error.status == 307
    assert server.connections == 1


async def test_a_redirect_that_does_not_end_is_one_too() -> None:
    """What a service that sends elsewhere has not said by the end of the time does not matter."""

    async def redirect(connection: Connection) -> None:
        await connection.read_request()
        head = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99\r\n\r\n"
        await connection.stream.send(head)
        await connection.stall()

    async with faulty_server(redirect) as server:
        retry = RetryPolicy(base=0.01)
        async with OCRSession("t", base_url=server.url, timeout=0.2, retry=retry) as session:
            (outcome,) = await session.read_all([URL])
    error = error_of(outcome)
    assert isinstance(error, AddressError)
    assert error.status == 302
    assert not outcome.maybe_billed
    assert server.connections == 1


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_a_redirect_to_no_address_is_one_too(library: Any) -> None:
    """One of the libraries calls it an error of the protocol; what it means is the same."""

    async def redirect(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(b"", status="302 Found", more="Location: https://[::1\r\n")

    async with faulty_server(redirect) as server, library.AsyncClient() as client:
        outcome = await failure_of(server.url, http_client=client)
    assert isinstance(outcome.error, AddressError)
    assert outcome.error.status == 302
    assert str(outcome.error).startswith("302")


async def test_large_bodies_arrive_whole() -> None:
    """What is streamed in pieces is, byte for byte, the JSON of the records."""
    image = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4000
    seen: list[Any] = []

    async def keep(connection: Connection) -> None:
        body = await connection.read_request()
        seen.append(json.loads(body))
        await connection.answer(reply_to(body))

    async with faulty_server(keep) as server:
        async with OCRSession("t", base_url=server.url) as session:
            record = await session.read(Image(image, extra={"page": "ß"}))
    (row,) = seen[0]["records"]
    assert len(row["_base64"]) == (len(image) + 2) // 3 * 4
    assert row["page"] == "ß"
    assert record.text == "from bytes"


@pytest.fixture(params=[httpx.AsyncClient, httpx2.AsyncClient], ids=["httpx", "httpx2"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Give a client of the caller's own, of either library."""
    async with request.param() as client:
        yield client


async def test_an_injected_client_is_used_and_left_open(client: Any) -> None:
    """A client of the caller's own works, of httpx or httpx2, and outlives the session."""
    async with faulty_server(behave_well) as server:
        for _ in range(2):
            async with OCRSession("t", base_url=server.url, http_client=client) as session:
                outcomes = await session.read_all([URL] * 25)
            assert all(outcome.ok for outcome in outcomes)
    assert not client.is_closed


async def test_an_injected_client_tells_how_far_a_request_came(client: Any) -> None:
    """What failed before and after sending is told apart with either library."""

    async def drop(connection: Connection) -> None:
        await connection.read_request()

    async with faulty_server(drop) as server:
        lost = await failure_of(server.url, http_client=client)
    refused = await failure_of(server.url, http_client=client)
    assert isinstance(lost.error, ReplyLost)
    assert isinstance(refused.error, ConnectionFailed)


async def test_an_answer_before_the_end_of_the_request_is_heard() -> None:
    """A service that refuses and hangs up has said why, though not all of the body was sent."""

    async def refuse(connection: Connection) -> None:
        await connection.read_head()
        await connection.answer(b'{"status": {"code": 401, "text": "no"}}', status="401 No")
        await connection.stream.send_eof()
        while True:
            await connection.stream.receive()

    image = b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)
    async with faulty_server(refuse) as server:
        async with OCRSession("t", base_url=server.url, retry=ONCE) as session:
            (outcome,) = await session.read_all([image])
    assert isinstance(error_of(outcome), AuthError)


@pytest.mark.parametrize("size", [20_000, 100_000])
async def test_answers_of_any_size_are_decoded_with_their_loop_at_work(size: int) -> None:
    """Large answers wait for their turn, or are decoded in a thread; all arrive."""

    async def say_much(connection: Connection) -> None:
        while True:
            rows = [
                {"_id": row["_id"], "_ocr": {"full_text": "x" * size}}
                for row in json.loads(await connection.read_request())["records"]
            ]
            answer = {"records": rows, "status": {"code": 200}}
            await connection.answer(json.dumps(answer).encode())

    async with faulty_server(say_much) as server:
        async with OCRSession("t", base_url=server.url, max_concurrency=3) as session:
            outcomes = await session.read_all([URL] * 25)
    assert [len(outcome.unwrap().text) for outcome in outcomes] == [size] * 25

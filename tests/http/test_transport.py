"""The package's own client on real sockets: connections are made, kept, used again and closed."""

import ssl
from typing import Any

import anyio
import pytest
import trustme

from tests.faults.server import Connection, faulty_server
from tests.http.replies import URL, behave_well, reply_to
from ximilar_ocr_async import OCRSession, SessionStateError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


async def test_connections_are_used_again() -> None:
    """Requests that follow each other share a connection."""
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url + "/") as session:
            for _ in range(3):
                assert (await session.read(URL)).text == URL
    assert server.connections == 1


async def test_many_slots_use_their_connections_again() -> None:
    """There are no more connections than slots, however many requests there are."""
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url, max_concurrency=40) as session:
            outcomes = await session.read_all([URL] * 1000)
    assert all(outcome.ok for outcome in outcomes)
    assert server.connections <= 40


async def test_connections_that_idled_for_long_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not used again, for the service will have closed them."""
    monkeypatch.setattr("ximilar_ocr_async._http.transport.KEEPALIVE_EXPIRY", -1.0)
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url) as session:
            for _ in range(3):
                assert (await session.read(URL)).text == URL
    assert server.connections == 3


@pytest.mark.parametrize("pieces", [1, 2], ids=["in the same breath", "later"])
async def test_what_belongs_to_no_request_is_read_into_no_answer(pieces: int) -> None:
    """A connection on which more came than was asked for is not used again."""

    async def say_more(connection: Connection) -> None:
        answer = reply_to(await connection.read_request())
        more = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
        connection.finish()
        for piece in [head + answer + more] if pieces == 1 else [head + answer, more]:
            await connection.stream.send(piece)
        await connection.stall()

    async with faulty_server(say_more) as server:
        async with OCRSession("t", base_url=server.url) as session:
            for _ in range(3):
                assert (await session.read(URL)).text == URL
    assert server.connections == 3


async def test_a_session_that_is_being_entered_says_so() -> None:
    """While its client is loaded, a session that others look at is neither open nor closed."""
    session = OCRSession("t")

    async def look_at_it() -> None:
        assert "being entered" in repr(session)
        with pytest.raises(SessionStateError, match="being entered"):
            await session.read(URL)

    async with anyio.create_task_group() as group:
        group.start_soon(look_at_it)
        async with session:
            assert "open" in repr(session)


async def test_a_session_whose_entering_was_cancelled_is_closed() -> None:
    """Nothing of it is left behind, and nobody is told to wait for it."""
    session = OCRSession("t")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await session.__aenter__()
    assert "closed" in repr(session)


async def test_connections_side_by_side_are_secured_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several connections that are made at once share what they trust, and are used again."""
    authority = trustme.CA()
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(identity)

    async def behave(connection: Connection) -> None:
        await connection.secure()
        while True:
            body = await connection.read_request()
            await server.meet()
            await connection.answer(reply_to(body))

    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        async with faulty_server(behave, tls=identity) as server:
            server.gather(3)
            async with OCRSession("t", base_url=server.url) as session:
                outcomes = await session.read_all([URL] * 60)
    assert all(outcome.ok for outcome in outcomes)
    assert server.connections == 3

"""The package's own client on real sockets: connections are made, kept, used again and closed."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
import trustme

from tests.faults.certificates import OURS, identity, trust
from tests.faults.server import Connection, faulty_server
from tests.http.replies import URL, behave_well, reply_to
from ximilar_ocr_async import OCRSession, OptionError, SessionStateError
from ximilar_ocr_async._http.transport import Transport, _exchange, _tell_nobody, make_ssl_context

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


async def test_idle_connections_are_closed_without_another_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task of the session closes them: what the service has closed must not stay half-closed."""
    monkeypatch.setattr("ximilar_ocr_async._http.transport.KEEPALIVE_EXPIRY", 0.05)
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url) as session:
            for _ in range(2):
                server.gather(3)
                assert all(outcome.ok for outcome in await session.read_all([URL] * 30))
                with anyio.fail_after(5.0):
                    while server.open:  # noqa: ASYNC110 - nothing tells
                        await anyio.sleep(0.01)
    assert server.connections == 6


async def request(transport: Transport, url: str, **extensions: Any) -> bytes:
    """Post an empty list of records to a server of the tests; return what it answers."""
    made = transport.make_request(
        "POST",
        url,
        content=b'{"records": []}',
        headers={"Content-Length": "15"},
        extensions=extensions,
    )
    response = await transport.handle_async_request(made)
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def test_it_is_a_transport_of_httpx() -> None:
    """A client of httpx works on it, redirects and streamed uploads included."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"records"'
        yield b": []}"

    async with faulty_server(behave_well) as server:
        async with httpx.AsyncClient(transport=Transport(None)) as client:
            size = {"Content-Length": "15"}
            response = await client.post(server.url, content=pieces(), headers=size)
            assert response.json()["records"] == []
            response = await client.post(server.url, json={"records": []})
            assert response.json()["records"] == []
    assert server.connections == 1


async def test_a_fresh_connection_can_be_asked_for() -> None:
    """What follows a lost reply goes over a connection that nothing has happened to yet."""
    async with faulty_server(behave_well) as server:
        transport = Transport(None)
        for is_fresh in (False, False, True):
            await request(transport, server.url, fresh=is_fresh)
        await transport.aclose()
    assert server.connections == 2


async def test_what_broke_one_connection_ends_all_idle_ones() -> None:
    """After a used connection broke, others that idled with it are not tried."""

    async def cut_the_third(connection: Connection) -> None:
        while True:
            body = await connection.read_request()
            if server.requests == 3:
                await connection.reset()
            await server.meet()
            await connection.answer(reply_to(body))

    async with faulty_server(cut_the_third) as server:
        server.gather(2)
        transport = Transport(None)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(request, transport, server.url)
        with pytest.raises(httpx.ReadError):
            await request(transport, server.url)
        await request(transport, server.url)
        await transport.aclose()
    assert server.connections == 3


async def test_errors_are_those_of_httpx() -> None:
    """Whoever knows httpx's transports knows what this one raises."""

    async def behave(connection: Connection) -> None:
        await ends[0](connection)

    ends: list[Any] = [Connection.stall]
    transport = Transport(None)
    async with faulty_server(behave) as server:
        with pytest.raises(httpx.ReadTimeout, match="nothing was received"):
            await request(transport, server.url, timeout={"read": 0.05})
        ends = [lambda connection: connection.stream.send(b"what?\r\n\r\n")]
        with pytest.raises(httpx.RemoteProtocolError):
            await request(transport, server.url)
        ends = [Connection.read_nothing]
        async with aclosing(pieces_of(bytes(100_000), 500)) as pieces:
            large = transport.make_request(
                "POST",
                server.url,
                content=pieces,
                headers={"Content-Length": "50000000"},
                extensions={"timeout": {"write": 0.05}},
            )
            with pytest.raises(httpx.WriteTimeout):
                await transport.handle_async_request(large)
    with pytest.raises(httpx.ConnectError, match="refused"):
        await request(transport, server.url)
    with pytest.raises(httpx.UnsupportedProtocol, match="'ftp'"):
        await request(transport, "ftp://127.0.0.1")
    with pytest.raises(httpx.UnsupportedProtocol, match="no ssl_context"):
        await request(transport, "https://127.0.0.1")
    for headers, expected in (({"X": "\n"}, httpx.LocalProtocolError), ({}, httpx.WriteError)):
        short = transport.make_request("GET", "http://127.0.0.1", content=b"", headers=headers)
        with pytest.raises(expected):
            await _exchange(cast("Any", _Broken()), short, _tell_nobody, {})


async def test_a_handshake_that_stalls_is_an_error_of_httpx() -> None:
    """The time for connecting is that for TLS, too."""
    transport = Transport(trust(OURS))
    async with faulty_server(Connection.stall, tls=identity()) as server:
        with pytest.raises(httpx.ConnectTimeout, match="no connection within"):
            await request(transport, server.url, timeout={"connect": 0.05})


class _Broken:
    """A connection over which nothing can be sent."""

    def begin(self, _: object) -> bytes:
        raise OSError


async def pieces_of(piece: bytes, count: int) -> AsyncGenerator[bytes, None]:
    """Yield the same piece so often."""
    for _ in range(count):
        yield piece


async def test_certificates_that_are_none_are_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A session that could trust nobody is not entered, and the error names the variable."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(OptionError, match=r"SSL_CERT_FILE is .*none\.pem"):
        async with OCRSession("t", base_url="https://api.example"):
            pass


def test_no_handshake_is_of_a_huge_group() -> None:
    """Up to TLS 1.2 no cipher needs Diffie-Hellman over finite fields; all others are httpx's."""
    own: Any = make_ssl_context().get_ciphers()
    theirs: Any = httpx.create_ssl_context().get_ciphers()
    dropped = {cipher["name"] for cipher in theirs} - {cipher["name"] for cipher in own}
    assert all(name.startswith("DHE-") for name in dropped)
    assert not any(cipher["kea"] == "kx-dhe" for cipher in own)
    assert any(cipher["kea"] == "kx-ecdhe" for cipher in own)


@pytest.mark.parametrize("url", ["https://äb--c.example", "https://-ä.example"])
async def test_a_host_that_there_cannot_be_is_an_option(url: str) -> None:
    """What httpx does not take for a URL is refused as a wrong option, and in no other way."""
    with pytest.raises(OptionError, match="base_url is not a URL"):
        async with OCRSession("t", base_url=url):
            pass


@pytest.mark.parametrize("url", ["secrettoken1234", "secrettoken:1234", "//secrettoken"])
def test_what_is_no_url_is_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """It may be the token, in the wrong place."""
    for given in (url, None):
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        with pytest.raises(OptionError, match="is not a URL") as caught:
            OCRSession("t", base_url=given)
        assert "secret" not in str(caught.value)

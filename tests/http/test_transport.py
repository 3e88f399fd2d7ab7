"""The transport on real sockets: how far a request came decides what its failure means."""

import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import certifi
import httpx
import httpx2
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.server import Connection, faulty_server
from tests.world import error_of
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    ConnectionFailed,
    Image,
    OCRSession,
    OptionError,
    ReplyError,
    ReplyLost,
    RequestTimeout,
    RetryPolicy,
    SessionStateError,
)
from ximilar_ocr_async._http import http1, transport
from ximilar_ocr_async._http.trace import Trace
from ximilar_ocr_async._validation import check_base_url

pytestmark = pytest.mark.anyio
ONCE = RetryPolicy(attempts=1)
URL = "https://images.example/1.jpg"

# When a body breaks off, httpx 0.28 leaves its own async generators to the collector, of which
# trio warns. Nothing of ours is left open by it.
httpx_abandons_generators = pytest.mark.filterwarnings(
    "ignore:Async generator:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


def reply_to(body: bytes) -> bytes:
    """Return the service's answer to a request."""
    rows = [
        {"_id": row["_id"], "_ocr": {"full_text": row.get("_url", "from bytes")}}
        for row in json.loads(body)["records"]
    ]
    return json.dumps({"records": rows, "status": {"code": 200}}).encode()


async def behave_well(connection: Connection) -> None:
    """Answer every request."""
    while True:
        await connection.answer(reply_to(await connection.read_request()))


async def failure_of(url: str, **options: Any) -> Any:
    """Read one image once; return its failure."""
    async with OCRSession("t", base_url=url, retry=ONCE, **options) as session:
        (outcome,) = await session.read_all([URL])
    assert not outcome.ok
    return outcome


async def test_connections_are_used_again() -> None:
    """Requests that follow each other share a connection."""
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url + "/") as session:
            for _ in range(3):
                assert (await session.read(URL)).text == URL
    assert server.connections == 1


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
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.1)

    async def fall_silent(connection: Connection) -> None:
        await connection.read_request()
        await connection.stall()

    async with faulty_server(fall_silent) as server:
        outcome = await failure_of(server.url)
    assert isinstance(outcome.error, RequestTimeout)
    assert str(outcome.error) == "nothing happened for 0.1 s"
    assert outcome.maybe_billed


async def test_a_body_may_take_its_time_between_two_pieces() -> None:
    """The disk it is read from is no silence of the service."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"records": '
        await anyio.sleep(0.2)
        yield b"[]}"

    async with faulty_server(behave_well) as server:
        trace = Trace()
        with trace.scope:
            port = int(server.url.rpartition(":")[2])
            connection = await http1.Connection.open("127.0.0.1", port, None, trace, 5.0)
            headers = {"Host": "127.0.0.1", "Content-Length": "15"}
            head = http1.Head(method="POST", target="/", headers=[*headers.items()])
            await connection.send(head, pieces(), trace, 0.1)
            assert (await connection.receive_head(trace, 5.0)).status_code == 200
            await connection.close()
    assert not trace.scope.cancelled_caught


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


async def test_many_slots_use_their_connections_again() -> None:
    """There are no more connections than slots, however many requests there are."""
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url, max_concurrency=40) as session:
            outcomes = await session.read_all([URL] * 1000)
    assert all(outcome.ok for outcome in outcomes)
    assert server.connections <= 40


async def test_connections_that_idled_for_long_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not used again, for the service will have closed them."""
    monkeypatch.setattr("ximilar_ocr_async._http.client.KEEPALIVE_EXPIRY", -1.0)
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


async def test_a_connection_that_broke_while_it_idled_is_not_used_again() -> None:
    """A line that the system closed under it is dead, and no error."""
    async with faulty_server(behave_well) as server:
        port = int(server.url.rpartition(":")[2])
        trace = Trace()
        with trace.scope:
            connection = await http1.Connection.open("127.0.0.1", port, None, trace, 5.0)
        assert not connection.is_dead
        await connection.close()
        assert connection.is_dead


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


async def test_informational_answers_are_passed_over() -> None:
    """What comes before the answer proper says only that there is more to come."""

    async def hint(connection: Connection) -> None:
        body = await connection.read_request()
        await connection.stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await connection.answer(reply_to(body))

    async with faulty_server(hint) as server:
        async with OCRSession("t", base_url=server.url) as session:
            assert (await session.read(URL)).text == URL


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
        monkeypatch.setattr(certifi, "where", lambda: path)
        async with faulty_server(behave, tls=identity) as server:
            server.gather(3)
            async with OCRSession("t", base_url=server.url) as session:
                outcomes = await session.read_all([URL] * 60)
    assert all(outcome.ok for outcome in outcomes)
    assert server.connections == 3


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.ximilar.com",
        "ftp://api.ximilar.com",
        "https://",
        "https://user:password@api.ximilar.com",
        "http://api.ximilar.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://[::1",
    ],
)
def test_base_urls_that_endanger_the_token_are_refused(url: str) -> None:
    """The address is https, or plain http to this machine, and names no user."""
    with pytest.raises(OptionError, match="base_url is"):
        check_base_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://api.ximilar.com", "http://localhost:8000", "http://127.0.0.1", "http://[::1]:80/x"],
)
def test_base_urls_may_be_https_or_loopback(url: str) -> None:
    """These addresses are taken."""
    check_base_url(url)


@given(st.text())
def test_any_text_as_a_base_url_is_taken_or_refused(url: str) -> None:
    """No text breaks the check."""
    with contextlib.suppress(OptionError):
        check_base_url(url)


@pytest.mark.parametrize("told", [b"", OSError(), AttributeError()], ids=["old", "closed", "none"])
def test_what_no_kernel_tells_proves_nothing(told: bytes | Exception) -> None:
    """Where it is not known what the other side has taken, that stays unknown."""

    class Socket:
        def getsockopt(self, *_: int) -> bytes:
            if isinstance(told, Exception):
                raise told
            return told

    assert http1._acknowledged(cast("Any", Socket())) is None

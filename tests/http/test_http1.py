"""One connection on a real socket: what is sent, and what is heard while it is sent."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.faults.certificates import OURS, identity, trust
from tests.faults.server import Connection, faulty_server
from tests.http.replies import URL, behave_well, reply_to
from ximilar_ocr_async import OCRSession
from ximilar_ocr_async._http import http1
from ximilar_ocr_async._http.tcp import Stream, connect
from ximilar_ocr_async._http.tls import TLSStream

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    if request.param == "uvloop":
        return "asyncio", {"use_uvloop": True}
    return request.param


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def is_secured(request: pytest.FixtureRequest) -> bool:
    """Speak in plain, and in TLS."""
    return bool(request.param)


async def open_connection(url: str) -> http1.Connection:
    """Connect to a server of the tests."""
    scheme, _, rest = url.partition("://")
    stream: Stream = await connect("127.0.0.1", int(rest.rpartition(":")[2]))
    if scheme == "https":
        stream = await TLSStream.wrap(stream, trust(OURS), "127.0.0.1", 5.0)
    return http1.Connection(stream)


def head(size: int) -> http1.Head:
    """Return the head of a request with a body of this *size* [bytes]."""
    headers = [("Host", "127.0.0.1"), ("Content-Length", str(size))]
    return http1.Head(method="POST", target="/", headers=headers)


class Pieces:
    """A body that comes piece by piece, with a pause before each."""

    def __init__(self, *pieces: bytes, seconds: float = 0.0) -> None:
        self.left = list(pieces)
        self.seconds = seconds

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.sleep(self.seconds)
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop(0)


class Ready(Pieces):
    """A body of one piece that is there at once."""

    async def __anext__(self) -> bytes:
        if self.left:
            return self.left.pop(0)
        raise StopAsyncIteration


async def test_a_body_may_take_its_time_between_two_pieces() -> None:
    """The disk that it is read from is no silence of the service."""
    async with faulty_server(behave_well) as server:
        connection = await open_connection(server.url)
        pieces = Pieces(b'{"records": ', b"[]}", seconds=0.2)
        connection.begin(head(15))
        await connection.upload(pieces, 15, 0.1)
        assert connection.sent is not None
        assert (await connection.receive_head(5.0)).status_code == 200
        connection.close()


async def test_a_body_that_is_too_short_is_not_sent() -> None:
    """A body with fewer bytes than were promised never counts as sent."""
    async with faulty_server(behave_well) as server:
        connection = await open_connection(server.url)
        with pytest.raises(http1.ProtocolError):
            connection.begin(head(15))
            await connection.upload(Pieces(b"{}"), 15, 5.0)
        assert connection.sent is None
        connection.close()


async def test_a_body_of_unknown_size_ends_with_its_last_piece() -> None:
    """Chunks need no length, as httpx sends what it cannot count."""

    async def answer(connection: Connection) -> None:
        while b"0\r\n\r\n" not in connection.received:
            connection.received += await connection.receive()
        await connection.answer(b"{}")

    async with faulty_server(answer) as server:
        connection = await open_connection(server.url)
        chunked = [("Host", "127.0.0.1"), ("Transfer-Encoding", "chunked")]
        connection.begin(http1.Head(method="POST", target="/", headers=chunked))
        await connection.upload(Pieces(b"a", b"b"), float("inf"), 5.0)
        assert (await connection.receive_head(5.0)).status_code == 200
        connection.close()


@pytest.mark.parametrize("end", [Connection.stall, Connection.close, Connection.reset])
async def test_an_answer_during_the_upload_is_heard_at_once(end: Any, is_secured: bool) -> None:
    """The upload stops as soon as a response has come, whatever the service does then."""

    async def refuse(connection: Connection) -> None:
        await connection.secure()
        await connection.read_head()
        await connection.answer(b"{}", status="413 Content Too Large")
        await end(connection)

    size = 50_000_000
    async with faulty_server(refuse, tls=identity() if is_secured else None) as server:
        connection = await open_connection(server.url)
        with anyio.fail_after(10.0):
            pieces = Pieces(*[bytes(100_000)] * (size // 100_000))
            connection.begin(head(size))
            await connection.upload(pieces, size, 9.0)
            assert connection.sent is None
            assert pieces.left
            assert (await connection.receive_head(5.0)).status_code == 413
        assert not connection.reset()
        connection.close()


async def test_nothing_but_an_answer_stops_the_upload(is_secured: bool) -> None:
    """An informational response, or a ticket of TLS, says only that there is more to come."""

    async def hint(connection: Connection) -> None:
        await connection.secure()
        size = await connection.read_head()
        for _ in range(3):
            await connection.stream.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await anyio.sleep(0.01)
        await connection.read_body(size)
        await connection.answer(b"{}")

    size = 3_000_000
    async with faulty_server(hint, tls=identity() if is_secured else None) as server:
        connection = await open_connection(server.url)
        pieces = Pieces(*[bytes(100_000)] * 30, seconds=0.002)
        connection.begin(head(size))
        await connection.upload(pieces, size, 5.0)
        assert connection.sent is not None
        assert (await connection.receive_head(5.0)).status_code == 200
        connection.close()


async def test_a_connection_that_closes_within_the_upload_is_no_answer() -> None:
    """What came before the end decides, and here nothing came."""

    async def hang_up(connection: Connection) -> None:
        await connection.read_head()
        await connection.stream.send_eof()
        await connection.stall()

    async with faulty_server(hang_up) as server:
        connection = await open_connection(server.url)
        pieces = Pieces(*[bytes(1000)] * 30, seconds=0.01)
        connection.begin(head(30_000))
        await connection.upload(pieces, 30_000, 5.0)
        assert connection.sent is None
        with pytest.raises(http1.ProtocolError):
            await connection.receive_head(5.0)
        connection.close()


async def test_garbage_within_the_upload_stops_it() -> None:
    """Whoever speaks something else than HTTP gets no more of the body, and the error says so."""

    async def babble(connection: Connection) -> None:
        await connection.read_head()
        await connection.stream.send(b"\x00\x01 what is this\r\n\r\n")
        await connection.stall()

    async with faulty_server(babble) as server:
        connection = await open_connection(server.url)
        pieces = Pieces(*[bytes(1000)] * 30, seconds=0.01)
        connection.begin(head(30_000))
        await connection.upload(pieces, 30_000, 5.0)
        assert connection.sent is None
        with pytest.raises(http1.ProtocolError):
            await connection.receive_head(5.0)
        connection.close()


async def test_a_connection_that_broke_while_it_idled_is_not_used_again() -> None:
    """A connection that the system closed under it is dead, and no error."""
    async with faulty_server(behave_well) as server:
        connection = await open_connection(server.url)
        assert not connection.is_dead
        connection.close()
        assert connection.is_dead


async def test_what_came_unasked_kills_an_idle_connection(is_secured: bool) -> None:
    """It is looked for in the kernel and in TLS, whose tickets are nothing to worry about."""

    async def babble(connection: Connection) -> None:
        await connection.secure()
        await connection.stream.receive()
        await connection.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await connection.stall()

    async with faulty_server(babble, tls=identity() if is_secured else None) as server:
        connection = await open_connection(server.url)
        assert not connection.is_dead
        stream = connection.detach()
        await stream.send(b"?", 5.0)
        await stream.wait_readable()
        with anyio.fail_after(5.0):
            while not connection.is_dead:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.01)
        connection.close()


async def test_informational_answers_are_passed_over() -> None:
    """What comes before the answer proper says only that there is more to come."""

    async def hint(connection: Connection) -> None:
        body = await connection.read_request()
        await connection.stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await connection.answer(reply_to(body))

    async with faulty_server(hint) as server:
        async with OCRSession("t", base_url=server.url) as session:
            assert (await session.read(URL)).text == URL


async def test_an_answer_before_a_small_request_is_heard(is_secured: bool) -> None:
    """A request that cannot be sent any more takes the answer that says why."""

    async def refuse(connection: Connection) -> None:
        await connection.secure()
        await connection.answer(b"{}", status="401 Unauthorized")
        await connection.reset()

    async with faulty_server(refuse, tls=identity() if is_secured else None) as server:
        connection = await open_connection(server.url)
        while server.open or not server.connections:  # noqa: ASYNC110 - nothing tells
            await anyio.sleep(0.01)
        connection.begin(head(2))
        await connection.send(b"{}", 5.0)
        assert connection.sent is None
        assert (await connection.receive_head(5.0)).status_code == 401
        connection.close()


async def test_a_request_that_cannot_leave_is_an_error() -> None:
    """When nothing was heard that says why, the time it took is the reason."""
    async with faulty_server(Connection.read_nothing, window=64 * 1024) as server:
        connection = await open_connection(server.url)
        size = 20_000_000
        with pytest.raises(TimeoutError):
            connection.begin(head(size))
            await connection.send(bytes(size), 0.1)
        assert connection.sent is None
        connection.close()


class Trickle:
    """A stream of which small pieces have arrived, without a pause between them."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)

    def receive_nowait(self) -> bytes | None:
        """Return the next piece."""
        return self.left.pop(0) if self.left else None

    def acknowledged(self) -> None:
        """Return None: nobody knows."""


async def test_a_head_that_comes_in_many_pieces_is_heard_in_turns() -> None:
    """Others get their turn after a few of them, and no piece is lost."""
    lines = [b"X-%d: b\r\n" % number for number in range(10)]
    stream: Any = Trickle(b"HTTP/1.1 200 OK\r\n", *lines, b"Content-Length: 0\r\n\r\n")
    connection = http1.Connection(stream)
    connection.begin(head(0))
    heard: list[bool] = []
    while not (heard and heard[-1]):
        heard.append(connection._hear())
    assert heard == [False, False, True]
    answer = await connection.receive_head(1.0)
    assert len(answer.headers) == 11


@pytest.mark.parametrize("in_pieces", [False, True], ids=["at once", "in pieces"])
async def test_nothing_leaves_once_it_was_cancelled(is_secured: bool, in_pieces: bool) -> None:
    """Not even what could leave without any wait: whoever cancelled counts it as free."""
    heard: list[bytes] = []

    async def listen(connection: Connection) -> None:
        await connection.secure()
        heard.append(await connection.receive())

    async with faulty_server(listen, tls=identity() if is_secured else None) as server:
        connection = await open_connection(server.url)
        connection.begin(head(2))
        with anyio.CancelScope() as scope:
            scope.cancel()
            if in_pieces:
                await connection.upload(Ready(b"{}"), 2, 5.0)
            else:
                await connection.send(b"{}", 5.0)
        assert scope.cancelled_caught
        assert (connection.is_ending, connection.sent) == (False, None)
        connection.close()
        await anyio.sleep(0.05)
        assert not heard


LINES = b"a:\r\n" * 4000


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n" + LINES * 4 + b"\r\n",
        (b"HTTP/1.1 103 E\r\n" + LINES[:15_000] + b"\r\n") * 16,
        (b"HTTP/1.1 103 E\r\n" + LINES[:15_000] + b"\r\n") * 2 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + LINES * 4 + b"\r\n",
    ],
    ids=["final", "many", "two", "trailers"],
)
async def test_heads_are_bounded_though_they_are_complete(said: bytes) -> None:
    """What comes in one piece is read no further than what comes in many."""

    async def flood(connection: Connection) -> None:
        await connection.read_request()
        await connection.stream.send(said)

    async with faulty_server(flood) as server:
        connection = await open_connection(server.url)
        connection.begin(head(0))
        await connection.send(b"", 5.0)
        with pytest.raises(http1.ProtocolError):
            await connection.receive_head(5.0)
            while await connection.receive(5.0):
                pass
        connection.close()


async def test_a_body_behind_its_head_is_no_part_of_it() -> None:
    """A head that is small enough may come with any amount of the body."""
    body = bytes(200_000)

    async def answer(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(body, more="X-A: " + "b" * 10_000 + "\r\n")

    async with faulty_server(answer) as server:
        connection = await open_connection(server.url)
        connection.begin(head(0))
        await connection.send(b"", 5.0)
        await anyio.sleep(0.05)
        await connection.receive_head(5.0)
        received = b""
        while piece := await connection.receive(5.0):
            received += piece
        assert received == body
        assert connection.reset()
        connection.close()

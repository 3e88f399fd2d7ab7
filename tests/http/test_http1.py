"""One connection on a real socket: what is heard on it, and what it tells."""

from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import pytest

from tests.faults.server import Connection, faulty_server
from tests.http.replies import URL, behave_well, reply_to
from ximilar_ocr_async import OCRSession
from ximilar_ocr_async._http import http1
from ximilar_ocr_async._http.trace import Trace

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


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


async def test_informational_answers_are_passed_over() -> None:
    """What comes before the answer proper says only that there is more to come."""

    async def hint(connection: Connection) -> None:
        body = await connection.read_request()
        await connection.stream.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await connection.answer(reply_to(body))

    async with faulty_server(hint) as server:
        async with OCRSession("t", base_url=server.url) as session:
            assert (await session.read(URL)).text == URL


@pytest.mark.parametrize("told", [b"", OSError(), AttributeError()], ids=["old", "closed", "none"])
def test_what_no_kernel_tells_proves_nothing(told: bytes | Exception) -> None:
    """Where it is not known what the other side has taken, that stays unknown."""

    class Socket:
        def getsockopt(self, *_: int) -> bytes:
            if isinstance(told, Exception):
                raise told
            return told

    assert http1._acknowledged(cast("Any", Socket())) is None

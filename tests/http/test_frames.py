"""No frame holds the token while a request is under way."""

import gc
from types import CoroutineType
from typing import Any

import anyio
import pytest

from tests.faults.certificates import OURS, identity, trust
from tests.faults.server import Connection, faulty_server
from tests.http.replies import reply_to
from ximilar_ocr_async import OCRSession

pytestmark = pytest.mark.anyio

SECRET = "0123456789abcdef"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


@pytest.mark.parametrize("is_secured", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("size", [10, 3_000_000], ids=["small", "large"])
async def test_no_frame_holds_the_token_while_a_request_is_under_way(
    is_secured: bool, size: int
) -> None:
    """Whoever looks into the frames of a running request, as profilers do, finds no header."""
    found: list[str] = []

    def look() -> None:
        objects = [one for one in gc.get_objects() if isinstance(one, CoroutineType)]
        for coroutine in objects:
            frame = coroutine.cr_frame
            if frame is None or "ximilar_ocr_async" not in frame.f_code.co_filename:
                continue
            found.extend(name for name, value in frame.f_locals.items() if SECRET in repr(value))

    async def behave(connection: Connection) -> None:
        await connection.secure()
        length = await connection.read_head()
        await anyio.sleep(0.05)
        look()
        body = await connection.read_body(length)
        await anyio.sleep(0.05)
        look()
        await connection.answer(reply_to(body))

    image = b"\x89PNG\r\n\x1a\n" + bytes(size)
    async with faulty_server(behave, tls=identity() if is_secured else None) as server:
        context = trust(OURS) if is_secured else None
        async with OCRSession(SECRET, base_url=server.url, ssl_context=context) as session:
            assert (await session.read(image)).text
    assert found == []

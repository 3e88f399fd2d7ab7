"""What breaks after a request was taken, or comes before it was: each record is read or marked."""

import json
import re
from collections import Counter
from typing import Any

import anyio
import pytest

from tests.faults.certificates import OURS, identity, trust
from tests.faults.send import WINDOW
from tests.faults.server import Connection, faulty_server
from tests.helpers import PNG, error_of, urls
from tests.http.replies import reply_to
from ximilar_ocr_async import Job, OCRSession, ReplyLost, RetryPolicy

pytestmark = pytest.mark.anyio
RETRY = RetryPolicy(base=0.001)

NO_TLS: list[bytes] = [
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    b"\x00\x01\x02 what is this",
    # Application data that no key of ours has sealed: a bad MAC.
    b"\x17\x03\x03\x00\x20" + bytes(32),
]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


def records(body: bytes) -> list[dict[str, Any]]:
    """Return the service's records for a request."""
    return list(json.loads(reply_to(body))["records"])


@pytest.mark.parametrize("wreck", NO_TLS, ids=["502", "garbage", "bad MAC"])
@pytest.mark.parametrize("whole", [0, 2])
async def test_tls_that_breaks_after_the_request_was_taken(wreck: bytes, whole: int) -> None:
    """The address is right; what came whole is kept, and only the rest is sent again and marked."""
    billed: Counter[str] = Counter()
    broke = False

    async def behave(connection: Connection) -> None:
        nonlocal broke
        await connection.secure()
        while True:
            body = await connection.read_request()
            billed.update(row["_url"] for row in json.loads(body)["records"])
            if broke:
                await connection.answer(reply_to(body))
                continue
            broke = True
            if whole:
                said = json.dumps({"records": records(body)}).encode()
                said = said[: said.index(records(body)[whole]["_id"].encode())]
                head = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
                await connection.stream.send(head + said)
            await connection.raw.send(wreck)
            await connection.stall()

    async with faulty_server(behave, tls=identity()) as server:
        options: dict[str, Any] = {"ssl_context": trust(OURS), "max_concurrency": 1}
        async with OCRSession("t", base_url=server.url, retry=RETRY, **options) as session:
            outcomes = await session.read_all(urls(4))
    assert [outcome.unwrap().text for outcome in outcomes] == urls(4)
    assert [outcome.maybe_billed for outcome in outcomes] == [False] * whole + [True] * (4 - whole)
    assert [billed[url] for url in urls(4)] == [1] * whole + [2] * (4 - whole)


@pytest.mark.parametrize("wreck", NO_TLS, ids=["502", "garbage", "bad MAC"])
async def test_a_submission_whose_tls_breaks_may_have_been_taken(wreck: bytes) -> None:
    """It is not repeated, and its images are marked."""
    requests = 0

    async def behave(connection: Connection) -> None:
        nonlocal requests
        await connection.secure()
        await connection.read_request()
        requests += 1
        await connection.raw.send(wreck)
        await connection.stall()

    async with faulty_server(behave, tls=identity()) as server:
        options: dict[str, Any] = {"ssl_context": trust(OURS), "retry": RETRY}
        async with OCRSession("t", base_url=server.url, **options) as session:
            job = await session.submit(urls(2))
    assert [outcome.maybe_billed for outcome in job.failures] == [True] * 2
    assert requests == 1


async def _early(connection: Connection, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    await connection.stream.send(head + body)
    await connection.read_nothing()


async def _ids_of(connection: Connection, count: int) -> list[str]:
    """Return the ids of so many records in a request, and read no more of it."""
    await connection.read_head()
    body, ids = bytearray(connection.received), list[bytes]()
    while len(ids) < count:
        body += await connection.receive()
        ids = re.findall(rb'"_id": ?"([^"]+)"', body)
    return [each.decode() for each in ids]


@pytest.mark.parametrize("is_all", [True, False], ids=["all", "some"])
async def test_records_that_came_before_the_upload_ended_are_kept(is_all: bool) -> None:
    """Whoever answers under our own ids has read them; what it left out may have been billed."""
    requests = 0

    async def behave(connection: Connection) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            await connection.answer(reply_to(await connection.read_request()))
            return
        ids = await _ids_of(connection, 3)
        rows = [{"_id": i, "_ocr": {"full_text": "early"}} for i in ids]
        await _early(connection, json.dumps({"records": rows if is_all else rows[:1]}).encode())

    # The kernel takes in what lies in its buffers.
    images = [PNG + bytes(500), PNG + bytes(500), PNG + bytes(24_000_000)]
    options: dict[str, Any] = {"max_concurrency": 1, "max_batch_bytes": 64_000_000}
    async with faulty_server(behave, window=WINDOW) as server:
        async with OCRSession("t", base_url=server.url, retry=RETRY, **options) as session:
            outcomes = await session.read_all(images)
    texts = [outcome.unwrap().text for outcome in outcomes]
    assert texts[0] == "early"
    assert requests == (1 if texts == ["early"] * 3 else 2)
    sent_again = [text != "early" for text in texts]
    assert [outcome.maybe_billed for outcome in outcomes] == sent_again
    assert is_all is not (sum(sent_again) > 1)


async def test_a_submission_that_is_answered_early_may_have_been_taken() -> None:
    """It is not repeated: nothing in its answer shows whose it is."""
    requests = 0

    async def behave(connection: Connection) -> None:
        nonlocal requests
        requests += 1
        await _ids_of(connection, 1)
        await _early(connection, b'{"id": "7f"}')

    async with faulty_server(behave, window=WINDOW) as server:
        async with OCRSession("t", base_url=server.url, retry=RETRY) as session:
            job: Job = await session.submit([PNG + bytes(24_000_000)])
    [outcome] = job.failures
    assert isinstance(error_of(outcome), ReplyLost)
    assert outcome.maybe_billed
    assert requests == 1


async def test_a_submission_whose_answer_is_damaged_at_its_end_was_taken() -> None:
    """Its JSON is whole, so the id is, too."""

    async def behave(connection: Connection) -> None:
        await connection.read_request()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n"
        await connection.stream.send(head + b'{"id": "7f", "status": "CREATED"}')
        await anyio.sleep(0.01)
        await connection.close()

    async with faulty_server(behave) as server:
        async with OCRSession("t", base_url=server.url, retry=RETRY) as session:
            job = await session.submit(urls(2))
    assert [*job.ids] == ["7f"]
    assert job.failures == []

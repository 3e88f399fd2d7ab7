"""The transport on real sockets: how far a request came decides what its failure means."""

import json
import pickle
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest

from tests.faults.server import Connection, faulty_server
from tests.helpers import PNG, error_of, urls
from tests.http.replies import URL, behave_well, httpx_abandons_generators, reply_to
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    ConnectionFailed,
    Image,
    OCRError,
    OCRSession,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestTimeout,
    RetryPolicy,
    ServiceUnavailable,
    UploadCut,
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


# ---- clients of the caller's


def raising(library: Any) -> Any:
    """Return a client that raises for statuses, as many programs have it."""

    async def check(response: Any) -> None:
        if response.status_code == 503:
            await response.aread()
        response.raise_for_status()

    return library.AsyncClient(event_hooks={"response": [check]})


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(
    "status, body, expected",
    [
        ("401 Unauthorized", b"", AuthError),
        ("429 Too Many Requests", b"", RateLimited),
        (
            "503 Service Unavailable",
            b'{"status": {"code": 503, "text": "busy"}}',
            ServiceUnavailable,
        ),
        ("500 Internal Server Error", b"", ServiceUnavailable),
    ],
)
async def test_an_exception_with_a_response_is_judged_by_its_status(
    library: Any, status: str, body: bytes, expected: type
) -> None:
    """A hook that raises for the status takes nothing from what the status says."""

    async def refuse(connection: Connection) -> None:
        await connection.read_request()
        await connection.answer(body, status=status, more="Retry-After: 7\r\n")

    async with faulty_server(refuse) as server, raising(library) as client:
        outcome = await failure_of(server.url, http_client=client)
    error = error_of(outcome)
    assert type(error) is expected
    assert error.retry_after == 7.0
    assert not outcome.maybe_billed


@httpx_abandons_generators
async def test_a_hook_that_raises_for_a_good_response_loses_it() -> None:
    """It was billed, as far as anybody knows."""

    async def refuse(response: httpx.Response) -> None:
        raise httpx.HTTPStatusError("no", request=response.request, response=response)

    async with faulty_server(behave_well) as server:
        async with httpx.AsyncClient(event_hooks={"response": [refuse]}) as client:
            outcome = await failure_of(server.url, http_client=client)
    assert type(outcome.error) is ReplyLost
    assert outcome.maybe_billed


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_a_pool_that_is_too_small_costs_no_attempt(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that find no connection were never made; fewer are tried at once then."""
    monkeypatch.setattr(sender, "CONNECT_TIMEOUT", 0.05)

    async def slowly(connection: Connection) -> None:
        while True:
            body = await connection.read_request()
            await anyio.sleep(0.1)
            await connection.answer(reply_to(body))

    limits = library.Limits(max_connections=1)
    async with faulty_server(slowly) as server, library.AsyncClient(limits=limits) as client:
        options: Any = {"http_client": client, "max_concurrency": 20}
        async with OCRSession("t", base_url=server.url, **options) as session:
            outcomes, limits_seen = [], set()
            async with session.stream([URL] * 100) as stream:
                async for outcome in stream:
                    outcomes.append(outcome)
                    limits_seen.add(session.stats.limit)
    assert min(limits_seen) < 20
    assert all(outcome.ok for outcome in outcomes)
    assert {outcome.attempts for outcome in outcomes} == {1}


async def test_a_client_that_is_closed_under_its_session_is_told_at_once() -> None:
    """No attempt can bring it back, so none is made."""
    async with faulty_server(behave_well) as server:
        async with httpx.AsyncClient() as client:
            async with OCRSession("t", base_url=server.url, http_client=client) as session:
                await client.aclose()
                (outcome,) = await session.read_all([URL])
    assert isinstance(error_of(outcome), OptionError)
    assert "was closed" in str(error_of(outcome))


# ---- what may have been billed


@pytest.mark.parametrize(
    "status, more",
    [("502 Bad Gateway", ""), ("503 Busy", "Retry-After: 0\r\n"), ("504 Late", "")],
)
async def test_a_gateway_that_lost_the_response_is_told_from_an_outage(
    status: str, more: str
) -> None:
    """What comes as late as a good response may have been billed; what comes at once is free."""

    async def behave(connection: Connection) -> None:
        while True:
            body = await connection.read_request()
            if server.requests < 3:
                await anyio.sleep(0.2)
            if server.requests == 1:
                await connection.answer(reply_to(body))
            else:
                await connection.answer(b"<html>gone</html>", status=status, more=more)

    async with faulty_server(behave) as server:
        options: Any = {"retry": ONCE, "outage_timeout": 0.1}
        async with OCRSession("t", base_url=server.url, **options) as session:
            assert (await session.read(URL)).text == URL
            (late,) = await session.read_all([URL])
            (soon,) = await session.read_all([URL])
    assert late.maybe_billed
    assert isinstance(error_of(late), ReplyLost)
    assert soon.maybe_billed is status.startswith("504")


@pytest.mark.parametrize(
    "status, expected",
    [
        ("401 Unauthorized", AuthError),
        ("429 Too Many Requests", RateLimited),
        ("500 Oops", ServiceUnavailable),
        ("200 OK", ReplyLost),
    ],
)
@pytest.mark.parametrize("end", [_close, Connection.reset, Connection.stall])
@httpx_abandons_generators
async def test_a_status_decides_even_if_the_rest_was_cut(
    status: str, expected: type, end: Any
) -> None:
    """What was read of a response is not lost with the rest of it."""

    async def cut(connection: Connection) -> None:
        await connection.read_request()
        head = f"HTTP/1.1 {status}\r\nContent-Length: 99\r\nRetry-After: 7\r\n\r\n{{"
        await connection.stream.send(head.encode())
        await anyio.sleep(0.05)
        await end(connection)

    async with faulty_server(cut) as server:
        outcome = await failure_of(server.url, timeout=0.5)
    assert isinstance(outcome.error, expected)
    assert outcome.maybe_billed is (expected is ReplyLost)


async def test_a_good_response_before_the_request_was_sent_is_not_believed() -> None:
    """Nobody can have read the images yet, so it belongs to something else."""

    async def hurry(connection: Connection) -> None:
        await connection.read_head()
        await connection.answer(b'{"records": [], "status": {"code": 200}}')
        await connection.stall()

    image = b"\x89PNG\r\n\x1a\n" + bytes(30_000_000)
    async with faulty_server(hurry) as server:
        async with OCRSession("t", base_url=server.url, retry=ONCE) as session:
            (outcome,) = await session.read_all([image])
    assert isinstance(error_of(outcome), UploadCut)
    assert not outcome.maybe_billed


@pytest.mark.parametrize("size", [100, 300_000])
async def test_hints_without_end_end_the_request(size: int, tmp_path: Path) -> None:
    """A flood of informational responses holds neither the loop nor the request."""
    file = tmp_path / "picture.png"
    file.write_bytes(PNG + bytes(size))
    turns = 0

    async def flood(connection: Connection) -> None:
        await connection.read_head()
        while True:
            await connection.stream.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    options: dict[str, Any] = {"retry": RetryPolicy(attempts=1), "timeout": 5}
    async with faulty_server(flood) as server:
        async with OCRSession("t", base_url=server.url, **options) as session:
            async with anyio.create_task_group() as group:
                group.start_soon(count)
                [outcome] = await session.read_all([file])
                group.cancel_scope.cancel()
    assert isinstance(error_of(outcome), ReplyLost | UploadCut)
    assert turns > 10


@pytest.mark.parametrize(
    "cut",
    ["length", "chunk", "reset"],
)
@pytest.mark.parametrize("whole", [10, 9, 1])
async def test_what_came_whole_of_a_cut_response_is_not_paid_for_again(
    cut: str, whole: int
) -> None:
    """Only what is missing in a response that broke off is sent again, and marked."""
    billed: Counter[str] = Counter()
    requests = 0

    async def behave(connection: Connection) -> None:
        nonlocal requests
        while True:
            rows = json.loads(await connection.read_request())["records"]
            requests += 1
            billed.update(row["_url"] for row in rows)
            records = [{"_id": r["_id"], "_ocr": {"full_text": r["_url"]}} for r in rows]
            body = json.dumps({"records": records}).encode()
            if requests > 1:
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                await connection.stream.send(head + body)
                continue
            if whole < len(records):
                body = body[: body.index(records[whole]["_id"].encode())]
            if cut == "chunk":
                head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                body = b"%x\r\n%s\r\n" % (len(body), body)
            else:
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1)
            await connection.stream.send(head + body)
            await connection.close()
            return

    async with faulty_server(behave) as server:
        async with OCRSession("t", base_url=server.url, max_concurrency=1) as session:
            outcomes = await session.read_all(urls(10))
    assert [outcome.unwrap().text for outcome in outcomes] == urls(10)
    assert [outcome.maybe_billed for outcome in outcomes] == [False] * whole + [True] * (10 - whole)
    assert [billed[url] for url in urls(10)] == [1] * whole + [2] * (10 - whole)


@pytest.mark.parametrize("library", [None, httpx, httpx2], ids=["own", "httpx", "httpx2"])
@pytest.mark.parametrize("whole", [10, 9])
async def test_what_came_whole_before_a_silence_is_kept(whole: int, library: Any) -> None:
    """A response that stops half-way is as good as one that is cut, and teaches no round trip."""
    requests = 0

    async def behave(connection: Connection) -> None:
        nonlocal requests
        while True:
            rows = json.loads(await connection.read_request())["records"]
            requests += 1
            records = [{"_id": r["_id"], "_ocr": {"full_text": r["_url"]}} for r in rows]
            body = json.dumps({"records": records}).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
            if requests > 1:
                await connection.stream.send(head % len(body) + body)
                continue
            cut = body[: body.index(records[whole]["_id"].encode())] if whole < 10 else body
            await connection.stream.send(head % (len(body) + 1) + cut)
            await anyio.sleep_forever()

    client = library and library.AsyncClient(trust_env=False)
    options: dict[str, Any] = {"max_concurrency": 1, "timeout": 0.5, "http_client": client}
    async with faulty_server(behave) as server:
        async with OCRSession("t", base_url=server.url, **options) as session:
            outcomes = await session.read_all(urls(10))
            taught = session.stats.endpoints["read"].round_trip or 0.0
    assert [outcome.unwrap().text for outcome in outcomes] == urls(10)
    assert [outcome.maybe_billed for outcome in outcomes] == [False] * whole + [True] * (10 - whole)
    assert taught < 0.5
    if client:
        await client.aclose()


@pytest.mark.parametrize("status", [200, 401, 404, 500])
@pytest.mark.parametrize("where", ["text", "page", "encoding", "chunk"])
async def test_a_token_that_is_said_back_is_not_shown(status: int, where: str) -> None:
    """A page that shows the request does not bring the token into errors."""
    token = "S3CRET-" + "x" * 33

    async def behave(connection: Connection) -> None:
        while True:
            await connection.read_request()
            document = json.dumps({"status": {"code": status, "text": f"Token {token}"}}).encode()
            body = {"text": document, "page": b"<html>" + token.encode()}.get(where, b"{}")
            encoding = f"Content-Encoding: {token}\r\n" if where == "encoding" else ""
            framing = f"Content-Length: {len(body)}"
            if where == "chunk":
                framing, body = "Transfer-Encoding: chunked", f"Token {token}\r\n".encode()
            head = f"HTTP/1.1 {status} Said\r\n{encoding}{framing}\r\n\r\n"
            await connection.stream.send(head.encode() + body)

    one = RetryPolicy(attempts=1, resend_maybe_billed=0)
    async with faulty_server(behave) as server:
        async with OCRSession(token, base_url=server.url, retry=one) as session:
            [outcome] = await session.read_all(["https://x.example/1"])
    assert token not in repr(error_of(outcome))
    assert token.encode() not in pickle.dumps(error_of(outcome))


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("how", ["blanks", "escapes", "cut", "record", "account"])
async def test_a_token_is_masked_however_it_is_said_back(status: int, how: str) -> None:
    """Behind a megabyte of blanks, in escapes, cut, or of one record: it is not shown."""
    token = "0123456789abcdef0123456789abcdef01234567"
    escapes = "".join(f"\\u{ord(c):04x}" for c in token)

    async def behave(connection: Connection) -> None:
        while True:
            request = await connection.read_request()
            said = f'{{"status": {{"code": {status}, "text": "{escapes}"}}}}'
            rows = json.loads(request)["records"] if request else []
            name = rows[0]["_id"] if rows else ""
            record = f'{{"_id": "{name}", "_status": {{"code": 400, "text": "{escapes}"}}}}'
            body = {
                "blanks": f'{{"status": {{"code": {status}, "text": "{token}"}}}}{" " * 1_100_000}',
                "cut": token[:39],
                "record": f'{{"records": [{record}]}}',
            }.get(how, said)
            framing = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
            await connection.stream.send(framing.encode() + body.encode())

    one = RetryPolicy(attempts=1, resend_maybe_billed=0)
    async with faulty_server(behave) as server:
        async with OCRSession(token, base_url=server.url, retry=one) as session:
            if how == "account" and status != 200:
                with pytest.raises(OCRError) as caught:
                    await session.account()
                error: OCRError = caught.value
            else:
                [outcome] = await session.read_all(["https://x.example/1"])
                error = error_of(outcome)
    assert token[:8] not in repr(error)
    assert escapes[:48] not in repr(error)

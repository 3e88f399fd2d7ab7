"""Clients of the caller's: what their hooks and transports do in the middle of a request."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from tests.faults.server import Connection, faulty_server
from tests.helpers import error_of, urls
from tests.http.replies import reply_to
from ximilar_ocr_async import OCRSession, OptionError, PoolExhausted, RetryPolicy

pytestmark = pytest.mark.anyio
libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
RETRY = RetryPolicy(base=0.001)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


def silent(library: ModuleType, billed: Counter[str], status: Any = 200) -> Any:
    """Return a transport that answers and tells nothing."""

    class Silent(library.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            body = await request.aread()
            billed.update(row["_url"] for row in json.loads(body)["records"])
            response = library.Response(200, content=reply_to(body))
            response.status_code = status
            return response

    return Silent()


def foreign(library: ModuleType, status: int) -> Any:
    """Return a hook that has something posted elsewhere, which fails."""

    async def hook(_: Any) -> None:
        request = library.Request("POST", "https://metrics.example/")
        library.Response(status, request=request).raise_for_status()

    return hook


def raising(_: ModuleType, error: Exception) -> Any:
    """Return a hook that raises."""

    async def hook(_: Any) -> None:
        raise error

    return hook


HOOKS: dict[str, Callable[[ModuleType], Any]] = {
    "500 elsewhere": lambda library: foreign(library, 500),
    "401 elsewhere": lambda library: foreign(library, 401),
    "503 elsewhere": lambda library: foreign(library, 503),
    "301 elsewhere": lambda library: foreign(library, 301),
    "an encoding": lambda _: raising(_, UnicodeEncodeError("latin-1", "€", 0, 1, "no")),
    "a header": lambda _: raising(_, _.LocalProtocolError("illegal header")),
    "a URL": lambda _: raising(_, _.InvalidURL("none")),
    "its own pool": lambda _: raising(_, _.PoolTimeout("", request=_.Request("GET", "http://m"))),
    "its own line": lambda _: raising(_, _.ConnectError("", request=_.Request("GET", "http://m"))),
    "an error of the package": lambda _: raising(_, OptionError("of another session")),
}


@libraries
@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("name", HOOKS)
async def test_a_hook_that_fails_over_a_good_answer_is_maybe_billed(
    library: ModuleType, name: str, is_told: bool
) -> None:
    """What a hook does elsewhere says nothing about the request that was answered."""
    billed: Counter[str] = Counter()

    async def behave(connection: Connection) -> None:
        while True:
            body = await connection.read_request()
            billed.update(row["_url"] for row in json.loads(body)["records"])
            await connection.answer(reply_to(body))

    async with faulty_server(behave) as server:
        options: dict[str, Any] = {"trust_env": False}
        if not is_told:
            options["transport"] = silent(library, billed)
        hooks = {"response": [HOOKS[name](library)]}
        async with library.AsyncClient(event_hooks=hooks, **options) as client:
            async with OCRSession(
                "t", base_url=server.url, http_client=client, retry=RETRY
            ) as session:
                outcomes = await session.read_all(urls(3))
    assert not any(outcome.ok for outcome in outcomes)
    assert all(outcome.maybe_billed for outcome in outcomes)
    assert set(billed.values()) <= {1, 2}


@libraries
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_hook_that_raises_for_this_answer_is_believed(
    library: ModuleType, status: int
) -> None:
    """What `raise_for_status` raises holds the answer to this very request, over any transport."""

    async def hook(response: Any) -> None:
        await response.aread()
        response.raise_for_status()

    billed: Counter[str] = Counter()
    transport = silent(library, billed, status)
    async with library.AsyncClient(event_hooks={"response": [hook]}, transport=transport) as client:
        once = RetryPolicy(attempts=1)
        async with OCRSession("t", http_client=client, retry=once) as session:
            [outcome] = await session.read_all(urls(1))
    # Its records are under our ids.
    assert outcome.ok


@libraries
@pytest.mark.parametrize("claimed", [401, 500])
async def test_no_hook_puts_another_status_over_one_that_came(
    library: ModuleType, claimed: int
) -> None:
    """The status that was heard stands, whatever a hook makes of it."""

    async def hook(response: Any) -> None:
        library.Response(claimed, request=response.request).raise_for_status()

    async def behave(connection: Connection) -> None:
        while True:
            await connection.answer(reply_to(await connection.read_request()))

    async with faulty_server(behave) as server:
        client = library.AsyncClient(event_hooks={"response": [hook]}, trust_env=False)
        async with (
            client,
            OCRSession("t", base_url=server.url, http_client=client, retry=RETRY) as session,
        ):
            [outcome] = await session.read_all(urls(1))
    assert outcome.maybe_billed


@libraries
async def test_a_client_that_is_closed_under_way_leaves_open_what_was_billed(
    library: ModuleType,
) -> None:
    """What was sent by then is marked; what comes after says what is wrong."""
    client = library.AsyncClient(trust_env=False)

    async def behave(connection: Connection) -> None:
        await connection.read_request()
        await client.aclose()
        await connection.stall()

    async with faulty_server(behave) as server:
        async with OCRSession("t", base_url=server.url, http_client=client, retry=RETRY) as session:
            [outcome] = await session.read_all(urls(1))
            [after] = await session.read_all(urls(1))
    assert outcome.maybe_billed
    assert "http_client was closed" in str(error_of(outcome))
    assert isinstance(error_of(after), OptionError)
    assert not after.maybe_billed


@libraries
@pytest.mark.parametrize("seconds", [0.2, 2.0])
async def test_waiting_for_a_connection_costs_nothing(library: ModuleType, seconds: float) -> None:
    """While a client's one connection is in use elsewhere, nothing is sent in any time."""
    requests, held = 0, anyio.Event()

    async def behave(connection: Connection) -> None:
        nonlocal requests
        await connection.read_request()
        requests += 1
        held.set()
        await anyio.sleep_forever()

    limits = library.Limits(max_connections=1)
    async with faulty_server(behave) as server, anyio.create_task_group() as group:
        async with library.AsyncClient(limits=limits, timeout=None, trust_env=False) as client:

            async def hold() -> None:
                await client.post(server.url, content=b"x")

            group.start_soon(hold)
            await held.wait()
            options: dict[str, Any] = {"timeout": seconds, "outage_timeout": 0.0}
            async with OCRSession(
                "t", base_url=server.url, http_client=client, retry=RETRY, **options
            ) as session:
                outcomes = await session.read_all(urls(3))
            group.cancel_scope.cancel()
    assert [type(error_of(outcome)) for outcome in outcomes] == [PoolExhausted] * 3
    assert not any(outcome.maybe_billed for outcome in outcomes)
    assert requests == 1


@libraries
@pytest.mark.parametrize(
    "status, is_read", [("200", True), (200.0, True), ("OK", False), (None, False)], ids=repr
)
async def test_a_status_that_is_no_number_is_one_or_an_error(
    library: ModuleType, status: Any, is_read: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Transports of others give a status as they like; a number is read in whatever type."""
    # The library's own line about the response cannot write such a status.
    caplog.set_level(logging.WARNING, logger=library.__name__)
    billed: Counter[str] = Counter()
    async with library.AsyncClient(transport=silent(library, billed, status)) as client:
        async with OCRSession("t", http_client=client, retry=RETRY) as session:
            [outcome] = await session.read_all(urls(1))
    assert outcome.ok is is_read
    assert outcome.maybe_billed is not is_read
    assert is_read or "internal error" not in str(error_of(outcome))


@libraries
async def test_a_body_that_breaks_as_no_connection_does_is_maybe_billed(
    library: ModuleType,
) -> None:
    """Once there was a status, an error that says otherwise proves nothing."""
    billed: Counter[str] = Counter()

    class Breaking(library.AsyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, request: Any) -> None:
            self.request = request

        async def __aiter__(self) -> Any:
            yield b"{"
            raise library.ConnectError("no route", request=self.request)

    class Odd(library.AsyncBaseTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            billed.update(row["_url"] for row in json.loads(await request.aread())["records"])
            return library.Response(200, stream=Breaking(request))

    client = library.AsyncClient(transport=Odd())
    policy = RetryPolicy(base=0.001, resend_maybe_billed=0)
    async with OCRSession(
        "t", base_url="https://x.example", http_client=client, retry=policy
    ) as session:
        outcomes = await session.read_all(urls(3))
    assert all(outcome.maybe_billed for outcome in outcomes)
    assert set(billed.values()) == {1}

"""The service as an ASGI application: bodies, headers, and faults as HTTP shows them."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
import pytest

from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.emulator.callers import Callers
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing.service.contract import READ
from ximilar_ocr_async.testing.service.faults import PAGE, FaultPlan
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service
from ximilar_ocr_async.testing.service.submissions import REQUESTS

TOKEN = {"Authorization": "Token abc"}


def body(image: bytes = b"one", **fields: Any) -> bytes:
    """Make a request's body with one record."""
    record = {"_base64": base64.b64encode(image).decode(), **fields}
    return json.dumps({"records": [record]}).encode()


def client(service: Service, **options: Any) -> httpx.AsyncClient:
    """Make a client of *service* in process."""
    transport = httpx.ASGITransport(app(service, callers=Callers(), **options))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=TOKEN)


@contextmanager
def served(plan: FaultPlan) -> Iterator[tuple[Service, httpx.Client]]:
    """Serve with faults, and give a client over a real socket."""
    service = Service(ScriptedEngine(), faults=plan)
    with serving(service) as url, httpx.Client(base_url=url, headers=TOKEN) as http:
        yield service, http


# --- Bodies


@pytest.mark.anyio
@pytest.mark.parametrize("spare, status", [(0, 200), (-1, 413)])
async def test_a_body_has_a_limit(spare: int, status: int) -> None:
    """A body of exactly the limit is read, and one byte more is refused with the limit."""
    async with client(Service(ScriptedEngine()), max_body=len(body()) + spare) as http:
        answer = await http.post(READ, content=body())
    assert (answer.status_code, answer.json()["status"]["code"]) == (status, status)
    if status == 413:
        assert f"over {len(body()) - 1:,} bytes" in answer.json()["status"]["text"]


@pytest.mark.anyio
async def test_a_body_that_is_too_large_is_read_to_its_end() -> None:
    """A client that sends far too much is heard out before it is told so."""
    sent = []

    async def pieces() -> Any:
        for number in range(50):
            yield b"x" * 1000
            sent.append(number)

    async with client(Service(ScriptedEngine()), max_body=2500) as http:
        answer = await http.post(READ, content=pieces())
    assert answer.status_code == 413
    assert len(sent) == 50


async def talk(service: Service, *received: dict[str, Any]) -> list[Any]:
    """Return what the application sends to a client that sends and does what is *received*."""
    left, sent = list(received), []

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"authorization", b"Token abc")]
    scope = {"type": "http", "method": "POST", "path": READ, "headers": headers}
    await app(service)({**scope, "query_string": b""}, receive, send)
    assert left == []
    return sent


@pytest.mark.anyio
async def test_a_client_that_hangs_up_is_no_error() -> None:
    """A client that leaves while it sends ends its request and nothing else."""
    service = Service(ScriptedEngine())
    begun = {"type": "http.request", "body": b"{", "more_body": True}
    sent = await talk(service, begun, {"type": "http.disconnect"})
    assert (sent[0]["status"], service.billed) == (400, 0)


@pytest.mark.anyio
async def test_half_a_surrogate_pair_comes_back() -> None:
    """A string that JSON can write and UTF-8 cannot is handed back as it came."""
    async with client(Service(ScriptedEngine())) as http:
        answer = await http.post(READ, content=body(mine="\ud800"))
    assert answer.json()["records"][0]["mine"] == "\ud800"


# --- Who may ask


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://localhost"}])
async def test_whoever_may_not_ask_spends_nothing(headers: dict[str, str]) -> None:
    """Web pages read nothing, submit nothing, and are not even counted."""
    service = Service(ScriptedEngine())
    async with client(service) as http:
        for answer in (
            await http.post(READ, content=body(), headers=headers),
            await http.post(REQUESTS, json=JOB, headers=headers),
            await http.get(REQUESTS, headers=headers),
            await http.get("/", headers=headers),
        ):
            assert answer.status_code in {403, 421}
            assert answer.json()["status"]["code"] == answer.status_code
    assert (service.requests, service.billed) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "TRACE"])
async def test_a_browser_is_never_told_that_it_may(method: str) -> None:
    """What a browser asks before a request of a page has no answer that allows it."""
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with client(Service(ScriptedEngine())) as http:
        answer = await http.request(method, READ, headers=headers)
    assert answer.status_code in {403, 405}
    assert not any(name.startswith("access-control") for name in answer.headers)


# --- Asynchronous requests

JOB = {"type": "ocr", "records": [{"_base64": "b25l"}]}


@pytest.mark.anyio
async def test_jobs_are_worked_off_in_the_lifespan() -> None:
    """What is submitted while the application runs is done, and links lead back to it."""
    service = Service(ScriptedEngine(latency=60))
    application = app(service, callers=Callers(["Service.Example"]))
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(application),
            base_url="https://service.example:8443",
            headers=TOKEN,
        ) as http,
    ):
        for _ in range(11):
            assert (await http.post(REQUESTS, json=JOB)).status_code == 201
        first = (await http.get(REQUESTS, params={"status": "CREATED"})).json()
        await anyio.sleep(3600)
        done = (await http.get(REQUESTS, params={"status": "DONE"})).json()
    assert first["next"] == (
        "https://service.example:8443/account/v2/request/?status=CREATED&page=2"
    )
    assert (done["count"], len(done["results"])) == (11, 10)


@pytest.mark.anyio
async def test_without_a_lifespan_nothing_is_submitted() -> None:
    """An application that is only called, not run, says that nobody would do the work."""
    async with client(Service(ScriptedEngine())) as http:
        assert (await http.post(REQUESTS, json=JOB)).status_code == 501
        assert (await http.get(REQUESTS)).json()["count"] == 0


# --- Faults


@pytest.mark.anyio
@pytest.mark.parametrize("fault, status", [("unreachable", 502), ("garbled", 200)])
async def test_a_gateway_answers_in_html(fault: str, status: int) -> None:
    """A service that cannot be reached, or whose answer is spoilt, shows as a gateway's page."""
    async with client(Service(ScriptedEngine(), faults=FaultPlan(**{fault: 1}))) as http:
        answer = await http.post(READ, content=body())
    assert (answer.status_code, answer.text) == (status, PAGE)


@pytest.mark.anyio
async def test_a_stalled_request_ends_when_the_client_gives_up() -> None:
    """Nothing is sent while the client waits, and what is sent when it has gone nobody hears."""
    service = Service(ScriptedEngine(), faults=FaultPlan(stalled=1))
    whole = {"type": "http.request", "body": body(), "more_body": False}
    await talk(service, whole, {"type": "http.disconnect"})
    assert (service.requests, service.billed) == (1, 0)


# --- Over a socket


def test_a_cut_answer_is_broken_over_a_socket(capfd: pytest.CaptureFixture[str]) -> None:
    """The client meets a broken protocol, pays all the same, and the server makes no fuss."""
    with served(FaultPlan(lost_replies=1)) as (service, http):
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
                http.post(READ, content=body())
        assert service.billed == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("fault, status", [("unavailable", 503), ("throttled", 429)])
def test_retry_after_comes_over_a_socket(fault: str, status: int) -> None:
    """An answer that asks to wait says how long in its header."""
    with served(FaultPlan(**{fault: 1}, retry_after=1.5)) as (service, http):
        answer = http.post(READ, content=body())
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, "1.5")
        assert answer.json()["status"]["text"] == f"planned fault: {fault}"
        assert service.billed == 0


def test_a_stalled_request_times_out_over_a_socket(capfd: pytest.CaptureFixture[str]) -> None:
    """A client that waits for an answer has to give up by itself."""
    with served(FaultPlan(stalled=1)) as (service, http):
        with pytest.raises(httpx.ReadTimeout):
            http.post(READ, content=body(), timeout=httpx.Timeout(60, read=0.1))
        assert service.billed == 0
    assert capfd.readouterr() == ("", "")


def test_a_lost_submission_is_broken_over_a_socket(capfd: pytest.CaptureFixture[str]) -> None:
    """The client meets a broken protocol and finds its job in the list, and no fuss is made."""
    with served(FaultPlan(lost_submits=1)) as (_, http):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            http.post(REQUESTS, json=JOB)
        assert http.get(REQUESTS).json()["count"] == 1
    assert capfd.readouterr() == ("", "")

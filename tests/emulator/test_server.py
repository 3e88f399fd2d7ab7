"""The server: the service on a loopback port, gone when it is no longer wanted."""

import json
import os
import select
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from attrs import define, field

from tests.loopback import Site, answer
from ximilar_ocr_async.emulator.openai_chat import OpenAIChat
from ximilar_ocr_async.emulator.server import (
    HOST,
    TIMEOUTS,
    bind,
    serve_until_interrupted,
    serving,
)
from ximilar_ocr_async.testing.service.contract import DETAILS, READ
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service
from ximilar_ocr_async.testing.service.submissions import REQUESTS

GPT = "/ocr/v2/read_gpt"
TOKEN = {"Authorization": "Token abc"}
ONE_IMAGE = {"records": [{"_base64": "aGVsbG8="}]}


@define
class EndlessEngine:
    """Never comes to an end with an image, and says when it has begun."""

    begun: threading.Event = field(factory=threading.Event)

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read for ever."""
        self.begun.set()
        await anyio.sleep_forever()
        raise AssertionError((image, lang))


def port_of(url: str) -> int:
    """Return the port in *url*."""
    port = urlsplit(url).port
    assert port is not None
    return port


def test_the_service_answers_over_a_socket() -> None:
    """A client reads an image and its account over HTTP."""
    with serving(Service(ScriptedEngine("hello"))) as url, httpx.Client(headers=TOKEN) as http:
        read = http.post(url + READ, json=ONE_IMAGE)
        assert read.json()["records"][0]["_ocr"]["full_text"] == "hello"
        assert http.get(url + DETAILS).json()["credits_counter"] == 5


def test_a_job_is_done_over_sockets() -> None:
    """A language model's server is asked, and the webhook and the client get the same records."""
    message = {"role": "assistant", "content": '{"name": "Mew V"}'}
    completion = answer(json.dumps({"choices": [{"message": message}]}).encode())
    with Site(completion).open() as model, Site(answer(b"")).open() as receiver:
        gpt = OpenAIChat(f"http://127.0.0.1:{model.port}/v1", "tiny", "sk-secret")
        hook = {"endpoint": receiver.url("localhost"), "headers": {"X-Secret": "hush"}}
        records = [{"_base64": "aGVsbG8=", "prompt": "what is it?"}]
        job = {"type": "ocr", "endpoint": "read_gpt", "records": records, "webhook": hook}
        with serving(Service(ScriptedEngine("Mew"), gpt=gpt)) as url:
            with httpx.Client(base_url=url, headers=TOKEN) as http:
                name = http.post(REQUESTS, json=job).json()["id"]
                receiver.heard.wait()
                assert http.get(f"{REQUESTS}{name}/status").json() == {"status": "DONE"}
                done = http.get(f"{REQUESTS}{name}").json()
    assert b"Input: Mew" in model.asked[0]
    [told] = receiver.asked
    assert b"X-Secret: hush\r\n" in told
    news = json.loads(told.partition(b"\r\n\r\n")[2])
    assert (news["id"], news["response"]["records"]) == (name, done["response"]["records"])
    assert done["response"]["records"][0]["_gpt"]["json_result"] == {"name": "Mew V"}


def test_nobody_waits_for_a_job_when_the_block_is_left() -> None:
    """A job that is being read is dropped with the service, however long it would take."""
    engine = EndlessEngine()
    with serving(Service(engine)) as url:
        job = {"type": "ocr", **ONE_IMAGE}
        assert httpx.post(url + REQUESTS, json=job, headers=TOKEN).status_code == 201
        engine.begun.wait()


def test_the_service_is_gone_afterwards() -> None:
    """When the block is left, connections are refused and the port can be had again."""
    with serving(Service(ScriptedEngine())) as url:
        assert httpx.get(url + DETAILS, headers=TOKEN).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    listener, again = bind(port_of(url))
    listener.close()
    assert again == url


def test_the_service_is_gone_after_an_error_too() -> None:
    """An error in the block comes out of it, and nothing is left behind."""
    before = threading.active_count()
    with pytest.raises(LookupError), serving(Service(ScriptedEngine())) as url:
        raise LookupError
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert threading.active_count() <= before  # those of others may end meanwhile


def test_nobody_waits_for_a_request_when_the_block_is_left() -> None:
    """A request that is still being answered is dropped, however long it would take."""
    engine = EndlessEngine()
    with ThreadPoolExecutor() as pool:
        with serving(Service(engine)) as url:
            asked = pool.submit(httpx.post, url + READ, json=ONE_IMAGE, headers=TOKEN, timeout=None)
            engine.begun.wait()
        error = asked.exception()
        assert isinstance(error, httpx.HTTPError) or asked.result().status_code == 500


def test_services_live_side_by_side() -> None:
    """Two services at once have different ports and answer each for itself."""
    services = Service(ScriptedEngine("one")), Service(ScriptedEngine("two"))
    with serving(services[0]) as first, serving(services[1]) as second:
        assert first != second
        answers = [httpx.post(url + READ, json=ONE_IMAGE, headers=TOKEN) for url in (first, second)]
    texts = [answer.json()["records"][0]["_ocr"]["full_text"] for answer in answers]
    assert texts == ["one", "two"]


def test_only_loopback_is_bound() -> None:
    """A port is bound on 127.0.0.1, whose URL is given."""
    listener, url = bind()
    with listener:
        assert listener.getsockname() == (HOST, port_of(url))
        assert url == f"http://127.0.0.1:{port_of(url)}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has 127.0.0.2 as it comes")
def test_other_addresses_of_the_machine_are_not_served() -> None:
    """The machine's other addresses refuse connections on the port."""
    with serving(Service(ScriptedEngine())) as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port_of(url)))


# --- Whom it answers


@pytest.mark.parametrize("name", ["rebound.example", "127.0.0.1.nip.io"])
def test_a_page_that_has_its_name_rebound_gets_nothing(name: str) -> None:
    """A web page whose name leads here neither reads, nor asks the model, nor posts webhooks."""
    with Site(None).open() as model, Site(answer(b"")).open() as receiver:
        gpt = OpenAIChat(f"http://127.0.0.1:{model.port}/v1", "tiny", "sk-secret")
        service = Service(ScriptedEngine("Mew"), gpt=gpt)
        records = [{"_base64": "aGVsbG8=", "prompt": "what is it?"}]
        hook = {"endpoint": receiver.url()}
        job = {"type": "ocr", "endpoint": "read_gpt", "records": records, "webhook": hook}
        with serving(service) as url:
            headers = {**TOKEN, "Host": f"{name}:{port_of(url)}"}
            for path, sent in ((GPT, {"records": records}), (REQUESTS, job)):
                told = httpx.post(url + path, json=sent, headers=headers)
                assert told.status_code == 421
                assert "serve with --allow-host" in told.json()["status"]["text"]
        assert (service.requests, service.billed, model.asked, receiver.asked) == (0, 0, [], [])


# --- Slow and many


POST = f"POST {READ} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token abc\r\n".encode()
GET = f"GET {DETAILS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token abc\r\n\r\n".encode()


def dribble(peer: socket.socket, piece: bytes) -> bytes:
    """Send *piece* again and again, until the connection ends; return what has come."""
    peer.settimeout(60)
    came = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            if not select.select([peer], [], [], 0.01)[0]:
                peer.sendall(piece)
            elif now := peer.recv(65536):
                came += now
            else:
                break
    return came


@pytest.mark.parametrize("piece", [b"", b"x"])
@pytest.mark.parametrize(
    "part, sent",
    [
        ("head", b""),
        ("head", b"GET / HTTP/1.1\r\nX: "),
        ("body", POST + b"Content-Length: 1000000\r\n\r\n"),
        ("body", POST + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n"),
    ],
)
def test_a_request_that_does_not_come_is_not_waited_for(
    part: str, sent: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head and a body have their time, however they come, and nothing is read or billed."""
    monkeypatch.setitem(TIMEOUTS, part, 0.1)
    service = Service(ScriptedEngine())
    with serving(service) as url, socket.create_connection((HOST, port_of(url))) as peer:
        peer.sendall(sent)
        assert dribble(peer, piece) == b""
    assert service.requests == 0


@pytest.mark.parametrize(
    "part, sent, status",
    [
        # A request that came with the one before it, but for its body.
        ("body", GET + POST + b"Content-Length: 1000000\r\n\r\n", b"200"),
        # The body of a request that was refused.
        ("head", b"POST / HTTP/1.1\r\nHost: evil\r\nContent-Length: 1000000\r\n\r\n", b"421"),
        ("head", GET + b"GET / HTTP/1.1\r\nX: ", b"200"),
    ],
)
def test_what_follows_a_response_has_its_time_too(
    part: str, sent: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a second request nor the rest of a first one keeps a connection."""
    monkeypatch.setitem(TIMEOUTS, part, 0.1)
    for piece in (b"", b"x"):
        with serving(Service(ScriptedEngine())) as url:
            with socket.create_connection((HOST, port_of(url))) as peer:
                peer.sendall(sent)
                came = dribble(peer, piece)
        assert came.startswith(b"HTTP/1.1 " + status)
        assert came.count(b"HTTP/1.1") == 1


def test_so_much_is_held_for_clients_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose response is too much together with those of others is let go of at once."""
    monkeypatch.setattr("ximilar_ocr_async.emulator.server.MAX_UNRECEIVED", 1000)
    body = json.dumps({"records": [{"_id": "x" * 30_000_000, **ONE_IMAGE["records"][0]}]}).encode()
    with serving(Service(ScriptedEngine())) as url, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect((HOST, port_of(url)))
        peer.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        assert any(is_cut_off(peer) for _ in range(LOOKS))


@pytest.mark.parametrize("is_dripping", [False, True])
def test_a_client_that_does_not_read_is_let_go_of(
    is_dripping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response has its time to be received, as a whole, whatever it echoes."""
    monkeypatch.setitem(TIMEOUTS, "response", 0.2)
    body = json.dumps({"records": [{"_id": "x" * 30_000_000, **ONE_IMAGE["records"][0]}]}).encode()
    with serving(Service(ScriptedEngine())) as url, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect((HOST, port_of(url)))
        peer.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        for _ in range(LOOKS):
            if is_cut_off(peer):
                break
            # It is cut off, which a client that looks for it may hear of as an error.
            with suppress(ConnectionError):
                peer.recv(1 if is_dripping else 0)
        else:
            pytest.fail("the client is still connected")


def test_a_client_that_reads_gets_all_of_it() -> None:
    """A response that is larger than what the system takes at once is received whole."""
    name = "x" * 30_000_000
    with serving(Service(ScriptedEngine())) as url:
        body = {"records": [{"_id": name, **ONE_IMAGE["records"][0]}]}
        read = httpx.post(url + READ, json=body, headers=TOKEN)
    assert read.json()["records"][0]["_id"] == name


LOOKS = 1500
"""How often it is looked for the end of a connection: for half a minute."""


def is_cut_off(peer: socket.socket) -> bool:
    """Wait a moment; return whether the other end has closed the connection."""
    poll = select.poll()
    poll.register(peer, select.POLLHUP | select.POLLERR)
    return bool(poll.poll(20))


def test_so_many_bytes_are_held_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that are too much together are refused, until the others are answered."""
    monkeypatch.setattr("ximilar_ocr_async.emulator.asgi.MAX_HELD", 1000)
    engine = EndlessEngine()
    body = json.dumps(ONE_IMAGE | {"padding": "x" * 600}).encode()
    with serving(Service(engine)) as url:
        with socket.create_connection((HOST, port_of(url))) as peer:
            peer.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            engine.begun.wait()
            refused = httpx.post(url + READ, content=body, headers=TOKEN)
            assert refused.status_code == 503
            small = httpx.get(url + DETAILS, headers=TOKEN)
            assert small.status_code == 200


def test_a_slow_reading_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the service takes itself is no matter of the client's."""
    monkeypatch.setitem(TIMEOUTS, "head", 0.1)
    monkeypatch.setitem(TIMEOUTS, "body", 0.1)
    with serving(Service(ScriptedEngine("at last", latency=0.3))) as url:
        read = httpx.post(url + READ, json=ONE_IMAGE, headers=TOKEN)
    assert read.json()["records"][0]["_ocr"]["full_text"] == "at last"


def test_connections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection too many is closed, and those that were there go on."""
    monkeypatch.setattr("ximilar_ocr_async.emulator.server.MAX_CONNECTIONS", 3)
    with serving(Service(ScriptedEngine())) as url, ExitStack() as stack:
        where = (HOST, port_of(url))
        peers = [stack.enter_context(socket.create_connection(where)) for _ in range(4)]
        assert dribble(peers.pop(), b"") == b""
        for peer in peers:
            peer.sendall(GET)
            peer.shutdown(socket.SHUT_WR)
            assert dribble(peer, b"").startswith(b"HTTP/1.1 200")
        assert httpx.get(url + DETAILS, headers=TOKEN).status_code == 200


def test_requests_whose_clients_have_left_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who hangs up and asks again makes no more work than connections could."""
    monkeypatch.setattr("ximilar_ocr_async.emulator.server.MAX_CONNECTIONS", 2)
    engine = EndlessEngine()
    body = json.dumps(ONE_IMAGE).encode()
    with serving(Service(engine)) as url:
        for _ in range(3):
            with socket.create_connection((HOST, port_of(url))) as peer:
                peer.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                engine.begun.wait()
                engine.begun.clear()
        assert httpx.get(url + DETAILS, headers=TOKEN).status_code == 503


def test_a_busy_port_cannot_be_had() -> None:
    """A port that somebody listens on is an error at once."""
    listener, url = bind()
    with listener, pytest.raises(OSError, match="in use"):
        bind(port_of(url))


def test_serving_in_this_thread_ends_with_an_interrupt() -> None:
    """The service answers until SIGINT, which ends it without an error."""
    listener, url = bind()

    def ask_and_interrupt() -> int:
        try:
            return httpx.get(url + DETAILS, headers=TOKEN, timeout=60).status_code
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask_and_interrupt)
        serve_until_interrupted(Service(ScriptedEngine()), listener)
        assert asked.result() == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)

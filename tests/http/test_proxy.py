"""Proxies: which one is used, and tunnels through proxies of each kind."""

import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import quote, unquote

import anyio
import anyio.lowlevel
import pytest

from tests.faults.certificates import OURS, identity, trust
from tests.faults.server import Connection, FaultyServer, faulty_server
from tests.http.replies import URL, behave_well
from ximilar_ocr_async import AddressError, ConnectionFailed, OCRSession, OptionError, RetryPolicy
from ximilar_ocr_async._http.proxy import Proxy, TunnelRefused, _socks_address, find_proxy

pytestmark = pytest.mark.anyio

SERVICE = "https://api.example"
ONCE = RetryPolicy(attempts=1)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


# ---- which one


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
@pytest.mark.parametrize("value", ["http://proxy:3128", "proxy:3128"])
def test_the_environment_names_a_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The usual variables are heard, with a scheme and without."""
    monkeypatch.setenv(name, value)
    assert find_proxy(None, SERVICE) == Proxy("http", "proxy", 3128)


def test_the_given_proxy_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program says is what counts, even for this machine."""
    monkeypatch.setenv("HTTPS_PROXY", "http://other:1")
    assert find_proxy("https://proxy", "http://127.0.0.1:1") == Proxy("https", "proxy", 443)
    assert find_proxy("socks5h://a%40b:c%3Ad@proxy", SERVICE) == Proxy(
        "socks5h", "proxy", 1080, "a@b", "c:d"
    )


def test_http_proxy_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for requests in plain, and none of those leaves this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert find_proxy(None, SERVICE) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost", "https://[::1]:1"])
def test_this_machine_is_reached_directly(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A proxy would look for the service on a machine of its own."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
    assert find_proxy(None, url) is None


@pytest.mark.parametrize(
    "exceptions, url, is_direct",
    [
        ("*", SERVICE, True),
        ("other.example, *", SERVICE, True),
        ("api.example", SERVICE, True),
        ("example", SERVICE, True),
        ("EXAMPLE", SERVICE, True),
        (".example", SERVICE, True),
        (".api.example", SERVICE, False),
        ("pi.example", SERVICE, False),
        ("api.example:443", SERVICE, True),
        ("api.example:8443", SERVICE, False),
        ("https://api.example", SERVICE, True),
        ("10.1.2.3", "https://10.1.2.3", True),
        ("2001:db8::1", "https://[2001:db8::1]", True),
        ("[2001:db8::1]", "https://[2001:db8::1]", True),
        ("", SERVICE, False),
        (" , ,", SERVICE, False),
        ("localhost,[fe80::/10]", SERVICE, False),
        ("[::1, [*.local], [abc], ℀.example, [", SERVICE, False),
        ("[fe80::/10], api.example", SERVICE, True),
    ],
)
def test_the_environment_names_exceptions(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, url: str, is_direct: bool
) -> None:
    """NO_PROXY names hosts, domains, addresses, or everything."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (find_proxy(None, url) is None) is is_direct


async def test_an_environment_that_makes_no_sense_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A session whose way cannot be found is not entered, and no password is shown."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:secret@proxy")
    with pytest.raises(OptionError, match=r"HTTPS_PROXY .*'ftp'") as caught:
        async with OCRSession("t", base_url=SERVICE):
            pass
    assert "secret" not in str(caught.value)


def test_no_repr_shows_who_asks() -> None:
    """The password of a proxy is as secret as the token."""
    assert "secret" not in repr(Proxy.parse("http://user:secret@proxy"))
    assert "secret" not in repr(OCRSession("t", proxy="http://user:secret@proxy"))


# ---- tunnels


class TunnelServer:
    """A proxy: it takes down what it is asked, and pumps bytes once it has agreed."""

    def __init__(self, agree: Callable[[Any], Awaitable[int]]) -> None:
        self.agree = agree
        self.heard = b""

    async def __call__(self, stream: Any) -> None:
        """Serve one connection."""
        port = await self.agree(_Tap(stream, self))
        async with await anyio.connect_tcp("127.0.0.1", port) as beyond:
            async with anyio.create_task_group() as group:
                group.start_soon(self.pump, stream, beyond)
                await self.pump(beyond, stream)
                group.cancel_scope.cancel()

    async def pump(self, source: Any, target: Any) -> None:
        """Pass on what comes."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                self.heard += data
                await target.send(data)


class _Tap:
    """Reads so many bytes, or up to the end of a head."""

    def __init__(self, stream: Any, server: TunnelServer) -> None:
        self.stream, self.server = stream, server

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await self.stream.receive(size - len(data))
        self.server.heard += data
        return data

    async def read_head(self) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.read(1)
        return head

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)


async def serve(group: Any, server: Any) -> int:
    """Serve on a free port; return it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def handle(stream: Any) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await server(stream)

    async def listen() -> None:
        async with listener:
            await listener.serve(handle)

    group.start_soon(listen)
    return int(listener.extra(anyio.abc.SocketAttribute.local_port))


async def read_through(proxy: TunnelServer, url: str, service: FaultyServer) -> str:
    """Read an image by way of *proxy* from a service that speaks TLS; return its text."""
    async with anyio.create_task_group() as group:
        port = await serve(group, proxy)
        options: Any = {"ssl_context": trust(OURS), "retry": ONCE}
        proxied = url.format(port=port)
        async with OCRSession("hush-hush", base_url=service.url, proxy=proxied, **options) as s:
            texts = [(await s.read(URL)).text for _ in range(2)]
        group.cancel_scope.cancel()
    assert texts == [URL, URL]
    assert b"hush" not in proxy.heard
    return texts[0]


async def secured(connection: Connection) -> None:
    """Be the service, over TLS."""
    await connection.secure()
    await behave_well(connection)


async def test_requests_go_through_a_tunnel_of_an_http_proxy() -> None:
    """The proxy is asked once for each connection, is told who asks, and sees no token."""

    async def agree(tap: _Tap) -> int:
        head = (await tap.read_head()).decode()
        assert head.startswith(f"CONNECT {service.url.removeprefix('https://')} HTTP/1.1\r\n")
        assert b64encode(b"me:p:w").decode() in head
        await tap.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return int(head.split()[1].rpartition(":")[2])

    proxy = TunnelServer(agree)
    async with faulty_server(secured, tls=identity()) as service:
        await read_through(proxy, "http://me:p%3Aw@127.0.0.1:{port}", service)
    assert service.connections == 1
    assert proxy.heard.count(b"CONNECT") == 1


async def test_an_https_proxy_is_spoken_to_in_tls() -> None:
    """The tunnel is secured twice: to the proxy, and through it to the service."""

    async def tunnel(connection: Connection) -> None:
        await connection.secure()
        head = await connection.stream.receive()
        assert head.startswith(b"CONNECT ")
        assert b"Proxy-Authorization" not in head
        await connection.stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        port = int(service.url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as beyond:
            pump = TunnelServer.pump
            async with anyio.create_task_group() as group:
                group.start_soon(pump, tap, connection.stream, beyond)
                await pump(tap, beyond, connection.stream)
                group.cancel_scope.cancel()

    tap = TunnelServer(cast("Any", None))
    async with faulty_server(secured, tls=identity()) as service:
        async with faulty_server(tunnel, tls=identity()) as proxy:
            options: Any = {"ssl_context": trust(OURS), "retry": ONCE, "proxy": proxy.url}
            async with OCRSession("hush-hush", base_url=service.url, **options) as session:
                assert (await session.read(URL)).text == URL
    assert b"hush" not in tap.heard


@pytest.mark.parametrize("kind", [1, 3, 4], ids=["IPv4", "name", "IPv6"])
@pytest.mark.parametrize("user", ["", "me:pw@"], ids=["open", "with a password"])
async def test_requests_go_through_a_tunnel_of_a_socks_proxy(user: str, kind: int) -> None:
    """SOCKS 5 is spoken with a password and without, whatever address the proxy tells."""

    async def agree(tap: _Tap) -> int:
        method = b"\x02" if user else b"\x00"
        assert await tap.read(3) == b"\x05\x01" + method
        await tap.send(b"\x05" + method)
        if user:
            assert await tap.read(7) == b"\x01\x02me\x02pw"
            await tap.send(b"\x01\x00")
        assert await tap.read(4) == b"\x05\x01\x00\x01"
        assert await tap.read(4) == socket.inet_aton("127.0.0.1")
        port = int.from_bytes(await tap.read(2))
        told = {1: bytes(4), 3: b"\x05proxy", 4: bytes(16)}[kind]
        await tap.send(b"\x05\x00\x00" + bytes([kind]))
        await anyio.sleep(0.01)
        await tap.send(told + b"\x00\x00")
        return port

    async with faulty_server(secured, tls=identity()) as service:
        await read_through(TunnelServer(agree), f"socks5://{user}127.0.0.1:{{port}}", service)


@pytest.mark.parametrize(
    "host, said",
    [("service.example", b"\x03\x0fservice.example"), ("::1", b"\x04" + bytes(15) + b"\x01")],
)
async def test_a_socks_proxy_looks_up_names_itself(host: str, said: bytes) -> None:
    """Names are not resolved here, where they may not be known."""
    heard = b""

    async def refuse(tap: _Tap) -> int:
        nonlocal heard
        await tap.read(3)
        await tap.send(b"\x05\x00")
        await tap.read(3)
        heard = await tap.read(len(said))
        await tap.send(b"\x05\x05\x00\x01")
        raise anyio.EndOfStream

    async with anyio.create_task_group() as group:
        port = await serve(group, TunnelServer(refuse))
        proxy = Proxy.parse(f"socks5h://127.0.0.1:{port}")
        with pytest.raises(Exception, match="the connection was refused"):
            await proxy.open_tunnel(host, 443, None, 5.0)
        group.cancel_scope.cancel()
    assert heard == said


async def failure_by(proxy: TunnelServer, url: str) -> Any:
    """Return the error of a read by way of a proxy that does not agree."""
    async with anyio.create_task_group() as group:
        port = await serve(group, proxy)
        async with OCRSession(
            "t", base_url=SERVICE, proxy=url.format(port=port), retry=ONCE
        ) as session:
            (outcome,) = await session.read_all([URL])
        group.cancel_scope.cancel()
    assert not outcome.ok
    assert not outcome.maybe_billed
    return outcome.error


@pytest.mark.parametrize(
    "status, expected",
    [
        ("407 Proxy Authentication Required", AddressError),
        ("403 Forbidden", AddressError),
        ("405 Method Not Allowed", AddressError),
        ("500 Unable to connect", ConnectionFailed),
        ("502 Bad Gateway", ConnectionFailed),
        ("503 Service Unavailable", ConnectionFailed),
    ],
)
async def test_an_http_proxy_refuses_for_good_or_for_now(status: str, expected: type) -> None:
    """Only what stays as it is makes the address wrong; all else is an outage."""

    async def refuse(tap: _Tap) -> int:
        await tap.read_head()
        await tap.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        raise anyio.EndOfStream

    error = await failure_by(TunnelServer(refuse), "http://127.0.0.1:{port}")
    assert type(error) is expected
    assert status in str(error)


@pytest.mark.parametrize(
    "answers, expected",
    [
        ([b"\x05\xff"], AddressError),
        ([b"\x05\x02", b"\x01\x01"], AddressError),
        ([b"\x05\x02", b"\x01\x00", b"\x05\x02\x00\x01"], AddressError),
        ([b"\x05\x02", b"\x01\x00", b"\x05\x07\x00\x01"], AddressError),
        ([b"\x05\x02", b"\x01\x00", b"\x05\x01\x00\x01"], ConnectionFailed),
        ([b"\x05\x02", b"\x01\x00", b"\x05\x63\x00\x01"], ConnectionFailed),
        ([], ConnectionFailed),
    ],
)
async def test_a_socks_proxy_refuses_for_good_or_for_now(
    answers: list[bytes], expected: type
) -> None:
    """Who asks, and what is not allowed, stay as they are; all else is an outage."""

    async def refuse(tap: _Tap) -> int:
        for answer in answers:
            await tap.stream.receive()
            await tap.send(answer)
        await tap.stream.receive()
        raise anyio.EndOfStream

    error = await failure_by(TunnelServer(refuse), "socks5://me:pw@127.0.0.1:{port}")
    assert type(error) is expected


@pytest.mark.parametrize("who", ["me:a-long-password", "me:pw", "me:p%40ss%2Fword"])
@pytest.mark.parametrize("how", ["header", "half of it", "decoded", "quoted", "no HTTP"])
async def test_a_proxy_that_says_back_what_it_was_sent_is_not_quoted(who: str, how: str) -> None:
    """Its words are not shown if the password is in them; its status is."""
    password = unquote(who.partition(":")[2])
    word = b64encode(f"me:{password}".encode()).decode()
    said = {
        "header": f"Basic {word}",
        "half of it": word[: len(word) * 2 // 3],
        "decoded": f"no {password} here",
        "quoted": f"no {quote(password)} here",
    }

    async def refuse(tap: _Tap) -> int:
        await tap.read_head()
        line = f"HTTP/1.1 502 {said[how]}" if how in said else f"Basic {word}"
        await tap.send(f"{line}\r\nContent-Length: 0\r\n\r\n".encode())
        raise anyio.EndOfStream

    error = await failure_by(TunnelServer(refuse), f"http://{who}@127.0.0.1:{{port}}")
    assert type(error) is ConnectionFailed
    assert password not in str(error)
    assert word[:8] not in str(error)
    assert how == "no HTTP" or "502" in str(error)


async def test_the_words_of_a_failing_proxy_make_nothing_final() -> None:
    """A status that may change is an outage, whatever stands behind it."""

    async def refuse(tap: _Tap) -> int:
        await tap.read_head()
        await tap.send(b"HTTP/1.1 502 not allowed by upstream\r\nContent-Length: 0\r\n\r\n")
        raise anyio.EndOfStream

    error = await failure_by(TunnelServer(refuse), "http://127.0.0.1:{port}")
    assert type(error) is ConnectionFailed


def test_a_socks_proxy_takes_names_of_a_byte_of_length() -> None:
    """A longer one is refused for good, in words."""
    with pytest.raises(TunnelRefused, match="405 the host has 300 bytes"):
        _socks_address("a" * 300)

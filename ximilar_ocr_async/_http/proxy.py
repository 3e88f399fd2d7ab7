"""Proxies: a URL or the environment in, tunnels to the service out.

Requests go through tunnels only, so no proxy sees the token.
"""

import ssl
from base64 import b64encode
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies

from attrs import define, field, frozen

from ximilar_ocr_async._http.http1 import Connection, Head, ProtocolError
from ximilar_ocr_async._http.tcp import Stream, connect, receive
from ximilar_ocr_async._http.tls import TLSStream
from ximilar_ocr_async._validation import MAX_SOCKS_WORD, check_proxy, is_loopback

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The port of each scheme, where a URL names none."""

SHORT = 8
"""How much of a secret gives it away [characters]. Source: judgement."""

OK = 2
"""HTTP's class of statuses that say yes."""


class TunnelRefused(Exception):
    """The proxy refuses to open a tunnel. It begins with the status of an HTTP proxy's response."""


@frozen
class Proxy:
    """A proxy, with what it asks for.

    Attributes:
        scheme: How it is spoken to: ``http``, ``https``, ``socks5`` or ``socks5h``.
        host: Its name or address.
        port: Its port.
        user: Who asks; None if it need not be said.
        password: Of the user.
    """

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, name: str = "proxy") -> "Proxy":
        """Return the proxy at *url*; raise `OptionError`, which calls it *name*, if it is none."""
        check_proxy(url, name)
        parts = urlsplit(url)
        user = None if parts.username is None else unquote(parts.username)
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname or "", port, user, unquote(parts.password or ""))

    async def open_tunnel(
        self, host: str, port: int, tls: ssl.SSLContext | None, seconds: float
    ) -> Stream:
        """Return a stream to *host*; each step may take *seconds*.

        Args:
            host: Where the tunnel ends.
            port: There.
            tls: With what the proxy itself is spoken to, if its scheme is ``https``.
            seconds: [s].

        Raises:
            TunnelRefused: The proxy says no.
            OSError: There is no proxy, or it hangs up.
        """
        stream: Stream = await connect(self.host, self.port)
        try:
            if self.scheme.startswith("socks"):
                await self._ask_socks(stream, host, port, seconds)
                return stream
            if self.scheme == "https" and tls is not None:
                stream = await TLSStream.wrap(stream, tls, self.host, seconds)
            await self._ask_http(stream, f"[{host}]" if ":" in host else host, port, seconds)
        except BaseException:
            stream.close()
            raise
        return stream

    # ---- HTTP [RFC 9110, 9.3.6]

    async def _ask_http(self, stream: Stream, host: str, port: int, seconds: float) -> None:
        target = f"{host}:{port}"
        headers = [("Host", target)]
        if self.user is not None:
            word = b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {word}"))
        connection = Connection(stream)
        connection.begin(Head(method="CONNECT", target=target, headers=headers))
        try:
            await connection.send(b"", seconds)
            response = await connection.receive_head(seconds)
        except ProtocolError:
            raise TunnelRefused("the proxy does not answer in HTTP") from None
        if response.status_code // 100 != OK:
            raise TunnelRefused(self._told(response.status_code, response.reason))

    def _told(self, status: int, reason: bytes) -> str:
        """Return how the proxy refuses, without its words if it says back what it was sent."""
        words = reason.decode("ascii", "replace")
        word = b64encode(f"{self.user}:{self.password}".encode()).decode()
        secrets = [word[:SHORT], self.password, quote(self.password), self.password[:SHORT]]
        is_said = any(secret in unquote(words) or secret in words for secret in secrets if secret)
        return str(status) if self.user is not None and is_said else f"{status} {words}".strip()

    # ---- SOCKS 5 [RFC 1928, RFC 1929]

    async def _ask_socks(self, stream: Stream, host: str, port: int, seconds: float) -> None:
        answers = _Answers(stream, seconds)
        method = b"\x00" if self.user is None else b"\x02"
        await stream.send(b"\x05\x01" + method, seconds)
        if (await answers.read(2))[1:] != method:
            raise TunnelRefused("407 the proxy wants another way to say who asks")
        if self.user is not None:
            words = (_short(self.user.encode()), _short(self.password.encode()))
            await stream.send(b"\x01" + b"".join(words), seconds)
            if (await answers.read(2))[1]:
                raise TunnelRefused("407 the proxy does not accept user and password")
        await stream.send(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2), seconds)
        reply, kind = (await answers.read(4))[1::2]
        if reply:
            _raise_refused(reply)
        size = {1: 4, 4: 16}.get(kind) or (await answers.read(1))[0]
        await answers.read(size + 2)


def _socks_address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode()
        if len(name) > MAX_SOCKS_WORD:
            limit = f"a SOCKS proxy takes at most {MAX_SOCKS_WORD}"
            raise TunnelRefused(f"405 the host has {len(name)} bytes, {limit}") from None
        return b"\x03" + _short(name)
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed  # noqa: PLR2004 - IPv4


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


_SOCKS_REPLIES = {
    1: "the proxy failed",
    2: "403 the proxy does not allow it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "the way is too long",
    7: "405 the proxy opens no tunnels",
    8: "405 the proxy does not know such addresses",
}
"""The replies of RFC 1928, with HTTP's statuses before those that stay as they are."""


def _raise_refused(reply: int) -> NoReturn:
    raise TunnelRefused(_SOCKS_REPLIES.get(reply, f"the proxy says {reply}"))


@define
class _Answers:
    """Reads answers of a known length. A proxy says nothing beyond them unasked."""

    _stream: Stream
    _seconds: float
    _left: bytearray = field(init=False, factory=bytearray)

    async def read(self, size: int) -> bytes:
        while len(self._left) < size:
            data = await receive(self._stream, self._seconds)
            if not data:
                raise ConnectionResetError("the proxy hung up")
            self._left += data
        answer = bytes(self._left[:size])
        del self._left[:size]
        return answer


# ---- the environment


def find_proxy(given: str | None, url: str) -> Proxy | None:
    """Return the proxy for *url*: the *given* one, or else the environment's.

    ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are heard as httpx hears them, but never for
    this machine.

    Raises:
        OptionError: It is not the URL of a proxy.
    """
    if given is not None:
        return Proxy.parse(given)
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = getproxies()
    found = named.get(parts.scheme) or named.get("all")
    if (
        not found
        or is_loopback(host)
        or _is_excepted(host, parts.port or PORTS[parts.scheme], named.get("no", ""))
    ):
        return None
    return Proxy.parse(found if "://" in found else f"http://{found}", "HTTPS_PROXY or ALL_PROXY")


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Return whether ``NO_PROXY`` names *host*: ``*``, an address, a domain or all below one."""
    for word in (word.strip().lower() for word in exceptions.split(",")):
        try:
            name = urlsplit(word if "://" in word else f"//{word}")
            named_host, named_port = name.hostname or "", name.port
        except ValueError:  # such as an IPv6 address without brackets, or a network in them
            named_host, named_port = word, None
        if word == "*" or (word and word == host):
            return True
        if named_port in {None, port} and named_host and _is_below(host, named_host):
            return True
    return False


def _is_below(host: str, domain: str) -> bool:
    return host == domain or host.endswith(domain if domain.startswith(".") else f".{domain}")

"""F08: the way leads through a proxy, which passes everything on, or refuses, or breaks.

Injected clients bring proxies of their own. They do without SOCKS, for which they need another
library.
"""

from base64 import b64encode
from collections.abc import Iterator

from tests.faults.case import TOKEN, Case, Trial
from tests.faults.certificates import identity
from tests.faults.connect import one_request, only_a_probe_is_marked, until_mended
from tests.faults.expect import fails, reads
from tests.faults.server import Behaviour, Connection
from tests.faults.steps import well
from ximilar_ocr_async import AddressError, ConnectionFailed

HOST = "ocr.example"

PROXY = "http://127.0.0.1:{port}"
KNOWN = "http://user:pa%20ss@127.0.0.1:{port}"
SECURE = "https://127.0.0.1:{port}"
SOCKS, SOCKS_KNOWN = "socks5://127.0.0.1:{port}", "socks5h://user:pa%20ss@127.0.0.1:{port}"

YES = "200 Connection Established"
CREDENTIALS = b"Proxy-Authorization: Basic " + b64encode(b"user:pa ss")


# ---- proxies


async def pass_on(connection: Connection) -> None:
    """Pass all on to the service, which is well."""
    connection.overhear()
    await well(connection)


def tunnels(*answers: str, then: str = YES, wants: bytes = b"") -> Behaviour:
    """Be a proxy that gives one of the *answers* to each of the first, and *then* to all others.

    It hangs up where there is no answer, and opens tunnels only for those who say what it *wants*.
    """

    async def behave(connection: Connection) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await connection.stream.receive()
        is_first = connection.number <= len(answers) and not connection.server.is_healed
        answer = answers[connection.number - 1] if is_first else then
        if wants not in head:
            answer = "407 Proxy Authentication Required"
        if answer == YES or connection.server.is_healed:
            await connection.stream.send(f"HTTP/1.1 {YES}\r\n\r\n".encode())
            await pass_on(connection)
        if answer:
            await connection.stream.send(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
            await connection.stall()

    return behave


async def tunnel_in_tls(connection: Connection) -> None:
    """Be a proxy that is itself spoken to in TLS."""
    await connection.secure()
    await tunnels()(connection)


async def break_tunnel(connection: Connection) -> None:
    """Be a proxy whose first tunnel breaks before anything passed."""
    if connection.number == 1:
        await connection.stream.receive()
        await connection.stream.send(f"HTTP/1.1 {YES}\r\n\r\n".encode())
    else:
        await tunnels()(connection)


def closes_first(proxy: Behaviour) -> Behaviour:
    """Be a *proxy* that closes its first connection at once."""

    async def behave(connection: Connection) -> None:
        if connection.number > 1:
            await proxy(connection)

    return behave


def socks(*replies: int, method: int = 0, word: bytes = b"pa ss") -> Behaviour:
    """Be a proxy of SOCKS 5 that gives one of the *replies* to each of the first [RFC 1928]."""

    async def behave(connection: Connection) -> None:
        raw = connection.raw
        offered = await raw.receive()
        await raw.send(bytes([5, method if method in offered[2:] else 255]))
        if method == 2:
            is_known = await raw.receive() == b"\x01\x04user" + bytes([len(word)]) + word
            await raw.send(bytes([1, not is_known]))
        is_right = await raw.receive() == b"\x05\x01\x00\x03\x0bocr.example\x01\xbb"
        is_first = connection.number <= len(replies) and not connection.server.is_healed
        reply = replies[connection.number - 1] if is_first else 0
        await raw.send(bytes([5, reply if is_right else 8, 0, 1, 0, 0, 0, 0, 0, 0]))
        await (Connection.stall if reply else pass_on)(connection)

    return behave


# ---- what has to hold


def nothing_was_seen(trial: Trial) -> Iterator[str]:
    """Check that requests passed through the proxy, which could read none of them."""
    seen = bytes(trial.server.overheard)
    if not seen:
        yield "nothing passed through the proxy"
    if any(word in seen for word in (TOKEN.encode(), b"Authorization", b"HTTP/1.1", b"records")):
        yield "I5: the proxy could read what passed"


def through(id_: str, fault: str, proxy: Behaviour, url: str) -> Case:
    """Say where cases with a proxy begin: beyond it, the service is well."""
    case = Case(id_, fault).given(proxy, tls=lambda: identity(HOST, "127.0.0.1"))
    case = case.when(url=f"https://{HOST}", proxy=url)
    return case.only(library="own") if url.startswith("socks") else case


def passes(id_: str, fault: str, proxy: Behaviour, url: str = PROXY) -> Case:
    """Say what happens where a proxy does its work."""
    return (
        through(id_, fault, proxy, url)
        .promises("read; the proxy sees no token and no image")
        .then(reads(), requests=1, also=nothing_was_seen)
    )


def refuses_for_good(
    id_: str, fault: str, proxy: Behaviour, says: str, *, url: str = PROXY
) -> Case:
    """Say what happens where a proxy refuses, as it always will."""
    return (
        through(id_, fault, proxy, url)
        .promises("AddressError, one request")
        .then(fails(AddressError, says=says), also=one_request, recovers=False)
    )


def fails_once(id_: str, fault: str, proxy: Behaviour, url: str = PROXY) -> Case:
    """Say what happens where a proxy does not reach the service, once."""
    return (
        through(id_, f"{fault}, once", proxy, url)
        .promises("ConnectionFailed, tried again; billed once")
        .then(reads(attempts=2), requests=1, also=nothing_was_seen)
    )


PROXIES = [
    refuses_for_good("F08.1", "proxy refuses with 407", tunnels(wants=CREDENTIALS), "407"),
    fails_once("F08.2.1", "proxy's tunnel breaks before TLS", break_tunnel).only(library="own"),
    through("F08.2.2", "proxy's tunnel breaks before TLS, once", break_tunnel, PROXY)
    .promises("ConnectionFailed, tried again; billed once")
    # The pools of httpx 0.28 and httpx2 2.16 keep the place of a tunnel that broke, for ever.
    .then(reads(attempts=2), requests=1, also=nothing_was_seen, recovers=False),
    passes("F08.3", "way through a proxy", tunnels()),
    passes("F08.4", "proxy that wants a password", tunnels(wants=CREDENTIALS), KNOWN),
    passes("F08.5", "proxy in TLS", tunnel_in_tls, SECURE),
    refuses_for_good("F08.6", "proxy refuses with 403", tunnels(then="403 Forbidden"), "403"),
    refuses_for_good("F08.7", "proxy refuses with 405", tunnels(then="405 No"), "405"),
    fails_once("F08.8", "proxy says 500", tunnels("500 Internal Server Error")),
    fails_once("F08.9", "proxy says 502", tunnels("502 Bad Gateway")),
    fails_once("F08.10", "proxy says 503", tunnels("503 Service Unavailable")),
    fails_once("F08.11", "proxy hangs up when it is asked", tunnels("")),
    fails_once("F08.12", "proxy hangs up at once", closes_first(tunnels())),
    through("F08.13", "proxy says 502, for ever", tunnels(then="502 Bad Gateway"), PROXY)
    .promises("an outage: tried until the outage timeout; not billed")
    .when(url=f"https://{HOST}", proxy=PROXY, outage_timeout=0.1)
    .then(
        fails(ConnectionFailed, attempts=None, maybe_billed=None, says="out of reach"),
        requests=0,
        also=only_a_probe_is_marked,
    ),
    through("F08.14", "proxy is not there, until it comes up", tunnels(), PROXY)
    .promises("found by a probe, billed once")
    .given(tunnels(), way="refused", tls=lambda: identity(HOST))
    .when(until_mended, url=f"https://{HOST}", proxy=PROXY)
    .then(reads(attempts=None), requests=2, also=nothing_was_seen),  # a probe carries one record
    passes("F08.15", "way through SOCKS", socks(), SOCKS),
    passes("F08.16", "SOCKS that wants a password", socks(method=2), SOCKS_KNOWN),
    refuses_for_good(
        "F08.17", "SOCKS knows another password", socks(method=2, word=b"?"), "407", url=SOCKS_KNOWN
    ),
    refuses_for_good("F08.18", "SOCKS wants a password", socks(method=2), "407", url=SOCKS),
    refuses_for_good("F08.19", "SOCKS does not allow it", socks(*[2] * 9), "403", url=SOCKS),
    refuses_for_good("F08.20", "SOCKS does not connect", socks(*[7] * 9), "405", url=SOCKS),
    refuses_for_good("F08.21", "SOCKS knows no names", socks(*[8] * 9), "405", url=SOCKS),
    fails_once("F08.22", "SOCKS fails", socks(1), SOCKS),
    fails_once("F08.23", "SOCKS does not reach the host", socks(4), SOCKS),
    fails_once("F08.24", "SOCKS is refused by the host", socks(5), SOCKS),
    fails_once("F08.25", "SOCKS hangs up at once", closes_first(socks()), SOCKS),
]

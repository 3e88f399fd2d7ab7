"""Fetching: a URL to the bytes behind it, and never to an address that is not public."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loopback import Site
from ximilar_ocr_async.emulator.fetch import Fetch
from ximilar_ocr_async.testing.service.engine import Unreadable

IMAGE = b"\x00\xff an image"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(IMAGE), IMAGE)
SPECIAL: list[IPv4Network | IPv6Network] = [
    *map(IPv4Network, ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8")),
    *map(IPv4Network, ("169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "240.0.0.0/4")),
    *map(IPv6Network, ("::/96", "::ffff:127.0.0.0/104", "64:ff9b::/96", "fc00::/7", "fe80::/10")),
]
"""Networks that are nobody's on the internet, or stand for such. Source: IANA's registries."""


Open: TypeAlias = Callable[[bytes | None], Site]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, which the server runs on, in real time, for sockets know no other."""
    return "asyncio"


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open sites until the test ends."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(Site(answer).open())


@pytest.fixture
def site(opened: Open) -> Site:
    """Open a site with an image."""
    return opened(ANSWER)


async def refused(fetch: Fetch, url: str) -> tuple[int, str]:
    """Return code and words with which *url* is refused."""
    with pytest.raises(Unreadable) as caught:
        await fetch(url)
    return caught.value.code, caught.value.text


# --- What is fetched


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "user:secret@127.0.0.1"])
async def test_an_image_is_fetched(site: Site, host: str) -> None:
    """What a URL leads to is handed over byte by byte, when private addresses are allowed."""
    assert await Fetch(allow_private=True)(site.url(host)) == IMAGE
    [asked] = site.asked
    assert asked.startswith(b"GET /image.png HTTP/1.1\r\n")


@pytest.mark.anyio
async def test_a_site_is_asked_by_its_name(site: Site) -> None:
    """The address is pinned, but the site hears its own name, and no password."""
    await Fetch(allow_private=True)(site.url("user:secret@localhost"))
    [asked] = site.asked
    assert f"Host: localhost:{site.port}\r\n".encode() in asked
    assert b"secret" not in asked
    assert b"Authorization" not in asked


@pytest.mark.anyio
async def test_proxies_of_the_environment_are_not_used(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy, which would resolve the name again, is not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert await Fetch(allow_private=True)(site.url()) == IMAGE


# --- Where nobody is led


@pytest.mark.anyio
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "user@localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
    ],
)
async def test_loopback_is_refused_before_anything_is_sent(site: Site, host: str) -> None:
    """However loopback is written, nothing connects to it."""
    assert await refused(Fetch(), site.url(host)) == (
        403,
        "the URL leads to an address that is not public",
    )
    assert site.connections == 0


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have names lead to the addresses of each of *answers* in turn; return what is looked up."""
    left, asked = list(answers), list[str]()

    async def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(None, None, None, "", (address, 0)) for address in left.pop(0)]

    monkeypatch.setattr(anyio, "getaddrinfo", look_up)
    return asked


@pytest.mark.anyio
@pytest.mark.parametrize("addresses", [["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "127.0.0.1"]])
async def test_every_address_of_a_name_is_looked_at(
    site: Site, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of which one address is not public is refused, whichever comes first."""
    resolve(monkeypatch, addresses)
    assert (await refused(Fetch(), site.url("scans.example")))[0] == 403
    assert site.connections == 0


@pytest.mark.anyio
async def test_a_name_is_looked_up_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was looked at is the one that is asked, whatever the name leads to later."""
    asked = resolve(monkeypatch, ["127.0.0.1"])
    assert await Fetch(allow_private=True)(site.url("scans.example")) == IMAGE
    assert asked == ["scans.example"]
    assert f"Host: scans.example:{site.port}\r\n".encode() in site.asked[0]


@given(address=st.one_of([st.ip_addresses(network=network) for network in SPECIAL]))
def test_special_addresses_are_refused(address: object) -> None:
    """Private, link-local, shared, reserved and embedded addresses are refused."""
    host = f"[{address}]" if ":" in str(address) else str(address)
    assert anyio.run(refused, Fetch(), f"http://{host}/")[0] == 403


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://168.63.129.16/",
        "http://100.100.100.200/",
        "https://10.0.0.1/",
        "http://[fd00::1]/",
        "http://[fd00:ec2::254]/",
        "http://[fec0::1]/",
        "http://[2002:7f00:1::1]/",
        "http://239.255.255.250/",
    ],
)
async def test_metadata_and_private_networks_are_refused(url: str) -> None:
    """The cloud's metadata and the neighbours' addresses are refused, with either scheme."""
    assert (await refused(Fetch(), url))[0] == 403


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url",
    [
        "",
        "image.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://",
        "http:/a",
        "data:image/png;base64,AAAA",
        "//127.0.0.1/a",
        "http://:80/",
    ],
)
async def test_only_http_is_fetched(url: str) -> None:
    """What is no http(s) URL with a host is refused as that."""
    told = await refused(Fetch(allow_private=True), url)
    assert told == (400, "the URL is not http(s)")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url, error",
    [
        ("http://[127.0.0.1", "ValueError"),
        ("http://127.0.0.1:port/", "ValueError"),
        ("http://127.0.0.1:99999/", "ValueError"),
        ("http://a..b/", ""),
        ("http://[fe80::1%25nowhere]/", "gaierror"),
        ("http://127.0.0.1:1/", "ConnectError"),
    ],
)
async def test_a_url_that_leads_nowhere_is_refused(url: str, error: str) -> None:
    """A broken address, an unknown name and a closed port are failures that say which."""
    told = await refused(Fetch(allow_private=True), url)
    assert told[0] == 400
    assert told[1].startswith(f"the request to the URL failed: {error}")


@given(url=st.text() | st.text().map("http://".__add__).map(lambda url: url.replace(".", "")))
def test_any_text_is_refused_or_not_fetched(url: str) -> None:
    """Any text gets a refusal with a code, and no other error."""
    assert anyio.run(refused, Fetch(timeout=0), url)[0] in {400, 403}


# --- What is not taken


@pytest.mark.anyio
@pytest.mark.parametrize("status", [b"404 Not Found", b"500 Oops", b"304 Not Modified"])
async def test_a_failing_site_is_named_by_its_status(opened: Open, status: bytes) -> None:
    """An answer that is no success is a failure with its status."""
    site = opened(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
    told = await refused(Fetch(allow_private=True), site.url())
    assert told == (400, f"the URL returned {status[:3].decode()}")


@pytest.mark.anyio
async def test_redirects_are_not_followed(opened: Open, site: Site) -> None:
    """A redirect, which might lead anywhere, is a failure, and its goal is not asked."""
    answer = f"HTTP/1.1 302 Found\r\nLocation: {site.url()}\r\nContent-Length: 0\r\n\r\n"
    first = opened(answer.encode())
    told = await refused(Fetch(allow_private=True), first.url())
    assert told == (400, "the URL returned 302")
    assert (first.connections, site.connections) == (1, 0)


@pytest.mark.anyio
async def test_an_image_has_a_limit(site: Site) -> None:
    """An image of the limit is taken and one of a byte more is not."""
    size = len(IMAGE)
    assert await Fetch(allow_private=True, max_bytes=size)(site.url()) == IMAGE
    told = await refused(Fetch(allow_private=True, max_bytes=size - 1), site.url())
    assert told == (413, f"the response is over {size - 1:,} bytes")


@pytest.mark.anyio
async def test_an_image_of_unknown_size_has_the_same_limit(opened: Open) -> None:
    """A body without a Content-Length is taken until the limit."""
    site = opened(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000)
    told = await refused(Fetch(allow_private=True, max_bytes=1000), site.url())
    assert told == (413, "the response is over 1,000 bytes")


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"", ANSWER[:-1]])
async def test_a_broken_answer_is_a_failure(opened: Open, answer: bytes) -> None:
    """Garbage, silence and a cut image are failures."""
    told = await refused(Fetch(allow_private=True), opened(answer).url())
    assert told == (400, "the request to the URL failed: RemoteProtocolError")


@pytest.mark.anyio
async def test_a_slow_site_is_given_up(opened: Open) -> None:
    """A site that takes the connection and says nothing is left after the timeout."""
    told = await refused(Fetch(allow_private=True, timeout=0.05), opened(None).url())
    assert told == (400, "the URL did not respond within 0.05 s")

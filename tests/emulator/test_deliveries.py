"""Webhooks: news are posted once, to addresses that are allowed."""

from collections.abc import Iterator

import pytest

from tests.loopback import Site, answer
from ximilar_ocr_async.emulator.deliveries import Delivery
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.submissions import Webhook

NEWS = b'{"status": "DONE"}'


@pytest.fixture
def anyio_backend() -> str:
    """Run in real time, for sockets know no other."""
    return "asyncio"


@pytest.fixture
def site() -> Iterator[Site]:
    """Open a site that receives."""
    with Site(answer(b"thanks")).open() as site:
        yield site


async def refused(delivery: Delivery, url: str) -> tuple[int, str]:
    """Return code and words with which nothing is delivered to *url*."""
    with pytest.raises(Unreadable) as caught:
        await delivery(Webhook(url), NEWS)
    return caught.value.code, caught.value.text


@pytest.mark.anyio
async def test_news_are_posted_with_their_headers(site: Site) -> None:
    """A receiver on this machine gets JSON, once, with the headers that were asked for."""
    await Delivery()(Webhook(site.url(), {"X-Secret": "hush"}), NEWS)
    [asked] = site.asked
    head, _, body = asked.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /image.png HTTP/1.1\r\n")
    assert b"Content-Type: application/json\r\n" in head
    assert b"X-Secret: hush\r\n" in head
    assert body == NEWS


@pytest.mark.anyio
@pytest.mark.parametrize(
    "delivery, host",
    [
        (Delivery(), "10.0.0.1"),
        (Delivery(), "0.0.0.0"),
        (Delivery(), "169.254.169.254"),
        (Delivery(), "8.8.8.8"),
        (Delivery(), "[::ffff:127.0.0.1]"),
        (Delivery(allow_public=True), "168.63.129.16"),
        (Delivery(allow_public=True), "10.0.0.1"),
        (Delivery(allow_public=True), "[fd00::1]"),
    ],
)
async def test_other_machines_have_to_be_allowed(delivery: Delivery, host: str) -> None:
    """Nothing is sent to the internet or to private networks unless that was said."""
    told = await refused(delivery, f"http://{host}/")
    assert told == (403, "the URL leads to an address that is not allowed")


@pytest.mark.parametrize(
    "delivery, address",
    [
        (Delivery(), "127.0.0.2"),
        (Delivery(), "::1"),
        (Delivery(allow_public=True), "127.0.0.1"),
        (Delivery(allow_public=True), "8.8.8.8"),
        (Delivery(allow_private=True), "10.0.0.1"),
    ],
)
def test_what_is_allowed_is_this_machine_and_what_was_said(
    delivery: Delivery, address: str
) -> None:
    """This machine always is, the rest by option; a white-box test, for nobody listens there."""
    delivery._check_address(address)


@pytest.mark.anyio
async def test_a_receiver_that_fails_is_told(site: Site) -> None:
    """An answer that is no success, a redirect too, is trouble, and nothing is sent again."""
    for status in ("500 Oops", "302 Found"):
        site.answer = answer(b"", status)
        assert await refused(Delivery(), site.url()) == (400, f"the URL returned {status[:3]}")
    assert site.connections == 2


@pytest.mark.anyio
async def test_a_receiver_that_says_nothing_is_left() -> None:
    """A delivery has its time."""
    with Site(None).open() as silent:
        told = await refused(Delivery(timeout=0.05), silent.url())
    assert told == (400, "the URL did not respond within 0.05 s")


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [{"a\n": "b"}, {"é": "b"}, {"a": "b\r\nc: d"}, {"a": "é"}])
async def test_headers_that_cannot_be_sent_are_told(site: Site, headers: dict[str, str]) -> None:
    """A header that HTTP has no place for is trouble, not another header."""
    with pytest.raises(Unreadable, match="the request to the URL failed: "):
        await Delivery()(Webhook(site.url(), headers), NEWS)
    assert b"c: d" not in b"".join(site.asked)

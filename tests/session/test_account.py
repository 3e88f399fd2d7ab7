"""The account, what images cost, and what a check says where something is wrong."""

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import paths
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    ConnectionFailed,
    DeadlineExceeded,
    Image,
    OCRError,
    OCRSession,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
    SessionStateError,
    estimate,
)
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

DETAILS = "/account/v2/details/"


async def test_the_account_is_told() -> None:
    """Credits are numbers; all else is kept, and personal data stand in no repr."""
    document = {"credits_counter": 7, "credits_limit": 100, "email": "ada@example.com"}
    service = InProcessService(reply=lambda _: document)
    async with service.session() as session:
        account = await session.account()
        assert session.stats.records_sent == 0
    assert (account.credits_counter, account.credits_limit) == (7, 100)
    assert account.extra == {"email": "ada@example.com"}
    assert "ada" not in repr(account)
    assert paths(service) == [DETAILS]


@pytest.mark.parametrize("document", [{}, {"credits_counter": None}])
async def test_an_account_may_say_nothing_of_credits(document: Any) -> None:
    """What is not told is nothing."""
    async with InProcessService(reply=lambda _: document).session() as session:
        account = await session.account()
    assert account.credits_counter is None


async def test_an_account_that_makes_no_sense_is_an_error() -> None:
    """The message has the address of what is wrong."""
    service = InProcessService(reply=lambda _: {"credits_limit": "many"})
    async with service.session() as session:
        with pytest.raises(ReplyError, match=r"credits_limit"):
            await session.account()


async def test_a_session_without_patience_asks_all_the_same() -> None:
    """Patience is for outages: an answer takes its time, with or without."""
    service = InProcessService(reply=lambda _: {}, latency=6)
    async with service.session(outage_timeout=0) as session:
        await session.check()
        await session.account()


async def test_a_check_of_what_is_fine_says_nothing() -> None:
    """It costs nothing either."""
    service = InProcessService()
    async with service.session() as session:
        await session.check()
    assert paths(service) == [DETAILS]


@pytest.mark.parametrize(
    "answer, cls, told",
    [
        (httpx.Response(401, json={"detail": "Invalid token."}), AuthError, "refuses the token"),
        (httpx.Response(301, headers={"Location": "/"}), AddressError, "check base_url"),
        (httpx.ConnectError("refused"), ConnectionFailed, "check the network, and base_url"),
        (httpx.Response(503), ServiceUnavailable, "status.ximilar.com"),
        (httpx.Response(404, json={"detail": "Not found."}), RequestRejected, "check base_url"),
        (httpx.Response(200, html="<h1>Log in</h1>"), ReplyError, "check base_url"),
        (httpx.RemoteProtocolError("gone"), ReplyLost, "status.ximilar.com"),
        (httpx.Response(429), RateLimited, "was not answered within 10 s"),
    ],
)
async def test_a_check_says_what_to_do(answer: Any, cls: type[OCRError], told: str) -> None:
    """Within its ten seconds it ends in an error of its class, with a remedy."""
    async with InProcessService(reply=lambda _: answer).session() as session:
        with pytest.raises(cls, match=told):
            await session.check()
        assert anyio.current_time() <= 10.1


async def test_a_check_of_what_never_answers_ends() -> None:
    """A service that hangs is an error after ten seconds, with a remedy."""
    service = InProcessService(reply=lambda _: {}, latency=1e6)
    async with service.session() as session:
        with pytest.raises(DeadlineExceeded, match=r"within 10 s; check the network") as caught:
            await session.check()
        assert anyio.current_time() == pytest.approx(10)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("call", [OCRSession.account, OCRSession.check])
async def test_a_session_must_be_open_to_be_asked(call: Any) -> None:
    """Before its block and after it there is nobody to ask."""
    session = InProcessService().session()
    with pytest.raises(SessionStateError):
        await call(session)


# ---- what images cost

URL = "https://x.example/1"


@pytest.mark.parametrize(
    "images, prompt, credits",
    [
        ([], None, 0),
        ([URL, b"", Path("x.png")], None, 15),
        ([URL, Image(URL, prompt="What?")], None, 20),
        ((URL, Image(URL, prompt="What?")), "Who?", 30),
        ({URL}, "Who?", 15),
    ],
)
def test_images_cost_what_their_endpoint_does(images: Any, prompt: Any, credits: int) -> None:  # noqa: A002 - the word for them
    """A plain reading costs 5 credits, one with a prompt 15."""
    assert estimate(images, prompt=prompt) == credits


@pytest.mark.parametrize(
    "images, told",
    [
        (URL, "images is a str"),
        (Image(URL), "images is a Image"),
        (7, "images is a int"),
        (iter([URL]), "which counting would use up; pass a list"),
    ],
)
def test_what_cannot_be_counted_is_an_error(images: Any, told: str) -> None:
    """One image is no list of them, and a generator would be used up."""
    with pytest.raises(OptionError, match=told):
        estimate(images)

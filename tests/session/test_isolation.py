"""One image that spoils its request is found, and the others are read."""

from collections import Counter
from contextlib import suppress

import anyio
import pytest

from tests.helpers import PNG, error_of, failing, refusing, texts, urls
from ximilar_ocr_async import OCRError, RequestRejected, RetryPolicy, ServiceUnavailable
from ximilar_ocr_async.testing import InProcessService, ScriptedReply, SeenRequest

pytestmark = pytest.mark.anyio


# ---- poison


@pytest.mark.parametrize("code", [400, 422])
async def test_a_poisoned_image_fails_alone(service: InProcessService, code: int) -> None:
    """The other nine of its batch are read, for ten more requests at most."""
    service.reply = refusing("/25.jpg", code=code)
    async with service.session() as session:
        outcomes = await session.read_all(urls(100))
        assert session.stats.records_billed == 99
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [25]
    assert isinstance(error_of(outcomes[25]), RequestRejected)
    assert outcomes[25].attempts == 2
    assert len(service.sizes) <= 10 + 10
    assert Counter(outcome.attempts for outcome in outcomes if outcome.ok) == {1: 90, 2: 9}


async def test_a_500_is_poison_only_when_it_comes_back(service: InProcessService) -> None:
    """A batch that the service fails on is sent again as it is, and only then as single records."""
    service.reply = refusing("/5.jpg", code=500)
    async with service.session(retry=RetryPolicy(attempts=3)) as session:
        outcomes = await session.read_all(urls(10))
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [5]
    assert isinstance(error_of(outcomes[5]), ServiceUnavailable)
    assert service.sizes[:3] == [10, 10, 1]


@pytest.mark.parametrize("code, requests", [(400, 1 + 3), (500, 2 + 3)])
async def test_three_alike_convict_the_service(
    service: InProcessService, code: int, requests: int
) -> None:
    """When the first three singles fail alike it is not the images, and the rest is not sent."""
    service.reply = refusing(code=code)
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert not any(outcome.ok for outcome in outcomes)
    assert {error_of(outcome).status for outcome in outcomes} == {code}
    assert len(service.sizes) == requests


@pytest.mark.parametrize("bad", [(0, 1, 2), (3, 5, 8), (7, 8, 9)], ids=["first", "between", "last"])
async def test_three_bad_ones_convict_no_service_that_has_answered(
    service: InProcessService, bad: tuple[int, ...]
) -> None:
    """Seven good images are read beside three bad ones, wherever these stand."""
    service.reply = lambda seen: failing(400) if "/bad" in str(seen.records) else None
    async with service.session(max_concurrency=1) as session:
        assert (await session.read("https://x.example/good")).text
        images = [f"https://x.example/{'bad' if n in bad else 'good'}{n}" for n in range(10)]
        outcomes = await session.read_all(images)
    assert [outcome.index for outcome in outcomes if not outcome.ok] == list(bad)


async def test_strangers_are_asked_in_turn(service: InProcessService) -> None:
    """Three bad images do not speak for those of others, even at first."""
    service.reply = lambda seen: failing(400) if "/bad" in str(seen.records) else None
    got: list[str] = []

    async def read(url: str) -> None:
        with suppress(OCRError):
            got.append((await session.read(url)).text)

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(read, f"https://x.example/bad{number}")
        for number in range(7):
            group.start_soon(read, f"https://x.example/good{number}")
    assert service.sizes[0] == 10
    assert len(got) == 7


async def test_once_a_batch_was_refused_one_by_one_three_convict(
    service: InProcessService,
) -> None:
    """A service that breaks for good costs ten requests for its first batch, then three."""
    async with service.session(max_concurrency=1) as session:
        assert (await session.read("https://x.example/good")).text
        service.reply = lambda _: failing(400)
        outcomes = await session.read_all(urls(40))
    assert not any(outcome.ok for outcome in outcomes)
    assert len(service.sizes) == 1 + (1 + 10) + 3 * (1 + 3)


async def test_singles_leave_others_their_turn(service: InProcessService) -> None:
    """While poison is looked for, other work has at least every other slot."""
    service.reply = refusing("/bad.jpg")
    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, [*urls(9), "https://x.example/bad.jpg"])
        await anyio.sleep(0.5)
        group.start_soon(session.read_all, urls(30))
    assert service.sizes[:6] == [10, 10, 1, 10, 1, 10]


async def test_a_withdrawn_suspect_does_not_hold_up_the_rest(service: InProcessService) -> None:
    """Callers whose images shared a refused batch do not wait for one who went away."""
    service.reply = refusing("/gone")
    got: list[str] = []

    async def read(url: str) -> None:
        got.append((await session.read(url)).text)

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(read, f"https://x.example/{number}")
        with anyio.move_on_after(1.5):
            await session.read("https://x.example/gone")
    assert len(got) == 5


# ---- size


async def test_a_413_splits_and_is_remembered() -> None:
    """A request that is too large is sent in parts, and later ones are made smaller at once."""
    images = [PNG + bytes([n]) * 4000 for n in range(60)]

    def refuse(seen: SeenRequest) -> ScriptedReply | None:
        return failing(413) if sum(len(r["_base64"]) for r in seen.records) > 20_000 else None

    service = InProcessService(texts="read", latency=1.0, reply=refuse)
    async with service.session(max_concurrency=1) as session:
        outcomes = await session.read_all(images)
    assert texts(outcomes) == ["read"] * 60
    assert service.sizes[0] == 10
    assert max(service.sizes[4:]) <= 4
    assert len(service.sizes) < 40


async def test_an_image_that_is_too_large_alone_fails(service: InProcessService) -> None:
    """Splitting ends with single images, and does not go on for ever."""
    service.reply = lambda _: failing(413, "too large")
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert {str(error_of(outcome)) for outcome in outcomes} == {"413: too large"}

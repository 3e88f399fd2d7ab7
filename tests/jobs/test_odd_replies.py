"""Jobs get what was paid for out of replies and deliveries that are odd, large or both."""

import json
from typing import Any

import httpx
import pytest
from _lib.hostile import KINDS, record

from tests.jobs.deliveries import GIVEN, posting, receiver
from ximilar_ocr_async import WebhookError
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

IDS = [f"{place}.0123abcd.page" for place in range(10)]
ODD = 3
SIZES = [300, 200_000]
KINDS_READ = [
    "json_result: arrays, deep",
    "json_result: one long number",
    "unknown key: empty arrays",
    "unknown key: damaged UTF-8",
    "texts: usual",
    "texts: with an unknown key",
]


def done(kind: str, size: int) -> bytes:
    """Return what the service says of a job that is done, or delivers."""
    rows = [record(name.encode()) for name in IDS]
    rows[ODD] = KINDS[kind](IDS[ODD].encode(), size)
    return b'{"id":"r1","status":"DONE","response":{"records":[%b]}}' % b",".join(rows)


def answering(body: bytes) -> InProcessService:
    """Make a service that says the same of every job."""
    return InProcessService(reply=lambda _: httpx.Response(200, content=body))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS_READ)
async def test_results_of_a_job_are_read_whatever_one_is(kind: str, size: int) -> None:
    """Ten images come back, and the service is asked once."""
    there = answering(done(kind, size))
    async with there.session() as session:
        outcomes = await session.job("r1").wait()
    assert [outcome.index for outcome in outcomes if outcome.ok] == list(range(10))
    assert there.requests == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS_READ)
async def test_what_is_told_of_a_job_is_bounded(kind: str, size: int) -> None:
    """The details of a job can be written as JSON, whatever they are."""
    async with answering(done(kind, size)).session() as session:
        [info] = await session.job("r1").infos()
    assert (info.id, info.status) == ("r1", "DONE")
    json.dumps(dict(info.extra))


@pytest.mark.parametrize("kind", ["gpt: a string", "texts: bad polygons"])
async def test_a_result_that_makes_no_sense_fails_alone(kind: str) -> None:
    """Nine images are read, and the tenth may have been billed."""
    async with answering(done(kind, 100_000)).session() as session:
        outcomes = await session.job("r1").wait()
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [ODD]
    assert outcomes[ODD].maybe_billed


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS_READ)
async def test_a_delivery_of_any_size_is_taken(kind: str, size: int) -> None:
    """It is accepted for its id, and its outcomes are there."""
    there, seen = receiver(), list[Any]()

    async def handle(delivery: Any) -> None:
        seen.append(delivery)

    async with posting(there, handle) as client:
        response = await client.post("/", content=done(kind, size), headers=GIVEN)
    assert response.status_code == 204
    [delivery] = seen
    assert delivery.id == "r1"
    assert [outcome.index for outcome in delivery.outcomes if outcome.ok] == list(range(10))


@pytest.mark.parametrize("size", SIZES)
async def test_a_job_takes_a_delivery_of_any_size(size: int) -> None:
    """The service is not asked again."""
    there = receiver()
    service = answering(b"{}")
    async with service.session() as session:
        job = session.job("r1", webhook=there)
        there.receive(GIVEN, done("texts: usual", size))
        outcomes = await job.wait()
    assert len(outcomes) == 10
    assert service.requests == 0


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"id":"r1"' + b" " * 100_000, b'"' + b"a" * 100_000]
)
async def test_a_large_delivery_that_is_none_is_refused(body: bytes) -> None:
    """It is answered with 400."""
    with pytest.raises(WebhookError, match="not JSON"):
        receiver().receive(GIVEN, body)
    async with posting(receiver()) as client:
        assert (await client.post("/", content=body, headers=GIVEN)).status_code == 400


async def test_a_page_of_jobs_of_any_size_is_listed() -> None:
    """What is odd about one job stays with it."""
    deep = b"[" * 2000 + b"]" * 2000
    rows = [b'{"id":"r%d","odd":%b}' % (i, deep if i == 2 else b"1" * 4301) for i in range(100)]
    page = b'{"results":[%b],"next":null}' % b",".join(rows)
    async with answering(page).session() as session:
        found = [info async for info in session.jobs()]
    assert [info.id for info in found] == [f"r{i}" for i in range(100)]
    assert all(json.dumps(dict(info.extra)) for info in found)

"""`max_batch_records` says how many images may share a request, and all arithmetic follows it."""

from collections.abc import Iterator

import anyio
import pytest

from tests.helpers import failing, refusing, texts, urls
from ximilar_ocr_async import Overloaded
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio

SIZES = pytest.mark.parametrize("most", [1, 2, 3, 10])


@SIZES
async def test_batches_are_no_larger(service: InProcessService, most: int) -> None:
    """Batches are full, and never fuller, from one call or from many."""
    async with service.session(max_batch_records=most) as session:
        assert texts(await session.read_all(urls(30))) == urls(30)
        assert set(service.sizes) == {most}
        async with anyio.create_task_group() as group:
            for url in urls(30):
                group.start_soon(session.read, url)
    assert max(service.sizes) == most
    assert sum(service.sizes) == service.billed == 60


@SIZES
async def test_submissions_are_no_larger(service: InProcessService, most: int) -> None:
    """Asynchronous requests hold as many, and their images come back in their places."""
    async with service.session(max_batch_records=most) as session:
        job = await session.submit(urls(10))
        outcomes = await job.wait()
        again = await session.job(job.ids).wait()
    assert texts(outcomes) == texts(again) == urls(10)
    assert max(service.sizes) == most
    assert len(job.ids) == -(-10 // most)


@SIZES
async def test_a_stream_pulls_as_many_as_fit(service: InProcessService, most: int) -> None:
    """At most one batch more than there are slots is pulled ahead."""
    pulled: list[str] = []

    def source() -> Iterator[str]:
        for url in urls(1000):
            pulled.append(url)
            yield url

    async with (
        service.session(max_batch_records=most, max_concurrency=2) as session,
        session.stream(source()) as outcomes,
    ):
        taken = 0
        async for _ in outcomes:
            taken += 1
            await anyio.sleep(0.1)
            assert len(pulled) <= taken + 3 * most
            if taken == 100:
                break
    assert max(service.sizes) == most


@SIZES
async def test_people_and_programs_both_go_on(service: InProcessService, most: int) -> None:
    """Neither a bulk run nor those who wait starve, however small batches are."""
    read: list[str] = []

    async def ask(number: int) -> None:
        for turn in range(20):
            await session.read(f"https://person.example/{number}/{turn}")
            read.append("person")

    async def run() -> None:
        await session.read_all(urls(20))
        read.append("run")

    async with service.session(max_batch_records=most, max_concurrency=1) as session:
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(ask, number)
            group.start_soon(run)
    assert read.count("person") == 240
    assert read.index("run") < len(read) - 1
    assert "person" in read[: read.index("run")]


@SIZES
async def test_a_full_queue_counts_such_batches(service: InProcessService, most: int) -> None:
    """With all slots free as many images find room as they take; one more is too many."""
    refused: list[str] = []

    async def ask(url: str) -> None:
        try:
            await session.read(url)
        except Overloaded:
            refused.append(url)

    options = {"max_batch_records": most, "max_concurrency": 2, "max_queue": 0}
    async with service.session(**options) as session, anyio.create_task_group() as group:
        for url in urls(2 * most + 1):
            group.start_soon(ask, url)
    assert len(refused) == 1


@SIZES
async def test_refused_batches_are_taken_apart(service: InProcessService, most: int) -> None:
    """One bad image fails alone, and a request that is too large is halved."""
    service.reply = refusing("/3.jpg")
    async with service.session(max_batch_records=most) as session:
        outcomes = await session.read_all(urls(12))
        assert [outcome.index for outcome in outcomes if not outcome.ok] == [3]
        service.reply = in_turn(failing(413)) if most > 1 else None
        assert texts(await session.read_all(urls(12))) == urls(12)
    assert max(service.sizes) == most

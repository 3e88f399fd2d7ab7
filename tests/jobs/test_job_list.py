"""The list of jobs is had page by page, and ends."""

import anyio
import pytest

from tests.helpers import failing, urls
from ximilar_ocr_async import ReplyError, RequestRejected
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio


async def test_jobs_are_listed_page_by_page() -> None:
    """All of them, the newest first, and only those that were asked for."""
    there = InProcessService()
    async with there.session() as session:
        ids: list[str] = []
        for number in range(25):
            ids.extend((await session.submit([f"https://x.example/{number}"])).ids)
        other = await session.submit(urls(1), type="flows", endpoint="x")
        await anyio.sleep(1)
        requests = there.requests
        assert [info.id async for info in session.jobs(type="ocr")] == ids[::-1]
        assert there.requests == requests + 3
        assert [info.id async for info in session.jobs()] == [*other.ids, *ids[::-1]]
        assert [i.id async for i in session.jobs(status="NOT_SUPPORTED")] == list(other.ids)
        assert [info async for info in session.jobs(status="RETRY")] == []


async def test_a_list_in_circles_ends() -> None:
    """A next page that was there before is an error, not a program that never ends."""
    row = {"id": "r1", "status": "DONE"}
    page = {"results": [row], "next": "http://localhost/api/account/v2/request/?page=1"}
    there = InProcessService(reply=lambda _: page)
    async with there.session() as session:
        jobs = session.jobs()
        assert (await anext(jobs)).id == "r1"
        with pytest.raises(ReplyError, match="go in circles"):
            await anext(jobs)
    assert there.requests == 1


async def test_a_page_that_failed_can_be_asked_for_again() -> None:
    """A list goes on where it was."""
    there = InProcessService(reply=lambda _: failing(400))
    async with there.session() as session:
        jobs = session.jobs()
        with pytest.raises(RequestRejected):
            await anext(jobs)
        there.reply = lambda _: {"results": [{"id": "r1", "status": "DONE"}]}
        assert [info.id async for info in jobs] == ["r1"]

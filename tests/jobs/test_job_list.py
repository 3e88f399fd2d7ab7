"""The list of jobs is had page by page, and ends."""

import itertools
import json
import pickle
import re
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import failing, urls
from ximilar_ocr_async import ReplyError, RequestRejected
from ximilar_ocr_async._jobs import JobList
from ximilar_ocr_async.testing import InProcessService, Script, SeenRequest

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
        with pytest.raises(ReplyError, match="goes in circles"):
            await anext(jobs)
    assert there.requests == 1


def page_number(seen: SeenRequest) -> int:
    """Return which page is asked for."""
    return int(re.findall(r"page=(\d+)", seen.path)[0])


def pages(rows: Callable[[int], list[str]], last: int | None = None) -> Script:
    """Return a script that lists requests with the ids that *rows* gives for each page, from 1."""

    def reply(seen: SeenRequest) -> dict[str, Any]:
        number = page_number(seen)
        link = None if number == last else f"https://x.example/?page={number + 1}"
        return {"results": [{"id": name} for name in rows(number)], "next": link}

    return reply


async def listed(there: InProcessService) -> tuple[list[str], str]:
    """Return what is listed, and the error that ends it."""
    found: list[str] = []
    async with there.session() as session:
        try:
            async for info in session.jobs():
                found.append(info.id)  # noqa: PERF401 - what came before an error is had
        except ReplyError as error:
            return found, str(error)
    return found, ""


async def test_empty_pages_without_end_are_an_error() -> None:
    """A hundred empty pages in a row, each with another link, end the list."""
    there = InProcessService(reply=pages(lambda number: ["r1"] if number == 1 else []))
    found, error = await listed(there)
    assert found == ["r1"]
    assert error == (
        "the list of asynchronous requests does not end: 100 pages in a row bring nothing new"
    )
    assert there.requests == 101


async def test_pages_of_known_requests_without_end_are_an_error() -> None:
    """Rows that come again in ever other company end the list, although no page comes again."""
    there = InProcessService(reply=pages(lambda number: [f"r{number % 7}", f"r{number % 11}"]))
    found, error = await listed(there)
    assert len({*found}) == 11
    assert error == (
        "the list of asynchronous requests does not end: 100 pages in a row bring nothing new"
    )
    assert there.requests < 120


async def test_a_list_with_some_empty_pages_goes_on() -> None:
    """Pages that a filter emptied are passed over, even if they are most of all pages."""
    there = InProcessService(
        reply=pages(lambda number: [] if number % 100 else [f"r{number}"], last=1000)
    )
    found, error = await listed(there)
    assert found == [f"r{number}" for number in range(100, 1001, 100)]
    assert error == ""


@pytest.mark.parametrize("length", [1, 2, 7, 30])
async def test_the_same_rows_again_and_again_are_an_error(length: int) -> None:
    """Rows that go round under new links end the list, however long the way round is."""
    there = InProcessService(reply=pages(lambda number: [f"r{number % length}", "other"]))
    found, error = await listed(there)
    assert len({*found}) == length + 1
    assert error == "the list of asynchronous requests does not end: " + (
        "a page of it came 10 times again"
        if length <= 2
        else "100 pages in a row bring nothing new"
    )
    assert there.requests <= 100 + length


async def test_more_rows_than_are_remembered_are_an_error_when_they_go_round() -> None:
    """Large pages that come again are found out as pages, if not as rows."""
    there = InProcessService(
        reply=pages(lambda number: [f"r{number % 2}-{row}" for row in range(1500)])
    )
    _, error = await listed(there)
    assert error == (
        "the list of asynchronous requests does not end: a page of it came 10 times again"
    )
    assert there.requests < 100


@pytest.mark.parametrize("length", [1, 2, 7, 30])
async def test_links_that_go_round_are_an_error(length: int) -> None:
    """Links that lead back end the list, even if each page has other rows."""
    count = itertools.count()

    def reply(seen: SeenRequest) -> dict[str, Any]:
        following = page_number(seen) % length + 1
        return {"results": [{"id": str(next(count))}], "next": f"?page={following}"}

    there = InProcessService(reply=reply)
    found, error = await listed(there)
    assert error == "the list of asynchronous requests goes in circles"
    assert length <= len(found) == there.requests <= 4 * length


async def test_a_list_of_any_length_goes_on() -> None:
    """Pages without number are listed, and a thousand ids are remembered, however long they are."""
    there = InProcessService(reply=pages(lambda number: [f"{number}" * 100], last=2500))
    async with there.session() as session:
        jobs = session.jobs()
        sizes = [len(pickle.dumps(_kept(jobs))) async for _ in jobs]
    assert len(sizes) == 2500
    assert max(sizes) < 1.1 * sizes[1100] < 20_000


def _kept(jobs: JobList) -> list[object]:
    """Return what a list remembers of its pages."""
    return [jobs._path, jobs._rows, jobs._paths, jobs._pages, jobs._known]


async def test_requests_that_move_to_later_pages_are_no_end() -> None:
    """While as many requests are submitted as a page has, the same page comes again."""
    there = InProcessService(reply=pages(lambda number: [f"r{max(1, number - 5)}"], last=20))
    found, error = await listed(there)
    assert found == ["r1"] * 6 + [f"r{number}" for number in range(2, 16)]
    assert error == ""


async def test_a_link_has_an_end() -> None:
    """A link of megabytes is not sent back, and what was listed before is had."""
    page = {"results": [{"id": "r1"}], "next": f"https://x.example/?page={'2' * 1_000_000}"}
    there = InProcessService(reply=lambda _: page)
    found, error = await listed(there)
    assert found == ["r1"]
    assert error == (
        "the list of asynchronous requests has a link of 1,000,026 characters, the limit is 8,192"
    )
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


@pytest.mark.parametrize("query", ["a=\x00", "a=\ud800", "a=\x1b[31m"])
async def test_a_link_that_cannot_be_sent_is_an_error_of_the_reply(query: str) -> None:
    """The address of the service is not at fault, so no other call is stopped."""
    page = json.dumps({"results": [{"id": "r1"}], "next": f"?{query}"})
    there = InProcessService(reply=lambda _: httpx.Response(200, text=page))
    async with there.session() as session:
        with pytest.raises(ReplyError, match="the link to the next page is no URL: its query is"):
            await anext(session.jobs())

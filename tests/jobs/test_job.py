"""A job is taken up and waited for, as often as a program likes, by its ids alone."""

import asyncio
from typing import Any

import anyio
import pytest

from tests.helpers import DONE, error_of, paths, texts, urls
from tests.jobs.receiving import receiving, taking
from ximilar_ocr_async import (
    DeadlineExceeded,
    Image,
    Job,
    JobExpired,
    JobNotFound,
    OptionError,
    SessionStateError,
)
from ximilar_ocr_async._constants import JOB_KEPT
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

REQUEST = "/account/v2/request/"
ASYNCIO = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)


# ---- taking up again


async def test_a_job_is_of_one_session_and_its_name_is_public() -> None:
    """What submit returns is a `Job`."""
    async with InProcessService().session() as session:
        assert isinstance(await session.submit([]), Job)


async def test_a_job_is_taken_up_by_its_ids_alone() -> None:
    """In another process, whatever the order, names and places come back; the images do not."""
    there = InProcessService()
    images = [Image(url, id=f"page {i}.a") for i, url in enumerate(urls(25))]
    async with there.session() as session:
        ids = (await session.submit(images)).ids
    async with there.session() as session:
        for given in (ids, reversed(ids)):
            outcomes = await session.job(given).wait()
            assert [outcome.index for outcome in outcomes] == list(range(25))
            assert [outcome.image.id for outcome in outcomes] == [i.id for i in images]
            assert [o.record.id for o in outcomes if o.ok] == [i.id for i in images]
            assert texts(outcomes) == urls(25)
        [first, *_] = await session.job(ids[1]).wait()
        assert first.index == 10
    assert there.billed == 25


async def test_ids_are_kept_as_given() -> None:
    """In their order, each once."""
    async with InProcessService().session() as session:
        assert session.job(["b", "a", "b"]).ids == ("b", "a")
        assert await session.job([]).wait() == []


@pytest.mark.parametrize(
    "ids",
    [
        "",
        ".",
        "..",
        [""],
        [7],
        [None],
        b"r1",
        "a\nb",
        "\ud800",
        "x" * 201,
        "x" * 1_000_000,
        7,
        None,
    ],
)
async def test_an_id_is_a_name(ids: Any) -> None:
    """What cannot be one is an error at once."""
    async with InProcessService().session() as session:
        with pytest.raises(OptionError, match=r"expected (that|those) of (an )?async") as caught:
            session.job(ids)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("request_id", ["../details/", "a/b", "a?b#c", "%2e%2e", "ž" * 200, " "])
async def test_an_id_leads_nowhere_else(request_id: str) -> None:
    """Whatever is in it, one request is asked for."""
    there = InProcessService()
    async with there.session() as session:
        with pytest.raises(JobNotFound):
            await session.job(request_id).wait()
    [path] = paths(there)
    assert path.startswith(REQUEST)
    assert not set(path.removeprefix(REQUEST)) & set("/?#")


async def test_what_does_not_exist_is_told_after_all_else() -> None:
    """Outcomes that can be had come first; then the first error says how many there are."""
    there = InProcessService()
    async with there.session() as session:
        ids = (await session.submit(urls(20))).ids
        seen = []
        with pytest.raises(JobNotFound, match=r"no-1.*; and 1 more failed") as caught:
            async for outcome in session.job(["no-1", *ids, "no-2"]).outcomes():
                seen.append(outcome)  # noqa: PERF401 - kept although the loop raises
        with pytest.raises(JobNotFound, match=r"another account's, or its time is over$"):
            await session.job("no-3").wait()
    assert sorted(texts(seen)) == sorted(urls(20))
    assert caught.value.status == 404


async def test_what_is_over_two_weeks_old_is_expired() -> None:
    """The service keeps it no longer; images submitted here fail with a message that says so."""
    async with InProcessService().session() as session:
        job = await session.submit(urls(1))
        await anyio.sleep(JOB_KEPT)
        [outcome] = await job.wait()
    assert isinstance(error_of(outcome), JobExpired)
    assert "its two weeks are over" in str(error_of(outcome))
    assert outcome.maybe_billed


# ---- waiting


async def test_two_iterations_have_all_each() -> None:
    """One after the other or at the same time, each asks anew."""
    receiver, there = receiving(latency=5)
    async with there.session() as session:
        job = await session.submit(urls(30), webhook=receiver)
        both: list[list[str]] = []

        async def wait() -> None:
            both.append(texts(await job.wait()))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
        await wait()
    assert both == [urls(30)] * 3


async def test_an_iteration_is_its_own_iterator() -> None:
    """Outcomes come as they are done, and end once."""
    async with InProcessService(latency=5).session() as session:
        outcomes = (await session.submit(urls(20))).outcomes()
        first = await anext(outcomes)
        assert first.ok
        assert anyio.current_time() < 15
        assert len([outcome async for outcome in outcomes]) == 19
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)


async def test_a_deadline_ends_the_waiting_and_nothing_else() -> None:
    """The message says what to do, and waiting again works."""
    there = InProcessService(latency=100)
    async with there.session() as session:
        job = await session.submit(urls(20))
        with pytest.raises(DeadlineExceeded, match=r"2 of 2 .* not done after 30 s; they go on"):
            await job.wait(deadline=30)
        assert anyio.current_time() == pytest.approx(30, abs=1)
        with pytest.raises(DeadlineExceeded, match="1 of 2"):
            await job.wait(deadline=130)
        assert texts(await job.wait()) == urls(20)
        assert texts(await session.job(job.ids).wait(deadline=10)) == urls(20)
    assert there.billed == 20


async def test_a_state_that_nobody_knows_is_waited_out_until_the_deadline() -> None:
    """It may be the service's newest, and good."""
    there = InProcessService(reply=lambda _: {"status": "POLISHING"})
    async with there.session() as session:
        with pytest.raises(DeadlineExceeded):
            await session.job("r1").wait(deadline=3600)
        there.reply = lambda _: DONE
        assert texts(await session.job("r1").wait()) == ["tea"]
    assert there.requests < 80


async def test_a_deadline_cuts_a_question_short() -> None:
    """A service that hangs is not waited for."""
    there = InProcessService(reply=lambda _: DONE, latency=1e6)
    async with there.session() as session:
        with pytest.raises(DeadlineExceeded):
            await session.job(["r1", "r2"]).wait(deadline=7)
        assert anyio.current_time() == pytest.approx(7)
        await anyio.wait_all_tasks_blocked()
        assert session.stats.in_flight == 0
        with pytest.raises(OptionError, match="deadline is -1"):
            session.job("r1").outcomes(deadline=-1.0)


async def test_an_hour_of_one_job_costs_few_questions() -> None:
    """It is asked after ever more seldom."""
    there = InProcessService(latency=3600)
    async with there.session() as session:
        await (await session.submit(urls(10))).wait()
    assert there.requests < 80
    assert anyio.current_time() < 3600 + 100


# ---- ends


async def test_a_wait_that_is_cancelled_can_be_made_again() -> None:
    """A scope around it ends it, and the session and the job are as before."""
    receiver, there = receiving(latency=60)
    async with there.session() as session:
        for hook in (receiver, None):
            job = await session.submit(urls(10), webhook=hook)
            with anyio.move_on_after(5) as scope:
                await job.wait()
            assert scope.cancelled_caught
            assert texts(await job.wait()) == urls(10)
        assert session.stats.in_flight == 0


@ASYNCIO
async def test_native_cancels_leave_the_session_good() -> None:
    """asyncio's own timeout and task.cancel end waiting and submitting, and only that."""
    there = InProcessService(reply=taking("r1", then={"status": "CREATED"}))
    async with there.session() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.job(["r1", "r2"]).wait()
        there.latency = 0.05
        task = asyncio.create_task(session.submit(urls(1)))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(anext(session.job("r1").outcomes()))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # What was submitted is let finish.
        await anyio.sleep(1)
        there.latency = 0
        there.reply = lambda _: DONE
        assert texts(await session.job("r1").wait()) == ["tea"]
        assert session.stats.in_flight == 0


async def test_a_job_belongs_to_its_sessions_event_loop() -> None:
    """Asked after from elsewhere, it says so at once and harms nothing."""
    async with InProcessService().session() as session:
        job = await session.submit(urls(1))
        with pytest.raises(SessionStateError, match="event loop"):
            await anyio.to_thread.run_sync(lambda: anyio.run(job.wait))
        assert texts(await job.wait()) == urls(1)

"""What a job comes to, whatever its states, its records and its answers."""

from collections import Counter
from typing import Any

import httpx
import pytest

from tests.helpers import DONE, error_of, failing, texts, urls
from tests.jobs.receiving import taking
from ximilar_ocr_async import Failure, Image, JobFailed, ReplyError, RequestRejected
from ximilar_ocr_async.testing import FaultPlan, InProcessService, in_turn

pytestmark = pytest.mark.anyio

REQUEST = "/account/v2/request/"


async def test_a_job_is_waited_for_however_it_comes_about() -> None:
    """CREATED, PROCESSING, RETRY and words that nobody knows are no end."""
    states = ["CREATED", "PROCESSING", "RETRY", "PROCESSING", "LATER", None]
    answers = ({"status": state, "response": None} for state in states)
    async with InProcessService(reply=in_turn(*answers, then=DONE)).session() as session:
        assert texts(await session.job("r1").wait()) == ["tea"]


async def test_what_goes_wrong_with_asking_is_raised_and_ends_nothing() -> None:
    """A question that is refused is an error, after what was answered beside it, and no end."""
    refused = {f"{REQUEST}r2": failing(400)}
    there = InProcessService(reply=lambda seen: refused.get(seen.path, DONE))
    async with there.session() as session:
        outcomes = session.job(["r1", "r2", "r3"]).outcomes()
        assert (await anext(outcomes)).ok
        assert (await anext(outcomes)).ok
        with pytest.raises(RequestRejected):
            await anext(outcomes)
        refused.clear()
        assert len([outcome async for outcome in outcomes]) == 1


@pytest.mark.parametrize(
    "fault, told", [("failed_jobs", "FAILED"), ("limited_jobs", "API_LIMIT_EXCEEDED")]
)
async def test_a_bad_end_fails_its_images(fault: str, told: str) -> None:
    """They were not billed, and the message says the state and the service's own words."""
    plan: dict[str, Any] = {fault: 1}
    there = InProcessService(FaultPlan(**plan))
    async with there.session() as session:
        job = await session.submit(urls(20))
        outcomes = await job.wait()
        with pytest.raises(JobFailed, match=f"ended as {told}.*; and 1 more failed"):
            await session.job(job.ids).wait()
    assert {type(error_of(outcome)) for outcome in outcomes} == {JobFailed}
    assert f"ended as {told} (planned fault: {fault})" in str(error_of(outcomes[0]))
    assert not any(outcome.maybe_billed for outcome in outcomes)
    assert [outcome.image.source for outcome in outcomes] == urls(20)


async def test_a_job_that_is_retried_there_goes_well() -> None:
    """The service tries again by itself; it is asked a little longer."""
    there = InProcessService(FaultPlan(retried_jobs=1))
    async with there.session() as session:
        assert texts(await (await session.submit(urls(30))).wait()) == urls(30)


async def test_records_that_failed_are_failures_of_their_own() -> None:
    """A request that is done may hold both."""
    there = InProcessService(FaultPlan(seed=1, record_errors=0.2, missing_records=0.1))
    async with there.session() as session:
        outcomes = await (await session.submit(urls(100))).wait()
    kinds = Counter("ok" if o.ok else type(o.error).__name__ for o in outcomes)
    assert set(kinds) == {"ok", "ServiceUnavailable", "ReplyError"}
    missing = [o for o in outcomes if isinstance(o, Failure) and isinstance(o.error, ReplyError)]
    assert "is done without this image" in str(missing[0].error)
    assert missing[0].maybe_billed
    assert all(o.record.text == o.image.source for o in outcomes if o.ok)


async def test_a_job_without_records_makes_no_sense() -> None:
    """Where its images are known they fail; else the error is raised."""
    there = InProcessService(reply=taking("r1", then={"status": "DONE"}))
    async with there.session() as session:
        [outcome] = await (await session.submit(urls(1))).wait()
        with pytest.raises(ReplyError, match="r1 is done and has no records"):
            await session.job("r1").wait()
    assert isinstance(error_of(outcome), ReplyError)
    assert outcome.maybe_billed


async def test_records_without_names_are_their_places() -> None:
    """Of a request whose images stand apart, each gets its own record back."""
    rows = [{"_ocr": {"full_text": text}} for text in ("first", "third")]
    done = {"status": "DONE", "response": {"records": rows}}
    there = InProcessService(reply=taking("en", "ja", then=done))
    images = [Image(u, lang=g) for u, g in zip(urls(4), ["en", "ja"] * 2, strict=True)]
    async with there.session() as session:
        outcomes = await (await session.submit(images)).wait()
    assert texts(outcomes) == ["first", "first", "third", "third"]


async def test_a_request_that_is_new_may_not_be_found_yet() -> None:
    """One that was submitted just now is asked after again."""
    created = httpx.Response(201, json={"id": "r1", "status": "CREATED"})
    missing = httpx.Response(404, json={"detail": "Not found."})
    there = InProcessService(reply=in_turn(created, *[missing] * 3, then=DONE))
    async with there.session() as session:
        job = await session.submit(urls(1))
        assert [outcome.ok for outcome in await job.wait()] == [True]

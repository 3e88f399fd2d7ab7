"""Images for later are submitted once, in full requests, and what becomes of each is told."""

import gc
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import DONE, PNG, error_of, texts, urls
from tests.jobs.receiving import asynchronously, taking
from ximilar_ocr_async import (
    AuthError,
    DeadlineExceeded,
    Image,
    ImageError,
    JobFailed,
    OCRSession,
    OptionError,
    PlanError,
    ReplyLost,
    RequestRejected,
)
from ximilar_ocr_async.testing import FaultPlan, InProcessService, ScriptedGPT

pytestmark = pytest.mark.anyio


# ---- submitting


@pytest.mark.parametrize("count", [0, 1, 10, 11, 47])
@pytest.mark.parametrize("kind", [list, iter, asynchronously])
async def test_any_number_of_images_goes_in_full_requests(count: int, kind: Any) -> None:
    """Whatever they come from, ten share a request, and all come back in their order."""
    there = InProcessService()
    async with there.session() as session:
        job = await session.submit(kind(urls(count)))
        outcomes = await job.wait()
        assert texts(outcomes) == urls(count)
        assert [outcome.index for outcome in outcomes] == list(range(count))
        assert [outcome.image.source for outcome in outcomes] == urls(count)
        assert len(job.ids) == -(-count // 10)
        assert repr(job) == f"<Job of {len(job.ids)} asynchronous requests>"
        assert session.stats.records_sent == count
    assert there.billed == count


async def test_images_of_several_languages_go_by_language() -> None:
    """A request is of one language; outcomes are in the order of the images all the same."""
    there = InProcessService()
    images = [
        Image(url, lang=lang) for url, lang in zip(urls(15), ["en", "ja", "ru"] * 5, strict=True)
    ]
    async with there.session() as session:
        job = await session.submit(images)
        outcomes = await job.wait()
    assert len(job.ids) == 3
    assert texts(outcomes) == urls(15)
    assert [o.record.ocr.lang for o in outcomes if o.ok] == ["en", "ja", "ru"] * 5


async def test_images_with_a_prompt_are_asked_about() -> None:
    """They go to the language model's endpoint, those without one do not."""
    there = InProcessService(gpt=ScriptedGPT(lambda prompt, _: prompt))
    images = [Image(url, prompt="Who?") for url in urls(3)] + [Image(url) for url in urls(2)]
    async with there.session() as session:
        outcomes = await (await session.submit(images)).wait()
        other = await (await session.submit(urls(1), prompt="What?")).wait()
    answers = [o.record.gpt.result if o.record.gpt else None for o in outcomes + other if o.ok]
    assert answers == ["Who?"] * 3 + [None] * 2 + ["What?"]
    assert there.spent == 4 * 15 + 2 * 5


async def test_type_and_endpoint_are_the_callers() -> None:
    """What the service is asked for is up to the caller; what it cannot do says what to try."""
    async with InProcessService().session() as session:
        job = await session.submit(urls(2), type="card-grader", endpoint="grade")
        [info] = [info async for info in session.jobs()]
        outcomes = await job.wait()
    assert info.type == "card-grader"
    assert {str(error_of(o)) for o in outcomes} == {str(error_of(outcomes[0]))}
    assert isinstance(error_of(outcomes[0]), JobFailed)
    assert "ended as NOT_SUPPORTED" in str(error_of(outcomes[0]))
    assert "try submit(type=, endpoint=)" in str(error_of(outcomes[0]))
    assert not outcomes[0].maybe_billed


async def test_a_type_that_is_not_known_is_refused() -> None:
    """The service's own words say why."""
    async with InProcessService().session() as session:
        outcomes = await (await session.submit(urls(12), type="horses")).wait()
    assert {type(error_of(outcome)) for outcome in outcomes} == {RequestRejected}
    assert "type is 'horses'" in str(error_of(outcomes[0]))


@pytest.mark.parametrize(
    "options, told",
    [
        ({"type": ""}, "type is ''"),
        ({"webhook": "https://me.example"}, "webhook is a str"),
        ({"lang": "xx"}, "lang is 'xx'"),
        ({"prompt": " "}, "prompt is blank"),
        ({"deadline": -1.0}, "deadline is -1.0"),
    ],
)
async def test_wrong_options_are_errors_before_anything_is_sent(options: Any, told: str) -> None:
    """Nothing is submitted."""
    there = InProcessService()
    async with there.session() as session:
        with pytest.raises(OptionError, match=told):
            await session.submit(urls(1), **options)
    assert there.requests == 0


async def test_no_more_is_submitted_than_allowed() -> None:
    """Images beyond the cap are failures among the outcomes."""
    there = InProcessService()
    async with there.session(max_records=15) as session:
        outcomes = await (await session.submit(urls(20))).wait()
    assert sum(outcome.ok for outcome in outcomes) == 15
    assert "max_records is 15" in str(error_of(next(o for o in outcomes if not o.ok)))


async def test_what_cannot_be_sent_fails_alone() -> None:
    """It is a failure at its place, of no attempt; every iteration has it."""
    images: list[Any] = ["no-url", PNG, b"no image", *urls(1)]
    async with InProcessService().session() as session:
        job = await session.submit(images)
        for _ in range(2):
            outcomes = await job.wait()
            assert [outcome.ok for outcome in outcomes] == [False, True, False, True]
            assert {type(error_of(outcomes[i])) for i in (0, 2)} == {ImageError}
            assert outcomes[0].attempts == 0


async def test_what_is_submitted_is_not_kept() -> None:
    """A job knows names and places; the bytes of its images are free."""
    images = [Image(PNG + bytes([place]) * 1000, id=str(place)) for place in range(5)]
    async with InProcessService().session() as session:
        job = await session.submit(images)
        outcomes = await job.wait()
    assert [(outcome.image.source, outcome.image.id) for outcome in outcomes] == [
        (b"", str(place)) for place in range(5)
    ]
    held = [o for o in gc.get_objects() if isinstance(o, bytes) and o.startswith(PNG)]
    assert held == []
    assert [image.id for image in images] == list("01234")


async def test_a_source_that_raises_tells_what_was_submitted() -> None:
    """The error is the source's own; its note has the ids, which can be taken up."""

    def images() -> Iterator[str]:
        yield from urls(20)
        raise ZeroDivisionError

    there = InProcessService()
    async with there.session() as session:
        with pytest.raises(ZeroDivisionError) as caught:
            await session.submit(images())
        [note] = caught.value.__notes__
        ids = note.removeprefix("submitted before: ").split(", ")
        assert texts(await session.job(ids).wait()) == urls(20)
        with pytest.raises(OptionError) as other:
            await session.submit("https://x.example/1")
    assert not hasattr(other.value, "__notes__")


async def test_a_submission_has_a_deadline() -> None:
    """What was not submitted by then fails; what was is the job."""
    plan = FaultPlan(outages=((0.0, 60.0),))
    async with InProcessService(plan).session() as session:
        job = await session.submit(urls(20), deadline=30)
        assert anyio.current_time() == pytest.approx(30, abs=1)
        assert {type(error_of(outcome)) for outcome in await job.wait()} == {DeadlineExceeded}
        job = await session.submit(urls(20), deadline=3600)
        assert texts(await job.wait()) == urls(20)


async def test_a_poisoned_image_spoils_its_request_alone() -> None:
    """The ten that were submitted together fail together; the message is the service's."""
    there = InProcessService(FaultPlan(seed=1, poison=0.02))
    async with there.session() as session:
        outcomes = await (await session.submit(urls(100))).wait()
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert failed
    assert len(failed) % 10 == 0
    assert all("planned fault: poison" in str(error_of(outcome)) for outcome in failed)


async def test_images_for_now_and_for_later_share_no_request() -> None:
    """What is submitted goes its way even where as much is read at the same time."""
    there = InProcessService()
    async with there.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(5))
        job = await session.submit(urls(5))
        assert len(await job.wait()) == 5
    assert there.billed == 10


# ---- money


async def test_a_lost_reply_is_no_reason_to_submit_twice() -> None:
    """Its images fail as maybe billed, and the message says where to look."""
    there = InProcessService(FaultPlan(lost_submits=1))
    async with there.session() as session:
        job = await session.submit(urls(20))
        outcomes = await job.wait()
        taken = [info.id async for info in session.jobs()]
        found = await session.job(reversed(taken)).wait()
    assert job.ids == ()
    assert all(outcome.maybe_billed for outcome in outcomes)
    assert {type(error_of(outcome)) for outcome in outcomes} == {ReplyLost}
    assert "it may have been taken all the same, see session.jobs()" in str(error_of(outcomes[0]))
    assert texts(found) == urls(20)
    assert set(there.bills.values()) == {1}


@pytest.mark.parametrize("fault", ["unavailable", "throttled", "unreachable"])
async def test_a_submission_that_was_turned_away_is_made_again(fault: str) -> None:
    """What was not taken is submitted until it is, once."""
    plan: dict[str, Any] = {fault: 0.4}
    there = InProcessService(FaultPlan(seed=2, **plan))
    async with there.session() as session:
        outcomes = await (await session.submit(urls(100))).wait()
    assert texts(outcomes) == urls(100)
    assert set(there.bills.values()) == {1}


async def test_a_plan_without_the_model_says_so() -> None:
    """Images with a prompt fail with the plan's name; later ones without go well."""
    async with InProcessService(FaultPlan(no_gpt=True)).session() as session:
        outcomes = await (await session.submit(urls(30), prompt="Who?")).wait()
        assert {type(error_of(outcome)) for outcome in outcomes} == {PlanError}
        assert texts(await (await session.submit(urls(1))).wait()) == urls(1)


async def test_a_wrong_token_stops_a_submission() -> None:
    """No more requests than there are slots find it out."""
    there = InProcessService(token="right")
    async with there.session(token="wrong") as session:
        outcomes = await (await session.submit(urls(500))).wait()
        with pytest.raises(AuthError):
            await session.job("r1").wait()
    assert {type(error_of(outcome)) for outcome in outcomes} == {AuthError}
    assert there.requests <= 4


@pytest.mark.parametrize("status", [500, 502, 520])
async def test_a_submission_that_may_have_been_taken_is_not_made_again(status: int) -> None:
    """A service that fails while it is told of images may have taken them all the same."""
    there = InProcessService(reply=lambda _: httpx.Response(status))
    async with there.session() as session:
        job = await session.submit(urls(3))
        outcomes = await job.wait()
    assert there.requests == 1
    assert [outcome.ok for outcome in outcomes] == [False] * 3
    assert all(outcome.maybe_billed for outcome in outcomes)


class Dying(httpx.AsyncBaseTransport):
    """Reads each request over a connection that was in use before, and closes it."""

    requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Tell how far it came, and break off."""
        self.requests += 1
        trace = request.extensions["trace"]
        await trace("http11.send_request_headers.started", {"request": SimpleNamespace(method=b"")})
        await trace("http11.send_request_body.complete", {})
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")


async def test_a_submission_that_was_sent_whole_is_not_sent_again() -> None:
    """What looks like an idle connection that had died may be a service that took it."""
    there = Dying()
    client = httpx.AsyncClient(transport=there)
    async with OCRSession("token-of-a-test", http_client=client) as session:
        [outcome] = await (await session.submit(urls(1))).wait()
    assert there.requests == 1
    assert not outcome.ok
    assert outcome.maybe_billed


# ---- cancelled


async def test_a_submission_that_is_cancelled_tells_what_was_submitted() -> None:
    """The cancellation carries the ids; the session goes on."""
    notes: list[str] = []

    async def slow() -> AsyncIterator[str]:
        for url in urls(10):
            yield url
        await anyio.sleep_forever()

    async with InProcessService().session() as session:
        with anyio.move_on_after(5):
            try:
                await session.submit(slow())
            except BaseException as error:
                notes.extend(error.__notes__)
                raise
        [note] = notes
        assert texts(await session.job(note.removeprefix("submitted before: ")).wait()) == urls(10)


async def test_what_is_on_its_way_when_a_submission_is_cancelled_is_told_of() -> None:
    """Nobody heard its answer, but it may have been taken."""
    there = InProcessService(reply=taking("r1", then=DONE), latency=10)
    async with there.session() as session:
        with anyio.move_on_after(5), pytest.raises(BaseException) as caught:  # noqa: PT011
            await session.submit(urls(1))
    assert "may have been submitted too" in caught.value.__notes__[0]


async def test_an_odd_id_costs_no_other_request() -> None:
    """Its images may have been taken and say where to look; the job of the others can be asked."""
    ids = iter(["good", "evil\nother", "better"])
    there = InProcessService(reply=lambda _: httpx.Response(201, json={"id": next(ids)}))
    async with there.session() as session:
        job = await session.submit(urls(30))
        assert set(session.job(job.ids).ids) == {"good", "better"}
    assert len(job.failures) == 10
    assert all(failure.maybe_billed for failure in job.failures)
    assert "it may have been taken all the same, see session.jobs()" in str(job.failures[0].error)

"""Images for later: submitted, waited for, taken up again; each outcome comes once."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field

from tests.answers import DONE, Answers
from tests.helpers import error_of, texts, urls
from ximilar_ocr_async import (
    AuthError,
    DeadlineExceeded,
    Failure,
    Image,
    ImageError,
    Job,
    JobExpired,
    JobFailed,
    JobNotFound,
    OCRSession,
    OptionError,
    PlanError,
    ReplyError,
    ReplyLost,
    RequestRejected,
    SessionStateError,
    Webhook,
    WebhookReceiver,
)
from ximilar_ocr_async._constants import JOB_KEPT
from ximilar_ocr_async.testing import FaultPlan, InProcessService, ScriptedGPT

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"
REQUEST = "/account/v2/request/"
ASYNCIO = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)


@define
class Lossy(httpx.AsyncBaseTransport):
    """The way to a receiver, on which deliveries are lost, come twice, or come late."""

    receiver: WebhookReceiver
    lost: float = 0.0
    times: int = 1
    delay: float = 0.0
    seen: int = 0
    dropped: int = 0
    chance: random.Random = field(factory=lambda: random.Random(5))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Deliver, or do not."""
        self.seen += 1
        if self.chance.random() < self.lost:
            self.dropped += 1
            return httpx.Response(500)
        await anyio.sleep(self.delay)
        inner = httpx.ASGITransport(self.receiver.app())
        for _ in range(self.times):
            response = await inner.handle_async_request(request)
        return response


def receiving(**options: Any) -> tuple[WebhookReceiver, InProcessService]:
    """Make a receiver and a service that delivers to it."""
    receiver = WebhookReceiver(Webhook("https://me.example/hook"))
    way = Lossy(
        receiver, **{k: options.pop(k) for k in ("lost", "times", "delay") & options.keys()}
    )
    return receiver, InProcessService(receiver=way, **options)


async def asynchronously(images: Iterable[Any]) -> AsyncIterator[Any]:
    """Yield images as a slow source does."""
    for image in images:
        await anyio.sleep(0.001)
        yield image


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


# ---- taking up again


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


@pytest.mark.parametrize("ids", ["", ".", "..", [""], [7], [None], b"r1"])
async def test_an_id_is_a_name(ids: Any) -> None:
    """What cannot be one is an error at once."""
    async with InProcessService().session() as session:
        with pytest.raises(OptionError, match="expected that of an asynchronous request"):
            session.job(ids)


@pytest.mark.parametrize("request_id", ["../details/", "a/b", "a?b#c", "%2e%2e", "\ud800", " "])
async def test_an_id_leads_nowhere_else(request_id: str) -> None:
    """Whatever is in it, one request is asked for."""
    there = Answers()
    async with there.session() as session:
        with pytest.raises(JobNotFound):
            await session.job(request_id).wait()
    [path] = there.asked
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


# ---- states


async def test_a_job_is_waited_for_however_it_comes_about() -> None:
    """CREATED, PROCESSING, RETRY and words that nobody knows are no end."""
    states = iter(["CREATED", "PROCESSING", "RETRY", "PROCESSING", "LATER", None])

    def answer(_: str) -> Any:
        state = next(states, "DONE")
        return DONE if state == "DONE" else {"status": state, "response": None}

    async with Answers(other=answer).session() as session:
        assert texts(await session.job("r1").wait()) == ["tea"]


async def test_what_goes_wrong_with_asking_is_raised_and_ends_nothing() -> None:
    """A question that is refused is an error, after what was answered beside it, and no end."""
    there = Answers({f"{REQUEST}r2": httpx.Response(400)}, other=lambda _: DONE)
    async with there.session() as session:
        outcomes = session.job(["r1", "r2", "r3"]).outcomes()
        assert (await anext(outcomes)).ok
        assert (await anext(outcomes)).ok
        with pytest.raises(RequestRejected):
            await anext(outcomes)
        there.documents.clear()
        assert len([outcome async for outcome in outcomes]) == 1


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
    there = Answers(other=lambda _: {"status": "POLISHING"})
    async with there.session() as session:
        with pytest.raises(DeadlineExceeded):
            await session.job("r1").wait(deadline=3600)
        there.other = lambda _: DONE
        assert texts(await session.job("r1").wait()) == ["tea"]
    assert len(there.asked) < 80


async def test_a_deadline_cuts_a_question_short() -> None:
    """A service that hangs is not waited for."""
    there = Answers(latency=1e6)
    async with there.session() as session:
        with pytest.raises(DeadlineExceeded):
            await session.job(["r1", "r2"]).wait(deadline=7)
        assert anyio.current_time() == pytest.approx(7)
        await anyio.wait_all_tasks_blocked()
        assert session.stats.in_flight == 0
        with pytest.raises(OptionError, match="deadline is -1"):
            session.job("r1").outcomes(deadline=-1.0)


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
    there = Answers({REQUEST: {"id": "r1"}}, other=lambda _: {"status": "DONE"})
    async with there.session() as session:
        [outcome] = await (await session.submit(urls(1))).wait()
        with pytest.raises(ReplyError, match="r1 is done and has no records"):
            await session.job("r1").wait()
    assert isinstance(error_of(outcome), ReplyError)
    assert outcome.maybe_billed


async def test_records_without_names_are_their_places() -> None:
    """Of a request whose images stand apart, each gets its own record back."""
    rows = [{"_ocr": {"full_text": text}} for text in ("first", "third")]
    there = Answers(other=lambda _: {"status": "DONE", "response": {"records": rows}})
    ids = iter(["en", "ja"])
    post = there.handle_async_request

    class Posting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return httpx.Response(201, json={"id": next(ids)})
            return await post(request)

    images = [Image(u, lang=g) for u, g in zip(urls(4), ["en", "ja"] * 2, strict=True)]
    client = httpx.AsyncClient(transport=Posting())
    async with OCRSession("token-of-a-test", http_client=client) as session:
        outcomes = await (await session.submit(images)).wait()
    assert texts(outcomes) == ["first", "first", "third", "third"]


# ---- deliveries


@pytest.mark.parametrize("lost", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("delay", [0.0, 7.0])
async def test_each_outcome_comes_once(lost: float, times: int, delay: float) -> None:
    """Delivered, lost, late or twice: every image has one outcome, the right one."""
    receiver, there = receiving(lost=lost, times=times, delay=delay, latency=2)
    async with there.session() as session:
        job = await session.submit(urls(200), webhook=receiver)
        outcomes = [outcome async for outcome in job.outcomes()]
    assert Counter(outcome.index for outcome in outcomes) == Counter(range(200))
    assert all(o.record.text == o.image.source for o in outcomes if o.ok)
    assert set(there.bills.values()) == {1}


async def test_what_is_delivered_is_not_asked_for() -> None:
    """Deliveries alone bring all, with hardly a question."""
    receiver, there = receiving(latency=2)
    async with there.session() as session:
        job = await session.submit(urls(300), webhook=receiver)
        await job.wait()
    assert there.requests <= 30 + 6


async def test_deliveries_may_come_before_the_ids_do() -> None:
    """What is done while others are still being submitted is kept for the job."""
    receiver, there = receiving()
    async with there.session() as session:
        job = await session.submit(asynchronously(urls(100)), webhook=receiver)
        await anyio.sleep(10)
        requests = there.requests
        assert texts(await job.wait()) == urls(100)
        assert there.requests == requests


@pytest.mark.parametrize("seconds", [0.1, 1.0, 6.0])
async def test_lost_deliveries_cost_a_question_each(seconds: float) -> None:
    """Of a hundred requests in order, a third of the news lost, hardly more is asked than lost."""
    receiver, there = receiving(lost=0.3, latency=seconds)
    async with there.session() as session:
        job = await session.submit(urls(1000), webhook=receiver)
        assert texts(await job.wait()) == urls(1000)
    way = there._receiver
    assert isinstance(way, Lossy)
    assert way.dropped > 20
    assert there.requests <= 1.2 * (100 + way.dropped)


async def test_an_hour_of_one_job_costs_few_questions() -> None:
    """It is asked after ever more seldom."""
    there = InProcessService(latency=3600)
    async with there.session() as session:
        await (await session.submit(urls(10))).wait()
    assert there.requests < 80
    assert anyio.current_time() < 3600 + 100


async def test_a_job_taken_up_is_woken_too() -> None:
    """A program that was restarted receives what its predecessor submitted."""
    receiver, there = receiving(latency=50)
    async with there.session() as session:
        ids = (await session.submit(urls(20), webhook=receiver)).ids
        outcomes = await session.job(ids, webhook=receiver).wait()
        assert anyio.current_time() < 100.1
    assert texts(outcomes) == urls(20)
    assert [outcome.image.source for outcome in outcomes] == urls(20)


async def test_what_is_not_believed_is_fetched() -> None:
    """With ``refetch``, a delivery only says when to ask; a forged one costs a question."""
    receiver = WebhookReceiver(Webhook("https://me.example/hook"), verify="refetch")
    there = InProcessService(latency=50, receiver=httpx.ASGITransport(receiver.app()))
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver)
        await anyio.sleep(1)
        forged = b'{"id": "%s", "status": "DONE", "response": {"records": []}}'
        receiver.receive(receiver.webhook.headers, forged % job.ids[0].encode())
        assert texts(await job.wait()) == urls(20)
        assert anyio.current_time() < 170


async def test_a_delivery_that_fits_no_image_is_looked_into() -> None:
    """What is told without names is asked for, so that no image gets another's text."""
    receiver, there = receiving(lost=1.0, latency=30)
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver)
        await anyio.sleep(100)
        told = b'{"id": "%s", "status": "DONE", "response": {"records": [{}, {}]}}'
        receiver.receive(receiver.webhook.headers, told % job.ids[1].encode())
        assert texts(await job.wait()) == urls(20)


async def test_deliveries_are_kept_as_long_as_there_is_a_job() -> None:
    """A job that nobody holds any more leaves nothing behind."""
    receiver, there = receiving(latency=50)
    async with there.session() as session:
        ids = (await session.submit(urls(20), webhook=receiver)).ids
        await anyio.sleep(1)
        gc.collect()
        await anyio.sleep(200)
    assert receiver.take(ids) == []


async def test_one_receiver_serves_several_sessions() -> None:
    """Each job takes what is its own, whichever session it is of."""
    receiver, there = receiving(latency=5)
    async with there.session() as one, there.session() as other:
        jobs = [await s.submit(urls(30), webhook=receiver) for s in (one, other)]
        for job in jobs:
            assert texts(await job.wait()) == urls(30)


async def test_the_program_may_handle_deliveries_itself() -> None:
    """A webhook elsewhere is a webhook, too: the job is polled, and told nothing."""
    receiver, there = receiving()
    async with there.session() as session:
        job = await session.submit(urls(20), webhook=receiver.webhook)
        assert texts(await job.wait()) == urls(20)
    assert receiver.take(job.ids) == []


# ---- at the same time


async def test_two_jobs_and_a_stream_share_a_session() -> None:
    """Each gets its own, from one receiver, in the slots that there are."""
    receiver, there = receiving(lost=0.3, latency=1)
    ends: list[Any] = []

    async with there.session() as session:

        async def submit(start: int) -> None:
            mine = [f"https://x.example/{start}/{number}" for number in range(50)]
            job = await session.submit(mine, webhook=receiver)
            ends.append(texts(await job.wait()) == mine)

        async with anyio.create_task_group() as group:
            group.start_soon(submit, 1)
            group.start_soon(submit, 2)
            async with session.stream(urls(200), ordered=True) as stream:
                read = [outcome.unwrap().text async for outcome in stream]
    assert ends == [True, True]
    assert read == urls(200)
    assert set(there.bills.values()) == {1}


async def test_images_for_now_and_for_later_share_no_request() -> None:
    """What is submitted goes its way even where as much is read at the same time."""
    there = InProcessService()
    async with there.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(5))
        job = await session.submit(urls(5))
        assert len(await job.wait()) == 5
    assert there.billed == 10


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


@ASYNCIO
async def test_native_cancels_leave_the_session_good() -> None:
    """asyncio's own timeout and task.cancel end waiting and submitting, and only that."""
    there = Answers({REQUEST: {"id": "r1"}}, other=lambda _: {"status": "CREATED"})
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
        there.latency = 0
        there.other = lambda _: DONE
        assert texts(await session.job("r1").wait()) == ["tea"]
        assert session.stats.in_flight == 0


# ---- the list


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
    there = Answers(other=lambda _: page)
    async with there.session() as session:
        jobs = session.jobs()
        assert (await anext(jobs)).id == "r1"
        with pytest.raises(ReplyError, match="go in circles"):
            await anext(jobs)
    assert len(there.asked) == 1


async def test_a_page_that_failed_can_be_asked_for_again() -> None:
    """A list goes on where it was."""
    there = Answers(other=lambda _: httpx.Response(400))
    async with there.session() as session:
        jobs = session.jobs()
        with pytest.raises(RequestRejected):
            await anext(jobs)
        there.other = lambda _: {"results": [{"id": "r1", "status": "DONE"}]}
        assert [info.id async for info in jobs] == ["r1"]


async def test_a_job_is_of_one_session_and_its_name_is_public() -> None:
    """What submit returns is a `Job`."""
    async with InProcessService().session() as session:
        assert isinstance(await session.submit([]), Job)


# ---- what a review found


@pytest.mark.parametrize("status", [500, 502, 520])
async def test_a_submission_that_may_have_been_taken_is_not_made_again(status: int) -> None:
    """A service that fails while it is told of images may have taken them all the same."""
    there = Answers({REQUEST: httpx.Response(status)})
    async with there.session() as session:
        job = await session.submit(urls(3))
        outcomes = await job.wait()
    assert len(there.asked) == 1
    assert [outcome.ok for outcome in outcomes] == [False] * 3
    assert all(outcome.maybe_billed for outcome in outcomes)


async def test_a_read_beside_many_questions_waits_for_few_of_them() -> None:
    """Items and questions take turns at the slots, however many questions there are."""
    read = {"records": [{"_ocr": {"full_text": "tea"}}]}
    there = Answers({"/ocr/v2/read": read}, other=lambda _: {}, latency=1)
    async with there.session() as session, anyio.create_task_group() as group:

        async def ask() -> None:
            while True:
                await session.account()

        for _ in range(50):
            group.start_soon(ask)
        await anyio.sleep(10)
        for _ in range(5):
            await session.read(urls(1)[0])
        assert anyio.current_time() <= 10 + 5 * 3
        group.cancel_scope.cancel()


async def test_a_request_that_is_new_may_not_be_found_yet() -> None:
    """One that was submitted just now is asked after again."""
    answers = iter([httpx.Response(404, json={"detail": "Not found."})] * 3)
    there = Answers(
        {REQUEST: httpx.Response(201, json={"id": "r1", "status": "CREATED"})},
        other=lambda _: next(answers, DONE),
    )
    async with there.session() as session:
        job = await session.submit(urls(1))
        assert [outcome.ok for outcome in await job.wait()] == [True]


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


async def test_a_job_belongs_to_its_sessions_event_loop() -> None:
    """Asked after from elsewhere, it says so at once and harms nothing."""
    async with InProcessService().session() as session:
        job = await session.submit(urls(1))
        with pytest.raises(SessionStateError, match="event loop"):
            await anyio.to_thread.run_sync(lambda: anyio.run(job.wait))
        assert texts(await job.wait()) == urls(1)


async def test_what_is_on_its_way_when_a_submission_is_cancelled_is_told_of() -> None:
    """Nobody heard its answer, but it may have been taken."""
    there = Answers({REQUEST: {"id": "r1"}}, latency=10)
    async with there.session() as session:
        with anyio.move_on_after(5), pytest.raises(BaseException) as caught:  # noqa: PT011
            await session.submit(urls(1))
    assert "may have been submitted too" in caught.value.__notes__[0]

"""Asynchronous requests in process and in virtual time: from submission to expiry."""

import base64
import json
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from attrs import define, field

from ximilar_ocr_async.testing.service.contract import (
    DETAILS,
    NOT_FOUND,
    Reply,
    Request,
)
from ximilar_ocr_async.testing.service.engine import Reading, Unreadable
from ximilar_ocr_async.testing.service.faults import OF_JOBS, Cut, FaultPlan
from ximilar_ocr_async.testing.service.jobs import RETRY_PAUSE, Jobs
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service
from ximilar_ocr_async.testing.service.submissions import REQUESTS, RETENTION, Webhook

pytestmark = pytest.mark.anyio

OPEN = {"CREATED", "PROCESSING", "RETRY"}
HOOK: dict[str, Any] = {"endpoint": "http://127.0.0.1:1/hook", "headers": {"X-Secret": "hush"}}

SECONDS = 5.0
"""[s] that a reading takes."""


@define
class Postman:
    """Keeps the news that were delivered, and fails as it is told to."""

    trouble: Exception | None = None
    delivered: list[tuple[Webhook, Any]] = field(factory=list)

    async def __call__(self, webhook: Webhook, body: bytes) -> None:
        """Deliver."""
        self.delivered.append((webhook, json.loads(body)))
        if self.trouble:
            raise self.trouble


@define
class Desk:
    """A service in process, and what is asked of it."""

    plan: FaultPlan = field(factory=FaultPlan)
    engine: Any = field(factory=lambda: ScriptedEngine("hello", SECONDS))
    postman: Postman = field(factory=Postman)
    # How far the wall clock was put ahead.
    ahead: timedelta = field(factory=timedelta)
    service: Service = field(init=False)

    @service.default
    def _service_around_the_engine(self) -> Service:
        jobs = Jobs(self.postman, lambda: datetime.now(UTC) + self.ahead)
        return Service(self.engine, gpt=ScriptedGPT("{}"), faults=self.plan, jobs=jobs)

    def open(self) -> AbstractAsyncContextManager[None]:
        """Work off what is submitted."""
        return self.service.jobs.processing()

    async def post(self, document: Any, owner: str = "Token abc") -> Reply:
        """Submit."""
        body = json.dumps(document).encode()
        return await self.service.answer(Request("POST", REQUESTS, owner, body))

    async def get(self, path: str = "", owner: str = "Token abc", query: str = "") -> Reply:
        """Ask for a job, its state, or the list."""
        return await self.service.answer(Request("GET", REQUESTS + path, owner, query=query))

    async def submit(self, *images: bytes, **fields: Any) -> str:
        """Submit images to be read; return the name of the job."""
        records = [{"_base64": base64.b64encode(image).decode()} for image in images or (b"one",)]
        reply = await self.post({"type": "ocr", "records": records, **fields})
        assert (reply.status, reply.document["status"]) == (201, "CREATED")
        return str(reply.document["id"])

    async def state(self, name: str) -> str:
        """Return where a job stands."""
        reply = await self.get(f"{name}/status")
        assert reply.document.keys() == {"status"}
        return str(reply.document["status"])

    async def end(self, name: str) -> dict[str, Any]:
        """Wait for a job; return what is told of it."""
        while await self.state(name) in OPEN:  # noqa: ASYNC110 - as clients do
            await anyio.sleep(1)
        return (await self.get(name)).document


# --- From submission to result


async def test_a_job_is_read_like_a_request() -> None:
    """A job comes to a response of one record each, in their order, and is billed the same."""
    desk = Desk(engine=ScriptedEngine({b"a": "first", b"b": "second"}, SECONDS))
    async with desk.open():
        done = await desk.end(await desk.submit(b"a", b"b", b"c"))
    assert (done["status"], done["type"]) == ("DONE", "ocr")
    records = done["response"]["records"]
    assert [record["_status"]["code"] for record in records] == [200, 200, 422]
    assert [record["_ocr"]["full_text"] for record in records[:2]] == ["first", "second"]
    assert done["response"]["status"]["code"] == 200
    assert (desk.service.billed, desk.service.spent, desk.service.records) == (2, 10, 3)


async def test_a_job_may_be_of_prompts() -> None:
    """A job of read_gpt has the language model's answers, and costs as much as they do."""
    desk = Desk()
    record = {"_base64": "", "prompt": "what is it?"}
    async with desk.open():
        reply = await desk.post({"type": "ocr", "endpoint": "read_gpt", "records": [record]})
        done = await desk.end(reply.document["id"])
        details = await desk.service.answer(Request("GET", DETAILS, "Token abc"))
    assert done["response"]["records"][0]["_gpt"]["json_result"] == {}
    assert (desk.service.spent, details.document["credits_counter"]) == (15, 15)


async def test_jobs_are_worked_off_one_after_the_other() -> None:
    """The first is read while the others wait; each is a reading's time later done."""
    desk = Desk()
    async with desk.open():
        names = [await desk.submit(b"%d" % number) for number in range(3)]
        await anyio.wait_all_tasks_blocked()
        seen = []
        for _ in range(4):
            seen.append([await desk.state(name) for name in names])
            await anyio.sleep(SECONDS + 0.1)
    assert seen == [
        ["PROCESSING", "CREATED", "CREATED"],
        ["DONE", "PROCESSING", "CREATED"],
        ["DONE", "DONE", "PROCESSING"],
        ["DONE", "DONE", "DONE"],
    ]
    assert desk.engine.peak == 1


async def test_the_response_comes_with_the_end() -> None:
    """Until a job is done it has no response, and the list never shows one."""
    desk = Desk()
    async with desk.open():
        name = await desk.submit()
        assert (await desk.get(name)).document["response"] is None
        await desk.end(name)
        [row] = (await desk.get()).document["results"]
    assert row.keys() == {"id", "status", "type", "created", "workspace"}
    assert (row["id"], row["status"]) == (name, "DONE")


async def test_the_service_answers_meanwhile() -> None:
    """The worker stands in nobody's way, and a new job wakes it when it had nothing to do."""
    desk = Desk()
    async with desk.open():
        for _ in range(2):
            assert (await desk.end(await desk.submit()))["status"] == "DONE"
    assert desk.engine.calls == 2


async def test_other_services_are_not_supported() -> None:
    """A job of another documented type, or of an unknown endpoint, ends so, and says why."""
    desk = Desk()
    async with desk.open():
        for fields in ({"type": "upscaler"}, {"type": "ocr", "endpoint": "detect"}):
            reply = await desk.post({"records": [{}], **fields})
            ended = await desk.end(reply.document["id"])
            assert (ended["status"], ended["response"]) == ("NOT_SUPPORTED", None)
            assert (
                ended["detail"] == "only type ocr with endpoint read or read_gpt is supported here"
            )
    assert desk.service.records == 0


@pytest.mark.parametrize(
    "document, told",
    [
        ({"type": "cards", "records": [{}]}, "type"),
        ({"type": "ocr", "records": [{}] * 11}, "records"),
        ({"type": "ocr", "records": [{}], "webhook": 1}, "webhook"),
        ([], "detail"),
    ],
)
async def test_what_cannot_be_taken_is_told_by_its_field(document: Any, told: str) -> None:
    """A submission that is wrong gets 400 in the shape of the account's endpoints."""
    desk = Desk()
    async with desk.open():
        reply = await desk.post(document)
        assert (reply.status, list(reply.document)) == (400, [told])
        assert (await desk.get()).document["count"] == 0


async def test_jobs_are_asked_for_as_everything_is() -> None:
    """An unknown name, a wrong method and a wrong token get 404, 405 and 401."""
    desk = Desk()
    desk.service.token = "abc"
    async with desk.open():
        name = await desk.submit()
        assert await desk.get("nobody") == NOT_FOUND
        assert (await desk.get(name, owner="Token xyz")).status == 401
        for method, path in (("DELETE", name), ("POST", name), ("PUT", "")):
            reply = await desk.service.answer(Request(method, REQUESTS + path, "Token abc"))
            assert reply.status == 405


async def test_jobs_of_other_tokens_are_not_seen() -> None:
    """Where any token goes, each sees its own."""
    desk = Desk()
    async with desk.open():
        name = await desk.submit()
        assert await desk.get(name, owner="Token xyz") == NOT_FOUND
        assert (await desk.get(owner="Token xyz")).document["count"] == 0
        assert (await desk.get()).document["count"] == 1


async def test_jobs_are_kept_for_two_weeks() -> None:
    """A second before, a job is there, and at the end of its time it never was."""
    desk = Desk()
    async with desk.open():
        old = await desk.submit()
        await desk.end(old)
        desk.ahead += RETENTION - timedelta(minutes=1)
        new = await desk.submit()
        assert await desk.state(old) == "DONE"
        desk.ahead += timedelta(minutes=1)
        assert await desk.get(old) == await desk.get(f"{old}/status") == NOT_FOUND
        assert [row["id"] for row in (await desk.get()).document["results"]] == [new]


async def test_without_a_worker_nothing_is_taken() -> None:
    """A service that nobody runs says so, rather than to let wait for ever."""
    desk = Desk()
    reply = await desk.post({"type": "ocr", "records": [{}]})
    assert reply.status == 501
    assert "run the application with its lifespan" in reply.document["detail"]
    async with desk.open():
        await desk.submit()
    assert (await desk.post({"type": "ocr", "records": [{}]})).status == 501


@pytest.mark.parametrize("pause", [0, SECONDS / 2])
async def test_work_that_was_cut_short_is_taken_up_again(pause: float) -> None:
    """What was waiting or being read at the end is read when the service is run again."""
    desk = Desk()
    async with desk.open():
        names = [await desk.submit(b"%d" % number) for number in range(2)]
        await anyio.sleep(pause)
    async with desk.open():
        assert [(await desk.end(name))["status"] for name in names] == ["DONE"] * 2
    assert desk.service.billed == 2


# --- Webhooks


async def test_a_webhook_is_told_once() -> None:
    """When a job is done its webhook gets the records, after which nothing more comes."""
    desk = Desk()
    async with desk.open():
        name = await desk.submit(webhook=HOOK)
        done = await desk.end(name)
        await anyio.sleep(3600)
    [(webhook, news)] = desk.postman.delivered
    assert webhook == Webhook(HOOK["endpoint"], HOOK["headers"])
    records = done["response"]["records"]
    told = {"status": "DONE", "id": name, "type": "ocr", "response": {"records": records}}
    assert news == told


async def test_no_webhook_hears_of_a_bad_end() -> None:
    """A job that fails, or that has no webhook, is not told of."""
    desk = Desk(FaultPlan(failed_jobs=1))
    async with desk.open():
        ended = await desk.end(await desk.submit(webhook=HOOK))
        await anyio.wait_all_tasks_blocked()
    assert (ended["status"], desk.postman.delivered) == ("FAILED", [])


@pytest.mark.parametrize(
    "trouble, told",
    [
        (Unreadable(400, "the URL returned 500"), "the URL returned 500"),
        (KeyError("receiver"), "was not delivered"),
    ],
)
async def test_a_webhook_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture, trouble: Exception, told: str
) -> None:
    """Trouble with a receiver is the log's, and the jobs after it are done."""
    desk = Desk(postman=Postman(trouble))
    async with desk.open():
        names = [await desk.submit(webhook=HOOK) for _ in range(2)]
        assert [(await desk.end(name))["status"] for name in names] == ["DONE"] * 2
        await anyio.wait_all_tasks_blocked()
    assert len(desk.postman.delivered) == len(caplog.records) == 2
    assert told in caplog.text
    assert names[0] in caplog.text
    assert "hush" not in caplog.text


# --- Faults


@pytest.mark.parametrize(
    "fault, state", [("failed_jobs", "FAILED"), ("limited_jobs", "API_LIMIT_EXCEEDED")]
)
async def test_planned_ends_read_and_bill_nothing(fault: str, state: str) -> None:
    """A job that is to come to a bad end does so, and says that it was planned."""
    desk = Desk(FaultPlan(**{fault: 1}))
    async with desk.open():
        ended = await desk.end(await desk.submit())
    assert (ended["status"], ended["response"]) == (state, None)
    assert ended["detail"] == f"planned fault: {fault}"
    assert (desk.service.records, desk.service.billed, desk.engine.calls) == (0, 0, 0)


async def test_a_retried_job_goes_well_in_the_end() -> None:
    """A job that is to be retried stands so for its pause, and is then read and billed once."""
    desk = Desk(FaultPlan(retried_jobs=1))
    async with desk.open():
        name = await desk.submit()
        seen = []
        for pause in (1, RETRY_PAUSE, SECONDS):
            await anyio.sleep(pause)
            seen.append(await desk.state(name))
    assert seen == ["RETRY", "PROCESSING", "DONE"]
    assert desk.service.billed == 1


async def test_a_lost_submission_was_taken() -> None:
    """The client hears nothing, and finds its job in the list, where it is done and billed."""
    desk = Desk(FaultPlan(lost_submits=1))
    async with desk.open():
        with pytest.raises(Cut):
            await desk.submit()
        [row] = (await desk.get()).document["results"]
        assert (await desk.end(row["id"]))["status"] == "DONE"
    assert desk.service.billed == 1


async def test_spent_credits_end_jobs() -> None:
    """When the credits have run out a submission is taken, and ends by the limit."""
    desk = Desk(FaultPlan(credits=1))
    async with desk.open():
        ends = [await desk.end(await desk.submit()) for _ in range(2)]
    assert [end["status"] for end in ends] == ["DONE", "API_LIMIT_EXCEEDED"]
    assert ends[1]["detail"] == "credit limits reached"


async def test_poison_fails_the_job() -> None:
    """An image for which a request is refused makes its job fail."""
    desk = Desk(FaultPlan(poison=1))
    async with desk.open():
        ended = await desk.end(await desk.submit())
    assert (ended["status"], ended["detail"]) == ("FAILED", "planned fault: poison")


async def test_a_plan_without_gpt_takes_no_prompts() -> None:
    """Where the account's plan has no language model, submissions to it are refused."""
    desk = Desk(FaultPlan(no_gpt=True))
    document = {"type": "ocr", "endpoint": "read_gpt", "records": [{}]}
    async with desk.open():
        reply = await desk.post(document)
        assert (await desk.get()).document["count"] == 0
    told = {"detail": "not allowed to access service OCR GPT"}
    assert (reply.status, reply.document) == (403, told)


async def test_records_meet_their_faults_in_jobs_too() -> None:
    """Records fail by themselves, or are missing, as in the reply to a request."""
    desk = Desk(FaultPlan(record_errors=0.4, missing_records=0.4))
    lot = desk.plan.draw(0, seconds=0)
    async with desk.open():
        done = await desk.end(await desk.submit(*[b"%d" % number for number in range(10)]))
    codes = [record["_status"]["code"] for record in done["response"]["records"]]
    there = [fault for fault in lot.records if fault != "missing_records"]
    assert codes == [500 if fault else 200 for fault in there]
    assert 0 < len(codes) < desk.service.records


@define
class Broken:
    """An engine with a mistake in it."""

    async def read(self, image: bytes, lang: str) -> Reading:
        """Fail in a way that nobody thought of."""
        raise LookupError(image, lang)


async def test_the_worker_outlives_mistakes(caplog: pytest.LogCaptureFixture) -> None:
    """An engine's mistake fails the job, is logged, and the next one is worked on."""
    desk = Desk(engine=Broken())
    async with desk.open():
        for _ in range(2):
            ended = await desk.end(await desk.submit())
            assert (ended["status"], ended["detail"]) == ("FAILED", "internal error")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


@pytest.mark.parametrize("seed", range(3))
async def test_faults_of_jobs_can_be_repeated(seed: int) -> None:
    """The same submissions to two services of one plan meet the same, whatever is asked between."""
    plan = FaultPlan(seed=seed, **dict.fromkeys(OF_JOBS, 0.2))  # type: ignore[arg-type]

    async def met(ask: Callable[[Desk], Any]) -> list[str]:
        desk, ends = Desk(plan), []
        async with desk.open():
            for _ in range(12):
                try:
                    await desk.submit()
                except Cut:
                    ends.append("CUT")
                await ask(desk)
            await anyio.sleep(3600)
            for number in (1, 2):
                page = await desk.get(query=f"page={number}")
                ends += [row["status"] for row in page.document["results"]]
        return ends

    async def not_at_all(_: Desk) -> None:
        pass

    once = await met(Desk.get)
    assert once == await met(not_at_all)
    assert {"DONE", "CUT"} < set(once)

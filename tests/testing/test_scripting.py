"""What a test sees of the requests to the service in process, and what it says instead."""

from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import DONE, error_of, failing, refused, texts, times, urls
from ximilar_ocr_async import (
    ConnectionFailed,
    Image,
    RateLimited,
    ReplyError,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
)
from ximilar_ocr_async.testing import FaultPlan, InProcessService, ScriptedGPT, SeenRequest, in_turn
from ximilar_ocr_async.testing.service.contract import DETAILS, READ, READ_GPT

pytestmark = pytest.mark.anyio

URL = "https://images.example/a"
ONCE = RetryPolicy(attempts=1)


# ---- what is seen


async def test_each_request_is_kept_as_it_came() -> None:
    """Its method, path, language, records, headers and time are there, in order."""
    service = InProcessService(latency=2, gpt=ScriptedGPT())
    async with service.session(token="secret") as session:
        await session.read(Image(URL, lang="ja"))
        await session.read(URL, prompt="What?")
        await session.account()
    assert [(seen.method, seen.path) for seen in service.log] == [
        ("POST", READ),
        ("POST", READ_GPT),
        ("GET", DETAILS),
    ]
    assert [seen.lang for seen in service.log] == ["ja", "en", None]
    assert [record["_url"] for seen in service.log for record in seen.records] == [URL, URL]
    assert service.log[1].records[0]["prompt"] == "What?"
    assert times(service) == [0, 2, 4]
    assert {seen.headers["authorization"] for seen in service.log} == {"Token secret"}
    assert (service.requests, service.sizes) == (3, [1, 1])


async def test_what_is_kept_shows_no_token_and_no_image() -> None:
    """A request prints as one short line."""
    service = InProcessService()
    async with service.session(token="secret") as session:
        await session.read(b"\x89PNG\r\n\x1a\n" + bytes(9000))
    assert repr(service.log) == f"[SeenRequest(method='POST', path='{READ}', lang='en', at=0.0)]"


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"\xff", b"[1]", b'{"records": 7}', b'{"records": null}']
)
async def test_a_request_of_no_sense_has_no_records(body: bytes) -> None:
    """Whatever a bare client sends is kept, and answered as the service does."""
    service = InProcessService()
    async with service.client() as client:
        response = await client.post(f"{READ}?a=%20b", content=body)
    [seen] = service.log
    assert (seen.path, seen.lang, seen.records) == (f"{READ}?a=%20b", None, [])
    assert service.sizes == []
    assert response.status_code in {400, 401}


async def test_requests_in_flight_are_counted() -> None:
    """While they are answered, at most, and no more once they are cancelled."""
    service = InProcessService(latency=5)
    async with service.session(max_concurrency=3) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(20))
            await anyio.sleep(0.5)
            assert service.in_flight == 2
        await session.read_all(urls(100))
    assert (service.in_flight, service.peak) == (0, 3)
    async with service.session(drain=0.0) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(20))
        await anyio.sleep(0.5)
        assert service.in_flight == 2
        group.cancel_scope.cancel()
    assert service.in_flight == 0


# ---- what is said instead


async def test_a_script_answers_in_the_services_place() -> None:
    """It says a response, JSON, an error, or nothing, by what it sees; all is counted."""

    def answer(seen: SeenRequest) -> Any:
        match seen.lang:
            case "en":
                return failing(400, "no English")
            case "ja":
                return httpx.ConnectError("refused")
            case "ko":
                return {"records": [{"_ocr": {"full_text": "scripted"}}]}
        return None

    service = InProcessService(reply=answer)
    images = [Image(URL, lang=lang) for lang in ("en", "ja", "ko", "ru")]
    async with service.session(retry=ONCE) as session:
        english, japanese, korean, russian = await session.read_all(images)
    assert isinstance(error_of(english), RequestRejected)
    assert "no English" in str(error_of(english))
    assert isinstance(error_of(japanese), ConnectionFailed)
    assert texts([korean, russian]) == ["scripted", URL]
    assert (service.requests, service.billed, dict(service.bills)) == (4, 1, {URL: 1})


async def test_a_script_in_turn_is_for_the_first_requests() -> None:
    """One reply each, where None lets a request through; later ones get the last, or go through."""
    service = InProcessService(reply=in_turn(failing(503), None, refused()))
    async with service.session(retry=ONCE) as session:
        with pytest.raises(ServiceUnavailable):
            await session.read(URL, outage_timeout=0)
        assert (await session.read(URL)).text == URL
        with pytest.raises(ConnectionFailed):
            await session.read(URL, outage_timeout=0)
        assert (await session.read(URL)).text == URL
        service.reply = in_turn(None, then=failing(400))
        assert (await session.read(URL)).text == URL
        for _ in range(3):
            with pytest.raises(RequestRejected):
                await session.read(URL)
    assert service.billed == 3


async def test_a_scripted_reply_takes_as_long_as_a_reading() -> None:
    """Its latency may be set at any time, for both of them."""
    service = InProcessService(reply=in_turn({}, {}), latency=5)
    async with service.session() as session:
        await session.account()
        assert anyio.current_time() == 5
        assert service.latency == 5
        service.latency = 7
        await session.account()
        assert anyio.current_time() == 12
        await session.read(URL)
        assert anyio.current_time() == 19


async def test_one_response_may_be_said_to_many() -> None:
    """Neither a response nor an error is used up by a request, or grows with it."""
    response, error = httpx.Response(400, json={"status": {"text": "told"}}), refused()
    service = InProcessService(reply=lambda _: response)
    async with service.client() as client:
        answers = [await client.get("/") for _ in range(1500)]
        assert {(a.status_code, a.text) for a in answers} == {(400, response.text)}
        service.reply = lambda _: error
        depths = set()
        for _ in range(3):
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get("/")
            assert caught.value is error
            depths.add(len(caught.traceback))
    assert len(depths) == 1


async def test_jobs_may_be_scripted_too() -> None:
    """What is not scripted of a job is asked of the service."""
    service = InProcessService()
    async with service.session() as session:
        job = await session.submit(urls(1))
        service.reply = lambda seen: DONE if seen.path.endswith("/scripted") else None
        assert texts(await session.job("scripted").wait()) == ["tea"]
        assert texts(await job.wait()) == urls(1)


async def test_a_script_comes_before_the_faults() -> None:
    """What it answers uses up none of a plan's."""
    service = InProcessService(FaultPlan(unavailable=1), reply=in_turn(failing(400, "scripted")))
    async with service.session(retry=ONCE) as session:
        with pytest.raises(RequestRejected, match="scripted"):
            await session.read(URL)
        with pytest.raises(ServiceUnavailable):
            await session.read(URL)


# ---- what is altered


async def test_an_answer_may_be_altered_on_its_way_back() -> None:
    """The service's own are, and are billed all the same; scripted ones are not."""
    service = InProcessService(alter=lambda document: document.pop("records", None))
    async with service.session(retry=RetryPolicy(resend_maybe_billed=0)) as session:
        [outcome] = await session.read_all([URL])
        service.reply = in_turn({"records": [{"_ocr": {"full_text": "scripted"}}]})
        assert (await session.read(URL)).text == "scripted"
        service.alter = None
        assert (await session.read(URL)).text == URL
    assert isinstance(error_of(outcome), ReplyError)
    assert service.billed == 2


async def test_what_the_service_keeps_is_not_altered() -> None:
    """A job's document is as it was, when nobody alters it any more."""
    service = InProcessService()
    async with service.session() as session:
        job = await session.submit(urls(1))
        await anyio.wait_all_tasks_blocked()
        service.alter = lambda document: document["response"]["records"][0].update(_ocr={})
        assert texts(await job.wait()) == [""]
        service.alter = None
        assert texts(await job.wait()) == urls(1)


# ---- how much it takes


async def test_what_is_above_the_capacity_is_refused() -> None:
    """More requests at once get a 429; they are counted, and neither read nor billed."""
    service = InProcessService(latency=1, capacity=2)
    async with service.session(max_concurrency=5, adaptive=False) as session:
        outcomes = await session.read_all(urls(50))
        assert session.stats.records_billed == 50
    assert all(outcome.ok for outcome in outcomes)
    assert service.refused == service.requests - 5 > 0
    assert service.billed == service.records == 50


async def test_a_refusal_says_what_the_capacity_is() -> None:
    """It may be set at any time; a service of none refuses all."""
    service = InProcessService()
    async with service.session(retry=ONCE) as session:
        await session.read(URL)
        service.capacity = 0
        with pytest.raises(RateLimited, match="the capacity is 0 requests in flight"):
            await session.read(URL)

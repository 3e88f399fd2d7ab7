"""What users test their own programs with: the service in process, planned faults, virtual time."""

import json
from hashlib import sha256
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field

from ximilar_ocr_async import (
    AuthError,
    Image,
    OCRSession,
    OptionError,
    Outcome,
    RequestTimeout,
    RetryPolicy,
)
from ximilar_ocr_async.testing import (
    FaultPlan,
    InProcessService,
    ScriptedGPT,
    virtual_time,
)
from ximilar_ocr_async.testing.service.contract import READ
from ximilar_ocr_async.testing.service.submissions import REQUESTS

pytest_plugins = ["ximilar_ocr_async.testing.fixtures"]

PNG = b"\x89PNG\r\n\x1a\n"
HOUR = 3600.0
COUNT = 57
OFTEN = 0.3
PLANS = [
    FaultPlan(unavailable=OFTEN, retry_after=20),
    FaultPlan(throttled=OFTEN),
    FaultPlan(crashed=OFTEN),
    FaultPlan(unreachable=OFTEN),
    FaultPlan(stalled=OFTEN),
    FaultPlan(lost_replies=OFTEN),
    FaultPlan(garbled=OFTEN),
    FaultPlan(record_errors=OFTEN),
    FaultPlan(missing_records=OFTEN),
    FaultPlan(poison=0.1),
    FaultPlan(outages=((1, 60), (100, 5))),
    FaultPlan(credits=20),
    FaultPlan(seed=1, unavailable=1),
    FaultPlan(seed=2, throttled=0.1, lost_replies=0.1, garbled=0.1, record_errors=0.1, poison=0.05),
]


def images(count: int) -> list[Any]:
    """Make images to read, by URL and by bytes in turn."""
    return [
        PNG + b"%d" % number if number % 2 else f"https://images.example/{number}.jpg"
        for number in range(count)
    ]


def name(image: Any) -> str:
    """Return what an image is called on its bill, which is also what it says."""
    return sha256(image).hexdigest() if isinstance(image, bytes) else image


async def read(service: InProcessService, sources: list[Any], **options: Any) -> list[Outcome]:
    """Read *sources*, for a day of virtual time at most."""
    async with service.session(deadline=24 * HOUR, **options) as session:
        return await session.read_all(sources)


# --- The service


@pytest.mark.anyio
async def test_each_image_says_its_own_name() -> None:
    """Untold, a URL says itself and bytes say their digest, and each is billed once."""
    service = InProcessService()
    outcomes = await read(service, images(COUNT))
    assert [outcome.unwrap().text for outcome in outcomes] == [name(i) for i in images(COUNT)]
    assert service.bills == dict.fromkeys(map(name, images(COUNT)), 1)
    assert (service.billed, service.records, service.requests) == (COUNT, COUNT, 6)


@pytest.mark.anyio
async def test_images_say_what_they_are_told_to() -> None:
    """Texts go by URL, by bytes, or for all; what is not in them says its name."""
    url, other = "https://images.example/a", "HTTPS://images.example/b"
    for texts, image, said in (
        ({url: "one\ntwo"}, url, "one two"),
        ({url: "one"}, other, other),
        ({PNG: "three"}, PNG, "three"),
        ("four", PNG, "four"),
        ("four", url, "four"),
        ({PNG: ""}, PNG, ""),
    ):
        [outcome] = await read(InProcessService(texts=texts), [image])
        assert outcome.unwrap().text == said


@pytest.mark.anyio
async def test_readings_take_their_time() -> None:
    """A reading lasts as long as it was told to, and the records of a request go side by side."""
    start = anyio.current_time()
    outcomes = await read(InProcessService(latency=5), images(10))
    assert all(outcome.ok for outcome in outcomes)
    assert anyio.current_time() - start == pytest.approx(5)


@pytest.mark.anyio
async def test_large_images_do_not_time_out() -> None:
    """The service reads bodies of any size without a thread, whose time is not on the clock."""
    service = InProcessService()
    image = PNG + bytes(2_000_000)
    # Without a deadline: the session does load it in a thread.
    async with service.session(timeout=1) as session:
        [outcome] = await session.read_all([image])
    assert (outcome.unwrap().text, outcome.attempts) == (name(image), 1)
    assert not outcome.maybe_billed


@pytest.mark.anyio
async def test_sessions_have_the_right_token() -> None:
    """A service that has a token is read from by its own sessions, and by no others."""
    service = InProcessService(token="secret")
    assert [outcome.ok for outcome in await read(service, images(1))] == [True]
    [outcome] = await read(service, images(1), token="wrong")
    assert isinstance(outcome.error, AuthError) if not outcome.ok else False
    assert "secret" not in repr(service)


@pytest.mark.anyio
async def test_the_session_may_be_the_programs_own() -> None:
    """A client of the service's goes into any session, and several share one service."""
    service = InProcessService()
    async with service.client() as client, OCRSession("mine", http_client=client) as session:
        await session.read(Image(PNG, id="a"))
    await read(service, [PNG])
    assert (service.requests, service.bills) == (2, {name(PNG): 2})


@pytest.mark.anyio
async def test_any_url_is_read_without_fetching() -> None:
    """A bare client may send what no session would, and it is answered as it came."""
    service = InProcessService()
    async with service.client() as client:
        answer = await client.post(
            READ,
            content=b'{"records": [{"_url": "http://\\ud800"}, {"_url": "\\ud800"}]}',
            headers={"Authorization": "Token abc"},
        )
    first, second = (record["_ocr"]["full_text"] for record in answer.json()["records"])
    assert (first, second) == ("http://\ud800", "\ud800")


@pytest.mark.anyio
async def test_the_service_shows_what_came() -> None:
    """Its repr tells the counts and the faults."""
    service = InProcessService(FaultPlan(seed=1, credits=12))
    await read(service, images(5))
    assert repr(service) == (
        "<InProcessService, 1 requests, 5 records, 5 billed, faults: credits 12, seed 1>"
    )


# --- Prompts and asynchronous requests


@pytest.mark.anyio
async def test_prompts_are_answered_by_a_script() -> None:
    """A service that was given a script answers prompts, three times as dear; others fail them."""
    service = InProcessService(texts="some text", gpt=ScriptedGPT({"what?": '{"kind": "text"}'}))
    async with service.session() as session:
        record = await session.read(PNG, prompt="what?")
    assert record.gpt is not None
    assert record.gpt.json_result == {"kind": "text"}
    assert "some text" in str(record.gpt.full_prompt)
    assert (service.billed, service.spent) == (1, 15)
    async with InProcessService().session(retry=RetryPolicy(attempts=1)) as session:
        [outcome] = await session.read_all([PNG], prompt="what?")
    assert not outcome.ok
    assert "no language model is asked here" in str(outcome.error)


@pytest.mark.anyio
async def test_an_unscripted_answer_names_itself() -> None:
    """Untold, the script's answer says that no language model was asked."""
    async with InProcessService(gpt=ScriptedGPT()).session() as session:
        record = await session.read(PNG, prompt="what?")
    assert record.gpt is not None
    assert record.gpt.json_result["scripted"] is True


async def submit(http: httpx.AsyncClient, **fields: Any) -> str:
    """Submit an image to be read; return the name of the job."""
    records = [{"_url": "https://images.example/a"}]
    answer = await http.post(REQUESTS, json={"type": "ocr", "records": records, **fields})
    assert (answer.status_code, answer.json()["status"]) == (201, "CREATED")
    return str(answer.json()["id"])


async def state(http: httpx.AsyncClient, name: str) -> str:
    """Return where a job stands."""
    return str((await http.get(f"{REQUESTS}{name}/status")).json().get("status"))


def asking(service: InProcessService) -> httpx.AsyncClient:
    """Make a client that has a token."""
    http = service.client()
    http.headers["Authorization"] = "Token abc"
    return http


@pytest.mark.anyio
async def test_jobs_are_worked_off_without_ado() -> None:
    """A job submitted in process goes its way by itself, and is gone two weeks later."""
    service = InProcessService(latency=60)
    async with asking(service) as http:
        names = [await submit(http) for _ in range(2)]
        seen = []
        for pause in (1, 60, 60, 14 * 24 * HOUR):
            await anyio.sleep(pause)
            seen.append([await state(http, name) for name in names])
    assert seen == [
        ["PROCESSING", "CREATED"],
        ["DONE", "PROCESSING"],
        ["DONE", "DONE"],
        ["None", "None"],
    ]
    assert service.bills == {"https://images.example/a": 2}


@pytest.mark.anyio
async def test_the_list_of_jobs_leads_back_to_the_service() -> None:
    """Links and times are of the service in process."""
    async with asking(InProcessService()) as http:
        for _ in range(11):
            await submit(http)
        first = (await http.get(REQUESTS)).json()
        assert first["next"] == "https://localhost/account/v2/request/?page=2"
        [row] = (await http.get(first["next"])).json()["results"]
    assert row["created"].startswith("2026-01-01T00:00:00")


def test_a_service_outlives_event_loops() -> None:
    """A job that one event loop left undone is done in another, when one more is submitted."""
    service = InProcessService(latency=60)

    async def submit_and_leave(pause: float) -> list[str]:
        async with asking(service) as http:
            await submit(http)
            await anyio.sleep(pause)
            return [row["status"] for row in (await http.get(REQUESTS)).json()["results"]]

    for backend in ("asyncio", "trio"):
        for pause, states in ((0, {"CREATED", "PROCESSING"}), (1, {"CREATED", "PROCESSING"})):
            name, options = virtual_time(backend)
            left = anyio.run(submit_and_leave, pause, backend=name, backend_options=options)
            assert set(left) <= states
    name, options = virtual_time()
    done = anyio.run(submit_and_leave, HOUR, backend=name, backend_options=options)
    assert done == ["DONE"] * 5


@define
class Receiver(httpx.AsyncBaseTransport):
    """Stands for the program behind a webhook: answers, or sleeps first."""

    status: int = 200
    seconds: float = 0
    received: list[tuple[str, str, Any]] = field(factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Receive."""
        await anyio.sleep(self.seconds)
        body = json.loads(await request.aread())
        self.received.append((str(request.url), request.headers["X-Secret"], body))
        return httpx.Response(self.status)


HOOK = {"endpoint": "https://mine.example/hook", "headers": {"X-Secret": "hush"}}


@pytest.mark.anyio
async def test_webhooks_come_to_the_program() -> None:
    """What is behind a webhook's address is told, in process, of the job that is done."""
    receiver = Receiver()
    async with asking(InProcessService(receiver=receiver)) as http:
        name = await submit(http, webhook=HOOK)
        await anyio.wait_all_tasks_blocked()
        done = (await http.get(REQUESTS + name)).json()
    [(url, secret, news)] = receiver.received
    assert (url, secret) == (HOOK["endpoint"], "hush")
    assert news["id"] == name
    assert news["response"]["records"] == done["response"]["records"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "receiver, told",
    [
        (None, "there is no receiver"),
        (Receiver(status=500), "the receiver answered 500"),
        (Receiver(seconds=HOUR), "TimeoutError"),
    ],
)
async def test_a_webhook_that_does_not_come_is_logged(
    caplog: pytest.LogCaptureFixture, receiver: Receiver | None, told: str
) -> None:
    """Without a receiver that takes it the news are lost, and the job is done all the same."""
    async with asking(InProcessService(receiver=receiver)) as http:
        name = await submit(http, webhook=HOOK)
        await anyio.sleep(HOUR)
        assert await state(http, name) == "DONE"
    assert told in caplog.text


# --- Faults


@pytest.mark.anyio
@pytest.mark.parametrize("plan", PLANS, ids=str)
async def test_no_fault_loses_an_image_or_bills_it_twice_in_silence(plan: FaultPlan) -> None:
    """Each image gets one outcome, which says so when it may have been billed without a record."""
    service, sources = InProcessService(plan, latency=1), images(COUNT)
    outcomes = await read(service, sources, retry=RetryPolicy(attempts=4, resend_maybe_billed=1))
    assert [outcome.index for outcome in outcomes] == list(range(COUNT))
    for outcome, source in zip(outcomes, sources, strict=True):
        most = 2 if outcome.maybe_billed else outcome.ok
        assert outcome.ok <= service.bills[name(source)] <= most
    assert sum(service.bills.values()) == service.billed <= service.records


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fault, error",
    [("lost_replies", httpx.RemoteProtocolError), ("unreachable", httpx.ConnectError)],
)
async def test_lines_break_as_they_do_for_httpx(fault: str, error: type[Exception]) -> None:
    """A bare client gets the exceptions that httpx raises on a real line."""
    async with InProcessService(FaultPlan(**{fault: 1})).client() as client:
        with pytest.raises(error):
            await client.get("/")


@pytest.mark.anyio
async def test_a_stalled_request_lasts_until_the_client_gives_up() -> None:
    """The session's timeout ends it, to the second."""
    service, start = InProcessService(FaultPlan(stalled=1)), anyio.current_time()
    async with service.session(timeout=30, retry=RetryPolicy(attempts=1)) as session:
        with pytest.raises(RequestTimeout):
            await session.read(PNG)
    assert anyio.current_time() - start == pytest.approx(30)
    assert (service.requests, service.billed) == (1, 0)


# --- The fixtures


def test_the_fixture_is_a_fresh_service(ocr_service: InProcessService) -> None:
    """Nothing was asked of it, and nothing goes wrong."""
    assert repr(ocr_service).endswith(" 0 requests, 0 records, 0 billed, faults: none>")


@pytest.mark.parametrize("ocr_faults", [FaultPlan(credits=1), FaultPlan(seed=2, poison=1)], ids=str)
def test_a_test_may_say_what_goes_wrong(
    ocr_service: InProcessService, ocr_faults: FaultPlan
) -> None:
    """Parametrized by plans, a test runs with each of them."""
    assert repr(ocr_service).endswith(f"faults: {ocr_faults}>")


# --- Virtual time


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_hour_passes_at_once(backend: str) -> None:
    """A clock that jumps goes as far as the next timer, no further, whoever waits."""

    async def rest() -> list[float]:
        start, woken = anyio.current_time(), []

        async def sleep(seconds: float) -> None:
            await anyio.sleep(seconds)
            woken.append(anyio.current_time() - start)

        async with anyio.create_task_group() as group:
            for seconds in (HOUR, 0.5, 60.0):
                group.start_soon(sleep, seconds)
        return woken

    chosen, options = virtual_time(backend)
    assert chosen == backend
    woken = anyio.run(rest, backend=chosen, backend_options=options)
    assert woken == [pytest.approx(seconds) for seconds in (0.5, 60.0, HOUR)]


def test_time_is_asyncios_unless_told() -> None:
    """The backend that most programs run on needs no name."""
    assert virtual_time()[0] == "asyncio"


def test_an_unknown_backend_is_told() -> None:
    """What is no backend of anyio's is an error that names those that are."""
    with pytest.raises(OptionError, match="backend is 'curio', allowed are asyncio, trio"):
        virtual_time("curio")

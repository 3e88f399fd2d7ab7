"""What users test their own programs with: the service in process, planned faults, virtual time."""

from hashlib import sha256
from typing import Any

import anyio
import httpx
import pytest

from ximilar_ocr_async import (
    AuthError,
    Image,
    OCRSession,
    OptionError,
    Outcome,
    RequestTimeout,
    RetryPolicy,
)
from ximilar_ocr_async.emulator.contract import READ
from ximilar_ocr_async.testing import FaultPlan, InProcessService, virtual_time

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

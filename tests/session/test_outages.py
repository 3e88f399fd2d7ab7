"""An outage is a pause, for as long as a call has patience."""

import random
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import PNG, error_of, failing, refused, refusing, times, urls
from ximilar_ocr_async import (
    ConnectionFailed,
    DeadlineExceeded,
    OCRError,
    RetryPolicy,
    ServiceUnavailable,
)
from ximilar_ocr_async.testing import InProcessService, ScriptedReply, SeenRequest

pytestmark = pytest.mark.anyio


def down(
    service: InProcessService, start: float, end: float, trouble: ScriptedReply | None = None
) -> None:
    """Have the service down between two times [s]."""
    service.reply = lambda seen: (trouble or failing(503)) if start <= seen.at < end else None


@pytest.mark.parametrize("trouble", [failing(503), refused()], ids=["503", "refused"])
async def test_an_outage_is_lived_through(service: InProcessService, trouble: Any) -> None:
    """A minute without the service costs a bulk run a minute, few requests and no image."""
    down(service, 10.0, 70.0, trouble)
    async with service.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(2000))
    assert all(outcome.ok for outcome in outcomes)
    during = [time for time in times(service) if 10 <= time < 70]
    after = [time for time in times(service) if time >= 70]
    assert len(during) <= 15
    assert after[0] < 75.5
    # A second after the first good probe, all slots are in use again.
    assert sum(after[0] + 1 <= time < after[0] + 3 for time in after) >= 8 * 2


async def test_patience_ends_a_hopeless_run(service: InProcessService) -> None:
    """When the service stays away for longer than patience, what is left fails unbilled."""
    down(service, 2.0, 1e9, refused())
    async with service.session() as session:
        outcomes = await session.read_all(urls(200))
        assert session.stats.outage
    assert 560 < anyio.current_time() < 640
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert 0 < len(failed) < 200
    assert {type(error_of(outcome)) for outcome in failed} == {ConnectionFailed}
    assert "the service was out of reach for" in str(error_of(failed[0]))
    assert not any(outcome.maybe_billed for outcome in failed)


async def test_patience_is_a_calls_own(service: InProcessService) -> None:
    """One call gives up while another goes on waiting, and gets its images."""
    down(service, 0.0, 100.0)
    done: dict[str, Any] = {}

    async def read_all(name: str, outage_timeout: float) -> None:
        done[name] = await session.read_all(urls(30), outage_timeout=outage_timeout)
        done[f"{name} at"] = anyio.current_time()

    async with service.session() as session, anyio.create_task_group() as group:
        group.start_soon(read_all, "short", 20.0)
        group.start_soon(read_all, "long", 300.0)
    assert not any(outcome.ok for outcome in done["short"])
    assert done["short at"] < 30
    assert all(outcome.ok for outcome in done["long"])


async def test_no_patience_means_none(service: InProcessService) -> None:
    """With a patience of 0 an outage fails what waits as soon as it is known."""
    down(service, 0.0, 1e9)
    async with service.session(outage_timeout=0.0) as session:
        outcomes = await session.read_all(urls(500))
    assert not any(outcome.ok for outcome in outcomes)
    assert anyio.current_time() < 5


async def test_reads_give_up_on_time(service: InProcessService) -> None:
    """Single reads use up their attempts in an outage, and wait half a minute at most."""
    down(service, 0.0, 1e9)
    errors: list[OCRError] = []

    async def read(number: int) -> None:
        try:
            await session.read(f"https://x.example/{number}")
        except OCRError as error:
            errors.append(error)

    async with service.session() as session, anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(read, number)
    assert {type(error) for error in errors} == {ServiceUnavailable}
    assert len(errors) == 200
    assert anyio.current_time() < 40


async def test_a_read_with_a_deadline_waits_until_then(service: InProcessService) -> None:
    """A deadline is the patience of a read that has one."""
    down(service, 0.0, 50.0)
    async with service.session(retry=RetryPolicy(attempts=3)) as session:
        assert (await session.read("https://x.example/1", deadline=100)).text
        down(service, 0.0, 1e9)
        with pytest.raises(DeadlineExceeded):
            await session.read("https://x.example/1", deadline=100)


async def test_a_read_may_bring_its_own_patience(service: InProcessService) -> None:
    """With a patience of its own a read waits through an outage as a bulk call does."""
    down(service, 0.0, 100.0)
    async with service.session(retry=RetryPolicy(attempts=3)) as session:
        assert (await session.read("https://x.example/1", outage_timeout=200)).text


async def test_one_image_cannot_make_an_outage(service: InProcessService) -> None:
    """A batch on which the gateway itself fails ends as a failure, and holds up no other."""
    service.reply = refusing("/7.jpg", code=502)
    async with service.session(max_concurrency=1) as session:
        outcomes = await session.read_all(urls(2000))
    failed = [outcome.index for outcome in outcomes if not outcome.ok]
    assert 7 in failed
    assert len(failed) <= 10
    assert anyio.current_time() < 600


async def test_a_stream_that_lost_patience_goes_on_when_the_service_is_back(
    service: InProcessService,
) -> None:
    """Images that come later are probes: the first that is answered ends the outage."""
    down(service, 100.0, 900.0)

    async def source() -> Any:
        for url in urls(100):
            yield url
            await anyio.sleep(30)

    async with service.session() as session:
        outcomes = await session.read_all(source())
    assert [outcome.ok for outcome in outcomes[-65:]] == [True] * 65
    assert sum(not outcome.ok for outcome in outcomes) < 35


@pytest.mark.parametrize("outage_timeout", [0.0, 5.0])
async def test_a_session_outlives_an_outage_that_nobody_waited_for(
    service: InProcessService, outage_timeout: float
) -> None:
    """A call made long after the service came back is sent, however little patience it has."""
    down(service, 0.0, 50.0)
    async with service.session(outage_timeout=outage_timeout) as session:
        await session.read_all(urls(30))
        await anyio.sleep(1000)
        assert (await session.read("https://x.example/1")).text


async def test_an_image_that_cannot_be_sent_is_no_probe() -> None:
    """Whatever is wrong with images of one call, an outage is over as soon as it is."""
    service = InProcessService(texts="read", latency=1.0)
    down(service, 0.0, 3.0)
    good = PNG + bytes(9)
    async with service.session() as session:
        outcomes = await session.read_all([*[b"no image"] * 60, *[good] * 50])
    assert sum(outcome.ok for outcome in outcomes) == 50
    assert anyio.current_time() < 30


async def test_patience_ends_while_a_probe_hangs() -> None:
    """A service that takes the probe and says nothing is not waited for any longer."""

    def refuse_two_and_hang(_: SeenRequest) -> ScriptedReply | None:
        if service.requests <= 2:
            return refused()
        service.latency = 170
        return None

    service = InProcessService(reply=refuse_two_and_hang)
    async with service.session() as session:
        with pytest.raises(ConnectionFailed, match="out of reach"):
            await session.read("https://x.example/1", outage_timeout=5.0)
        assert session.stats.records_maybe_billed == 1
    assert anyio.current_time() == pytest.approx(5.0, abs=1.1)


async def test_an_image_that_fails_the_gateway_ends_after_its_attempts(
    service: InProcessService,
) -> None:
    """Where others are answered in between, it is the image, and no outage."""
    service.reply = refusing("/bad.jpg", code=502)

    async def source() -> Any:
        for url in urls(200):
            yield url
            await anyio.sleep(2)

    async with service.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, source())
        (outcome,) = await session.read_all(["https://x.example/bad.jpg"])
        assert outcome.attempts < 15
        assert anyio.current_time() < 300
        assert (await session.read("https://x.example/1")).text


async def test_an_outage_shows(service: InProcessService, caplog: pytest.LogCaptureFixture) -> None:
    """Stats say that the service is out of reach; its beginning and its end are logged."""
    down(service, 0.0, 10.0)
    async with service.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(5))
        await anyio.sleep(6)
        assert session.stats.outage
        await anyio.sleep(20)
        assert not session.stats.outage
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told[0].startswith("the service is out of reach, waiting for it: 503")
    assert told[1].startswith("the service is back after 1")


async def test_a_call_cancelled_during_its_probe_leaves_the_next_one_free(
    service: InProcessService,
) -> None:
    """A probe that nobody waits for any more does not keep others from being sent."""
    down(service, 0.0, 20.0, refused())
    async with service.session() as session:
        with anyio.move_on_after(15):
            await session.read_all(urls(5))
        service.latency = 30
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(20):
                await session.read_all(urls(5))
            service.latency = 1
            group.start_soon(session.read_all, urls(5))
        assert session.stats.records_billed >= 5


@pytest.mark.parametrize("seed", range(3))
async def test_an_outage_within_much_work_convicts_nobody(seed: int) -> None:
    """A gateway's 502 that meets one batch twice is no sign that its records are at fault."""
    chance = random.Random(seed)

    class Away(InProcessService):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if 1.0 <= anyio.current_time() % 1000 < 2.5:
                await anyio.sleep(0.001)
                return httpx.Response(502, text="<html>502")
            self.latency = chance.uniform(0.05, 0.15)
            return await super().handle_async_request(request)

    async with Away().session(max_concurrency=16) as session:
        outcomes = await session.read_all(urls(3000))
    assert all(outcome.ok for outcome in outcomes)

"""Nobody waits for ever, whatever the others do, and nothing grows that nobody waits for."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import anyio
import pytest

from tests.helpers import PNG, failing, texts, urls
from ximilar_ocr_async import OCRError, OCRSession, Overloaded
from ximilar_ocr_async.testing import InProcessService, ScriptedReply, SeenRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> InProcessService:
    """A service that takes two seconds, and reads all images alike."""
    return InProcessService(texts="read", latency=2.0)


def endless() -> Iterator[str]:
    """Give images without end."""
    return (f"https://bulk.example/{number}.jpg" for number in count())


async def consume(session: OCRSession, done: list[Any], images: Any = None) -> None:
    """Read a stream, and note what came of it."""
    async with session.stream(endless() if images is None else images) as outcomes:
        async for outcome in outcomes:
            done.append(outcome)  # noqa: PERF401 - it may have no end


async def keep_reading(session: OCRSession, image: Any, done: list[float]) -> None:
    """Read one image after the other."""
    while True:
        await session.read(image)
        done.append(anyio.current_time())


async def test_large_bulk_images_get_a_batch_now_and_then(service: InProcessService) -> None:
    """Where the images of people fill the bytes of each batch, those of programs are read, too."""
    done: list[Any] = []
    options: dict[str, Any] = {"max_batch_bytes": 210_000, "adaptive": False}
    async with service.session(max_concurrency=4, **options) as session:
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(keep_reading, session, PNG + bytes(30_000 + number), [])
            await anyio.sleep(0.1)
            group.start_soon(consume, session, done, [PNG + bytes(30_000)] * 200)
            await anyio.sleep(100)
            group.cancel_scope.cancel()
    assert len(done) >= 30


async def test_images_that_go_alone_are_read_beside_people(service: InProcessService) -> None:
    """A batch of a program's that was refused is sent image by image, however many people read."""

    def refuse(seen: SeenRequest) -> ScriptedReply | None:
        bad = any("/bad" in record["_url"] for record in seen.records)
        return failing(400) if bad and len(seen.records) > 1 else None

    service.reply = refuse
    done: list[Any] = []
    images = [f"https://bulk.example/{'bad' if n < 10 else 'good'}{n}" for n in range(50)]
    async with service.session(max_concurrency=4, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(consume, session, done, images)
            await anyio.sleep(0.1)
            for number in range(60):
                group.start_soon(keep_reading, session, f"https://people.example/{number}", [])
            await anyio.sleep(150)
            group.cancel_scope.cancel()
    assert texts(done) == ["read"] * 50


async def test_a_bulk_run_goes_on_beside_ever_new_lanes(service: InProcessService) -> None:
    """Accounts that ask for one image after the other leave the nightly run of another its turn."""
    done: list[Any] = []
    async with service.session(max_concurrency=8, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(consume, session.for_token("bulk"), done)
            await anyio.sleep(1)
            for number in range(16):
                tenant = session.for_token(f"tenant-{number}")
                group.start_soon(keep_reading, tenant, "https://people.example/1", [])
            await anyio.sleep(100)
            before = len(done)
            await anyio.sleep(100)
            assert len(done) - before >= 50
            group.cancel_scope.cancel()


@pytest.mark.parametrize("lanes", [20, 100])
async def test_a_read_waits_for_one_slot_beside_many_lanes(
    service: InProcessService, lanes: int
) -> None:
    """However many accounts run bulk calls, a person is next."""
    waits: list[float] = []
    async with service.session(max_concurrency=8, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            for number in range(lanes):
                group.start_soon(consume, session.for_token(f"tenant-{number}"), [])
            await anyio.sleep(5)
            for _ in range(6):
                began = anyio.current_time()
                await session.read("https://people.example/1")
                waits.append(anyio.current_time() - began - service.latency)
            group.cancel_scope.cancel()
    assert max(waits) <= service.latency * 1.2


async def test_people_leave_other_lanes_a_turn(service: InProcessService) -> None:
    """A bulk call in another language is read beside people who fill all slots."""
    done: list[Any] = []
    async with service.session(max_concurrency=2, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            for number in range(6):
                tenant = session.for_token(f"tenant-{number}")
                group.start_soon(keep_reading, tenant, "https://people.example/1", [])
            group.start_soon(consume, session.for_token("bulk"), done)
            await anyio.sleep(200)
            group.cancel_scope.cancel()
    assert len(done) >= 100


async def test_what_was_turned_away_keeps_its_place(service: InProcessService) -> None:
    """Reads that met a 503 are not behind all who came after them."""
    service.reply = lambda _: failing(503) if service.requests == 1 else None
    ends: dict[int, float] = {}

    async def read(number: int) -> None:
        await session.read(f"https://people.example/{number}")
        ends[number] = anyio.current_time()

    async with service.session(max_concurrency=2, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            for number in range(300):
                group.start_soon(read, number)
    first = [int(record["_url"].rpartition("/")[2]) for record in service.log[0].records]
    assert max(ends[number] for number in first) < 12


async def test_lanes_are_forgotten_when_nothing_may_be_sent(service: InProcessService) -> None:
    """Calls beyond the cap leave nothing behind."""
    async with service.session(max_records=0) as session:
        for number in range(50):
            await session.submit([f"https://people.example/{number}"])
            with pytest.raises(OCRError):
                await session.for_token(f"t{number}", max_records=0).read("https://x.example/1")
        assert session._open().scheduler.slots.queue._lanes == {}


async def test_a_queue_is_each_accounts_own(service: InProcessService) -> None:
    """One that floods fills its own queue, and no other's."""
    refused: list[str] = []

    async def read(of: OCRSession, name: str) -> None:
        try:
            await of.read("https://people.example/1")
        except Overloaded:
            refused.append(name)

    async with service.session(max_concurrency=2, max_queue=20) as session:
        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(read, session, "flood")
            other = session.for_token("other")
            for _ in range(20):
                group.start_soon(read, other, "other")
    assert "other" not in refused
    assert refused.count("flood") >= 150


async def test_a_service_that_hangs_is_noticed_although_callers_leave(
    service: InProcessService,
) -> None:
    """Requests that outlast all answers are in vain, whoever waits: few more are sent."""
    errors: list[OCRError] = []

    async def read(number: int) -> None:
        try:
            await session.read(f"https://people.example/{number}", deadline=5)
        except OCRError as error:
            errors.append(error)

    async with service.session(max_concurrency=8) as session:
        async with anyio.create_task_group() as group:
            for number in range(330):
                if number == 30:
                    service.latency = 1e6
                group.start_soon(read, number)
                await anyio.sleep(1)
            assert session.stats.outage
            assert session.stats.records_maybe_billed < 80
            group.cancel_scope.cancel()


async def test_endpoints_that_stall_lend_as_many_slots_as_there_are(
    service: InProcessService,
) -> None:
    """However many of them hang, no more than twice the ceiling is open."""
    service.reply = lambda seen: {"credits_counter": 7} if seen.method == "GET" else None
    service.latency = 0.2
    async with service.session(max_concurrency=4, adaptive=False, timeout=300) as session:
        await session.read("https://x.example/1")
        await session.account()
        service.latency = 1e6
        async with anyio.create_task_group() as group:
            group.start_soon(consume, session, [])
            await anyio.sleep(10)
            for endpoint in ("read", "read_gpt", "other"):
                group.start_soon(_submit, session, endpoint)
                await anyio.sleep(10)
            for _ in range(10):
                group.start_soon(session.account)
            await anyio.sleep(10)
            assert service.peak <= 8
            group.cancel_scope.cancel()


async def _submit(session: OCRSession, endpoint: str) -> None:
    await session.submit(urls(1000), endpoint=endpoint)


async def test_a_request_without_images_wakes_when_its_turn_comes(
    service: InProcessService,
) -> None:
    """Having let images go first, it does not sleep while slots are free."""
    service.reply = lambda seen: {"credits_counter": 7} if seen.method == "GET" else None
    async with service.session(max_concurrency=8) as session:
        await session.account()
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(session.read, "https://people.example/1")
            group.start_soon(session.account)
        assert anyio.current_time() - began == pytest.approx(2.0)

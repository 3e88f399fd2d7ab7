"""Deliveries are kept for the jobs that listen, and wake them."""

import gc

import anyio
import pytest

from tests.jobs.deliveries import GIVEN, HEADERS, ROW, Listener, news, posting, receiver
from ximilar_ocr_async import Delivery
from ximilar_ocr_async._jobs import receiver as module
from ximilar_ocr_async.testing import virtual_time


def test_nothing_is_kept_where_no_job_listens() -> None:
    """A receiver whose deliveries go to the program alone does not fill up."""
    there = receiver()
    there.receive(GIVEN, news())
    assert there.take({"r1"}) == []


def test_a_job_takes_its_own_once() -> None:
    """What is another's stays."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    there.receive(GIVEN, news("r2"))
    assert [delivery.id for delivery in there.take({"r2", "r3"})] == ["r2"]
    assert there.take({"r2", "r3"}) == []
    assert [delivery.id for delivery in there.take({"r1"})] == ["r1"]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are left to polling; so is one that is larger than all that may be kept."""
    there, job = receiver(), Listener()
    there.listen(job)
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * len(news()))
    for request_id in ("r1", "r2", "r3"):
        there.receive(GIVEN, news(request_id))
    assert [delivery.id for delivery in there.take({"r1", "r2", "r3"})] == ["r2", "r3"]
    there.receive(GIVEN, news("r4", rows=[ROW] * 20))
    assert there.take({"r4"}) == []
    there.receive(GIVEN, news("r5"))
    assert [delivery.id for delivery in there.take({"r5"})] == ["r5"]


def test_the_number_of_deliveries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest take room, too, so the oldest of very many are left to polling."""
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    there, job = receiver(), Listener()
    there.listen(job)
    for request_id in ("r1", "r2", "r3"):
        there.receive(GIVEN, news(request_id))
    assert [delivery.id for delivery in there.take({"r1", "r2", "r3"})] == ["r2", "r3"]


@pytest.mark.parametrize("count", [1, 5])
def test_what_is_taken_is_in_the_order_in_which_it_came(count: int) -> None:
    """The order is that of the deliveries, whatever the ids are asked for in."""
    there, job = receiver(), Listener()
    there.listen(job)
    for number in range(count):
        there.receive(GIVEN, news(f"r{number}"))
    there.receive(GIVEN, news("a"))
    there.receive(GIVEN, news("b"))
    assert [delivery.id for delivery in there.take(["b", "x", "a"])] == ["a", "b"]


class Uncounted:
    """Ids of which nobody knows how many there are."""

    def __contains__(self, request_id: object) -> bool:
        return request_id == "r1"


def test_ids_need_not_be_counted() -> None:
    """Whatever can be asked whether an id is in it will do."""
    there, job = receiver(), Listener()
    there.listen(job)
    for request_id in ("r1", "r2"):
        there.receive(GIVEN, news(request_id))
    assert [delivery.id for delivery in there.take(Uncounted())] == ["r1"]


def test_what_another_job_waits_for_wakes_nobody_else() -> None:
    """A delivery costs what its own job does, however many others wait."""
    there, job = receiver(), Listener()
    there.listen(job)
    woken = []

    async def wait(request_id: str) -> None:
        await there.wait([request_id])
        woken.append(request_id)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait, "r1")
            group.start_soon(wait, "r2")
            await anyio.wait_all_tasks_blocked()
            there.receive(GIVEN, news("r2"))
            await anyio.wait_all_tasks_blocked()
            assert woken == ["r2"]
            group.cancel_scope.cancel()

    for name in ("asyncio", "trio"):
        woken.clear()
        there.take(["r2"])
        there._seen.clear()
        anyio.run(main, backend=name)


async def _fail(delivery: Delivery) -> None:
    raise ConnectionError(delivery.id)


@pytest.mark.anyio
async def test_what_comes_again_takes_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that is new again, since its handler failed, is kept once."""
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * len(news()))
    there, job = receiver(), Listener()
    there.listen(job)
    async with posting(there, _fail) as client:
        for _ in range(5):
            with pytest.raises(ConnectionError):
                await client.post("/", content=news(), headers=HEADERS)
    there.receive(GIVEN, news("r2"))
    assert [delivery.id for delivery in there.take({"r1", "r2"})] == ["r1", "r2"]


@pytest.mark.anyio
async def test_all_that_wait_are_woken() -> None:
    """Two jobs wait at one receiver; each delivery wakes both, and the next does again."""
    there, job = receiver(), Listener()
    there.listen(job)
    woken = []

    async def wait(name: str, request_id: str) -> None:
        await there.wait([request_id])
        woken.append(name)

    for request_id in ("r1", "r2"):
        async with anyio.create_task_group() as group:
            group.start_soon(wait, "a", request_id)
            group.start_soon(wait, "b", request_id)
            await anyio.wait_all_tasks_blocked()
            there.receive(GIVEN, news(request_id))
    assert sorted(woken) == ["a", "a", "b", "b"]


def test_a_receiver_outlives_an_event_loop() -> None:
    """One at a module's level serves program after program, be they cut short."""
    there, job = receiver(), Listener()
    there.listen(job)

    async def wait(request_id: str) -> None:
        with anyio.move_on_after(1):
            await there.wait([request_id])
        async with anyio.create_task_group() as group:
            group.start_soon(there.wait, [request_id])
            await anyio.wait_all_tasks_blocked()
            there.receive(GIVEN, news(request_id))

    for request_id, backend in [("r1", "asyncio"), ("r2", "trio"), ("r3", "asyncio")]:
        name, options = virtual_time(backend)
        anyio.run(wait, request_id, backend=name, backend_options=options)
    assert len(there.take({"r1", "r2", "r3"})) == 3


def test_nothing_is_kept_for_jobs_that_are_gone() -> None:
    """With the last job goes what came for it."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    del job
    gc.collect()
    there.receive(GIVEN, news("r2"))
    other = Listener()
    there.listen(other)
    assert there.take(["r1", "r2"]) == []


@pytest.mark.anyio
async def test_what_came_before_is_not_waited_for() -> None:
    """A delivery between asking and waiting is not missed."""
    there, job = receiver(), Listener()
    there.listen(job)
    there.receive(GIVEN, news("r1"))
    with anyio.fail_after(1):
        await there.wait(["r1"])
    assert [delivery.id for delivery in there.take(["r1"])] == ["r1"]

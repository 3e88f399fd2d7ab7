"""What is told of jobs on the way: ids as they are known, states, and every failure."""

import pytest

from ximilar_ocr_async import JobFailed, JobNotFound
from ximilar_ocr_async.testing import FaultPlan, InProcessService

pytestmark = pytest.mark.anyio

IMAGES = [f"https://images.example/{number}.jpg" for number in range(25)]


async def test_ids_are_told_as_soon_as_they_are_known() -> None:
    """Each id is told once, and those of a call that breaks off were told before."""
    told: list[str] = []

    def note(request_id: str) -> None:
        told.append(request_id)
        if len(told) == 4:
            raise KeyError(request_id)

    async with InProcessService().session() as session:
        job = await session.submit(IMAGES, on_id=note)
        assert sorted(told) == sorted(job.ids)
        with pytest.raises(KeyError):
            await session.submit(IMAGES, on_id=note)
        listed = {info.id async for info in session.jobs()}
    assert len(told) == 4
    assert set(told) <= listed


async def test_states_come_with_all_that_is_known() -> None:
    """The state of each request is told in the order of the ids, with its time and results."""
    async with InProcessService(latency=10.0).session() as session:
        job = await session.submit(IMAGES)
        before = await job.infos()
        await job.wait()
        after = await session.job(job.ids).infos()
    assert [info.id for info in before] == [info.id for info in after] == list(job.ids)
    assert "DONE" not in {info.status for info in before}
    assert {info.status for info in after} == {"DONE"}
    assert [info.created for info in before] == [info.created for info in after]
    assert [len(info.extra["response"]["records"]) for info in after] == [10, 10, 5]


async def test_an_unknown_request_has_no_state() -> None:
    """Asking how a request stands that there is not raises what its outcomes raise."""
    async with InProcessService().session() as session:
        with pytest.raises(JobNotFound, match="asynchronous request nothing: "):
            await session.job("nothing").infos()


async def test_every_request_that_failed_is_named() -> None:
    """Where several requests of unknown images fail, the error has notes about the others."""
    async with InProcessService(FaultPlan(failed_jobs=1)).session() as session:
        ids = (await session.submit(IMAGES)).ids
        with pytest.raises(JobFailed, match="; and 2 more failed") as caught:
            await session.job(ids).wait()
    notes = caught.value.__notes__
    told = [str(caught.value), *notes]
    assert len(notes) == 2
    assert all(any(request_id in line for line in told) for request_id in ids)

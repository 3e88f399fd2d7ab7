"""Every call that can wait takes a deadline and an outage timeout, requests without images too."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from tests.helpers import refused
from ximilar_ocr_async import (
    ConnectionFailed,
    DeadlineExceeded,
    OCRError,
    OCRSession,
    OptionError,
    ServiceUnavailable,
)
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Any]]


async def account(session: OCRSession, **options: Any) -> None:
    """Ask for the account."""
    await session.account(**options)


async def check(session: OCRSession, **options: Any) -> None:
    """Check the way to the service."""
    await session.check(**options)


async def jobs(session: OCRSession, **options: Any) -> None:
    """Ask for the first page of the list."""
    assert [job async for job in session.jobs(**options)] == []


async def infos(session: OCRSession, **options: Any) -> None:
    """Ask how a job stands."""
    await session.job("r1").infos(**options)


async def wait(session: OCRSession, **options: Any) -> None:
    """Wait for a job."""
    await session.job("r1").wait(**options)


CALLS = pytest.mark.parametrize("call", [account, check, jobs, infos], ids=lambda c: c.__name__)


def asking(latency: float, status: int = 200, **options: Any) -> OCRSession:
    """Return a session whose requests take *latency* [s] to be answered."""
    told = httpx.Response(status, json={"status": "DONE", "results": [], "next": None})
    return InProcessService(reply=lambda _: told, latency=latency).session(**options)


@pytest.mark.parametrize("call", [account, jobs, infos], ids=lambda c: c.__name__)
async def test_a_healthy_service_may_take_its_time(call: Call) -> None:
    """An answer that takes longer than an outage would be waited for is an answer."""
    async with asking(31.0) as session:
        await call(session)
    assert anyio.current_time() >= 31.0


@CALLS
async def test_a_call_ends_with_its_deadline(call: Call) -> None:
    """Its own goes before the session's, and the error names it."""
    async with asking(1e6, deadline=500.0) as session:
        with pytest.raises(DeadlineExceeded, match="was not answered within 20 s"):
            await call(session, deadline=20.0)
        assert anyio.current_time() == 20.0


@pytest.mark.parametrize("call", [account, jobs, infos], ids=lambda c: c.__name__)
async def test_the_deadline_of_the_session_holds_for_all_calls(call: Call) -> None:
    """A call that names none has the session's."""
    async with asking(1e6, deadline=50.0) as session:
        with pytest.raises(DeadlineExceeded, match="was not answered within 50 s"):
            await call(session)
        assert anyio.current_time() == 50.0


@pytest.mark.parametrize("call", [account, check, jobs, infos, wait], ids=lambda c: c.__name__)
async def test_a_call_waits_for_an_outage_as_long_as_it_says(call: Call) -> None:
    """While nothing but probes is sent, the outage timeout is what ends it."""
    async with asking(0.0, status=503) as session:
        with pytest.raises(ServiceUnavailable, match="the service was out of reach for"):
            await call(session, deadline=1e5, outage_timeout=200.0)
        assert 150.0 < anyio.current_time() <= 200.0


async def test_a_call_gives_up_while_another_ones_probe_is_under_way() -> None:
    """It does not wait for a slot that only the end of an outage would give it."""
    async with InProcessService(reply=lambda _: refused()).session() as session:
        errors: list[OCRError] = []

        async def ask(outage_timeout: float) -> None:
            with pytest.raises(ConnectionFailed) as caught:
                await session.account(outage_timeout=outage_timeout)
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            for seconds in (5.0, 50.0, 20.0):
                group.start_soon(ask, seconds)
    assert len(errors) == 3
    assert anyio.current_time() <= 50.0


@CALLS
@pytest.mark.parametrize("option", ["deadline", "outage_timeout"])
async def test_what_is_no_time_is_refused(call: Call, option: str) -> None:
    """The error names the option, and nothing is asked."""
    async with asking(0.0) as session:
        with pytest.raises(OptionError, match=f"{option} is -1"):
            await call(session, **{option: -1})
        assert session.stats.requests == 0


async def test_the_deadline_of_infos_is_that_of_all_its_requests() -> None:
    """Each request of a job gets what the ones before have left."""
    async with asking(6.0) as session:
        with pytest.raises(DeadlineExceeded):
            await session.job(["r1", "r2", "r3"]).infos(deadline=15.0)
        assert anyio.current_time() == 15.0

"""Thousands of cancelled calls over real connections leave every slot as good as new.

httpx's pool loses a connection for ever when a request is cancelled natively: encode/httpcore#1093.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.faults.server import Connection, faulty_server
from tests.http.replies import httpx_abandons_generators, reply_to
from ximilar_ocr_async import OCRSession, RetryPolicy

CALLERS, CANCELLATIONS, SLOTS = 40, 5000, 10
LONGEST = 0.02
"""[s] before a call is cancelled; an answer takes half of it."""


async def behave_slowly(connection: Connection) -> None:
    """Answer every request after a while."""
    while True:
        body = await connection.read_request()
        await anyio.sleep(LONGEST / 2)
        await connection.answer(reply_to(body))


async def by_scope(call: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Cancel by anyio's scope."""
    with anyio.move_on_after(seconds):
        await call()


async def by_timeout(call: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Cancel by asyncio's own timeout."""
    try:
        async with asyncio.timeout(seconds):
            await call()
    except TimeoutError:
        pass


async def by_task(call: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Cancel the task that calls."""
    task = asyncio.ensure_future(call())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


CASES = [
    ("asyncio", by_scope),
    ("asyncio", by_timeout),
    ("asyncio", by_task),
    ("trio", by_scope),
]


@pytest.mark.anyio
@httpx_abandons_generators
@pytest.mark.parametrize(
    "anyio_backend, cancel", CASES, ids=[f"{b}-{c.__name__}" for b, c in CASES], indirect=False
)
async def test_cancelled_calls_leave_every_slot_usable(cancel: Any) -> None:
    """After 5,000 random cancellations, as many requests as there are slots run side by side."""
    rng = random.Random(7)
    left = CANCELLATIONS

    async def caller(session: OCRSession, number: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            call = partial(session.read, f"https://x.example/{number}")
            await cancel(call, rng.uniform(0, LONGEST))

    async with faulty_server(behave_slowly) as server:
        async with OCRSession(
            "t",
            base_url=server.url,
            max_concurrency=SLOTS,
            adaptive=False,
            retry=RetryPolicy(attempts=1),
        ) as session:
            async with anyio.create_task_group() as group:
                for number in range(CALLERS):
                    group.start_soon(caller, session, number)
            outcomes = await session.read_all(["https://x.example/after"] * SLOTS * 30)
            assert session.stats.in_flight == 0
    assert all(outcome.ok for outcome in outcomes)

"""Each outcome has an error of its own: what is noted on one shows in no other."""

from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest
from attrs import frozen

from tests.helpers import error_of, failing, urls
from ximilar_ocr_async import (
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    CreditsExhausted,
    JobFailed,
    OCRError,
    Outcome,
    PlanError,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
    SessionClosed,
)
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(attempts=1, resend_maybe_billed=0)


@frozen
class Note:
    """What an image says."""

    text: str


def check_apart(outcomes: Sequence[Outcome[Any]], cls: type[OCRError]) -> None:
    """Look that no two errors are one, and that nothing passes from one to another."""
    errors = [error_of(outcome) for outcome in outcomes]
    assert len({id(error) for error in errors}) == len(errors) > 1
    assert {type(error) for error in errors} == {cls}
    first, *others = errors
    told = {(str(e), e.status, e.request_id, e.retry_after, e.retryable) for e in errors}
    first.add_note("of the first")
    with pytest.raises(cls) as caught:
        raise first from KeyError("of the first, too")
    assert caught.value is first
    for other in others:
        assert not hasattr(other, "__notes__")
        assert other.__traceback__ is None
        assert other.__cause__ is None
    assert {(str(e), e.status, e.request_id, e.retry_after, e.retryable) for e in errors} == told


@pytest.mark.parametrize(
    "said, cls",
    [
        (failing(500), ServiceUnavailable),
        (failing(503, headers={"Retry-After": "1"}), ServiceUnavailable),
        (failing(404), RequestRejected),
        (failing(501), RequestRejected),
        (failing(401), AuthError),
        (failing(402), CreditsExhausted),
        (httpx.Response(200, text="<p>"), ReplyError),
        (httpx.Response(200, json={"records": []}), ReplyError),
        (httpx.ReadError("cut"), ReplyLost),
        (httpx.ConnectError("refused"), ConnectionFailed),
    ],
)
async def test_images_of_a_batch_fail_apart(
    service: InProcessService, said: Any, cls: type[OCRError]
) -> None:
    """Whatever failed them together, each image has its own error, whichever call it is."""
    service.reply = lambda _: said
    async with service.session(retry=ONCE, outage_timeout=0.0) as session:
        outcomes = await session.read_all(urls(12))
        check_apart(outcomes, cls)
        async with session.stream(urls(3)) as stream:
            check_apart([outcome async for outcome in stream], cls)


async def test_images_that_are_not_sent_fail_apart(service: InProcessService) -> None:
    """Neither a cap nor a refusal is shared among the images that it stops."""
    async with service.session(max_records=0) as session:
        check_apart(await session.read_all(urls(12)), BudgetExceeded)
    service.reply = lambda _: failing(403)
    async with service.session(max_concurrency=1) as session:
        check_apart(await session.read_all(urls(100)), AuthError)
        check_apart(await session.extract_all(urls(12), Note), PlanError)


async def test_images_of_a_closed_session_fail_apart(service: InProcessService) -> None:
    """What a session leaves behind when it closes has errors of its own."""
    async with service.session(max_concurrency=1, drain=0.0) as session:
        stream = session.stream(urls(15))
        await stream.__aenter__()
        await anyio.wait_all_tasks_blocked()
    check_apart([outcome async for outcome in stream], SessionClosed)
    await stream.__aexit__(None, None, None)


async def test_images_of_a_job_fail_apart(service: InProcessService) -> None:
    """An asynchronous request that failed gives each of its images an error."""
    async with service.session() as session:
        job = await session.submit(urls(5))
        service.reply = lambda _: {"status": "FAILED"}
        check_apart(await job.wait(), JobFailed)
        service.reply = lambda _: failing(400)
        lost = await session.submit(urls(5), prompt="?")
        check_apart([*await lost.wait()], RequestRejected)


async def test_an_outcome_is_unwrapped_again_and_again(service: InProcessService) -> None:
    """What was raised once leaves no trace in the outcome, or in what is raised next."""
    service.reply = lambda _: failing(404)
    async with service.session() as session:
        [outcome] = await session.read_all(urls(1))
    for _ in range(2):
        with pytest.raises(RequestRejected) as caught:
            outcome.unwrap()
        assert not hasattr(caught.value, "__notes__")
        caught.value.add_note("of one time")
    assert error_of(outcome).__traceback__ is None

"""What failed is sent again, as often and as late as makes sense, and nothing else."""

import logging
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tests.helpers import Stray, error_of, failing, texts, times, urls
from ximilar_ocr_async import (
    AuthError,
    ConnectionFailed,
    CreditsExhausted,
    OCRError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
)
from ximilar_ocr_async.retry import DEPOSIT, RESERVE
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


# ---- requests that failed


@pytest.mark.parametrize(
    "trouble",
    [failing(500), failing(503), failing(429), httpx.ConnectError("refused")],
    ids=["500", "503", "429", "refused"],
)
async def test_passing_trouble_is_lived_through(service: InProcessService, trouble: Any) -> None:
    """A batch that met a passing trouble is sent again, and its outcomes count both attempts."""
    service.reply = in_turn(trouble)
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert texts(outcomes) == urls(10)
    assert {outcome.attempts for outcome in outcomes} == {2}
    assert not any(outcome.maybe_billed for outcome in outcomes)


@pytest.mark.parametrize(
    "trouble, error",
    [
        (failing(500), ServiceUnavailable),
        (failing(429), RateLimited),
        (httpx.ConnectTimeout(""), ConnectionFailed),
    ],
)
async def test_lasting_trouble_ends_in_its_error(
    service: InProcessService, trouble: Any, error: type[OCRError]
) -> None:
    """After as many attempts as the policy allows, a read fails with what went wrong."""
    service.reply = in_turn(*[trouble] * 9)
    async with service.session(retry=RetryPolicy(attempts=4)) as session:
        with pytest.raises(error):
            await session.read("https://x.example/1")
        assert session.stats.records_maybe_billed == 0
    assert len(service.sizes) == 4


async def test_read_raises_what_went_wrong(service: InProcessService) -> None:
    """A single read raises the service's own words, its code and its request id."""
    service.reply = in_turn(
        httpx.Response(400, json={"status": {"code": 400, "text": "bad", "request_id": "r-1"}})
    )
    async with service.session() as session:
        with pytest.raises(RequestRejected, match="400: bad") as caught:
            await session.read("https://x.example/1")
    assert (caught.value.status, caught.value.request_id) == (400, "r-1")


async def test_backoff_stays_under_its_doubling_bounds(service: InProcessService) -> None:
    """The pause before attempt n + 1 is at most base * 2 ** (n - 1)."""
    service.reply = in_turn(*[failing(500)] * 4)
    async with service.session(retry=RetryPolicy(base=10)) as session:
        await session.read("https://x.example/1")
    pauses = [b - a - 1 for a, b in zip(times(service), times(service)[1:], strict=False)]
    bounds = [10, 20, 40, 60]
    assert all(0 <= p <= bound for p, bound in zip(pauses, bounds, strict=True))


async def test_a_slot_is_free_while_its_batch_pauses(service: InProcessService) -> None:
    """Other work goes on in the slot of a batch that waits for its next attempt."""
    service.reply = in_turn(failing(500))
    retry = RetryPolicy(base=1000, cap=1000)
    async with service.session(max_concurrency=1, retry=retry) as session:
        async with session.stream(urls(30)) as stream:
            outcomes = [outcome async for outcome in stream]
    assert [outcome.index for outcome in outcomes[-10:]] == list(range(10))
    assert times(service)[:3] == pytest.approx([0, 1, 2])


async def test_a_lost_reply_is_sent_again_once_and_says_so(service: InProcessService) -> None:
    """An image whose reply was lost may have been billed: one more attempt, marked."""
    service.reply = in_turn(httpx.ReadError("reset"))
    async with service.session() as session:
        (outcome,) = await session.read_all(urls(1))
    assert outcome.ok
    assert (outcome.attempts, outcome.maybe_billed) == (2, True)


@pytest.mark.parametrize("resends, requests", [(0, 1), (1, 2), (3, 4)])
async def test_lost_replies_are_resent_as_often_as_allowed(
    service: InProcessService, resends: int, requests: int
) -> None:
    """The policy bounds how often an image may be paid for in vain."""
    service.reply = in_turn(*[httpx.ReadError("reset")] * 9)
    async with service.session(retry=RetryPolicy(resend_maybe_billed=resends)) as session:
        (outcome,) = await session.read_all(urls(1))
    assert isinstance(error_of(outcome), ReplyLost)
    assert outcome.maybe_billed
    assert len(service.sizes) == requests


async def test_a_request_that_takes_too_long_is_given_up(service: InProcessService) -> None:
    """The timeout is for the whole request; what was sent may have been billed."""
    service.latency = 1000.0
    async with service.session(timeout=5, retry=RetryPolicy(attempts=1)) as session:
        (outcome,) = await session.read_all(urls(1))
    assert isinstance(error_of(outcome), ReplyLost)
    assert "5 s" in str(error_of(outcome))
    assert outcome.maybe_billed


async def test_only_what_failed_is_sent_again(service: InProcessService) -> None:
    """Records that the service failed ride with others; good ones of the batch came at once."""
    chance = random.Random(3)
    service.alter = lambda document: _fail_some(document, chance)
    async with service.session(max_concurrency=4) as session:
        outcomes = await session.read_all(urls(2000))
        stats = session.stats
    assert all(outcome.ok for outcome in outcomes)
    assert stats.records_billed == 2000
    assert stats.records_sent == 2000 + stats.records_retried
    # Slots that end at once begin again before the source has delivered: not all are full.
    assert len(service.sizes) < 1.3 * 200


def _fail_some(document: dict[str, Any], chance: random.Random) -> None:
    for record in document["records"]:
        if chance.random() < 0.05:
            record.pop("_ocr")
            record["_status"] = {"code": 500, "text": "'_tags'"}


async def test_a_half_broken_service_is_not_hammered(service: InProcessService) -> None:
    """Where every other request fails, resends stay within their budget, and images fail."""
    chance = random.Random(1)
    service.reply = lambda _: failing(500) if chance.random() < 0.5 else None
    async with service.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(5_000))
        stats = session.stats
    assert len(outcomes) == 5_000
    isolated = service.sizes.count(1)
    assert stats.records_retried - isolated <= RESERVE + DEPOSIT * 5_000
    assert stats.records_failed > 0
    assert stats.records_billed + stats.records_failed == 5_000


# ---- records of an answer


async def test_only_the_failed_record_of_a_batch_is_sent_again(service: InProcessService) -> None:
    """Good records are delivered; a record with a passing fault goes again, alone."""

    def fail_one(document: dict[str, Any]) -> None:
        if len(document["records"]) > 1:
            document["records"][4]["_status"] = {"code": 500, "text": "'_tags'"}

    service.alter = fail_one
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert texts(outcomes) == urls(10)
    assert service.sizes == [10, 1]
    assert [outcome.attempts for outcome in outcomes] == [1] * 4 + [2] + [1] * 5


async def test_a_record_that_is_refused_fails_alone(service: InProcessService) -> None:
    """One refused record leaves the nine others of its batch alone."""

    def refuse_one(document: dict[str, Any]) -> None:
        document["records"][3]["_status"] = {"code": 403, "text": "URL is forbidden"}

    service.alter = refuse_one
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert [outcome.ok for outcome in outcomes] == [True] * 3 + [False] + [True] * 6
    assert isinstance(error_of(outcomes[3]), RequestRejected)
    assert service.sizes == [10]


async def test_a_record_missing_from_the_reply_fails_clearly(service: InProcessService) -> None:
    """A record that the reply leaves out fails, and may have been billed; the others are kept."""
    service.alter = lambda document: document["records"].pop(0)
    async with service.session(retry=RetryPolicy(resend_maybe_billed=0)) as session:
        outcomes = await session.read_all(urls(4))
    assert [outcome.ok for outcome in outcomes] == [False, True, True, True]
    assert isinstance(error_of(outcomes[0]), ReplyError)
    assert outcomes[0].maybe_billed


async def test_records_out_of_order_are_matched_by_id(service: InProcessService) -> None:
    """Each image gets its own text, whatever the order of the reply."""
    service.alter = lambda document: document["records"].reverse()
    async with service.session() as session:
        outcomes = await session.read_all(urls(10))
    assert texts(outcomes) == urls(10)


async def test_rows_without_ids_are_refused_once_others_had_them(
    service: InProcessService,
) -> None:
    """By their place they are given to images for as long as no answer of the session had ids."""

    def leave_out_ids(document: dict[str, Any]) -> None:
        if service.requests != 2:
            for record in document["records"]:
                del record["_id"]

    service.alter = leave_out_ids
    async with service.session(retry=RetryPolicy(resend_maybe_billed=0)) as session:
        first = await session.read_all(urls(2))
        with_ids = await session.read_all(urls(2))
        last = await session.read_all(urls(2))
    assert texts(first) == texts(with_ids) == urls(2)
    for outcome in last:
        assert isinstance(error_of(outcome), ReplyError)
        assert "2 records without ids, unlike earlier ones" in str(error_of(outcome))
        assert outcome.maybe_billed


async def test_records_refused_for_overload_shrink_the_limit(service: InProcessService) -> None:
    """A good answer whose records failed with 429 says that too much is asked all the same."""

    def refuse(document: dict[str, Any]) -> None:
        if service.requests == 1:
            for record in document["records"]:
                record["_status"] = {"code": 429, "text": "slow down"}

    service.alter = refuse
    async with service.session(max_concurrency=4) as session:
        outcomes = await session.read_all(urls(10))
        assert session.stats.limit == 3
    assert {outcome.attempts for outcome in outcomes} == {2}


# ---- Retry-After


async def test_retry_after_in_seconds_is_honoured(service: InProcessService) -> None:
    """The service's own word on when to come back goes before a shorter backoff."""
    service.reply = in_turn(failing(429, headers={"Retry-After": "7"}))
    async with service.session(retry=RetryPolicy(base=1)) as session:
        await session.read("https://x.example/1")
    assert times(service)[1] - times(service)[0] == pytest.approx(1 + 7)


async def test_retry_after_as_a_date_is_honoured(service: InProcessService) -> None:
    """A date is held against the present."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    service.reply = in_turn(failing(503, headers={"Retry-After": date}))
    async with service.session(retry=RetryPolicy(base=1)) as session:
        await session.read("https://x.example/1", outage_timeout=100)
    assert 30 < times(service)[1] - times(service)[0] <= 61


async def test_retry_after_holds_the_whole_session(service: InProcessService) -> None:
    """Nothing at all is sent before the service wants to be asked again."""
    service.reply = in_turn(None, failing(429, headers={"Retry-After": "30"}))
    async with service.session(max_concurrency=2) as session:
        outcomes = await session.read_all(urls(100))
    assert all(outcome.ok for outcome in outcomes)
    assert [time for time in times(service) if 1 < time < 31] == []
    assert times(service)[2] == pytest.approx(31)


async def test_a_retry_after_that_is_too_long_is_cut(service: InProcessService) -> None:
    """No service holds a session for longer than two minutes at once."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "86400"}))
    async with service.session() as session:
        await session.read_all(urls(10))
    assert times(service)[1] == pytest.approx(121)


# ---- what stops a call


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refused_token_stops_the_call_at_once(service: InProcessService, code: int) -> None:
    """What was not sent fails without being sent; a later call tries anew."""
    service.reply = in_turn(*[failing(code, "no")] * 3)
    async with service.session() as session:
        outcomes = await session.read_all(urls(200))
        assert len(service.sizes) == 3
        assert all(isinstance(error_of(outcome), AuthError) for outcome in outcomes)
        assert [outcome.attempts for outcome in outcomes] == [1] * 30 + [0] * 170
        assert (await session.read("https://x.example/1")).text == "https://x.example/1"


async def test_what_pauses_is_not_sent_after_a_stop(service: InProcessService) -> None:
    """A batch that waits for its next attempt fails when the token is refused meanwhile."""
    service.reply = in_turn(failing(503, headers={"Retry-After": "30"}), failing(401, "no"))
    async with service.session(max_concurrency=1) as session:
        outcomes = await session.read_all(urls(20))
    assert all(isinstance(error_of(outcome), AuthError) for outcome in outcomes)
    assert len(service.sizes) == 2


async def test_a_wrong_token_stops_a_run(service: InProcessService) -> None:
    """No more requests than there are slots find out that nothing is allowed."""
    service.reply = lambda _: failing(429, "credit limits reached")
    async with service.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(20_000))
    assert {type(error_of(outcome)) for outcome in outcomes} == {CreditsExhausted}
    assert len(service.sizes) <= 8


# ---- bugs


async def test_a_bug_in_an_attempt_fails_its_images_only(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw ends in outcomes, and in the log, not in the session."""

    class BreaksOnce:
        max_bytes = 1000

        async def __call__(self, *_: Any) -> Any:
            session._runtime.scheduler.attempt = attempt  # type: ignore[union-attr]
            raise KeyError("unforeseen")

    async with service.session() as session:
        attempt = session._runtime.scheduler.attempt  # type: ignore[union-attr]
        session._runtime.scheduler.attempt = BreaksOnce()  # type: ignore[union-attr]
        with caplog.at_level(logging.ERROR), pytest.raises(OCRError, match="unforeseen"):
            await session.read("https://x.example/1")
        assert "an attempt raised" in caplog.text
        assert (await session.read("https://x.example/2")).text


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_a_stray_cancellation_in_an_attempt_is_a_bug_like_another() -> None:
    """A transport that awaits a cancelled task fails its request, not the program in silence."""
    async with Stray().session() as session:
        with pytest.raises(OCRError, match="internal error: CancelledError"):
            await session.read("https://x.example/1")
        assert (await session.read("https://x.example/2")).text

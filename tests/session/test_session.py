"""The session keeps its promises, in virtual time on asyncio and trio."""

import asyncio
import gc
import logging
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.world import World, error_of, failing, texts, urls
from ximilar_ocr_async import (
    AuthError,
    ConnectionFailed,
    Image,
    ImageError,
    Language,
    OCRError,
    OCRSession,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
    SessionClosed,
    SessionStateError,
)

pytestmark = pytest.mark.anyio
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


# ---- the main job


async def test_read_returns_the_record_of_one_image(world: World) -> None:
    """One image in gives its record back."""
    async with world.session() as session:
        record = await session.read("https://images.example/a.jpg", lang="ja")
    assert record.text == "https://images.example/a.jpg"
    assert (record.ocr.lang, record.ocr.lang_name) == ("ja", "japanese")
    assert record.status.ok


async def test_read_all_keeps_the_order_and_fills_the_batches(world: World) -> None:
    """Outcomes come in the order of the images, from full batches, at most three at once."""
    images = urls(95)
    async with world.session() as session:
        outcomes = await session.read_all(images)
    assert texts(outcomes) == images
    assert [outcome.index for outcome in outcomes] == list(range(95))
    assert world.sizes == [10] * 9 + [5]
    assert world.peak == 3


async def test_batches_hold_one_language_each(world: World) -> None:
    """Images of several languages go in requests of their own, each full."""
    images = [Image(url, lang=("en", "ja")[i % 2]) for i, url in enumerate(urls(40))]
    async with world.session() as session:
        outcomes = await session.read_all(images)
    assert world.sizes == [10] * 4
    assert sorted(world.langs) == ["en", "en", "ja", "ja"]
    assert [outcome.unwrap().ocr.lang for outcome in outcomes] == [image.lang for image in images]


async def test_no_more_than_max_concurrency_requests_are_in_flight(world: World) -> None:
    """All slots are used, and not one more, whatever calls there are."""
    async with world.session(max_concurrency=5) as session, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(session.read_all, urls(60))
    assert world.peak == 5
    assert world.sizes == [10] * 18


async def test_single_reads_share_requests_when_slots_are_taken(world: World) -> None:
    """Reads that wait for a slot ride together, with no timer."""
    async with world.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for url in urls(12):
            group.start_soon(session.read, url)
    assert world.sizes == [10, 2]


async def test_bytes_are_sent_as_base64_and_read(world: World) -> None:
    """An encoded image in memory is read without a file or a URL."""
    world.engine.texts = {PNG: "from memory"}
    async with world.session() as session:
        assert (await session.read(PNG)).text == "from memory"


async def test_a_language_is_told_by_its_name(world: World) -> None:
    """A member of the enum is as good as its letters, for a call and for an image."""
    images = [Image("https://x.example/1", lang=Language.KOREAN), Image("https://x.example/2")]
    async with world.session() as session:
        await session.read_all(images, lang=Language.CHINESE)
    assert sorted(world.langs) == ["ko", "zh"]


async def test_a_prompt_goes_to_the_language_model(world: World) -> None:
    """A prompt, of the call or of the image, switches the endpoint for these images alone."""
    images = [Image("https://x.example/1", prompt="mine"), Image("https://x.example/2")]
    async with world.session() as session:
        await session.read_all(images)
        await session.read_all(images, prompt="all")
    sent = {
        (p, r.get("prompt")) for p, b in zip(world.paths, world.batches, strict=True) for r in b
    }
    assert sent == {
        ("/ocr/v2/read", None),
        ("/ocr/v2/read_gpt", "mine"),
        ("/ocr/v2/read_gpt", "all"),
    }


async def test_the_callers_id_and_extra_come_back(world: World) -> None:
    """Images may share an id: on the wire each has its own, on the record the caller's."""
    images = [Image(url, id="same", extra={"page": i}) for i, url in enumerate(urls(3))]
    async with world.session() as session:
        outcomes = await session.read_all(images)
    records = [outcome.unwrap() for outcome in outcomes]
    assert [record.id for record in records] == ["same"] * 3
    assert [record.extra for record in records] == [{"page": 0}, {"page": 1}, {"page": 2}]
    assert len({record["_id"] for record in world.batches[0]}) == 3


async def test_empty_input_sends_nothing(world: World) -> None:
    """No images are no request and no outcome."""
    async with world.session() as session:
        assert await session.read_all([]) == []
    assert world.sizes == []


# ---- failures


@pytest.mark.parametrize(
    "trouble",
    [failing(500), failing(503), failing(429), httpx.ConnectError("refused")],
    ids=["500", "503", "429", "refused"],
)
async def test_passing_trouble_is_lived_through(world: World, trouble: Any) -> None:
    """A batch that met a passing trouble is sent again, and its outcomes count both attempts."""
    world.troubles = [trouble]
    async with world.session() as session:
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
    world: World, trouble: Any, error: type[OCRError]
) -> None:
    """After as many attempts as the policy allows, a read fails with what went wrong."""
    world.troubles = [trouble] * 9
    async with world.session(retry=RetryPolicy(attempts=4)) as session:
        with pytest.raises(error):
            await session.read("https://x.example/1")
        assert session.stats.records_maybe_billed == 0
    assert len(world.sizes) == 4


async def test_read_raises_what_went_wrong(world: World) -> None:
    """A single read raises the service's own words, its code and its request id."""
    world.troubles = [
        httpx.Response(400, json={"status": {"code": 400, "text": "bad", "request_id": "r-1"}})
    ]
    async with world.session() as session:
        with pytest.raises(RequestRejected, match="400: bad") as caught:
            await session.read("https://x.example/1")
    assert (caught.value.status, caught.value.request_id) == (400, "r-1")


async def test_backoff_stays_under_its_doubling_bounds(world: World) -> None:
    """The pause before attempt n + 1 is at most base * 2 ** (n - 1)."""
    world.troubles = [failing(500)] * 4
    async with world.session(retry=RetryPolicy(base=10)) as session:
        await session.read("https://x.example/1")
    pauses = [b - a - 1 for a, b in zip(world.times, world.times[1:], strict=False)]
    bounds = [10, 20, 40, 60]
    assert all(0 <= p <= bound for p, bound in zip(pauses, bounds, strict=True))


async def test_retry_after_in_seconds_is_honoured(world: World) -> None:
    """The service's own word on when to come back goes before a shorter backoff."""
    world.troubles = [failing(429, headers={"Retry-After": "7"})]
    async with world.session(retry=RetryPolicy(base=1)) as session:
        await session.read("https://x.example/1")
    assert world.times[1] - world.times[0] == pytest.approx(1 + 7)


async def test_retry_after_as_a_date_is_honoured(world: World) -> None:
    """A date is held against the present."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    world.troubles = [failing(503, headers={"Retry-After": date})]
    async with world.session(retry=RetryPolicy(base=1)) as session:
        await session.read("https://x.example/1")
    assert 30 < world.times[1] - world.times[0] <= 61


async def test_a_slot_is_free_while_its_batch_pauses(world: World) -> None:
    """Other work goes on in the slot of a batch that waits for its next attempt."""
    world.troubles = [failing(500)]
    retry = RetryPolicy(base=1000, cap=1000)
    async with world.session(max_concurrency=1, retry=retry) as session:
        async with session.stream(urls(30)) as stream:
            outcomes = [outcome async for outcome in stream]
    assert [outcome.index for outcome in outcomes[-10:]] == list(range(10))
    assert world.times[:3] == pytest.approx([0, 1, 2])


async def test_a_lost_reply_is_sent_again_once_and_says_so(world: World) -> None:
    """An image whose reply was lost may have been billed: one more attempt, marked."""
    world.troubles = [httpx.ReadError("reset")]
    async with world.session() as session:
        (outcome,) = await session.read_all(urls(1))
    assert outcome.ok
    assert (outcome.attempts, outcome.maybe_billed) == (2, True)


@pytest.mark.parametrize("resends, requests", [(0, 1), (1, 2), (3, 4)])
async def test_lost_replies_are_resent_as_often_as_allowed(
    world: World, resends: int, requests: int
) -> None:
    """The policy bounds how often an image may be paid for in vain."""
    world.troubles = [httpx.ReadError("reset")] * 9
    async with world.session(retry=RetryPolicy(resend_maybe_billed=resends)) as session:
        (outcome,) = await session.read_all(urls(1))
    assert isinstance(error_of(outcome), ReplyLost)
    assert outcome.maybe_billed
    assert len(world.sizes) == requests


async def test_a_request_that_takes_too_long_is_given_up(world: World) -> None:
    """The timeout is for the whole request; what was sent may have been billed."""
    world.engine.latency = 1000.0
    async with world.session(timeout=5, retry=RetryPolicy(attempts=1)) as session:
        (outcome,) = await session.read_all(urls(1))
    assert isinstance(error_of(outcome), ReplyLost)
    assert "5 s" in str(error_of(outcome))
    assert outcome.maybe_billed


async def test_only_the_failed_record_of_a_batch_is_sent_again(world: World) -> None:
    """Good records are delivered; a record with a passing fault goes again, alone."""

    def fail_one(document: dict[str, Any]) -> None:
        if len(document["records"]) > 1:
            document["records"][4]["_status"] = {"code": 500, "text": "'_tags'"}

    world.meddle = fail_one
    async with world.session() as session:
        outcomes = await session.read_all(urls(10))
    assert texts(outcomes) == urls(10)
    assert world.sizes == [10, 1]
    assert [outcome.attempts for outcome in outcomes] == [1] * 4 + [2] + [1] * 5


async def test_a_record_that_is_refused_fails_alone(world: World) -> None:
    """One refused record leaves the nine others of its batch alone."""

    def refuse_one(document: dict[str, Any]) -> None:
        document["records"][3]["_status"] = {"code": 403, "text": "URL is forbidden"}

    world.meddle = refuse_one
    async with world.session() as session:
        outcomes = await session.read_all(urls(10))
    assert [outcome.ok for outcome in outcomes] == [True] * 3 + [False] + [True] * 6
    assert isinstance(error_of(outcomes[3]), RequestRejected)
    assert world.sizes == [10]


async def test_a_record_missing_from_the_reply_fails_clearly(world: World) -> None:
    """A record that the reply leaves out fails, and may have been billed; the others are kept."""
    world.meddle = lambda document: document["records"].pop(0)
    async with world.session(retry=RetryPolicy(resend_maybe_billed=0)) as session:
        outcomes = await session.read_all(urls(4))
    assert [outcome.ok for outcome in outcomes] == [False, True, True, True]
    assert isinstance(error_of(outcomes[0]), ReplyError)
    assert outcomes[0].maybe_billed


async def test_records_out_of_order_are_matched_by_id(world: World) -> None:
    """Each image gets its own text, whatever the order of the reply."""
    world.meddle = lambda document: document["records"].reverse()
    async with world.session() as session:
        outcomes = await session.read_all(urls(10))
    assert texts(outcomes) == urls(10)


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refused_token_stops_the_call_at_once(world: World, code: int) -> None:
    """What was not sent fails without being sent; a later call tries anew."""
    world.troubles = [failing(code, "no")] * 3
    async with world.session() as session:
        outcomes = await session.read_all(urls(200))
        assert len(world.sizes) == 3
        assert all(isinstance(error_of(outcome), AuthError) for outcome in outcomes)
        assert [outcome.attempts for outcome in outcomes] == [1] * 30 + [0] * 170
        assert (await session.read("https://x.example/1")).text == "https://x.example/1"


async def test_what_pauses_is_not_sent_after_a_stop(world: World) -> None:
    """A batch that waits for its next attempt fails when the token is refused meanwhile."""
    world.troubles = [failing(503, headers={"Retry-After": "30"}), failing(401, "no")]
    async with world.session(max_concurrency=1) as session:
        outcomes = await session.read_all(urls(20))
    assert all(isinstance(error_of(outcome), AuthError) for outcome in outcomes)
    assert len(world.sizes) == 2


async def test_a_bug_in_an_attempt_fails_its_images_only(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody foresaw ends in outcomes, and in the log, not in the session."""

    async def breaks_once(*_: Any) -> Any:
        session._runtime.scheduler.attempt = attempt  # type: ignore[union-attr]
        raise KeyError("unforeseen")

    async with world.session() as session:
        attempt = session._runtime.scheduler.attempt  # type: ignore[union-attr]
        session._runtime.scheduler.attempt = breaks_once  # type: ignore[union-attr]
        with caplog.at_level(logging.ERROR), pytest.raises(OCRError, match="unforeseen"):
            await session.read("https://x.example/1")
        assert "an attempt raised" in caplog.text
        assert (await session.read("https://x.example/2")).text


# ---- bad input


async def test_what_is_no_image_fails_alone_and_is_not_sent(world: World) -> None:
    """A str that is no URL, a format the service does not take, a stranger: a Failure each."""
    images: list[Any] = ["a.jpg", b"%PDF-1.7", 42, None, b"", "https://x.example/1"]
    async with world.session() as session:
        outcomes = await session.read_all(images)
    errors = [str(outcome.error) for outcome in outcomes if not outcome.ok]
    assert [outcome.ok for outcome in outcomes] == [False] * 5 + [True]
    assert "Path" in errors[0]
    assert "PDF" in errors[1]
    assert "int" in errors[2]
    assert [outcome.attempts for outcome in outcomes] == [0] * 5 + [1]
    assert [len(b) for b in world.batches] == [1]


async def test_a_batch_of_broken_images_sends_no_request(world: World) -> None:
    """When nothing of a batch can be sent, nothing is."""
    async with world.session() as session:
        with pytest.raises(ImageError, match="no image"):
            await session.read(b"plain text")
    assert world.sizes == []


@pytest.mark.parametrize("images", ["https://x.example/1", b"bytes", Image("https://x.example"), 7])
async def test_one_image_is_not_taken_for_many(world: World, images: Any) -> None:
    """A bulk call given a single image says so instead of reading its letters."""
    async with world.session() as session:
        with pytest.raises(OptionError, match="iterable"):
            await session.read_all(images)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"max_concurrency": 0}, "max_concurrency is 0, expected a whole number, the least is 1"),
        ({"max_concurrency": True}, "max_concurrency is True"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"base_url": "http://api.ximilar.com"}, "plain http"),
    ],
)
def test_options_out_of_range_are_errors_at_once(options: dict[str, Any], words: str) -> None:
    """A wrong option is told when the session is made, by value and limit."""
    with pytest.raises(OptionError, match=words):
        OCRSession("token", **options)


@pytest.mark.usefixtures("world")
def test_a_session_without_a_token_says_where_to_get_one() -> None:
    """No token, given or in the environment, is an error at once."""
    with pytest.raises(OptionError, match=r"XIMILAR_API_TOKEN.*app\.ximilar\.com"):
        OCRSession()


async def test_an_unknown_language_is_an_error_at_once(world: World) -> None:
    """A wrong language names the allowed ones and sends nothing."""
    async with world.session() as session:
        with pytest.raises(OptionError, match="'xx', allowed are en, zh, ko, ja, ru"):
            await session.read_all(urls(3), lang="xx")
    assert world.sizes == []


# ---- the session's life


async def test_a_session_is_used_inside_its_block_only(world: World) -> None:
    """Before entering, after leaving and on entering again there is a clear error."""
    session = world.session()
    with pytest.raises(SessionStateError, match="not entered"):
        await session.read("https://x.example/1")
    async with session:
        stream = session.stream([])
    with pytest.raises(SessionStateError, match="closed"):
        await session.read("https://x.example/1")
    with pytest.raises(SessionStateError, match="once"):
        await session.__aenter__()
    with pytest.raises(SessionClosed):
        await stream.__aenter__()


async def test_closing_fails_what_is_not_done(world: World) -> None:
    """Calls of other tasks end with the session, each image that was pulled with an outcome."""
    world.troubles = [failing(500)]
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(29)))

    async with anyio.create_task_group() as group:
        retry = RetryPolicy(base=1e6, cap=1e6)
        async with world.session(max_concurrency=2, drain=0, retry=retry) as session:
            group.start_soon(read_all)
            await anyio.sleep(1.5)
    errors = [outcome.error for outcome in outcomes if not outcome.ok]
    assert all(isinstance(error, SessionClosed) for error in errors)
    # Of the first two batches one pauses and one is read; the third is in flight, maybe billed.
    assert len(outcomes) == 29
    assert sum(outcome.ok for outcome in outcomes[:20]) == 10
    assert [o.maybe_billed for o in outcomes] == [False] * 20 + [True] * 9


async def test_closing_lets_what_is_under_way_finish(world: World) -> None:
    """Requests in flight end well within the drain, the rest fails, and every image has its say."""
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(100)))

    async with anyio.create_task_group() as group:
        async with world.session(max_concurrency=2) as session:
            group.start_soon(read_all)
            await anyio.sleep(0.5)
        assert anyio.current_time() == pytest.approx(1)
    assert [outcome.ok for outcome in outcomes] == [True] * 20 + [False] * 80
    assert {type(error_of(outcome)) for outcome in outcomes[20:]} == {SessionClosed}
    assert not any(outcome.maybe_billed for outcome in outcomes)


async def test_a_drain_that_takes_too_long_ends(world: World) -> None:
    """Requests that do not finish in time fail, and may be billed."""
    world.engine.latency = 100
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(10)))

    async with anyio.create_task_group() as group:
        async with world.session(drain=3) as session:
            group.start_soon(read_all)
            await anyio.sleep(1)
        assert anyio.current_time() == pytest.approx(4)
    assert all(outcome.maybe_billed and not outcome.ok for outcome in outcomes)


async def test_a_drain_can_be_cancelled(world: World) -> None:
    """A scope around the session cuts its drain short, and nothing stays behind."""
    world.engine.latency = 100
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(3) as scope:
            async with world.session(drain=60) as session:
                group.start_soon(session.read_all, urls(10))
                await anyio.sleep(1)
        assert scope.cancelled_caught
        assert anyio.current_time() == pytest.approx(3)
    assert world.in_flight == 0


@pytest.fixture
async def session_of_a_fixture(world: World) -> AsyncIterator[OCRSession]:
    """Hold a session around a test, as users' fixtures do."""
    async with world.session() as session:
        yield session


async def test_a_session_may_live_in_a_fixture(session_of_a_fixture: OCRSession) -> None:
    """What pytest enters and leaves around a test is as good as a block."""
    assert (await session_of_a_fixture.read("https://x.example/1")).text


async def test_leaving_twice_is_fine(world: World) -> None:
    """Closing by hand inside the block leaves nothing to do at its end."""
    async with world.session() as session:
        await session.read("https://x.example/1")
        await session.aclose()
        assert "closed" in repr(session)
        await session.aclose()
    assert world.in_flight == 0


async def test_forgetting_to_leave_warns(world: World) -> None:
    """A session that is dropped while it is open says so."""
    session = await world.session().__aenter__()
    running = session._runtime
    assert running is not None
    with pytest.warns(ResourceWarning, match="was never closed"):  # noqa: PT031 - two steps
        del session
        gc.collect()
    await running.leave(None)


def test_a_misspelt_option_is_pythons_own_error() -> None:
    """A session that could not be made is collected in silence: it was never open."""
    options: dict[str, Any] = {"concurrency": 3}
    with pytest.raises(TypeError, match="concurrency"):
        OCRSession("token-of-a-test", **options)
    gc.collect()


async def test_callers_elsewhere_end_when_the_sessions_scope_is_cancelled(world: World) -> None:
    """A scope around the session that is cancelled leaves nobody waiting in another task."""
    world.troubles = [failing(500)]
    outcomes: list[Any] = []

    async def read_all() -> None:
        outcomes.extend(await session.read_all(urls(35)))

    session = world.session(max_concurrency=3)
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with session, anyio.create_task_group() as inner:
                group.start_soon(read_all)
                inner.start_soon(anyio.sleep_forever)
                await anyio.sleep(1.5)
                scope.cancel()
    assert len(outcomes) == 35
    errors = {type(error_of(outcome)) for outcome in outcomes if not outcome.ok}
    assert errors == {SessionClosed}


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_a_stray_cancellation_in_an_attempt_is_a_bug_like_another(world: World) -> None:
    """A transport that awaits a cancelled task fails its request, not the program in silence."""

    async def stray() -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    world.before = stray
    async with world.session() as session:
        with pytest.raises(OCRError, match="internal error: CancelledError"):
            await session.read("https://x.example/1")
        world.before = anyio.lowlevel.checkpoint
        assert (await session.read("https://x.example/2")).text


async def test_closing_tells_of_images_that_were_not_pulled(world: World) -> None:
    """A stream whose session closes ends in an error, not as if there had been no more images."""
    outcomes: list[Any] = []

    async def consume() -> None:
        async with session.stream(urls(100)) as stream:
            with pytest.raises(SessionClosed, match="before its images ended"):
                async for outcome in stream:
                    outcomes.append(outcome)  # noqa: PERF401 - kept although the loop raises

    async with anyio.create_task_group() as group:
        retry = RetryPolicy(base=1e6, cap=1e6)
        async with world.session(max_concurrency=2, drain=0, retry=retry) as session:
            group.start_soon(consume)
            await anyio.sleep(0.5)
    assert sorted(outcome.index for outcome in outcomes) == list(range(30))


async def test_the_bodys_own_error_comes_out_as_it_is(world: World) -> None:
    """An error of the program's own in the block is raised alone, in no group."""
    with pytest.raises(ZeroDivisionError) as caught:
        async with world.session() as session, session.stream(urls(100)) as outcomes:
            await anext(outcomes)
            raise ZeroDivisionError
    assert not isinstance(caught.value, BaseExceptionGroup)
    assert world.in_flight == 0


async def test_a_cancelled_block_ends_in_time(world: World) -> None:
    """A scope around the session cancels it cleanly, with requests in flight."""
    with anyio.move_on_after(0.5) as scope:
        async with world.session() as session:
            await session.read_all(urls(100))
    assert scope.cancelled_caught
    assert anyio.current_time() == pytest.approx(0.5)
    assert world.in_flight == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_native_timeouts_and_cancels_leave_the_session_good(world: World) -> None:
    """asyncio's own timeout, wait_for and task.cancel end the call, and only the call."""
    world.engine.latency = 0.05
    async with world.session() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.read_all(urls(100))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.read("https://x.example/1"), 0.01)
        task = asyncio.create_task(session.read("https://x.example/2"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert texts(await session.read_all(urls(40))) == urls(40)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], indirect=False)
async def test_a_native_cancel_of_the_sessions_task_ends_it(world: World) -> None:
    """The task that holds the session can be cancelled; the cancellation is not swallowed."""

    async def hold() -> None:
        async with world.session() as session:
            await session.read_all(urls(100))

    task = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.in_flight == 0


async def test_repr_tells_the_state(world: World) -> None:
    """A session shows whether it is open, where it sends and how much at once."""
    session = world.session(max_concurrency=7)
    assert "not entered" in repr(session)
    async with session:
        assert "open, https://api.ximilar.com, 0 of 7 slots in use" in repr(session)
    assert "closed" in repr(session)


# ---- the token


async def test_the_token_goes_to_the_service_and_nowhere_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It stands in one header; in no other, no log, no repr, no error and no frame's locals."""
    world.troubles = [failing(401, "no"), httpx.ReadError("reset")]
    with caplog.at_level(logging.DEBUG):
        async with world.session(retry=RetryPolicy(attempts=1)) as session:
            outcomes = await session.read_all(urls(10)) + await session.read_all(urls(10))
            shown = [repr(session), str(vars(session)), caplog.text, repr(outcomes)]
    headers = dict(world.headers[0])
    assert headers.pop("authorization") == "Token token-of-a-test"
    assert headers["user-agent"].startswith("ximilar-ocr-async/")
    for outcome in outcomes:
        error = error_of(outcome)
        shown.extend(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert "token-of-a-test" not in "".join([*shown, *headers.values()])


def test_a_wrong_option_shows_no_token() -> None:
    """The traceback of a wrong option holds no token in the locals of the package's frames."""
    with pytest.raises(OptionError) as caught:
        OCRSession("Token secret-of-a-test", max_concurrency=0)
    # The first frame is this test's own.
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "secret-of-a-test" not in "".join(str(frame.locals) for frame in frames[1:])

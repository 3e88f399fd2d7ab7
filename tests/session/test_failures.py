"""Failures and money: what failed is sent again and nothing else, and an outage is a pause."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from tests.world import World, error_of, failing, texts, urls
from ximilar_ocr_async import (
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    OCRError,
    OptionError,
    RequestRejected,
    RetryPolicy,
    ServiceUnavailable,
    SessionStateError,
)
from ximilar_ocr_async.retry import DEPOSIT, RESERVE

pytestmark = pytest.mark.anyio


def refused(_: int) -> Exception:
    """Return what httpx raises where nobody listens."""
    return httpx.ConnectError("refused")


def poisoned(world: World, is_poison: Callable[[str], bool], *, code: int = 400) -> None:
    """Have the service refuse each whole request that holds a poisoned image."""

    def rule(records: Any) -> Any:
        return failing(code) if any(is_poison(record["_url"]) for record in records) else None

    world.rule = rule


# ---- poison


@pytest.mark.parametrize("code", [400, 422])
async def test_a_poisoned_image_fails_alone(world: World, code: int) -> None:
    """The other nine of its batch are read, for ten more requests at most."""
    poisoned(world, lambda url: url.endswith("/25.jpg"), code=code)
    async with world.session() as session:
        outcomes = await session.read_all(urls(100))
        assert session.stats.records_billed == 99
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [25]
    assert isinstance(error_of(outcomes[25]), RequestRejected)
    assert outcomes[25].attempts == 2
    assert len(world.sizes) <= 10 + 10
    assert Counter(outcome.attempts for outcome in outcomes if outcome.ok) == {1: 90, 2: 9}


async def test_a_500_is_poison_only_when_it_comes_back(world: World) -> None:
    """A batch that the service fails on is sent again as it is, and only then as single records."""
    poisoned(world, lambda url: url.endswith("/5.jpg"), code=500)
    async with world.session(retry=RetryPolicy(attempts=3)) as session:
        outcomes = await session.read_all(urls(10))
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [5]
    assert isinstance(error_of(outcomes[5]), ServiceUnavailable)
    assert world.sizes[:3] == [10, 10, 1]


@pytest.mark.parametrize("code, requests", [(400, 1 + 3), (500, 2 + 3)])
async def test_three_alike_convict_the_service(world: World, code: int, requests: int) -> None:
    """When the first three singles fail alike it is not the images, and the rest is not sent."""
    poisoned(world, lambda _: True, code=code)
    async with world.session() as session:
        outcomes = await session.read_all(urls(10))
    assert not any(outcome.ok for outcome in outcomes)
    assert {error_of(outcome).status for outcome in outcomes} == {code}
    assert len(world.sizes) == requests


async def test_singles_leave_others_their_turn(world: World) -> None:
    """While poison is looked for, other work has at least every other slot."""
    poisoned(world, lambda url: url.endswith("/bad.jpg"))
    async with world.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, [*urls(9), "https://x.example/bad.jpg"])
        await anyio.sleep(0.5)
        group.start_soon(session.read_all, urls(30))
    assert world.sizes[:6] == [10, 10, 1, 10, 1, 10]


async def test_a_withdrawn_suspect_does_not_hold_up_the_rest(world: World) -> None:
    """Callers whose images shared a refused batch do not wait for one who went away."""
    poisoned(world, lambda url: url.endswith("/gone"))
    got: list[str] = []

    async def read(url: str) -> None:
        got.append((await session.read(url)).text)

    async with world.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(read, f"https://x.example/{number}")
        with anyio.move_on_after(1.5):
            await session.read("https://x.example/gone")
    assert len(got) == 5


# ---- size


async def test_a_413_splits_and_is_remembered(world: World) -> None:
    """A request that is too large is sent in parts, and later ones are made smaller at once."""
    images = [b"\x89PNG\r\n\x1a\n" + bytes([n]) * 4000 for n in range(60)]

    def rule(records: Any) -> Any:
        return failing(413) if sum(len(r["_base64"]) for r in records) > 20_000 else None

    world.rule, world.engine.texts = rule, "read"
    async with world.session(max_concurrency=1) as session:
        outcomes = await session.read_all(images)
    assert texts(outcomes) == ["read"] * 60
    assert world.sizes[0] == 10
    assert max(world.sizes[4:]) <= 4
    assert len(world.sizes) < 40


async def test_an_image_that_is_too_large_alone_fails(world: World) -> None:
    """Splitting ends with single images, and does not go on for ever."""
    world.rule = lambda _: failing(413, "too large")
    async with world.session() as session:
        outcomes = await session.read_all(urls(10))
    assert {str(error_of(outcome)) for outcome in outcomes} == {"413: too large"}


# ---- an outage is a pause


def down(world: World, start: float, end: float, trouble: Any = failing) -> None:
    """Have the service down between two times [s]."""

    def rule(_: Any) -> Any:
        is_down = start <= anyio.current_time() < end
        return trouble(503) if is_down else None

    world.rule, world.quick = rule, True


@pytest.mark.parametrize("trouble", [failing, refused], ids=["503", "refused"])
async def test_an_outage_is_lived_through(world: World, trouble: Any) -> None:
    """A minute without the service costs a bulk run a minute, few requests and no image."""
    down(world, 10.0, 70.0, trouble)
    async with world.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(2000))
    assert all(outcome.ok for outcome in outcomes)
    during = [time for time in world.times if 10 <= time < 70]
    after = [time for time in world.times if time >= 70]
    assert len(during) <= 15
    assert after[0] < 75.5
    # A second after the first good probe, all slots are in use again.
    assert sum(after[0] + 1 <= time < after[0] + 3 for time in after) >= 8 * 2
    assert max(outcome.attempts for outcome in outcomes) > 2 or trouble is refused


async def test_patience_ends_a_hopeless_run(world: World) -> None:
    """When the service stays away for longer than patience, what is left fails unbilled."""
    down(world, 2.0, 1e9, refused)
    async with world.session() as session:
        outcomes = await session.read_all(urls(200))
        assert session.stats.outage
    assert 560 < anyio.current_time() < 640
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert 0 < len(failed) < 200
    assert {type(error_of(outcome)) for outcome in failed} == {ConnectionFailed}
    assert "the service was out of reach for" in str(error_of(failed[0]))
    assert not any(outcome.maybe_billed for outcome in failed)


async def test_patience_is_a_calls_own(world: World) -> None:
    """One call gives up while another goes on waiting, and gets its images."""
    down(world, 0.0, 100.0)
    done: dict[str, Any] = {}

    async def read_all(name: str, outage_timeout: float) -> None:
        done[name] = await session.read_all(urls(30), outage_timeout=outage_timeout)
        done[f"{name} at"] = anyio.current_time()

    async with world.session() as session, anyio.create_task_group() as group:
        group.start_soon(read_all, "short", 20.0)
        group.start_soon(read_all, "long", 300.0)
    assert not any(outcome.ok for outcome in done["short"])
    assert done["short at"] < 30
    assert all(outcome.ok for outcome in done["long"])


async def test_no_patience_means_none(world: World) -> None:
    """With a patience of 0 an outage fails what waits as soon as it is known."""
    down(world, 0.0, 1e9)
    async with world.session(outage_timeout=0.0) as session:
        outcomes = await session.read_all(urls(500))
    assert not any(outcome.ok for outcome in outcomes)
    assert anyio.current_time() < 5


async def test_reads_give_up_on_time(world: World) -> None:
    """Single reads use up their attempts in an outage, and wait half a minute at most."""
    down(world, 0.0, 1e9)
    errors: list[OCRError] = []

    async def read(number: int) -> None:
        try:
            await session.read(f"https://x.example/{number}")
        except OCRError as error:
            errors.append(error)

    async with world.session() as session, anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(read, number)
    assert {type(error) for error in errors} == {ServiceUnavailable}
    assert len(errors) == 200
    assert anyio.current_time() < 40


async def test_a_read_with_a_deadline_waits_until_then(world: World) -> None:
    """A deadline is the patience of a read that has one."""
    down(world, 0.0, 50.0)
    async with world.session(retry=RetryPolicy(attempts=3)) as session:
        assert (await session.read("https://x.example/1", deadline=100)).text
        down(world, 0.0, 1e9)
        with pytest.raises(DeadlineExceeded):
            await session.read("https://x.example/1", deadline=100)


async def test_a_read_may_bring_its_own_patience(world: World) -> None:
    """With a patience of its own a read waits through an outage as a bulk call does."""
    down(world, 0.0, 100.0)
    async with world.session(retry=RetryPolicy(attempts=3)) as session:
        assert (await session.read("https://x.example/1", outage_timeout=200)).text


async def test_one_image_cannot_make_an_outage(world: World) -> None:
    """A batch on which the gateway itself fails ends as a failure, and holds up no other."""
    poisoned(world, lambda url: url.endswith("/7.jpg"), code=502)
    async with world.session(max_concurrency=1) as session:
        outcomes = await session.read_all(urls(2000))
    failed = [outcome.index for outcome in outcomes if not outcome.ok]
    assert 7 in failed
    assert len(failed) <= 10
    assert anyio.current_time() < 600


async def test_a_stream_that_lost_patience_goes_on_when_the_service_is_back(world: World) -> None:
    """Images that come later are probes: the first that is answered ends the outage."""
    down(world, 100.0, 900.0)

    async def source() -> Any:
        for url in urls(100):
            yield url
            await anyio.sleep(30)

    async with world.session() as session:
        outcomes = await session.read_all(source())
    assert [outcome.ok for outcome in outcomes[-65:]] == [True] * 65
    assert sum(not outcome.ok for outcome in outcomes) < 35


@pytest.mark.parametrize("outage_timeout", [0.0, 5.0])
async def test_a_session_outlives_an_outage_that_nobody_waited_for(
    world: World, outage_timeout: float
) -> None:
    """A call made long after the service came back is sent, however little patience it has."""
    down(world, 0.0, 50.0)
    async with world.session(outage_timeout=outage_timeout) as session:
        await session.read_all(urls(30))
        await anyio.sleep(1000)
        assert (await session.read("https://x.example/1")).text


async def test_an_image_that_cannot_be_sent_is_no_probe(world: World) -> None:
    """Whatever is wrong with images of one call, an outage is over as soon as it is."""
    world.engine.texts = "read"
    down(world, 0.0, 3.0)
    good = b"\x89PNG\r\n\x1a\n" + bytes(9)
    async with world.session() as session:
        outcomes = await session.read_all([*[b"no image"] * 60, *[good] * 50])
    assert sum(outcome.ok for outcome in outcomes) == 50
    assert anyio.current_time() < 30


async def test_patience_ends_while_a_probe_hangs(world: World) -> None:
    """A service that takes the probe and says nothing is not waited for any longer."""
    world.troubles, world.quick = [refused(0), refused(0)], True
    world.engine.latency = 170
    async with world.session() as session:
        with pytest.raises(ConnectionFailed, match="out of reach"):
            await session.read("https://x.example/1", outage_timeout=5.0)
        assert session.stats.records_maybe_billed == 1
    assert anyio.current_time() == pytest.approx(5.0, abs=1.1)


async def test_an_image_that_fails_the_gateway_ends_after_its_attempts(world: World) -> None:
    """Where others are answered in between, it is the image, and no outage."""
    poisoned(world, lambda url: url.endswith("/bad.jpg"), code=502)

    async def source() -> Any:
        for url in urls(200):
            yield url
            await anyio.sleep(2)

    async with world.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, source())
        (outcome,) = await session.read_all(["https://x.example/bad.jpg"])
        assert outcome.attempts < 15
        assert anyio.current_time() < 300
        assert (await session.read("https://x.example/1")).text


async def test_an_outage_shows(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Stats say that the service is out of reach; its beginning and its end are logged."""
    down(world, 0.0, 10.0)
    async with world.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read_all, urls(5))
        await anyio.sleep(6)
        assert session.stats.outage
        await anyio.sleep(20)
        assert not session.stats.outage
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told[0].startswith("the service is out of reach, waiting for it: 503")
    assert told[1].startswith("the service is back after 1")


async def test_a_call_cancelled_during_its_probe_leaves_the_next_one_free(world: World) -> None:
    """A probe that nobody waits for any more does not keep others from being sent."""
    down(world, 0.0, 20.0, refused)
    async with world.session() as session:
        with anyio.move_on_after(15):
            await session.read_all(urls(5))
        world.engine.latency = 30
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(20):
                await session.read_all(urls(5))
            world.engine.latency = 1
            group.start_soon(session.read_all, urls(5))
        assert session.stats.records_billed >= 5


# ---- Retry-After


async def test_retry_after_holds_the_whole_session(world: World) -> None:
    """Nothing at all is sent before the service wants to be asked again."""
    world.troubles = [None, failing(429, headers={"Retry-After": "30"})]
    async with world.session(max_concurrency=2) as session:
        outcomes = await session.read_all(urls(100))
    assert all(outcome.ok for outcome in outcomes)
    assert [time for time in world.times if 1 < time < 31] == []
    assert world.times[2] == pytest.approx(31)


async def test_a_retry_after_that_is_too_long_is_cut(world: World) -> None:
    """No service holds a session for longer than two minutes at once."""
    world.troubles = [failing(503, headers={"Retry-After": "86400"})]
    async with world.session() as session:
        await session.read_all(urls(10))
    assert world.times[1] == pytest.approx(121)


async def test_records_refused_for_overload_shrink_the_limit(world: World) -> None:
    """A good answer whose records failed with 429 says that too much is asked all the same."""

    def refuse(document: dict[str, Any]) -> None:
        if world.finished == 0:
            for record in document["records"]:
                record["_status"] = {"code": 429, "text": "slow down"}

    world.meddle = refuse
    async with world.session(max_concurrency=4) as session:
        outcomes = await session.read_all(urls(10))
        assert session.stats.limit == 3
    assert {outcome.attempts for outcome in outcomes} == {2}


# ---- money


async def test_only_what_failed_is_sent_again(world: World) -> None:
    """Records that the service failed ride with others; good ones of the batch came at once."""
    chance = random.Random(3)
    world.meddle = lambda document: _fail_some(document, chance)
    async with world.session(max_concurrency=4) as session:
        outcomes = await session.read_all(urls(2000))
        stats = session.stats
    assert all(outcome.ok for outcome in outcomes)
    assert stats.records_billed == 2000
    assert stats.records_sent == 2000 + stats.records_retried
    # Slots that end at once begin again before the source has delivered: not all are full.
    assert len(world.sizes) < 1.3 * 200


def _fail_some(document: dict[str, Any], chance: random.Random) -> None:
    for record in document["records"]:
        if chance.random() < 0.05:
            record.pop("_ocr")
            record["_status"] = {"code": 500, "text": "'_tags'"}


async def test_a_half_broken_service_is_not_hammered(world: World) -> None:
    """Where every other request fails, resends stay within their budget, and images fail."""
    chance = random.Random(1)
    world.rule = lambda _: failing(500) if chance.random() < 0.5 else None
    async with world.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(5_000))
        stats = session.stats
    assert len(outcomes) == 5_000
    isolated = world.sizes.count(1)
    assert stats.records_retried - isolated <= RESERVE + DEPOSIT * 5_000
    assert stats.records_failed > 0
    assert stats.records_billed + stats.records_failed == 5_000


async def test_no_more_records_are_sent_than_allowed(world: World) -> None:
    """What would go over the cap fails before it is sent; resends count too."""
    world.troubles = [failing(500)]
    async with world.session(max_records=35) as session:
        outcomes = await session.read_all(urls(60))
        assert session.stats.records_sent == 35
        with pytest.raises(BudgetExceeded, match="max_records is 35"):
            await session.read("https://x.example/1")
    assert sum(world.sizes) == 35
    assert sum(outcome.ok for outcome in outcomes) == 25
    failed = [error_of(outcome) for outcome in outcomes if not outcome.ok]
    assert {type(error) for error in failed} == {BudgetExceeded}


async def test_what_never_left_is_no_record_sent(world: World) -> None:
    """Refused connections use up nothing of the cap."""
    world.troubles = [refused(0)]
    async with world.session(max_records=20) as session:
        outcomes = await session.read_all(urls(20))
    assert all(outcome.ok for outcome in outcomes)


async def test_isolation_stays_inside_the_cap(world: World) -> None:
    """Singles are paid for as all else is."""
    poisoned(world, lambda url: url.endswith("/3.jpg"))
    async with world.session(max_records=14) as session:
        outcomes = await session.read_all(urls(10))
        assert session.stats.records_sent == 14
    assert sum(isinstance(error_of(o), BudgetExceeded) for o in outcomes if not o.ok) >= 5


@pytest.mark.parametrize("cap", [-1, 1.5, "9"])
def test_the_cap_is_a_whole_number(world: World, cap: Any) -> None:
    """Anything else is an error that says so."""
    with pytest.raises(OptionError, match="max_records is"):
        world.session(max_records=cap)


async def test_a_shared_answer_is_counted_once(world: World) -> None:
    """An image whose caller went away before the answer came is counted as read, not as lost."""
    async with world.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read, "https://x.example/kept")
        with anyio.move_on_after(0.5):
            await session.read("https://x.example/gone")
        assert session.stats.records_maybe_billed == 1
        await anyio.sleep(1)
        stats = session.stats
    assert (stats.records_sent, stats.records_billed, stats.records_maybe_billed) == (2, 2, 0)


async def test_a_wrong_token_stops_a_run(world: World) -> None:
    """No more requests than there are slots find out that nothing is allowed."""
    world.rule = lambda _: failing(429, "credit limits reached")
    async with world.session(max_concurrency=8) as session:
        outcomes = await session.read_all(urls(20_000))
    assert {type(error_of(outcome)) for outcome in outcomes} == {AuthError}
    assert len(world.sizes) <= 8


# ---- where it is used


async def test_a_session_stays_in_its_event_loop(world: World) -> None:
    """Use from another loop or thread is an error before anything is sent."""
    async with world.session() as session:
        for function in (_read_in_another_loop, _stream_without_a_loop):
            with pytest.raises(SessionStateError, match="event loop"):
                await anyio.to_thread.run_sync(function, session)
        assert session.stats.requests == 0
    assert world.sizes == []


def _read_in_another_loop(session: Any) -> None:
    anyio.run(session.read, "https://x.example/1")


def _stream_without_a_loop(session: Any) -> None:
    session.stream(["https://x.example/1"])

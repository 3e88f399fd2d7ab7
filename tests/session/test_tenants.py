"""Accounts that share one session: connections, slots and circuits together, money apart."""

import traceback
from collections import Counter
from typing import Any

import anyio
import pytest

from tests.helpers import error_of, failing, refused, texts, urls
from ximilar_ocr_async import (
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    OCRSession,
    OptionError,
    Overloaded,
    SessionClosed,
    SessionStateError,
)
from ximilar_ocr_async.testing import InProcessService, ScriptedReply, SeenRequest, in_turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def service() -> InProcessService:
    """A service that takes a second."""
    return InProcessService(latency=1.0)


def tokens(service: InProcessService) -> Counter[str]:
    """Count requests by the token that they were signed with."""
    return Counter(seen.headers["Authorization"] for seen in service.log)


def refusing(token: str) -> Any:
    """Return a script that refuses one token."""

    def refuse(seen: SeenRequest) -> ScriptedReply | None:
        is_theirs = seen.headers["Authorization"] == f"Token {token}"
        return failing(401, "no") if is_theirs else None

    return refuse


async def test_each_account_signs_its_own_requests(service: InProcessService) -> None:
    """No request has images of two accounts."""
    async with service.session() as session:
        other = session.for_token("other")
        found: list[str] = []

        async def read(of: OCRSession, number: int) -> None:
            found.append((await of.read(f"https://x.example/{number}")).text)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(read, other if number % 2 else session, number)
    assert sorted(found) == [f"https://x.example/{number}" for number in range(10)]
    assert tokens(service) == {"Token testing": 1, "Token other": 1}
    assert service.sizes == [5, 5]


async def test_money_is_each_accounts_own(service: InProcessService) -> None:
    """Records are counted for the account that pays them, and a cap is its own."""
    async with service.session() as session:
        other = session.for_token("other", max_records=15)
        outcomes = await other.read_all(urls(20))
        assert texts(await session.read_all(urls(30))) == urls(30)
        assert (other.stats.records_billed, session.stats.records_billed) == (15, 30)
        assert (other.stats.requests, session.stats.requests) == (2, 3)
    assert sum(outcome.ok for outcome in outcomes) == 15
    assert {type(error_of(o)) for o in outcomes if not o.ok} == {BudgetExceeded}


async def test_a_refused_account_stops_no_other(service: InProcessService) -> None:
    """A token that is refused ends the calls of its own account alone."""
    service.reply = refusing("bad")
    async with service.session() as session:
        bad = session.for_token("bad")
        done: dict[str, Any] = {}

        async def read_all(name: str, of: OCRSession) -> None:
            done[name] = await of.read_all(urls(100))

        async with anyio.create_task_group() as group:
            group.start_soon(read_all, "bad", bad)
            group.start_soon(read_all, "good", session)
        assert not session.stats.outage
    assert texts(done["good"]) == urls(100)
    assert {type(error_of(outcome)) for outcome in done["bad"]} == {AuthError}


async def test_a_refused_account_is_asked_now_and_then(service: InProcessService) -> None:
    """Many calls for it make few requests, and end as soon as it is accepted again."""
    service.reply = refusing("testing")
    service.latency = 0.1
    errors: list[float] = []
    read: list[float] = []

    async def ask() -> None:
        try:
            await session.read("https://x.example/1")
        except AuthError:
            errors.append(anyio.current_time())
        else:
            read.append(anyio.current_time())

    async with service.session(max_concurrency=8) as session:
        async with anyio.create_task_group() as group:
            for number in range(20 * 50):
                if number == 15 * 50:
                    service.reply = None
                group.start_soon(ask)
                await anyio.sleep(0.02)
    assert max(errors) < 15 + 5.2
    assert min(read) < 15 + 5.2
    assert len([seen for seen in service.log if seen.at < 15]) < 25


async def test_a_refusal_of_long_ago_stops_no_call(service: InProcessService) -> None:
    """A call of many images that comes later is sent, all of it."""
    service.reply = in_turn(failing(402, "no credits"))
    async with service.session() as session:
        with pytest.raises(AuthError):
            await session.read("https://x.example/1")
        await anyio.sleep(3600)
        assert texts(await session.read_all(urls(100))) == urls(100)


async def test_the_call_after_a_refusal_is_sent_as_a_whole(service: InProcessService) -> None:
    """One image of it finds out for all."""
    service.reply = in_turn(*[failing(402, "no credits")] * 2)
    async with service.session(max_concurrency=1) as session:
        for _ in range(2):
            with pytest.raises(AuthError):
                await session.read("https://x.example/1")
        with pytest.raises(AuthError, match="asked again in a few seconds"):
            await session.read("https://x.example/1")
        await anyio.sleep(1.1)
        assert texts(await session.read_all(urls(100))) == urls(100)


async def test_an_outage_is_everybodys(service: InProcessService) -> None:
    """It is one service: what one account finds out, the others need not."""
    service.reply = lambda _: refused()
    async with service.session(outage_timeout=0.0) as session:
        await session.read_all(urls(50))
        other = session.for_token("other")
        await other.read_all(urls(50))
        assert other.stats.outage
    assert tokens(service)["Token other"] <= 1


async def test_accounts_take_turns_at_the_slots(service: InProcessService) -> None:
    """One with much to do leaves half of the slots to another."""
    async with service.session(max_concurrency=2) as session:
        other = session.for_token("other")
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(1000))
            await anyio.sleep(10)
            began = anyio.current_time()
            await other.read_all(urls(50))
            assert anyio.current_time() - began < 7
            group.cancel_scope.cancel()


async def test_it_ends_with_the_session(service: InProcessService) -> None:
    """It is neither entered nor left."""
    async with service.session() as session:
        other = session.for_token("other")
        with pytest.raises(SessionStateError, match="entered once"):
            await other.__aenter__()
        await other.aclose()
        assert (await session.read("https://x.example/1")).text
        late = session.for_token("late")
    with pytest.raises(SessionClosed):
        await late.read("https://x.example/1")
    with pytest.raises(SessionStateError, match="is closed"):
        session.for_token("later")


@pytest.mark.parametrize(
    "token, max_records", [("", None), ("tö-ken", None), ("t", -1), ("t", 1.5)]
)
async def test_what_is_no_account_is_refused(
    service: InProcessService, token: str, max_records: Any
) -> None:
    """A token that makes no sense is refused without being shown."""
    async with service.session() as session:
        with pytest.raises(OptionError) as caught:
            session.for_token(token, max_records=max_records)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    assert "tö-ken" not in "".join(str(frame.locals) for frame in shown[1:])


# ---- admission


async def test_places_that_are_free_are_no_queue(service: InProcessService) -> None:
    """An idle session takes as many reads at once as its slots hold, and its queue beside."""
    refused_ = 0

    async def read(number: int) -> None:
        nonlocal refused_
        try:
            await session.read(f"https://x.example/{number}")
        except Overloaded:
            refused_ += 1

    async with service.session(max_concurrency=2, max_queue=5) as session:
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(read, number)
    assert refused_ == 30 - 2 * 10 - 5


# ---- what traffic tells


async def test_a_check_of_a_busy_session_asks_nothing(service: InProcessService) -> None:
    """An answer within the last 30 s says that all is well, however busy the slots are."""
    async with service.session(max_concurrency=1) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(200))
            await anyio.sleep(5.5)
            service.latency = 20.0
            await anyio.sleep(10)
            await session.check()
            group.cancel_scope.cancel()
    assert {seen.method for seen in service.log} == {"POST"}


async def test_a_check_in_an_outage_says_what_is_known(service: InProcessService) -> None:
    """It asks nothing, and says since when."""
    service.reply = lambda _: refused()
    async with service.session() as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, urls(20))
            await anyio.sleep(30)
            before = service.requests
            with pytest.raises(ConnectionFailed, match=r"for [23]\d s") as told:
                await session.check()
            assert service.requests == before
            group.cancel_scope.cancel()
    assert "check the network" in str(told.value)


async def test_a_check_asks_where_only_another_account_was_answered(
    service: InProcessService,
) -> None:
    """The traffic of one account says nothing of the token of another."""
    service.reply = refusing("bad")
    async with service.session() as session:
        await session.read("https://x.example/1")
        bad = session.for_token("bad")
        await session.check()
        with pytest.raises(AuthError):
            await bad.check()


async def test_a_check_after_a_refusal_asks(service: InProcessService) -> None:
    """An answer that refuses the token is none that all is well."""
    async with service.session() as session:
        await session.read("https://x.example/1")
        service.reply = refusing("testing")
        with pytest.raises(AuthError):
            await session.read("https://x.example/1")
        with pytest.raises(AuthError):
            await session.check()


async def test_a_word_that_is_none_is_named(service: InProcessService) -> None:
    """It is not taken for an option of another call."""
    async with service.session() as session:
        words: dict[str, Any]
        for words in ({"dedline": 3}, {"ordered": True}, {"fail_fast": True}):
            with pytest.raises(TypeError, match=f"{next(iter(words))} is no option of this call"):
                await session.read("https://x.example/1", **words)

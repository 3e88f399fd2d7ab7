"""A session gets what was paid for out of replies that are odd, large or both."""

from typing import Any

import httpx
import pytest
from _lib.hostile import KINDS, record

from tests.helpers import error_of, urls
from ximilar_ocr_async import Outcome, ReplyError
from ximilar_ocr_async.testing import InProcessService, SeenRequest

pytestmark = pytest.mark.anyio

ODD = 3

READ = [
    "json_result: arrays, deep",
    "json_result: numbers of 4,301 digits",
    "unknown key: NaN",
    "unknown key: numbers out of range",
    "unknown key: half of a pair",
    "unknown key: damaged UTF-8",
    "unknown key: many keys",
    "unknown key: one key again and again",
    "unknown key: empty arrays",
    "texts: with an unknown key",
    "full_text: long",
    "base64: sent back",
]


def answering(kind: str, size: int, end: bytes = b"]}") -> InProcessService:
    """Make a service whose replies have one odd record."""

    def answer(seen: SeenRequest) -> httpx.Response:
        names = [str(sent["_id"]).encode() for sent in seen.records]
        rows = [record(name) for name in names]
        if len(rows) > ODD:
            rows[ODD] = KINDS[kind](names[ODD], size)
        return httpx.Response(200, content=b'{"records":[' + b",".join(rows) + end)

    return InProcessService(reply=answer)


async def read(there: InProcessService) -> list[Outcome[Any]]:
    """Read ten images."""
    async with there.session() as session:
        return await session.read_all(urls(10))


@pytest.mark.parametrize("size", [300, 150_000])
@pytest.mark.parametrize("kind", READ)
async def test_odd_records_are_read_and_billed_once(kind: str, size: int) -> None:
    """What Python's own JSON or the class of a record cannot hold is kept all the same."""
    there = answering(kind, size)
    outcomes = await read(there)
    assert [outcome.ok for outcome in outcomes] == [True] * 10
    assert there.requests == 1


@pytest.mark.parametrize("size", [300, 150_000])
@pytest.mark.parametrize("kind", ["texts: bad polygons", "width: an array", "record: a string"])
async def test_a_record_that_makes_no_sense_is_sent_again_alone(kind: str, size: int) -> None:
    """Nine images are billed once; the tenth is sent once more, and says that it may be billed."""
    there = answering(kind, size)
    outcomes = await read(there)
    assert [len(seen.records) for seen in there.log] == [10, 1]
    assert [outcome.maybe_billed for outcome in outcomes] == [i == ODD for i in range(10)]
    assert [outcome.ok for outcome in outcomes] == [True] * 10


async def test_records_before_the_end_of_a_cut_reply_are_billed_once() -> None:
    """A reply that breaks off in its tenth record brings nine."""
    there = answering("texts: usual", 300, end=b'],"status"')
    outcomes = await read(there)
    assert all(outcome.ok for outcome in outcomes)
    assert there.requests == 1


@pytest.mark.parametrize("size", [10, 100_000])
async def test_an_account_of_any_size_is_bounded(size: int) -> None:
    """What is deep in it is text."""
    details = b'{"credits_counter":7,"more":%b%b}' % (b"[" * size, b"]" * size)
    there = InProcessService(reply=lambda _: httpx.Response(200, content=details))
    async with there.session() as session:
        account = await session.account()
    assert account.credits_counter == 7
    assert isinstance(account.extra["more"], list if size == 10 else str)


async def test_an_account_that_is_none_is_an_error() -> None:
    """It says what does not fit."""
    there = InProcessService(reply=lambda _: httpx.Response(200, json={"credits_counter": []}))
    async with there.session() as session:
        with pytest.raises(ReplyError, match=r"expected a whole number, got list @ \$.credits"):
            await session.account()


async def test_a_reason_of_any_length_is_told_in_part() -> None:
    """A failing record says a thousand characters of why."""
    outcomes = await read(answering("status: failed at length", 100_000))
    assert len(str(error_of(outcomes[ODD]))) < 1100

"""The books are right whatever happens, and nobody gets two outcomes."""

from typing import Any

import anyio
import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from tests.scheduling.making import OWNER, URL
from ximilar_ocr_async._protocol import ReadRequest
from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.call_options import CallOptions, Patience
from ximilar_ocr_async._scheduling.calls import Call, Item, Phase
from ximilar_ocr_async.errors import (
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ImageError,
    OCRError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceUnavailable,
    UploadCut,
)
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Outcome, make_outcome

ANSWERED = [Record, RateLimited, RequestRejected, ServiceUnavailable]
LOST = [ReplyLost, RequestTimeout, ReplyError]
UNSENT = [ConnectionFailed, UploadCut]
RESULTS = st.sampled_from([*ANSWERED, *LOST, *UNSENT]).map(lambda cls: cls())
"""How an attempt that was made may end for a record."""


@define
class Mailbox:
    """A call's outcomes, as they come."""

    outcomes: list[Outcome] = field(factory=list)
    call: Call = field(init=False)

    @call.default
    def _call_that_delivers_here(self) -> Call:
        def deliver(item: Item, result: Any) -> None:
            self.outcomes.append(make_outcome(item, result))

        return Call(deliver, CallOptions(), ReadRequest, OWNER)

    def items(self, count: int) -> list[Item]:
        """Return as many items that this call waits for."""
        request = ReadRequest("read", "en")
        items = [
            Item(f"r{index}", index, Image(URL), None, request, self.call) for index in range(count)
        ]
        self.call.items.update(dict.fromkeys(items))
        return items

    def item(self) -> Item:
        """Return one item."""
        (item,) = self.items(1)
        return item


def books(accounting: Accounting) -> dict[str, int]:
    """Return what *accounting* counted."""
    names = ("sent", "billed", "maybe_billed", "retried", "failed")
    return {name: getattr(accounting, name) for name in names}


def account(accounting: Accounting, item: Item) -> dict[str, int]:
    """Return what *accounting* counted, and what of it is *item*'s."""
    return books(accounting) | {"attempts": item.attempts, "maybe_billed_item": item.maybe_billed}


# ---- what may be sent


def test_without_a_cap_all_is_affordable() -> None:
    """Money is no object unless the user says so."""
    box = Mailbox()
    items = box.items(10)
    assert Accounting().afford(items, reserved=10**9) is items
    assert box.outcomes == []


@given(
    cap=st.integers(0, 30),
    sent=st.integers(0, 30),
    reserved=st.integers(0, 30),
    count=st.integers(0, 10),
)
def test_what_goes_over_the_cap_fails_unsent(
    cap: int, sent: int, reserved: int, count: int
) -> None:
    """As many may be sent as are left of the cap, the first first; the rest fail at once."""
    box, accounting = Mailbox(), Accounting(cap)
    for item in Mailbox().items(sent):
        accounting.count(item, Record())
    items = box.items(count)
    left = max(0, min(count, cap - sent - reserved))
    assert accounting.afford(items, reserved=reserved) == items[:left]
    assert [outcome.index for outcome in box.outcomes] == list(range(left, count))
    assert accounting.failed == count - left
    assert accounting.sent == sent
    for outcome in box.outcomes:
        assert not outcome.ok
        assert isinstance(outcome.error, BudgetExceeded)
        assert f"max_records is {cap}," in str(outcome.error)
        assert outcome.attempts == 0


def test_an_item_given_up_uses_up_the_cap_until_it_is_known_not_to_have_been_sent() -> None:
    """What may have been billed is held to be sent, and what was not gives its place back."""
    box, accounting = Mailbox(), Accounting(10)
    gone, *others = box.items(11)
    accounting.give_up(gone)
    assert accounting.afford(others[:9], reserved=0) == others[:9]
    accounting.count(gone, ConnectionFailed())
    assert accounting.afford(others, reserved=0) == others
    assert box.outcomes == []


# ---- counting


@given(results=st.lists(RESULTS, max_size=20))
def test_attempts_are_counted_as_what_they_were(results: list[Any]) -> None:
    """What reached the service is sent, what was read is billed, what was lost may have been."""
    accounting, item = Accounting(), Mailbox().item()
    for result in results:
        accounting.count(item, result)
    kinds = [type(result) for result in results]
    reached = [kind for kind in kinds if kind not in UNSENT]
    lost = sum(kind in LOST for kind in kinds)
    assert accounting.sent == len(reached)
    assert accounting.billed == kinds.count(Record)
    assert accounting.maybe_billed == item.maybe_billed == lost
    assert item.attempts == len(kinds)
    assert accounting.failed == 0


def test_an_image_that_was_not_sent_is_not_counted() -> None:
    """An image that cannot be sent was in no attempt."""
    accounting, item = Accounting(), Mailbox().item()
    before = account(accounting, item)
    accounting.count(item, ImageError("no image"))
    assert account(accounting, item) == before


@pytest.mark.parametrize("result", [ConnectionFailed(), UploadCut()], ids=["refused", "cut"])
def test_a_record_that_never_arrived_is_no_record_sent(result: OCRError) -> None:
    """The attempt counts, the record does not, and cannot have been billed."""
    accounting, item = Accounting(), Mailbox().item()
    accounting.count(item, result)
    assert books(accounting) == dict.fromkeys(books(accounting), 0)
    assert (item.attempts, item.maybe_billed) == (1, 0)


@given(results=st.lists(RESULTS, max_size=20))
def test_of_one_record_all_but_the_first_that_was_sent_are_retried(results: list[Any]) -> None:
    """Retried are records that had been sent before: attempts that never arrived are none."""
    accounting, item = Accounting(), Mailbox().item()
    for result in results:
        accounting.count(item, result)
    assert accounting.retried == max(0, accounting.sent - 1)


# ---- giving up


@given(attempts=st.lists(st.tuples(RESULTS, st.integers(0, 3)), max_size=20))
def test_an_attempt_given_up_and_then_answered_is_counted_once(
    attempts: list[tuple[Any, int]],
) -> None:
    """However often it was given up on, an attempt that ends is counted as what it was."""
    accounting, item = Accounting(), Mailbox().item()
    patient, kept = Accounting(), Mailbox().item()
    for result, times in attempts:
        for _ in range(times):
            accounting.give_up(item)
        accounting.count(item, result)
        patient.count(kept, result)
        assert account(accounting, item) == account(patient, kept)
        assert not item.is_given_up


@given(results=st.lists(RESULTS, max_size=5), times=st.integers(1, 3))
@example(results=[], times=2)
def test_an_attempt_given_up_for_good_is_counted_as_a_lost_one(
    results: list[Any], times: int
) -> None:
    """Nobody will know whether it was billed, as with a reply that was lost."""
    accounting, item = Accounting(), Mailbox().item()
    patient, kept = Accounting(), Mailbox().item()
    for result in results:
        accounting.count(item, result)
        patient.count(kept, result)
    for _ in range(times):
        accounting.give_up(item)
    patient.count(kept, ReplyLost())
    assert account(accounting, item) == account(patient, kept)


def test_an_image_given_up_that_was_not_sent_is_not_counted() -> None:
    """In a request that others wait for, an image that could not be sent cost nothing."""
    accounting, item = Accounting(), Mailbox().item()
    before = account(accounting, item)
    accounting.give_up(item)
    accounting.count(item, ImageError("no image"))
    assert account(accounting, item) == before


def test_an_item_given_up_may_have_been_billed() -> None:
    """The outcome of an item that is given up says so."""
    box, accounting = Mailbox(), Accounting()
    item = box.item()
    accounting.give_up(item)
    accounting.end(item, DeadlineExceeded("too late"))
    (outcome,) = box.outcomes
    assert outcome.maybe_billed
    assert outcome.attempts == 1


# ---- one outcome


def test_an_outcome_tells_of_its_attempts() -> None:
    """Success and failure alike say how many attempts there were and whether one was lost."""
    box, accounting = Mailbox(), Accounting()
    read, unread = box.items(2)
    record, error = Record(id="a"), RequestRejected("404: no such image")
    for result in (ReplyLost(), record):
        accounting.count(read, result)
    accounting.end(read, record)
    accounting.count(unread, error)
    accounting.end(unread, error)
    success, failure = box.outcomes
    assert success.ok
    assert (success.index, success.attempts, success.maybe_billed) == (0, 2, True)
    assert success.record is record
    assert not failure.ok
    assert (failure.index, failure.attempts, failure.maybe_billed) == (1, 1, False)
    assert (type(failure.error), str(failure.error)) == (type(error), str(error))
    assert not box.call.items


@pytest.mark.ends_twice
@pytest.mark.parametrize("ends", [[True], [False], [True, False], [False, True, True]])
def test_an_item_ends_once(caplog: pytest.LogCaptureFixture, ends: list[bool]) -> None:
    """The first end is the outcome; what comes later changes nothing, and is logged as an error."""
    box, accounting = Mailbox(), Accounting()
    item = box.item()
    for is_success in ends:
        if is_success:
            accounting.end(item, Record())
        else:
            accounting.end(item, ReplyLost())
    (outcome,) = box.outcomes
    assert outcome.ok == ends[0]
    assert item.is_done
    assert not item.is_wanted
    assert not box.call.items
    assert accounting.failed == (not ends[0])
    assert caplog.text.count("an item ended twice") == len(ends) - 1


@pytest.mark.parametrize("is_success", [True, False])
def test_an_item_that_nobody_waits_for_does_not_end(is_success: bool) -> None:
    """Nothing is delivered to a call that went away, and no image of it ended as a failure."""
    box, accounting = Mailbox(), Accounting()
    item = box.item()
    box.call.abandon()
    accounting.end(item, Record() if is_success else ReplyLost())
    assert box.outcomes == []
    assert accounting.failed == 0


@pytest.mark.anyio
async def test_a_late_item_says_where_its_time_went() -> None:
    """An image that missed its deadline tells queue, attempts, pauses and the last end."""
    box, accounting = Mailbox(), Accounting()
    silent, told = box.items(2)
    for item in (silent, told):
        start = anyio.current_time()
        item.enter(Phase.QUEUED, start)
        item.enter(Phase.IN_ATTEMPT, start + 1.0)
        accounting.count(item, ServiceUnavailable("503: busy"))
        item.enter(Phase.IN_PAUSE, start + 3.5)
        item.enter(Phase.QUEUED, start + 5.0)
    await anyio.sleep(10)
    accounting.end_late(silent)
    accounting.end_late(told, ServiceUnavailable("503: busy"))
    words = (
        "the deadline passed: 10.0 s since it was pulled, 6.0 s of them queued, "
        "2.5 s in 1 attempt, 1.5 s in pauses"
    )
    errors = [outcome.error for outcome in box.outcomes if not outcome.ok]
    assert [type(error) for error in errors] == [DeadlineExceeded] * 2
    assert [str(error) for error in errors] == [words, f"{words}; the last attempt: 503: busy"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "left, needed, why",
    [
        (2.0, 5.0, "; 2.0 s are left, an answer takes 5.0 s"),
        (2.0, 0.0, ""),
        (-1.0, 5.0, ""),
    ],
)
async def test_an_item_that_is_not_sent_says_why(left: float, needed: float, why: str) -> None:
    """Where time is left, and too little for an answer, both are told."""
    box = Mailbox()
    item = box.item()
    now = anyio.current_time()
    box.call.patience = Patience(now, deadline=now + left)
    item.enter(Phase.QUEUED, now)
    Accounting().end_late(item, needed=needed)
    (outcome,) = box.outcomes
    assert not outcome.ok
    assert str(outcome.error).endswith(f"0.0 s in pauses{why}")

"""Items that wait take turns: lanes by slots, then people and programs, tenants, calls."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.scheduling.making import make_batch, make_call, make_item, make_tenant
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item
from ximilar_ocr_async._scheduling.fair_queue import BULK_SHARE, FairQueue, Lane

COUNTS = st.integers(0, 30)


def queue_of(*items: Item) -> FairQueue:
    """Return a queue of *items*."""
    queue = FairQueue()
    for item in items:
        queue.put(item)
    return queue


def items_of(call: Call, count: int, *, lang: str = "en", size: int = 0) -> list[Item]:
    """Return as many items of a call."""
    return [make_item(call, number, lang=lang, size=size) for number in range(count)]


def next_lane(queue: FairQueue) -> Lane:
    """Return the lane whose turn it is."""
    return min(queue.waiting, key=queue.turn)


def batch_of(call: Call, lang: str = "en") -> Batch:
    """Return a batch of a call's."""
    return make_batch(make_item(call, lang=lang))


def take(queue: FairQueue) -> list[Item]:
    """Take the next batch, whatever it weighs."""
    return queue.take(next_lane(queue))[0]


# ---- calls


def test_a_newcomer_is_in_the_next_batch() -> None:
    """However long one caller's queue is, another's first item is among the next ten."""
    newcomer = make_item(make_call())
    queue = queue_of(*items_of(make_call(), 1000), newcomer)
    assert newcomer in take(queue)


def test_callers_share_a_batch_by_count() -> None:
    """Callers with much to do get as many places each, whoever came first."""
    queue = queue_of(*(item for _ in range(3) for item in items_of(make_call(), 50)))
    taken = Counter(item.call for _ in range(6) for item in take(queue))
    assert list(taken.values()) == [20, 20, 20]


@pytest.mark.parametrize("priority", ["interactive", "bulk"])
def test_calls_for_one_take_turns_as_one(priority: str) -> None:
    """A tenant gets no more by calling more often; among each other its calls take turns, too."""
    tenant = [make_call(priority=priority, fair_by="a") for _ in range(4)]  # type: ignore[arg-type]
    other = make_call(priority=priority, fair_by="b")  # type: ignore[arg-type]
    lone = make_call(priority=priority)  # type: ignore[arg-type]
    queue = queue_of(*(item for call in [*tenant, other, lone] for item in items_of(call, 50)))
    taken = Counter(item.call for _ in range(12) for item in take(queue))
    assert taken == {**dict.fromkeys(tenant, 10), other: 40, lone: 40}


def test_what_is_put_first_comes_before_its_callers_others() -> None:
    """An item to be sent again is not sent behind all that came after it."""
    again, *others = items_of(make_call(), 3)
    queue = queue_of(*others)
    queue.put(again, first=True)
    assert [item.index for item in take(queue)] == [0, 1, 2]


def test_an_item_that_can_be_removed_is_gone() -> None:
    """Wherever it stands in its call, the others keep their order, and the lane goes last."""
    items = items_of(make_call(), 3)
    queue = queue_of(*items)
    queue.discard(items[1])
    queue.discard(items[1])
    assert [*queue] == [items[0], items[2]]
    queue.discard(items[0])
    queue.discard(items[2])
    queue.discard(items[2])
    assert len(queue) == 0
    assert queue.waiting == []


# ---- people and programs


@given(people=COUNTS, bulk=COUNTS)
def test_people_and_programs_share_each_batch(people: int, bulk: int) -> None:
    """Two places are bulk's where it has that much to send; all that one leaves the other gets."""
    person, program = make_call(priority="interactive"), make_call()
    queue = queue_of(*items_of(program, bulk), *items_of(person, people))
    assert sum(lane.interactive for lane in queue.waiting) == people
    while len(queue):
        taken = Counter(item.call for item in take(queue))
        least = min(BULK_SHARE, bulk)
        assert taken.total() == min(10, people + bulk)
        assert taken[program] >= least
        assert taken[person] >= min(people, 10 - least)
        people, bulk = people - taken[person], bulk - taken[program]


def test_items_that_go_alone_do_not_lock_out_the_others() -> None:
    """A batch is for as many as each of its items allows, and one that must go alone does."""
    alone = make_item(make_call(priority="interactive"), most=1)
    others = items_of(make_call(priority="interactive"), 12)
    queue = queue_of(*others, alone)
    batches = [take(queue) for _ in range(3)]
    assert sorted(map(len, batches)) == [1, 2, 10]
    assert [alone] in batches


# ---- bytes and deadlines


def test_a_batch_holds_no_more_bytes_than_are_allowed() -> None:
    """What does not fit waits for the next one; what is too large for any goes alone."""
    large, *rest = [make_item(make_call(), n, size=size) for n, size in enumerate([400, 80, 60])]
    queue = queue_of(large, *rest)
    lane = next_lane(queue)
    assert queue.take(lane, 100) == ([large], [])
    assert queue.take(lane, 100) == ([rest[0]], [])
    assert queue.take(lane, 100) == ([rest[1]], [])


def test_smaller_images_of_others_fill_what_is_left() -> None:
    """An image that does not fit holds up its own call, no other."""
    first, second = items_of(make_call(), 2, size=60)
    small = make_item(make_call(), size=40)
    queue = queue_of(first, second, small)
    assert queue.take(next_lane(queue), 100)[0] == [first, small]


def test_items_that_are_late_make_room_for_others() -> None:
    """They are handed out beside the batch, and take none of its places."""
    late_call, call = make_call(), make_call()
    queue = queue_of(*items_of(late_call, 15), *items_of(call, 15))
    taken, late = queue.take(next_lane(queue), is_late=lambda item: item.call is late_call)
    assert len(taken) == 10
    assert {item.call for item in taken} == {call}
    assert {item.call for item in late} == {late_call}
    assert len(queue) == 30 - len(taken) - len(late)


def test_a_lane_of_late_items_is_forgotten() -> None:
    """Where nothing is left to send, nothing waits for a slot."""
    queue = queue_of(*items_of(make_call(), 25))
    taken, late = queue.take(next_lane(queue), is_late=lambda _: True)
    assert not taken
    assert len(late) == 25
    assert queue.waiting == []


# ---- probes


def test_a_probe_has_the_most_time_and_was_sent_the_least() -> None:
    """Whoever is about to leave does not hear the answer, and what failed before may be why."""
    hurried, patient = make_call(deadline=5.0), make_call(deadline=50.0)
    sent, fresh = items_of(patient, 2)
    sent.attempts = 1
    queue = queue_of(make_item(hurried), sent, fresh)
    lane = next_lane(queue)
    assert queue.take_probe(lane) == [fresh]
    assert queue.take_probe(lane) == [sent]
    assert len(queue) == 1


# ---- lanes


def test_languages_take_turns() -> None:
    """One with little to do is not behind one with much."""
    other, call = make_item(make_call(), lang="ja"), make_call()
    queue = queue_of(*items_of(call, 100), other)
    assert len(take(queue)) == 10
    queue.begin(batch_of(call))
    assert take(queue) == [other]


def test_accounts_take_turns_and_share_no_batch() -> None:
    """One with much to do gets as many slots as one with less."""
    calls = [make_call(tenant=make_tenant()) for _ in range(2)]
    queue = queue_of(*items_of(calls[0], 100), *items_of(calls[1], 20))
    turns = list[Call]()
    for _ in range(4):
        batch = make_batch(*take(queue))
        (caller,) = {item.call for item in batch.items}
        turns.append(caller)
        queue.begin(batch)
        queue.end(batch, 1.0)
    assert Counter(turns) == dict.fromkeys(calls, 2)


def test_the_lane_with_the_fewest_slots_is_next_then_the_one_that_had_least_time() -> None:
    """So a slow language gets half of the slots, and not nearly all of them."""
    call = make_call()
    queue = queue_of(*items_of(call, 50, lang="ko"), *items_of(call, 50, lang="en"))
    slow, quick = batch_of(call, "ko"), batch_of(call)
    queue.begin(slow)
    assert next_lane(queue).request == quick.request
    queue.begin(quick)
    queue.end(quick, 0.2)
    queue.end(slow, 10.0)
    assert next_lane(queue).request == quick.request, "it had less time"
    queue.begin(quick)
    assert next_lane(queue).request == slow.request, "it holds fewer slots"


def test_time_in_which_a_lane_asked_for_nothing_is_not_owed_to_it() -> None:
    """A newcomer begins where the others are, and does not shut them out until it caught up."""
    call = make_call()
    queue = queue_of(*items_of(call, 50))
    old = batch_of(call)
    for _ in range(3):
        take(queue)
        queue.begin(old)
        queue.end(old, 100.0)
    take(queue)
    queue.put(make_item(make_call(), lang="ja"))
    (newcomer,) = [lane for lane in queue.waiting if lane.request != old.request]
    assert newcomer.used == 300.0


def test_a_lane_that_comes_back_at_once_has_won_nothing() -> None:
    """The clock went on while it had its slot: who waited all the time is before it."""
    call = make_call()
    queue = queue_of(make_item(call, lang="ko"), *items_of(call, 50))
    slow = batch_of(call, "ko")
    queue.begin(slow)
    (lane,) = [lane for lane in queue.waiting if lane.request == slow.request]
    assert len(queue.take(lane)[0]) == 1
    queue.end(slow, 100.0)
    queue.put(make_item(call, lang="ko"))
    assert next_lane(queue).request.lang == "en"


def test_a_lane_is_remembered_while_it_holds_a_slot() -> None:
    """What it holds counts against it when it asks again, and is forgotten with the last."""
    queue = queue_of(make_item(make_call()))
    batch = batch_of(make_call())
    queue.begin(batch)
    take(queue)
    assert queue.waiting == []
    queue.put(make_item(make_call()))
    assert next_lane(queue).in_flight == 1
    take(queue)
    queue.end(batch, 3.0)
    queue.put(make_item(make_call()))
    assert queue.turn(next_lane(queue)) == (0, True, 3.0)


def test_what_waits_can_be_looked_at_while_it_changes() -> None:
    """Statistics are asked for in other threads, too, and nothing that changes breaks them."""
    call = make_call()
    items = items_of(call, 50)
    queue = queue_of(*items, *(make_item(make_call(), lang="ja") for _ in range(5)))
    seen = iter(queue)
    next(seen)
    take(queue)
    queue.put(make_item(make_call(), lang="ko"))
    for item in items[20:]:
        queue.discard(item)
    assert len(list(seen)) >= 5


class Model(RuleBasedStateMachine):
    """Any sequence of putting, taking and withdrawing loses no item and doubles none."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = FairQueue()
        self.waiting: list[Item] = []
        self.begun: list[Batch] = []
        tenants = [make_tenant(), make_tenant()]
        self.calls = [
            make_call(priority=priority, fair_by=fair_by, tenant=tenant)
            for priority in ("interactive", "bulk")
            for fair_by, tenant in zip((None, None, "a", "a"), tenants * 2, strict=True)
        ]

    @rule(
        place=st.integers(0, 7),
        lang=st.sampled_from(["en", "ja"]),
        most=st.sampled_from([1, 3, 10, 10, 10]),
        size=st.sampled_from([0, 40, 100]),
        first=st.booleans(),
    )
    def put(self, place: int, lang: str, most: int, size: int, *, first: bool) -> None:
        """An item comes."""
        item = make_item(self.calls[place], len(self.waiting), lang=lang, most=most, size=size)
        self.queue.put(item, first=first)
        self.waiting.insert(0 if first else len(self.waiting), item)

    @precondition(lambda self: self.waiting)
    @rule(
        max_bytes=st.sampled_from([50, 120, 1000]),
        late_places=st.sets(st.integers(0, 7), max_size=2),
    )
    def take(self, max_bytes: int, late_places: set[int]) -> None:
        """A slot is free."""
        late_calls = {self.calls[place] for place in late_places}
        lane = next_lane(self.queue)
        taken, late = self.queue.take(lane, max_bytes, lambda item: item.call in late_calls)
        key = lane.request, lane.tenant
        there = [item for item in self.waiting if (item.request, item.call.tenant) == key]
        assert all(item.call in late_calls for item in late)
        assert not any(item.call in late_calls for item in taken)
        self._check_full([*taken], [item for item in there if item not in late], max_bytes)
        self._check_order(taken, late, there)
        if taken:
            batch = make_batch(*taken)
            self.queue.begin(batch)
            self.begun.append(batch)
        for item in [*taken, *late]:
            self.waiting.remove(item)

    def _check_full(self, taken: list[Item], there: list[Item], max_bytes: int) -> None:
        most = min((item.most for item in taken), default=10)
        size = sum(item.size for item in taken)
        assert len(taken) <= most
        assert len(taken) <= 1 or size <= max_bytes
        heads = {item.call: item for item in reversed(there) if item not in taken}
        if len(taken) < most:
            for head in heads.values():
                fits = len(taken) < head.most and (not taken or size + head.size <= max_bytes)
                assert not fits, "the batch is as full as it can be"

    def _check_order(self, taken: list[Item], late: list[Item], there: list[Item]) -> None:
        for call in self.calls:
            mine = [item for item in taken if item.call is call]
            gone = [item for item in [*taken, *late] if item.call is call]
            queued = [item for item in there if item.call is call]
            assert [item for item in queued if item in mine] == mine, "in order"
            assert queued[: len(gone)] == gone, "and from the first"

    @precondition(lambda self: self.waiting)
    @rule()
    def probe(self) -> None:
        """A slot is free, in an outage."""
        (item,) = self.queue.take_probe(next_lane(self.queue))
        self.waiting.remove(item)

    @precondition(lambda self: self.begun)
    @rule(place=st.integers(0, 9), seconds=st.floats(0, 100))
    def end(self, place: int, seconds: float) -> None:
        """A slot is given back."""
        self.queue.end(self.begun.pop(place % len(self.begun)), seconds)

    @rule(place=st.integers(0, 7))
    def withdraw(self, place: int) -> None:
        """A caller goes."""
        for item in [item for item in self.waiting if item.call is self.calls[place]]:
            self.queue.discard(item)
            self.waiting.remove(item)

    @invariant()
    def holds_what_waits(self) -> None:
        """Nothing is lost and nothing doubled, and no lane is kept for nothing."""
        assert Counter(self.queue) == Counter(self.waiting)
        assert len(self.queue) == len(self.waiting)
        people = sum(item.call.is_interactive for item in self.waiting)
        assert sum(lane.interactive for lane in self.queue.waiting) == people
        wanted = {(item.request, item.call.tenant) for item in self.waiting}
        assert {(lane.request, lane.tenant) for lane in self.queue.waiting} == wanted
        begun = {(batch.request, batch.tenant) for batch in self.begun}
        assert self.queue._lanes.keys() == wanted | begun


TestModel = Model.TestCase

"""Items that wait take turns: by call, by batch key, and in order within a call."""

from collections import Counter
from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ximilar_ocr_async._scheduling.fair_queue import FairQueue


@frozen
class BatchKey:
    """A language, and how many may share a request."""

    lang: str
    most: int = 10


EN, JA = BatchKey("en"), BatchKey("ja")


@frozen
class Item:
    """The least that waits."""

    call: str
    batch_key: BatchKey
    number: int


CALLS = st.sampled_from(["a", "b", "c"])
BATCH_KEYS = st.builds(BatchKey, st.sampled_from(["en", "ja"]), st.sampled_from([1, 3, 10]))


def queue(*items: Item) -> Any:
    """Return a queue of *items*."""
    fair_queue: Any = FairQueue()
    for item in items:
        fair_queue.put(item)
    return fair_queue


def test_a_newcomer_is_in_the_next_batch() -> None:
    """However long one caller's queue is, another's first item is among the next ten."""
    fair_queue = queue(*(Item("bulk", EN, n) for n in range(1000)), Item("single", EN, 0))
    assert Item("single", EN, 0) in fair_queue.take()


def test_callers_share_a_batch_by_count() -> None:
    """Callers with much to do get as many places each, whoever came first."""
    items = [Item(call, EN, n) for call in "abc" for n in range(50)]
    fair_queue = queue(*items)
    taken = Counter(item.call for _ in range(6) for item in fair_queue.take())
    assert taken == {"a": 20, "b": 20, "c": 20}


def test_batch_keys_take_turns() -> None:
    """A batch key with little to do is not behind one with much."""
    fair_queue = queue(*(Item("a", EN, n) for n in range(100)), Item("a", JA, 0))
    fair_queue.take()
    assert fair_queue.take() == [Item("a", JA, 0)]


def test_what_is_put_first_comes_before_its_callers_others() -> None:
    """An item to be sent again is not sent behind all that came after it."""
    fair_queue = queue(Item("a", EN, 1), Item("a", EN, 2))
    fair_queue.put(Item("a", EN, 0), first=True)
    assert [item.number for item in fair_queue.take()] == [0, 1, 2]


@given(st.lists(st.builds(Item, CALLS, BATCH_KEYS, st.integers(0, 5))), CALLS)
def test_removing_keeps_the_others_in_their_order(items: list[Item], call: str) -> None:
    """What one caller withdraws leaves the others' items and their order."""
    fair_queue = queue(*items)
    removed = fair_queue.remove(lambda item: item.call == call)
    assert Counter(removed) == Counter(item for item in items if item.call == call)
    assert len(fair_queue) == len(items) - len(removed)
    left = [item for _ in range(len(fair_queue)) if fair_queue for item in fair_queue.take()]
    for other in {item.call for item in left}:
        for batch_key in {item.batch_key for item in items}:
            mine = [item for item in items if (item.call, item.batch_key) == (other, batch_key)]
            assert [
                item for item in left if (item.call, item.batch_key) == (other, batch_key)
            ] == mine


class Model(RuleBasedStateMachine):
    """Any sequence of putting, taking and withdrawing loses no item and doubles none."""

    def __init__(self) -> None:
        super().__init__()
        self.fair_queue: Any = FairQueue()
        self.waiting: list[Item] = []
        self.count = 0

    @rule(call=CALLS, batch_key=BATCH_KEYS, first=st.booleans())
    def put(self, call: str, batch_key: BatchKey, first: bool) -> None:
        """An item comes."""
        self.count += 1
        item = Item(call, batch_key, self.count)
        self.fair_queue.put(item, first=first)
        self.waiting.insert(0 if first else len(self.waiting), item)

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        """A slot is free."""
        taken = self.fair_queue.take()
        batch_keys = {item.batch_key for item in taken}
        assert len(batch_keys) == 1
        batch_key = batch_keys.pop()
        there = [item for item in self.waiting if item.batch_key == batch_key]
        assert len(taken) == min(batch_key.most, len(there)), "the batch is as full as it can be"
        for call in {item.call for item in taken}:
            mine = [item for item in taken if item.call == call]
            assert mine == [item for item in there if item.call == call][: len(mine)], "in order"
        shares = Counter(item.call for item in taken)
        left = {item.call for item in there if item not in taken}
        assert all(shares[call] >= max(shares.values()) - 1 for call in left), "in turns"
        for item in taken:
            self.waiting.remove(item)

    @rule(call=CALLS)
    def withdraw(self, call: str) -> None:
        """A caller goes."""
        self.fair_queue.remove(lambda item: item.call == call)
        self.waiting = [item for item in self.waiting if item.call != call]

    @invariant()
    def holds_what_waits(self) -> None:
        """Nothing is lost and nothing doubled."""
        assert Counter(self.fair_queue) == Counter(self.waiting)
        assert len(self.fair_queue) == len(self.waiting)


TestModel = Model.TestCase

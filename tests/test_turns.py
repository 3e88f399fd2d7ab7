"""Jobs that wait take turns: by caller, by lane, and in order within a caller."""

from collections import Counter

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ximilar_ocr_async.turns import Turns


@frozen
class Lane:
    """A language, and how many may share a request."""

    lang: str
    most: int = 10


EN, JA = Lane("en"), Lane("ja")


@frozen
class Job:
    """The least that waits."""

    call: str
    lane: Lane
    number: int


CALLS = st.sampled_from(["a", "b", "c"])
LANES = st.builds(Lane, st.sampled_from(["en", "ja"]), st.sampled_from([1, 3, 10]))


def queue(*jobs: Job) -> Turns[Job]:
    """Return a queue of *jobs*."""
    turns: Turns[Job] = Turns()
    for job in jobs:
        turns.put(job)
    return turns


def test_a_newcomer_is_in_the_next_batch() -> None:
    """However long one caller's queue is, another's first job is among the next ten."""
    turns = queue(*(Job("bulk", EN, n) for n in range(1000)), Job("single", EN, 0))
    assert Job("single", EN, 0) in turns.take()


def test_callers_share_a_batch_by_count() -> None:
    """Callers with much to do get as many places each, whoever came first."""
    jobs = [Job(call, EN, n) for call in "abc" for n in range(50)]
    turns = queue(*jobs)
    taken = Counter(job.call for _ in range(6) for job in turns.take())
    assert taken == {"a": 20, "b": 20, "c": 20}


def test_lanes_take_turns() -> None:
    """A lane with little to do is not behind one with much."""
    turns = queue(*(Job("a", EN, n) for n in range(100)), Job("a", JA, 0))
    turns.take()
    assert turns.take() == [Job("a", JA, 0)]


def test_what_is_put_first_comes_before_its_callers_others() -> None:
    """A job to be sent again is not sent behind all that came after it."""
    turns = queue(Job("a", EN, 1), Job("a", EN, 2))
    turns.put(Job("a", EN, 0), first=True)
    assert [job.number for job in turns.take()] == [0, 1, 2]


@given(st.lists(st.builds(Job, CALLS, LANES, st.integers(0, 5))), CALLS)
def test_removing_keeps_the_others_in_their_order(jobs: list[Job], call: str) -> None:
    """What one caller withdraws leaves the others' jobs and their order."""
    turns = queue(*jobs)
    removed = turns.remove(lambda job: job.call == call)
    assert Counter(removed) == Counter(job for job in jobs if job.call == call)
    assert len(turns) == len(jobs) - len(removed)
    left = [job for _ in range(len(turns)) if turns for job in turns.take()]
    for other in {job.call for job in left}:
        for lane in {job.lane for job in jobs}:
            mine = [job for job in jobs if (job.call, job.lane) == (other, lane)]
            assert [job for job in left if (job.call, job.lane) == (other, lane)] == mine


class Model(RuleBasedStateMachine):
    """Any sequence of putting, taking and withdrawing loses no job and doubles none."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[Job] = Turns()
        self.waiting: list[Job] = []
        self.count = 0

    @rule(call=CALLS, lane=LANES, first=st.booleans())
    def put(self, call: str, lane: Lane, first: bool) -> None:
        """A job comes."""
        self.count += 1
        job = Job(call, lane, self.count)
        self.turns.put(job, first=first)
        self.waiting.insert(0 if first else len(self.waiting), job)

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self) -> None:
        """A slot is free."""
        taken = self.turns.take()
        lanes = {job.lane for job in taken}
        assert len(lanes) == 1
        lane = lanes.pop()
        there = [job for job in self.waiting if job.lane == lane]
        assert len(taken) == min(lane.most, len(there)), "the batch is as full as it can be"
        for call in {job.call for job in taken}:
            mine = [job for job in taken if job.call == call]
            assert mine == [job for job in there if job.call == call][: len(mine)], "in order"
        shares = Counter(job.call for job in taken)
        left = {job.call for job in there if job not in taken}
        assert all(shares[call] >= max(shares.values()) - 1 for call in left), "in turns"
        for job in taken:
            self.waiting.remove(job)

    @rule(call=CALLS)
    def withdraw(self, call: str) -> None:
        """A caller goes."""
        self.turns.remove(lambda job: job.call == call)
        self.waiting = [job for job in self.waiting if job.call != call]

    @invariant()
    def holds_what_waits(self) -> None:
        """Nothing is lost and nothing doubled."""
        assert Counter(self.turns) == Counter(self.waiting)
        assert len(self.turns) == len(self.waiting)


TestModel = Model.TestCase

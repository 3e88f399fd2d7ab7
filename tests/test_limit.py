"""The limit finds what the service can do, and shares it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.limit import RAMP_FROM, Limit

SIGNS = st.lists(st.sampled_from(["well", "overload"]), max_size=200)


@given(ceiling=st.integers(1, 300), signs=SIGNS)
def test_slots_stay_between_one_and_the_ceiling(ceiling: int, signs: list[str]) -> None:
    """Whatever happens, there is a slot, and never more than were allowed."""
    limit = Limit(ceiling)
    for sign in signs:
        if sign == "well":
            limit.succeed(in_flight=limit.slots)
        else:
            limit.overload(limit.begin())
        assert 1 <= limit.slots <= ceiling


@pytest.mark.parametrize("ceiling", [1, 3, RAMP_FROM])
def test_a_low_ceiling_is_used_from_the_start(ceiling: int) -> None:
    """Up to eight slots there is nothing to find out."""
    assert Limit(ceiling).slots == ceiling


def test_a_high_ceiling_is_reached_by_doubling() -> None:
    """While all is well, each round trip doubles the slots."""
    limit = Limit(100)
    seen = []
    while limit.slots < 100:
        seen.append(limit.slots)
        for _ in range(limit.slots):
            limit.succeed(in_flight=limit.slots)
    assert seen == [8, 16, 32, 64]


def test_after_an_overload_growth_is_by_one_in_a_round_trip() -> None:
    """The ramp ends with the first sign of overload."""
    limit = Limit(100)
    limit.overload(limit.begin())
    before = limit.slots
    for _ in range(limit.slots * 5):
        limit.succeed(in_flight=limit.slots)
    assert before + 3 <= limit.slots <= before + 5


def test_attempts_in_flight_together_count_once() -> None:
    """Twenty refusals of the same moment are one sign."""
    limit = Limit(20, adaptive=True)
    tickets = [limit.begin() for _ in range(20)]
    for ticket in tickets:
        limit.overload(ticket)
    once = Limit(20)
    once.overload(once.begin())
    assert limit.slots == once.slots


def test_unused_slots_prove_nothing() -> None:
    """Success with most slots empty does not grow the limit."""
    limit = Limit(100)
    for _ in range(50):
        limit.succeed(in_flight=3)
    assert limit.slots == RAMP_FROM


def test_it_can_be_switched_off() -> None:
    """Without adapting, the limit is the ceiling."""
    limit = Limit(100, adaptive=False)
    limit.overload(limit.begin())
    assert limit.slots == 100


def _share(limits: list[Limit], capacity: int, rounds: int) -> list[float]:
    """Let *limits* work at one service, which refuses what is over its *capacity* at random."""
    rng = random.Random(1)
    sums = [0.0] * len(limits)
    for _ in range(rounds):
        requests = [
            (i, limit.begin()) for i, limit in enumerate(limits) for _ in range(limit.slots)
        ]
        rng.shuffle(requests)
        for place, (i, ticket) in enumerate(requests):
            if place < capacity:
                limits[i].succeed(in_flight=limits[i].slots)
            else:
                limits[i].overload(ticket)
        sums = [total + limit.slots for total, limit in zip(sums, limits, strict=True)]
    return sums


def test_capacity_is_used_nearly_in_full() -> None:
    """At a service of 20, a ceiling of 64 settles close below 20."""
    (total,) = _share([Limit(64)], capacity=20, rounds=500)
    assert 18 <= total / 500 <= 21


def test_strangers_come_to_equal_shares() -> None:
    """Four limits that start apart share a service without talking to each other."""
    limits = [Limit(64) for _ in range(4)]
    for _ in range(40):
        limits[0].succeed(in_flight=limits[0].slots)
    shares = _share(limits, capacity=20, rounds=1000)
    assert min(shares) / max(shares) >= 0.8

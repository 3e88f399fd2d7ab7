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
    for now, sign in enumerate(signs):
        if sign == "well":
            limit.succeed(1.0, in_flight=limit.slots)
        else:
            limit.overload(began=now, now=now)
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
            limit.succeed(1.0, in_flight=limit.slots)
    assert seen == [8, 16, 32, 64]


def test_after_an_overload_growth_is_by_one_in_a_round_trip() -> None:
    """The ramp ends with the first sign of overload."""
    limit = Limit(100)
    limit.overload(began=0, now=1)
    before = limit.slots
    for _ in range(limit.slots * 5):
        limit.succeed(1.0, in_flight=limit.slots)
    assert before + 3 <= limit.slots <= before + 5


def test_attempts_in_flight_together_count_once() -> None:
    """Refusals of attempts that began before the decrease, or within a round trip, add nothing."""
    limit = Limit(8)
    limit.succeed(2.0, in_flight=8)
    limit.overload(began=9, now=10)
    once = limit.slots
    for now in (10, 10.5, 11, 11.9):
        limit.overload(began=9.9, now=now)
        limit.overload(began=now, now=now)
    limit.overload(began=9.9, now=13)
    assert limit.slots == once
    limit.overload(began=11, now=12)
    assert limit.slots < once


def test_unused_slots_prove_nothing() -> None:
    """Success with most slots empty does not grow the limit."""
    limit = Limit(100)
    for _ in range(50):
        limit.succeed(1.0, in_flight=3)
    assert limit.slots == RAMP_FROM


def test_it_can_be_switched_off() -> None:
    """Without adapting, the limit is the ceiling."""
    limit = Limit(100, adaptive=False)
    limit.overload(began=0, now=1)
    assert limit.slots == 100


def _share(limits: list[Limit], capacity: int, rounds: int) -> list[float]:
    """Let *limits* work at one service, which refuses what is over its *capacity* at random."""
    rng = random.Random(1)
    sums = [0.0] * len(limits)
    for now in range(rounds):
        requests = [i for i, limit in enumerate(limits) for _ in range(limit.slots)]
        rng.shuffle(requests)
        for place, i in enumerate(requests):
            if place < capacity:
                limits[i].succeed(1.0, in_flight=limits[i].slots)
            else:
                limits[i].overload(began=now, now=now + 0.5)
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
        limits[0].succeed(1.0, in_flight=limits[0].slots)
    shares = _share(limits, capacity=20, rounds=1000)
    assert min(shares) / max(shares) >= 0.8

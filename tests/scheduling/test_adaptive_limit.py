"""The limit finds what the service can do, and shares it."""

import random
from copy import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.adaptive_limit import RAMP_FROM, AdaptiveLimit

SIGNS = st.lists(st.sampled_from(["well", "overload"]), max_size=200)


@given(ceiling=st.integers(1, 300), signs=SIGNS)
def test_slots_stay_between_one_and_the_ceiling(ceiling: int, signs: list[str]) -> None:
    """Whatever happens, there is a slot, and never more than were allowed."""
    limit = AdaptiveLimit(ceiling)
    for now, sign in enumerate(signs):
        if sign == "well":
            limit.succeed(1.0, in_flight=limit.slots)
        else:
            limit.overload(began=now, now=now)
        assert 1 <= limit.slots <= ceiling


@pytest.mark.parametrize("ceiling", [1, 3, RAMP_FROM])
def test_a_low_ceiling_is_used_from_the_start(ceiling: int) -> None:
    """Up to eight slots there is nothing to find out."""
    assert AdaptiveLimit(ceiling).slots == ceiling


def test_a_high_ceiling_is_reached_by_doubling() -> None:
    """While all is well, each round trip doubles the slots."""
    limit = AdaptiveLimit(100)
    seen = []
    while limit.slots < 100:
        seen.append(limit.slots)
        for _ in range(limit.slots):
            limit.succeed(1.0, in_flight=limit.slots)
    assert seen == [8, 16, 32, 64]


def test_after_an_overload_growth_is_by_one_in_a_round_trip() -> None:
    """The ramp ends with the first sign of overload."""
    limit = AdaptiveLimit(100)
    limit.overload(began=0, now=1)
    before = limit.slots
    for _ in range(limit.slots * 5):
        limit.succeed(1.0, in_flight=limit.slots)
    assert before + 3 <= limit.slots <= before + 5


def test_attempts_in_flight_together_count_once() -> None:
    """Refusals of attempts that began before the decrease, or within a round trip, add nothing."""
    limit = AdaptiveLimit(8)
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
    limit = AdaptiveLimit(100)
    for _ in range(50):
        limit.succeed(1.0, in_flight=3)
    assert limit.slots == RAMP_FROM


def test_it_can_be_switched_off() -> None:
    """Without adapting, the limit is the ceiling."""
    limit = AdaptiveLimit(100, adaptive=False)
    limit.overload(began=0, now=1)
    assert limit.slots == 100


# ---- a service that is down was not asked too much


def _after(signs: list[str], ceiling: int) -> AdaptiveLimit:
    """Return a limit that has seen *signs*, a second apart, and then a success."""
    limit = AdaptiveLimit(ceiling)
    for now, sign in enumerate([*signs, "well"]):
        if sign == "well":
            limit.succeed(0.5, in_flight=limit.slots)
        else:
            limit.overload(began=now, now=now)
    return limit


def _growth(limit: AdaptiveLimit) -> list[int]:
    """Return how the slots of *limit* grow while all goes well."""
    grown = []
    for _ in range(50):
        limit.succeed(0.5, in_flight=limit.slots)
        grown.append(limit.slots)
    return grown


@given(ceiling=st.integers(1, 300), signs=SIGNS, times=st.integers(1, 3))
def test_a_decrease_that_is_forgiven_leaves_no_trace(
    ceiling: int, signs: list[str], times: int
) -> None:
    """Slots and ramp are as before it, and grow as if it had not been."""
    limit, now = _after(signs, ceiling), len(signs) + 1.0
    spared, before = copy(limit), limit.slots
    limit.overload(began=now, now=now)
    assert limit.slots < before or before < RAMP_FROM
    for _ in range(times):
        limit.forgive()
    assert limit.slots == before
    assert _growth(limit) == _growth(spared)


@given(ceiling=st.integers(1, 300), signs=SIGNS)
def test_after_a_success_there_is_nothing_to_forgive(ceiling: int, signs: list[str]) -> None:
    """A service that answered well since was there, so its refusals meant what they said."""
    limit = _after(signs, ceiling)
    spared = copy(limit)
    limit.forgive()
    assert limit.slots == spared.slots
    assert _growth(limit) == _growth(spared)


def test_a_ramp_that_is_forgiven_goes_on() -> None:
    """An outage at the start does not leave a high ceiling to be reached one by one."""
    limit = AdaptiveLimit(100)
    limit.overload(began=0, now=1)
    limit.forgive()
    for _ in range(RAMP_FROM):
        limit.succeed(1.0, in_flight=limit.slots)
    assert limit.slots == 2 * RAMP_FROM


def test_an_unused_slot_is_enough_to_keep_a_decrease() -> None:
    """A success counts as one even where it does not grow the limit."""
    limit = AdaptiveLimit(100)
    limit.overload(began=0, now=1)
    shrunk = limit.slots
    limit.succeed(1.0, in_flight=1)
    limit.forgive()
    assert limit.slots == shrunk < RAMP_FROM


def test_a_limit_that_does_not_listen_has_nothing_to_forgive() -> None:
    """Without adapting, the limit is the ceiling, forgiven or not."""
    limit = AdaptiveLimit(100, adaptive=False)
    limit.overload(began=0, now=1)
    limit.forgive()
    assert limit.slots == 100


# ---- many at one service


def _share(limits: list[AdaptiveLimit], capacity: int, rounds: int) -> list[float]:
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
    (total,) = _share([AdaptiveLimit(64)], capacity=20, rounds=500)
    assert 18 <= total / 500 <= 21


def test_strangers_come_to_equal_shares() -> None:
    """Four limits that start apart share a service without talking to each other."""
    limits = [AdaptiveLimit(64) for _ in range(4)]
    for _ in range(40):
        limits[0].succeed(1.0, in_flight=limits[0].slots)
    shares = _share(limits, capacity=20, rounds=1000)
    assert min(shares) / max(shares) >= 0.8

"""How long the service takes is learnt from its answers, and tells what can be read in time."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.round_trip import SMOOTHING, SPREADS, STALE, RoundTrip

SECONDS = st.floats(0.01, 100)
AT_ONCE, LONG = 0.0, 1e9
"""[s] that an item waited for a slot."""


def observed(*seconds: float) -> RoundTrip:
    """Return what is known after answers that took so many seconds, one each second."""
    round_trip = RoundTrip()
    for now, taken in enumerate(seconds):
        round_trip.observe(taken, now)
    return round_trip


def test_without_an_answer_nothing_is_needed() -> None:
    """What is not known keeps nothing from being sent."""
    assert RoundTrip().needed(AT_ONCE) == RoundTrip().needed(LONG) == 0


@given(seconds=SECONDS, count=st.integers(1, 50))
def test_a_service_that_always_takes_as_long_is_known_at_once(seconds: float, count: int) -> None:
    """Its first answer tells all: mean, quickest and what nearly every answer keeps within."""
    round_trip = observed(*[seconds] * count)
    assert round_trip.mean == pytest.approx(seconds)
    assert round_trip.needed(AT_ONCE) == pytest.approx(seconds)
    assert round_trip.needed(LONG) == pytest.approx(seconds)


@given(seconds=st.lists(SECONDS, min_size=1, max_size=50))
def test_what_comes_at_once_needs_least(seconds: list[float]) -> None:
    """It may be read as quickly as ever; what waited must be read as nearly all are."""
    round_trip = observed(*seconds)
    assert min(seconds) * 0.999 <= round_trip.mean <= max(seconds) * 1.001
    assert min(seconds) * 0.999 <= round_trip.needed(AT_ONCE) <= round_trip.mean * 1.001
    assert round_trip.needed(LONG) >= round_trip.mean


@given(seconds=st.lists(st.floats(0.8, 1.2), min_size=50, max_size=200))
def test_nearly_every_answer_keeps_within_what_is_needed(seconds: list[float]) -> None:
    """A mean and four spreads above it hold what varies by a fifth, and not twice as much."""
    needed = observed(*seconds).needed(LONG)
    assert fmean(seconds) - 0.25 <= needed <= 1.2 + SPREADS * 0.4


@given(waited=st.floats(0, 10))
def test_an_eighth_of_an_answer_is_no_wait(waited: float) -> None:
    """Whoever waited for longer is behind others, and needs as much as they do."""
    round_trip = observed(4.0, 5.0, 6.0)
    is_at_once = waited < round_trip.mean * SMOOTHING
    assert (round_trip.needed(waited) < round_trip.mean) == is_at_once


@given(first=SECONDS, second=SECONDS)
def test_a_service_that_changes_is_known_again(first: float, second: float) -> None:
    """After many answers only the new ones count: mean, spread, and in the end the quickest."""
    round_trip = observed(*[first] * 20, *[second] * 1000)
    assert round_trip.mean == pytest.approx(second, rel=0.01)
    assert round_trip.needed(LONG) == pytest.approx(second, rel=0.01)
    assert round_trip.needed(AT_ONCE) == pytest.approx(second, rel=0.01)


@given(heard=st.floats(0, 1e6), age=st.floats(0, 1e6))
def test_what_is_known_is_stale_after_a_minute(heard: float, age: float) -> None:
    """It counts from the last answer, and without one there is nothing to be stale of."""
    round_trip = RoundTrip()
    assert round_trip.is_stale(heard)
    round_trip.observe(1.0, heard)
    assert round_trip.is_stale(heard + age) == ((heard + age) - heard > STALE)

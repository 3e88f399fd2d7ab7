"""Requests are spaced exactly."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter


@given(st.lists(st.floats(0, 5), max_size=100), st.floats(0.01, 2))
def test_no_two_requests_are_closer_than_the_interval(gaps: list[float], interval: float) -> None:
    """However they come, requests that wait as told begin an interval apart or more."""
    rate_limiter, now, begun = RateLimiter(interval), 0.0, []
    for gap in gaps:
        now += gap
        now += rate_limiter.delay(now)
        rate_limiter.begin(now)
        begun.append(now)
    assert all(b - a >= interval - 1e-9 for a, b in pairwise(begun))


def test_a_request_after_a_rest_need_not_wait() -> None:
    """Rest is not saved up, and not owed."""
    rate_limiter = RateLimiter(1.0)
    rate_limiter.begin(0.0)
    assert rate_limiter.delay(0.25) == pytest.approx(0.75)
    assert rate_limiter.delay(100.0) == 0
    rate_limiter.begin(100.0)
    assert rate_limiter.delay(100.0) == pytest.approx(1.0)


def test_without_an_interval_nothing_waits() -> None:
    """No rate, no spacing."""
    rate_limiter = RateLimiter(0.0)
    rate_limiter.begin(5.0)
    assert rate_limiter.delay(5.0) == 0

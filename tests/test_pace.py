"""Requests are spaced exactly."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.pace import Pace


@given(st.lists(st.floats(0, 5), max_size=100), st.floats(0.01, 2))
def test_no_two_requests_are_closer_than_the_interval(gaps: list[float], interval: float) -> None:
    """However they come, requests that wait as told begin an interval apart or more."""
    pace, now, begun = Pace(interval), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.wait(now)
        pace.begin(now)
        begun.append(now)
    assert all(b - a >= interval - 1e-9 for a, b in pairwise(begun))


def test_a_request_after_a_rest_need_not_wait() -> None:
    """Rest is not saved up, and not owed."""
    pace = Pace(1.0)
    pace.begin(0.0)
    assert pace.wait(0.25) == pytest.approx(0.75)
    assert pace.wait(100.0) == 0
    pace.begin(100.0)
    assert pace.wait(100.0) == pytest.approx(1.0)


def test_without_an_interval_nothing_waits() -> None:
    """No rate, no spacing."""
    pace = Pace(0.0)
    pace.begin(5.0)
    assert pace.wait(5.0) == 0

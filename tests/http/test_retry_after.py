"""What a service may put into a Retry-After header, and what is made of it."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._http.retry_after import parse_date, parse_retry_after

NOW = datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC)


@given(milliseconds=st.integers(0, 10**12 - 1))
def test_a_retry_after_in_seconds_is_read(milliseconds: int) -> None:
    """Whole and decimal seconds are read as they are, spaces aside."""
    seconds, rest = divmod(milliseconds, 1000)
    assert parse_retry_after(f" {seconds}", now=NOW) == seconds
    assert parse_retry_after(f"{seconds}.{rest:03}\t", now=NOW) == float(f"{seconds}.{rest:03}")


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_each_date_form_of_http_is_read(date: str) -> None:
    """A date is the pause until then, and no pause at all once it is past."""
    assert parse_retry_after(date, now=NOW) == 7.0
    assert parse_retry_after(date, now=NOW + timedelta(days=1)) == 0.0


@given(
    wait=st.integers(-(10**9), 10**9),
    zone=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_date_of_any_zone_is_read(wait: int, zone: timezone) -> None:
    """The pause until a date does not depend on the zone in which it is told."""
    date = (NOW + timedelta(seconds=wait)).astimezone(zone)
    assert parse_retry_after(format_datetime(date), now=NOW) == max(0, wait)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        "",
        " ",
        "-1",
        "+1",
        "1_0",
        "1e3",
        ".5",
        "5.",
        "inf",
        "nan",
        "٣",
        "²",
        "9" * 10,
        "soon",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +" + "9" * 7,
        "Sun, 06 Nov " + "9" * 5000 + " 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
    ],
)
def test_garbage_is_no_retry_after(garbage: str | None) -> None:
    """A header that makes no sense is as good as none."""
    assert parse_retry_after(garbage, now=NOW) is None


_SCRAPS = st.sampled_from(
    ["Sun,", "06", "Nov", "1994", "08:49:37", "GMT", "-", "+9", ":", ",", " "]
)


@given(text=st.text() | st.lists(_SCRAPS | st.text(max_size=2)).map("".join))
@example("0 0 0 0 0 0 0")
def test_no_retry_after_raises(text: str) -> None:
    """Whatever stands in the header, it is a pause that is finite and not negative, or none."""
    pause = parse_retry_after(text, now=NOW)
    assert pause is None or 0.0 <= pause < math.inf


# ---- dates


@given(
    seconds=st.integers(-(10**10), 10**11),
    zone=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_date_is_read_as_utc(seconds: int, zone: timezone) -> None:
    """Whatever its zone, the moment is kept, and told in UTC."""
    moment = NOW + timedelta(seconds=seconds)
    date = parse_date(format_datetime(moment.astimezone(zone)))
    assert date == moment
    assert date.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:30 GMT",
        "Sunday, 06-Nov-94 08:49:30 GMT",
        "Sun Nov  6 08:49:30 1994",
        "Sun, 06 Nov 1994 08:49:30 -0000",
        "06 Nov 1994 09:49:30 +0100",
    ],
)
def test_a_date_without_a_zone_is_utc(text: str) -> None:
    """Each form of HTTP's, one of which names no zone, is the same moment."""
    date = parse_date(text)
    assert date == NOW
    assert date.tzinfo is UTC


@pytest.fixture
def _in_japan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run nine hours away from UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_japan")
@pytest.mark.parametrize("text", ["Sun Nov  6 08:49:30 1994", "Sun, 06 Nov 1994 08:49:30 -0000"])
def test_the_machines_own_zone_does_not_matter(text: str) -> None:
    """A date that names no zone is in UTC wherever it is read."""
    assert parse_date(text) == NOW


@pytest.mark.parametrize("text", [None, "", " ", "0", "soon", "Sun, 32 Nov 1994 08:49:30 GMT"])
def test_what_is_no_date_is_none(text: str | None) -> None:
    """A header that is missing or makes no sense is no date."""
    assert parse_date(text) is None


@given(text=st.none() | st.text() | st.lists(_SCRAPS | st.text(max_size=2)).map(" ".join))
@example("Fri, 31 Dec 9999 23:59:59 -0100")
@example("Mon, 01 Jan 0001 00:00:00 +0100")
@example("0 0 0 0 0 0 0")
def test_no_date_raises(text: str | None) -> None:
    """Whatever stands in the header, it is a moment in UTC or none."""
    date = parse_date(text)
    assert date is None or date.tzinfo is UTC

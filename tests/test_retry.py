"""Verdicts are complete, pauses are bounded, and nobody pays twice unasked."""

import math
import random
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async.errors import (
    AuthError,
    ConnectionFailed,
    OCRError,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)
from ximilar_ocr_async.retry import (
    MAX_RETRY_AFTER,
    VERDICTS,
    RetryPolicy,
    Verdict,
    judge,
    parse_retry_after,
)

NOW = datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC)
RESENT = [cls for cls, verdict in VERDICTS.items() if verdict is Verdict.RESEND]
MAYBE_BILLED = [cls for cls, verdict in VERDICTS.items() if verdict is Verdict.RESEND_MAYBE_BILLED]
GIVEN_UP = [cls for cls in VERDICTS if cls not in {*RESENT, *MAYBE_BILLED}]


def _tree(cls: type[OCRError]) -> set[type[OCRError]]:
    """Return *cls* and what is under it, as far as this package defines it."""
    below = {cls}.union(*map(_tree, cls.__subclasses__()))
    return {found for found in below if found.__module__.startswith("ximilar_ocr_async.")}


# ---- verdicts


def test_every_error_has_a_verdict() -> None:
    """No class of error is without a verdict of its own."""
    assert set(VERDICTS) == _tree(OCRError)


@pytest.mark.parametrize(
    "error, verdict",
    [
        (ConnectionFailed(), Verdict.RESEND),
        (RateLimited(), Verdict.RESEND),
        (ServiceUnavailable(), Verdict.RESEND),
        (ReplyLost(), Verdict.RESEND_MAYBE_BILLED),
        (ReplyError(), Verdict.RESEND_MAYBE_BILLED),
        (RequestRejected(), Verdict.FAIL),
        (AuthError(), Verdict.STOP),
    ],
)
def test_the_verdicts_that_cost_money_are_as_promised(error: OCRError, verdict: Verdict) -> None:
    """What was surely not billed is sent again, what may have been is counted, the rest ends."""
    assert judge(error) is verdict


def test_a_class_of_the_callers_own_is_judged_as_its_base() -> None:
    """A subclass that the table does not know gets the verdict on its nearest base."""

    class Throttled(RateLimited):
        """The caller's own."""

    assert judge(Throttled()) is Verdict.RESEND


# ---- how often and how soon

POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 200),
    base=st.floats(0, 1e3),
    cap=st.floats(0, 1e3),
    resend_maybe_billed=st.integers(0, 5),
)


@given(
    policy=POLICIES,
    cls=st.sampled_from(RESENT),
    attempts=st.integers(1, 250),
    retry_after=st.none() | st.floats(-1e9, 1e9),
)
def test_a_pause_is_bounded_and_ends(
    policy: RetryPolicy, cls: type[OCRError], attempts: int, retry_after: float | None
) -> None:
    """A pause is never negative nor longer than backoff or Retry-After allow; attempts end."""
    error = cls(retry_after=retry_after)
    pause = policy.resend_after(error, attempts=attempts, maybe_billed=0)
    if attempts >= policy.attempts:
        assert pause is None
        return
    asked = min(retry_after or 0.0, MAX_RETRY_AFTER)
    assert pause is not None
    assert max(0.0, asked) <= pause
    assert pause <= max(min(policy.cap, policy.base * 2.0 ** (attempts - 1)), asked)


@pytest.mark.parametrize(
    "attempts, longest", [(1, 2.0), (2, 4.0), (3, 8.0), (4, 10.0), (5000, 10.0)]
)
def test_the_jitter_is_full(attempts: int, longest: float) -> None:
    """Pauses are drawn evenly from nothing up to the longest, which doubles up to the cap."""
    random.seed(attempts)
    policy = RetryPolicy(attempts=10_000, base=2.0, cap=10.0)
    error = ServiceUnavailable()
    draws = [policy.resend_after(error, attempts=attempts, maybe_billed=0) for _ in range(4000)]
    pauses = [pause / longest for pause in draws if pause is not None]
    assert len(pauses) == 4000
    assert 0.0 <= min(pauses) < 0.01
    assert 0.99 < max(pauses) <= 1.0
    assert sum(pauses) / 4000 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("asked, honoured", [(0.0, 0.0), (7.5, 7.5), (119, 119), (3600, 120)])
def test_a_retry_after_is_honoured_up_to_two_minutes(asked: float, honoured: float) -> None:
    """The service may ask for a longer pause than the backoff's, up to a limit."""
    policy = RetryPolicy(base=0.0)
    error = RateLimited(retry_after=asked)
    assert policy.resend_after(error, attempts=1, maybe_billed=0) == honoured


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("cls", MAYBE_BILLED)
def test_a_maybe_billed_record_is_resent_as_often_as_allowed(
    cls: type[OCRError], allowed: int
) -> None:
    """The reply may get lost as often as the policy pays for, and once more ends it."""
    policy = RetryPolicy(resend_maybe_billed=allowed, base=0.0)
    pauses = [policy.resend_after(cls(), attempts=lost, maybe_billed=lost) for lost in (1, 2, 3)]
    assert pauses == [0.0] * allowed + [None] * (3 - allowed)


@pytest.mark.parametrize("cls", RESENT)
def test_money_is_no_reason_to_give_up_on_what_cost_none(cls: type[OCRError]) -> None:
    """An unbilled failure is sent again whatever was lost before it."""
    policy = RetryPolicy(resend_maybe_billed=0, base=0.0)
    assert policy.resend_after(cls(), attempts=3, maybe_billed=3) == 0.0


@given(policy=POLICIES, cls=st.sampled_from(GIVEN_UP))
def test_what_cannot_be_helped_is_not_sent_again(policy: RetryPolicy, cls: type[OCRError]) -> None:
    """No policy and no Retry-After sends a record again whose verdict is final."""
    error = cls(retry_after=1.0)
    assert policy.resend_after(error, attempts=1, maybe_billed=0) is None


@pytest.mark.parametrize(
    "option",
    [
        {"attempts": 0},
        {"attempts": math.nan},
        {"base": -0.1},
        {"cap": -1},
        {"cap": "60"},
        {"resend_maybe_billed": -1},
        {"resend_maybe_billed": True},
    ],
)
def test_a_policy_out_of_range_is_refused(option: dict[str, Any]) -> None:
    """An option of a policy under its least, or no number, is an error that names it."""
    with pytest.raises(OptionError) as caught:
        RetryPolicy(**option)
    assert str(caught.value).startswith(f"{next(iter(option))} is ")


def test_the_default_policy_pays_twice_at_most() -> None:
    """Unless told otherwise, a lost reply is asked for once more, and an outage is sat out."""
    policy = RetryPolicy()
    assert policy.resend_after(ReplyLost(), attempts=1, maybe_billed=1) is not None
    assert policy.resend_after(ReplyLost(), attempts=2, maybe_billed=2) is None
    assert policy.resend_after(ServiceUnavailable(), attempts=6, maybe_billed=0) is not None
    assert policy.resend_after(ServiceUnavailable(), attempts=7, maybe_billed=0) is None


# ---- Retry-After


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

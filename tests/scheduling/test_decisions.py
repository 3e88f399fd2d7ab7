"""What becomes of an item: pauses are bounded, and nobody pays twice unasked."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.decisions import (
    VERDICTS,
    Decision,
    Done,
    Fail,
    Isolate,
    Resend,
    Situation,
    Split,
    Stop,
    Verdict,
    decide,
)
from ximilar_ocr_async.errors import (
    AuthError,
    OCRError,
    OptionError,
    RateLimited,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)
from ximilar_ocr_async.retry import MAX_RETRY_AFTER, RetryPolicy

RESENT = [cls for cls, verdict in VERDICTS.items() if verdict is Verdict.RESEND]
MAYBE_BILLED = [cls for cls, verdict in VERDICTS.items() if verdict is Verdict.RESEND_MAYBE_BILLED]
GIVEN_UP = [cls for cls in VERDICTS if cls not in {*RESENT, *MAYBE_BILLED}]

# ---- how often and how soon


def resend_after(
    policy: RetryPolicy, error: OCRError, *, attempts: int, maybe_billed: int
) -> float | None:
    """Return the pause before another attempt, if there is to be one."""
    situation = Situation(attempts=attempts, maybe_billed=maybe_billed)
    decision = decide(error, situation, policy)
    return decision.after if isinstance(decision, Resend) else None


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
    pause = resend_after(policy, error, attempts=attempts, maybe_billed=0)
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
    draws = [resend_after(policy, error, attempts=attempts, maybe_billed=0) for _ in range(4000)]
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
    assert resend_after(policy, error, attempts=1, maybe_billed=0) == honoured


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("cls", MAYBE_BILLED)
def test_a_maybe_billed_record_is_resent_as_often_as_allowed(
    cls: type[OCRError], allowed: int
) -> None:
    """The reply may get lost as often as the policy pays for, and once more ends it."""
    policy = RetryPolicy(resend_maybe_billed=allowed, base=0.0)
    pauses = [resend_after(policy, cls(), attempts=lost, maybe_billed=lost) for lost in (1, 2, 3)]
    assert pauses == [0.0] * allowed + [None] * (3 - allowed)


@pytest.mark.parametrize("cls", RESENT)
def test_money_is_no_reason_to_give_up_on_what_cost_none(cls: type[OCRError]) -> None:
    """An unbilled failure is sent again whatever was lost before it."""
    policy = RetryPolicy(resend_maybe_billed=0, base=0.0)
    assert resend_after(policy, cls(), attempts=3, maybe_billed=3) == 0.0


@given(policy=POLICIES, cls=st.sampled_from(GIVEN_UP))
def test_what_cannot_be_helped_is_not_sent_again(policy: RetryPolicy, cls: type[OCRError]) -> None:
    """No policy and no Retry-After sends a record again whose verdict is final."""
    error = cls(retry_after=1.0)
    assert resend_after(policy, error, attempts=1, maybe_billed=0) is None


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
    assert resend_after(policy, ReplyLost(), attempts=1, maybe_billed=1) is not None
    assert resend_after(policy, ReplyLost(), attempts=2, maybe_billed=2) is None
    assert resend_after(policy, ServiceUnavailable(), attempts=6, maybe_billed=0) is not None
    assert resend_after(policy, ServiceUnavailable(), attempts=7, maybe_billed=0) is None


# ---- what becomes of an item


BUSY, LOST = ServiceUnavailable("503", status=503), ReplyLost("lost")
REFUSED, LARGE = RequestRejected("400", status=400), RequestRejected("413", status=413)
CRASH, DENIED = ServiceUnavailable("500", status=500), AuthError("401", status=401)
AT_ONCE = RetryPolicy(base=0.0)


@pytest.mark.parametrize(
    "result, situation, decision",
    [
        ("a value", Situation(), Done("a value")),
        (REFUSED, Situation(records=1, is_whole=True), Fail(REFUSED)),
        (REFUSED, Situation(records=10, is_whole=True), Isolate()),
        (REFUSED, Situation(records=10), Fail(REFUSED)),
        (LARGE, Situation(records=10, is_whole=True), Split(5)),
        (LARGE, Situation(records=1, is_whole=True), Fail(LARGE)),
        (DENIED, Situation(records=10, is_whole=True), Stop(DENIED)),
        (CRASH, Situation(records=10, is_whole=True), Resend(0.0)),
        (CRASH, Situation(records=10, is_whole=True, has_crashed=True), Isolate()),
        (CRASH, Situation(is_whole=True, is_hopeless=True), Fail(CRASH, is_shared=True)),
        (REFUSED, Situation(is_whole=True, is_hopeless=True), Fail(REFUSED, is_shared=True)),
        (BUSY, Situation(is_whole=True, is_hopeless=True), Resend(0.0)),
        (BUSY, Situation(is_whole=True, is_outage=True, attempts=99), Resend(is_free=True)),
        (LOST, Situation(is_outage=True, maybe_billed=2), Fail(LOST)),
        (LOST, Situation(maybe_billed=1), Resend(0.0)),
        (LOST, Situation(maybe_billed=1, is_repeatable=False), Fail(LOST)),
        (BUSY, Situation(is_repeatable=False), Resend(0.0)),
        (BUSY, Situation(attempts=7), Fail(BUSY)),
    ],
)
def test_the_decision_follows_from_the_error_and_the_situation(
    result: Any, situation: Situation, decision: Decision
) -> None:
    """Each kind of end leads to the one decision that serves its item."""
    assert decide(result, situation, AT_ONCE) == decision


def test_without_a_budget_nothing_is_sent_again() -> None:
    """The error says that too much fails; what is free needs no budget."""
    decision = decide(BUSY, Situation(has_budget=False), AT_ONCE)
    assert isinstance(decision, Fail)
    assert str(decision.error) == "503; too much fails for it to be sent again"
    free = decide(BUSY, Situation(is_whole=True, is_outage=True, has_budget=False), AT_ONCE)
    assert free == Resend(is_free=True)

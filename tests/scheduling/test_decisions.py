"""Verdicts are complete, pauses are bounded, and nobody pays twice unasked."""

import json
import math
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._http.retry_after import parse_date, parse_retry_after
from ximilar_ocr_async._protocol.decode import decode
from ximilar_ocr_async._protocol.error_mapping import service_error
from ximilar_ocr_async._scheduling.decisions import (
    VERDICTS,
    Verdict,
    is_answer,
    is_overload,
    is_suspect,
    is_turned_away,
    judge,
    resend_after,
)
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ConnectionFailed,
    ImageError,
    OCRError,
    OptionError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    UploadCut,
)
from ximilar_ocr_async.retry import MAX_RETRY_AFTER, RetryPolicy

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


STATUSES = range(100, 600)
FAILING = [code for code in STATUSES if not 200 <= code <= 299]


def _errors() -> Iterator[OCRError]:
    """Yield an error of every class with every status, and with none."""
    for cls in VERDICTS:
        for status in (None, *STATUSES):
            yield cls(status=status)


def _failure(text: str | bytes) -> OCRError:
    """Return what the answer *text* to two records means for the first, or for both."""
    body = text.encode() if isinstance(text, str) else text
    try:
        first, _ = decode(200, body, ["a", "b"])
    except OCRError as error:
        return error
    assert isinstance(first, OCRError)
    return first


def _record_failure(code: int, text: str = "trouble") -> OCRError:
    """Return what a record's own status means, in an answer that is well otherwise."""
    rows = [{"_id": "a", "_status": {"code": code, "text": text}}, {"_id": "b"}]
    return _failure(json.dumps({"records": rows, "status": {"code": 200}}))


def _inner(status: Any) -> OCRError:
    """Return what a failing status of the whole means, in an answer whose HTTP status is 200."""
    return _failure(json.dumps({"status": status}))


def test_no_error_is_beyond_judgement() -> None:
    """Any class with any status, alone or shared, crashed before or not, gets a verdict."""
    for error in _errors():
        for shared in (False, True):
            for crashed in (False, True):
                assert isinstance(judge(error, shared=shared, crashed=crashed), Verdict)


def test_what_is_no_requests_fault_is_not_taken_apart() -> None:
    """Only a failure that several records share can send them on alone or in smaller requests."""
    apart = {Verdict.ISOLATE, Verdict.SPLIT}
    for error in _errors():
        for crashed in (False, True):
            assert judge(error, crashed=crashed) not in apart
            assert isinstance(error, ServiceError) or (
                judge(error, shared=True, crashed=crashed) not in apart
            )


@pytest.mark.parametrize("text", ["trouble", "no credits left"])
def test_a_records_own_status_concerns_no_other(text: str) -> None:
    """In an answer that is well otherwise, a record fails or is sent again, whatever its status."""
    for code in FAILING:
        error = _record_failure(code, text)
        alone = {Verdict.FAIL, Verdict.RESEND, Verdict.STOP}
        assert judge(error, crashed=True) in alone
        assert (judge(error) is Verdict.STOP) == (text != "trouble")


def test_alone_the_class_tells_all() -> None:
    """Where no batch is concerned, statuses were turned into classes where they were read."""
    for error in _errors():
        assert judge(error) is VERDICTS[type(error)]


SENT_AGAIN = {"shared": Verdict.RESEND, "again": Verdict.RESEND, "alone": Verdict.RESEND}
LOST = dict.fromkeys(SENT_AGAIN, Verdict.RESEND_MAYBE_BILLED)
STOPPED = dict.fromkeys(SENT_AGAIN, Verdict.STOP)
FAILED = dict.fromkeys(SENT_AGAIN, Verdict.FAIL)
POISON = {"shared": Verdict.ISOLATE, "again": Verdict.ISOLATE, "alone": Verdict.FAIL}
TOO_LARGE = {"shared": Verdict.SPLIT, "again": Verdict.SPLIT, "alone": Verdict.FAIL}
CRASH = {"shared": Verdict.RESEND, "again": Verdict.ISOLATE, "alone": Verdict.RESEND}


@pytest.mark.parametrize(
    "error, promised",
    [
        pytest.param(ConnectionFailed(), SENT_AGAIN, id="never began"),
        pytest.param(AddressError(), STOPPED, id="wrong address"),
        *(pytest.param(service_error(c, ""), STOPPED, id=f"{c}") for c in (301, 302, 307, 308)),
        pytest.param(UploadCut(), SENT_AGAIN, id="cut while sending"),
        pytest.param(ReplyLost(), LOST, id="no answer"),
        pytest.param(RequestTimeout(), LOST, id="no answer in time"),
        *(pytest.param(service_error(c, ""), SENT_AGAIN, id=f"{c}") for c in (408, 425)),
        *(
            pytest.param(service_error(c, ""), FAILED, id=f"{c}")
            for c in (404, 405, 409, 411, 412, 414, 415, 416, 417, 418)
        ),
        *(pytest.param(service_error(c, ""), POISON, id=f"{c}") for c in (400, 422)),
        pytest.param(service_error(413, ""), TOO_LARGE, id="413"),
        *(pytest.param(service_error(c, ""), STOPPED, id=f"{c}") for c in (401, 402, 403)),
        *(
            pytest.param(service_error(c, text), STOPPED, id=f"{c} {text}")
            for c, text in (
                (400, "Credit limits reached"),
                (404, "Invalid token"),
                (413, "Authorization required"),
                (422, "Credit limits reached"),
                (429, "Credit limits reached"),
            )
        ),
        pytest.param(_inner({"code": 401, "text": "no"}), STOPPED, id="200 with 401 in it"),
        pytest.param(_inner(402), STOPPED, id="200 with a number in it"),
        pytest.param(_inner("403"), STOPPED, id="200 with a numeral in it"),
        pytest.param(_inner("Credit limits reached"), STOPPED, id="200 with words in it"),
        pytest.param(_inner({"code": 400}), POISON, id="200 with 400 in it"),
        pytest.param(_inner({"code": 500}), CRASH, id="200 with 500 in it"),
        pytest.param(service_error(429, ""), SENT_AGAIN, id="429"),
        *(
            pytest.param(service_error(c, ""), SENT_AGAIN, id=f"{c}")
            for c in (503, 520, 521, 522, 523)
        ),
        *(pytest.param(service_error(c, ""), LOST, id=f"{c}") for c in (504, 524)),
        *(pytest.param(service_error(c, ""), CRASH, id=f"{c}") for c in (500, 502)),
        pytest.param(_failure(""), LOST, id="empty"),
        pytest.param(_failure('{"records": [{"_id": "a"'), LOST, id="truncated"),
        pytest.param(_failure("<html>"), LOST, id="no JSON"),
        pytest.param(_failure("[" * 100_000), LOST, id="too deep"),
        pytest.param(_failure(b"\xff\xfe\xfd"), LOST, id="no text"),
        pytest.param(ReplyError(), LOST, id="too large"),
        pytest.param(_failure('{"records": []}'), LOST, id="missing"),
        pytest.param(_failure('{"records": [{"_id": "b"}, {"_id": "c"}]}'), LOST, id="unknown"),
        pytest.param(_failure('{"records": [{"_id": "b"}, {"_id": "b"}]}'), LOST, id="twice"),
    ],
)
def test_the_table_of_verdicts_is_kept(error: OCRError, promised: dict[str, Verdict]) -> None:
    """Shared by a batch, shared by one whose request crashed before, and alone: as promised.

    Source: the project's reliability page, 4.2.
    """
    assert judge(error, shared=True) is promised["shared"]
    assert judge(error, shared=True, crashed=True) is promised["again"]
    assert judge(error) is judge(error, crashed=True) is promised["alone"]


@pytest.mark.parametrize(
    "codes, verdict",
    [
        ([400, 401, 403, 404, 408, 410, 413, 415, 422], Verdict.FAIL),
        ([429, 500, 502, 503, 504], Verdict.RESEND),
    ],
)
def test_the_table_of_verdicts_on_records_is_kept(codes: list[int], verdict: Verdict) -> None:
    """A record that the service refuses fails, and one on which it failed is sent again.

    Source: the project's reliability page, 4.2.
    """
    assert {judge(_record_failure(code)) for code in codes} == {verdict}


# ---- signs


@pytest.mark.parametrize(
    "error, signs",
    [
        (ConnectionFailed(), {is_turned_away}),
        (UploadCut(), set()),
        (ReplyLost(), set()),
        (RequestTimeout(), {is_overload}),
        (ReplyError(), {is_answer}),
        (AddressError(), set()),
        (ImageError(), set()),
        (service_error(302, ""), set()),
        (service_error(400, ""), {is_answer, is_suspect}),
        (service_error(401, ""), {is_answer}),
        (service_error(404, ""), {is_answer}),
        (service_error(408, ""), {is_answer}),
        (service_error(413, ""), {is_answer}),
        (service_error(422, ""), {is_answer, is_suspect}),
        (service_error(429, ""), {is_answer, is_overload}),
        (service_error(429, "no credits"), {is_answer}),
        (service_error(500, ""), {is_answer, is_suspect}),
        (service_error(502, ""), {is_turned_away, is_suspect}),
        (service_error(503, ""), {is_turned_away, is_overload}),
        (service_error(504, ""), set()),
        (service_error(520, ""), {is_answer}),
        (service_error(521, ""), {is_turned_away}),
        (service_error(522, ""), {is_turned_away}),
        (service_error(523, ""), {is_turned_away}),
        (service_error(524, ""), set()),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, OCRError) else "",
)
def test_errors_are_the_signs_they_are_known_for(error: OCRError, signs: set[Any]) -> None:
    """Of an error it is known whether it speaks of overload, absence, an answer or a record."""
    known = (is_overload, is_turned_away, is_answer, is_suspect)
    assert {sign for sign in known if sign(error)} == signs


def test_nobody_is_there_and_away() -> None:
    """No error of any class and status is both an answer and a sign that there is none."""
    for error in _errors():
        assert not (is_answer(error) and is_turned_away(error))
        assert is_suspect(error) == (judge(error, shared=True, crashed=True) is Verdict.ISOLATE)
        assert isinstance(is_overload(error), bool)


def test_who_was_turned_away_was_not_billed() -> None:
    """Whatever status turns a request away, its records are sent again at no risk."""
    turned_away = {code for code in FAILING if is_turned_away(service_error(code, ""))}
    assert turned_away == {502, 503, 521, 522, 523}
    assert {judge(service_error(code, "")) for code in turned_away} == {Verdict.RESEND}


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

"""The verdict on each error is complete, and so are the signs of overload and outage."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ximilar_ocr_async._protocol.decode import decode
from ximilar_ocr_async._protocol.decode_usual import Echo
from ximilar_ocr_async._protocol.error_mapping import service_error
from ximilar_ocr_async._scheduling.decisions import (
    VERDICTS,
    Verdict,
    is_answer,
    is_overload,
    is_suspect,
    is_suspicious,
    is_turned_away,
    is_vain,
    judge,
)
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ConnectionFailed,
    ImageError,
    OCRError,
    PoolExhausted,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    UploadCut,
)

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
        first, _ = decode(200, body, ["a", "b"], echo=Echo())
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
        assert judge(error, crashed=True) in {Verdict.FAIL, Verdict.RESEND}


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
            for c in (404, 405, 409, 411, 412, 414, 415, 416, 417, 418, 501, 505, 506, 508, 510)
        ),
        *(pytest.param(service_error(c, ""), POISON, id=f"{c}") for c in (400, 422)),
        pytest.param(service_error(413, ""), TOO_LARGE, id="413"),
        *(pytest.param(service_error(c, ""), STOPPED, id=f"{c}") for c in (401, 402, 403, 511)),
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
            for c in (503, 507, 521, 522, 523, 529, 530)
        ),
        *(pytest.param(service_error(c, ""), LOST, id=f"{c}") for c in (504, 520, 524)),
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
        ([501, 505, 506, 508, 510, 511], Verdict.FAIL),
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
        (ConnectionFailed(), {is_turned_away, is_vain}),
        (PoolExhausted(), {is_overload}),
        (UploadCut(), set()),
        (ReplyLost(), {is_vain, is_suspicious}),
        (RequestTimeout(), {is_overload, is_vain, is_suspicious}),
        (ReplyError(), {is_answer}),
        (AddressError(), set()),
        (ImageError(), set()),
        (service_error(302, ""), set()),
        (service_error(400, ""), {is_answer, is_suspect}),
        (service_error(401, ""), {is_answer}),
        (service_error(404, ""), {is_answer}),
        (service_error(408, ""), {is_answer, is_vain, is_suspicious}),
        (service_error(413, ""), {is_answer}),
        (service_error(422, ""), {is_answer, is_suspect}),
        (service_error(429, ""), {is_answer, is_overload}),
        (service_error(429, "no credits"), {is_answer}),
        (service_error(500, ""), {is_answer, is_suspect, is_vain, is_suspicious}),
        (service_error(502, ""), {is_turned_away, is_suspect, is_vain}),
        (service_error(503, ""), {is_turned_away, is_overload, is_vain}),
        (service_error(504, ""), {is_vain, is_suspicious}),
        (service_error(520, ""), {is_vain, is_suspicious}),
        (service_error(521, ""), {is_turned_away, is_vain}),
        (service_error(522, ""), {is_turned_away, is_vain}),
        (service_error(523, ""), {is_turned_away, is_vain}),
        (service_error(524, ""), {is_vain, is_suspicious}),
    ],
    ids=lambda value: f"{type(value).__name__} {value}" if isinstance(value, OCRError) else "",
)
def test_errors_are_the_signs_they_are_known_for(error: OCRError, signs: set[Any]) -> None:
    """Of an error it is known what it says of the service, and of a record."""
    known = (is_overload, is_turned_away, is_answer, is_suspect, is_vain, is_suspicious)
    assert {sign for sign in known if sign(error)} == signs


def test_nobody_is_there_and_away() -> None:
    """No error of any class and status is both an answer and a sign that there is none."""
    for error in _errors():
        assert not (is_answer(error) and is_turned_away(error))
        assert not is_suspicious(error) or is_vain(error)
        assert is_suspect(error) == (judge(error, shared=True, crashed=True) is Verdict.ISOLATE)
        assert isinstance(is_overload(error), bool)


def test_who_was_turned_away_was_not_billed() -> None:
    """Whatever status turns a request away, its records are sent again at no risk."""
    turned_away = {code for code in FAILING if is_turned_away(service_error(code, ""))}
    assert turned_away == {502, 503, 521, 522, 523}
    assert {judge(service_error(code, "")) for code in turned_away} == {Verdict.RESEND}

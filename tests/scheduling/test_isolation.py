"""Records that are sent alone speak for all of their batch, when enough of them fail alike."""

from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.isolation import WITNESSES, Isolation
from ximilar_ocr_async.errors import (
    ConnectionFailed,
    OCRError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
)

REJECTED = RequestRejected("400: no such option", status=400)
OTHERWISE = RequestRejected("400: no image", status=400)
CRASHED = ServiceUnavailable("500: crashed", status=500)
INNOCENT = [ConnectionFailed(), ReplyLost(), ServiceUnavailable(status=503), RequestRejected()]
"""Errors for which no record can be at fault."""
ENDS = st.sampled_from([None, REJECTED, OTHERWISE, CRASHED, *INNOCENT])


def isolated(*ends: OCRError | None, size: int = 10) -> tuple[Isolation, list[bool]]:
    """Return a batch of *size* whose first records ended so, and what each of these ends told."""
    isolation = Isolation(list(range(size)))
    return isolation, [isolation.observe(f"r{n}", error) for n, error in enumerate(ends)]


def test_three_that_fail_alike_speak_for_all() -> None:
    """Two may be an accident; after the third the service is at fault, not a record."""
    assert not isolated(*[REJECTED] * (WITNESSES - 1))[0].is_alike
    assert isolated(*[REJECTED] * WITNESSES)[0].is_alike


def test_one_that_fails_otherwise_or_is_read_speaks_for_itself() -> None:
    """Then the records differ, and each is judged alone."""
    for other in (OTHERWISE, CRASHED, None):
        assert not isolated(REJECTED, REJECTED, REJECTED, other)[0].is_alike
        assert not isolated(other, REJECTED, REJECTED, REJECTED)[0].is_alike


def test_three_that_are_read_are_not_alike() -> None:
    """Only failures convict."""
    assert not isolated(None, None, None)[0].is_alike


def test_it_is_told_when_all_were_refused_alike() -> None:
    """With the last record of the batch, and not before."""
    assert isolated(*[REJECTED] * 4, size=4)[1] == [False, False, False, True]
    assert isolated(*[REJECTED] * 2, size=2)[1] == [False, False], "too few to tell"


@given(ends=st.lists(ENDS, max_size=12))
def test_what_is_no_records_fault_says_nothing(ends: list[OCRError | None]) -> None:
    """Whatever else happened, only ends for which a record can be at fault count, in any order."""
    isolation, _ = isolated(*ends)
    words = ["" if end is None else str(end) for end in ends if end not in INNOCENT]
    expected = len(words) >= WITNESSES and len(set(words)) == 1 and words[0] != ""
    assert isolation.is_alike == expected


@given(again=ENDS)
def test_the_first_end_of_a_record_counts(again: OCRError | None) -> None:
    """A record that is sent again does not speak twice."""
    isolation, _ = isolated(*[REJECTED] * WITNESSES)
    isolation.observe("r0", again)
    assert isolation.is_alike
    short, _ = isolated(*[REJECTED] * (WITNESSES - 1))
    short.observe("r0", REJECTED)
    assert not short.is_alike

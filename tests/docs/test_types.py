"""An editor knows what outcomes are: the ways to tell them apart that the manual shows."""

from typing import assert_type

from ximilar_ocr_async import Failure, Image, OCRError, Outcome, Record, Success
from ximilar_ocr_async.errors import ImageError

OUTCOMES: list[Outcome] = [
    Success(index=0, image=Image("https://x.example/a"), record=Record()),
    Failure(index=1, image=Image("https://x.example/b"), error=ImageError("bad")),
]


def by_match(outcome: Outcome) -> Record | OCRError:
    """Tell them apart by their classes, with nothing left over."""
    match outcome:
        case Success(record=record):
            assert_type(record, Record)
            return record
        case Failure(error=error):
            assert_type(error, OCRError)
            return error


def by_ok(outcome: Outcome) -> Record | OCRError:
    """Tell them apart by what they say of themselves."""
    if outcome.ok is True:
        assert_type(outcome, Success[Record])
        return outcome.record
    assert_type(outcome, Failure)
    return outcome.error


def test_outcomes_are_told_apart_in_every_editor() -> None:
    """Both ways find the record or the error, and both type checkers follow them."""
    for outcome in OUTCOMES:
        assert by_match(outcome) is by_ok(outcome)

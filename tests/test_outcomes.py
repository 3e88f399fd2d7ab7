"""An outcome is a record or the reason why there is none."""

import pickle
import traceback

import pytest

from ximilar_ocr_async.errors import OCRError, ReplyLost
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success

IMAGE = Image("https://images.example/a.png", id="a")
SUCCESS = Success(index=0, image=IMAGE, record=Record(id="a"), attempts=2, maybe_billed=True)
FAILURE = Failure(index=1, image=IMAGE, error=ReplyLost("cut off", request_id="r"))


def test_a_success_unwraps_to_its_record() -> None:
    """Unwrapping a success gives its record."""
    assert SUCCESS.ok
    assert SUCCESS.unwrap() is SUCCESS.record


def test_a_failure_unwraps_to_its_error() -> None:
    """Unwrapping a failure raises its error, each time with a traceback and notes of its own."""
    lengths = []
    for _ in range(3):
        with pytest.raises(ReplyLost) as caught:
            FAILURE.unwrap()
        assert str(caught.value) == str(FAILURE.error)
        assert vars(caught.value) == vars(FAILURE.error)
        caught.value.add_note("seen by one caller")
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert not FAILURE.ok
    assert lengths == lengths[:1] * 3


def test_outcomes_match_by_class() -> None:
    """A match statement takes an outcome apart."""

    def told(outcome: Outcome) -> Record | OCRError:
        match outcome:
            case Success(record=record):
                return record
            case Failure(error=error):
                return error

    assert told(SUCCESS) is SUCCESS.record
    assert told(FAILURE) is FAILURE.error


def test_outcomes_travel_between_processes() -> None:
    """Outcomes survive pickle, errors and all."""
    success, failure = pickle.loads(pickle.dumps((SUCCESS, FAILURE)))  # noqa: S301
    assert success == SUCCESS
    assert (failure.index, failure.image) == (1, IMAGE)
    assert repr(failure.error) == repr(FAILURE.error)
    assert failure.error.request_id == "r"

"""The errors are one documented tree whose members travel between processes."""

import copy
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ximilar_ocr_async
from ximilar_ocr_async import errors
from ximilar_ocr_async._scheduling.decisions import VERDICTS, Verdict
from ximilar_ocr_async.errors import OCRError, in_one_line, with_reason


def _tree(cls: type[OCRError]) -> set[type[OCRError]]:
    """Return *cls* and what is under it, as far as errors.py defines it."""
    below = {cls}.union(*map(_tree, cls.__subclasses__()))
    return {found for found in below if found.__module__ == errors.__name__}


ERRORS = sorted(_tree(OCRError), key=lambda cls: cls.__name__)
_BRANCH = re.compile(r"^ {4}(?P<depth>[│├└─ ]*)(?P<name>\w+)(?: \((?P<also>\w+)\))?", re.MULTILINE)


def _drawn_tree() -> dict[str, list[str]]:
    """Read the tree in the module's docstring: each class with its bases."""
    path: list[str] = []
    tree = {}
    for branch in _BRANCH.finditer(errors.__doc__ or ""):
        depth = len(branch["depth"]) // 4
        path[depth:] = [branch["name"]]
        base = path[depth - 1] if depth else "Exception"
        tree[branch["name"]] = [base, branch["also"]] if branch["also"] else [base]
    return tree


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """The module's docstring names every class, under the bases it has."""
    assert _drawn_tree() == {cls.__name__: [b.__name__ for b in cls.__bases__] for cls in ERRORS}


@pytest.mark.parametrize("cls", ERRORS)
def test_every_class_is_public_and_explained(cls: type[OCRError]) -> None:
    """Every class is exported, and its own docstring says who is at fault."""
    assert getattr(ximilar_ocr_async, cls.__name__) is cls
    assert cls.__name__ in ximilar_ocr_async.__all__
    assert cls.__doc__ not in {None, *(base.__doc__ for base in cls.__mro__[1:])}


@given(
    cls=st.sampled_from(ERRORS),
    message=st.text(),
    status=st.none() | st.integers(100, 599),
    request_id=st.none() | st.text(),
    retry_after=st.none() | st.floats(0, 1e6),
)
def test_every_class_pickles_and_copies_whole(
    cls: type[OCRError],
    message: str,
    status: int | None,
    request_id: str | None,
    retry_after: float | None,
) -> None:
    """An error survives pickle and copy with its type, its message and all it carries."""
    error = cls(message, status=status, request_id=request_id, retry_after=retry_after)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(twin) is cls
        assert str(twin) == str(error) == in_one_line(message)
        assert twin.request_id == error.request_id
        assert (twin.status, twin.retry_after) == (status, retry_after)


RETRYABLE = {
    "DeadlineExceeded",
    "Overloaded",
    *("ConnectionFailed", "PoolExhausted", "UploadCut"),
    *("ReplyLost", "RequestTimeout", "ReplyError"),
    "ExtractionError",
    *("RateLimited", "ServiceUnavailable"),
}


@pytest.mark.parametrize("cls", ERRORS)
def test_every_class_says_whether_to_try_again(cls: type[OCRError]) -> None:
    """A class and its instances say it, and copies and pickles keep it."""
    error = cls("a")
    twins = [pickle.loads(pickle.dumps(error)), copy.copy(error), with_reason(error, "b")]  # noqa: S301
    for one in (cls, error, *twins):
        assert one.retryable is (cls.__name__ in RETRYABLE)


@pytest.mark.parametrize("cls", ERRORS)
def test_what_the_session_sends_again_may_be_tried_again(cls: type[OCRError]) -> None:
    """No verdict says otherwise than its class does."""
    if VERDICTS[cls] in {Verdict.RESEND, Verdict.RESEND_MAYBE_BILLED}:
        assert cls.retryable
    if VERDICTS[cls] is Verdict.STOP:
        assert not cls.retryable


class Own(OCRError):
    """An error of a user's, made in a way of its own."""

    def __init__(self, place: int, *, needed: str) -> None:
        super().__init__(f"at {place}")
        self.needed = needed


@pytest.mark.parametrize("error", [*(cls("a", status=7) for cls in ERRORS), Own(3, needed="x")])
def test_a_copy_is_an_error_of_its_own(error: OCRError) -> None:
    """It has all of the first, and what becomes of one does not show in the other."""
    error.__cause__, error.__context__ = cause, context = KeyError("cause"), KeyError("context")
    error.add_note("before")
    error.more = [1]  # type: ignore[attr-defined]
    twin = copy.copy(error)
    assert type(twin) is type(error)
    assert twin is not error
    assert (twin.args, vars(twin)) == (error.args, vars(error))
    assert (twin.__cause__, twin.__context__) == (cause, context)
    assert twin.__suppress_context__ is error.__suppress_context__ is True
    twin.add_note("of the twin")
    error.add_note("of the first")
    with pytest.raises(type(error)) as caught:
        raise twin from None
    assert caught.value is twin
    twin.status = 8
    assert error.status != 8
    assert (error.__notes__, twin.__notes__) == (
        ["before", "of the first"],
        ["before", "of the twin"],
    )
    assert error.__traceback__ is None
    assert error.__cause__ is cause


@given(message=st.text(), request_id=st.text(), times=st.integers(1, 100_000))
def test_a_message_is_one_line_that_is_not_long(message: str, request_id: str, times: int) -> None:
    """Whatever others wrote into it, an error begins no line, gives no order and fills no log."""
    error = OCRError(message * times, request_id=request_id * times)
    more = with_reason(error, message * times)
    for text, most in ((str(error), 1800), (str(more), 1800), (error.request_id or "", 200)):
        assert text.isprintable()
        assert len(text) <= most
    again = OCRError(str(error), request_id=error.request_id)
    assert (str(again), again.request_id) == (str(error), error.request_id)


def test_a_message_that_is_not_long_stays_whole() -> None:
    """Words that can be printed are shown as they are."""
    text = "429: 日本 \\ no 'credits'"
    assert str(OCRError(text)) == text
    assert str(with_reason(OCRError("a"), text)) == f"a; {text}"

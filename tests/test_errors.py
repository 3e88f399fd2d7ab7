"""The errors are one documented tree whose members travel between processes."""

import copy
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ximilar_ocr_async
from ximilar_ocr_async import errors
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

"""What the user gets: one outcome for each image, a `Success` or a `Failure`."""

from copy import copy
from typing import Literal, NoReturn, TypeAlias

from attrs import field, frozen

from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record


@frozen(kw_only=True)
class Success:
    """An image that was read.

    Attributes:
        index: Place of the image in the input, from 0.
        image: What was given.
        record: What the service said.
        attempts: Requests that carried it.
        maybe_billed: Whether an earlier attempt may have been billed too, its reply being lost.
    """

    index: int
    image: Image
    record: Record
    attempts: int = 1
    maybe_billed: bool = False
    ok: Literal[True] = field(default=True, init=False)

    def unwrap(self) -> Record:
        """Return the record."""
        return self.record


@frozen(kw_only=True)
class Failure:
    """An image that was not read.

    Attributes:
        index: Place of the image in the input, from 0.
        image: What was given.
        error: Why it was not read.
        attempts: Requests that carried it; 0 if it was never sent.
        maybe_billed: Whether an attempt may have been billed, its reply being lost.
    """

    index: int
    image: Image
    error: OCRError
    attempts: int = 0
    maybe_billed: bool = False
    ok: Literal[False] = field(default=False, init=False)

    def unwrap(self) -> NoReturn:
        """Raise the error."""
        # One error may stand in the outcomes of many callers, who must not see each other's
        # tracebacks and notes.
        raise copy(self.error)


Outcome: TypeAlias = Success | Failure

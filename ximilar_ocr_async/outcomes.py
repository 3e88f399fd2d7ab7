"""What the user gets: one outcome for each image, a `Success` or a `Failure`; and `Stats`."""

from copy import copy
from typing import TYPE_CHECKING, Generic, Literal, NoReturn, Protocol, TypeAlias, TypeVar

from attrs import Factory, field, frozen

from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record

if TYPE_CHECKING:
    # Python 3.11 knows no defaults of type variables, and type checkers need nothing installed.
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=Record)
else:
    T = TypeVar("T")
"""What a call wants of an image: untold, its record."""


@frozen(kw_only=True)
class Success(Generic[T]):
    """An image that was read.

    Attributes:
        index: Place of the image in the input, from 0.
        image: What was given.
        record: What the service said.
        value: The typed answer of `OCRSession.extract_all` and the like; else the record.
        attempts: Requests that carried it.
        maybe_billed: Whether an earlier attempt may have been billed too, its reply being lost.
    """

    index: int
    image: Image
    record: Record = field(repr=False)
    value: T = field(default=Factory(lambda self: self.record, takes_self=True), hash=False)
    attempts: int = 1
    maybe_billed: bool = False
    ok: Literal[True] = field(default=True, init=False)

    def unwrap(self) -> T:
        """Return the value."""
        return self.value


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


Outcome: TypeAlias = Success[T] | Failure


class Ended(Protocol):
    """What is known of an image when it has ended."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def image(self) -> Image: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def maybe_billed(self) -> int: ...  # noqa: D102


def make_outcome(ended: Ended, result: Record | OCRError) -> Outcome:
    """Return the outcome of an image that *ended* with a record or an error."""
    index, image, attempts = ended.index, ended.image, ended.attempts
    lost = ended.maybe_billed > 0
    if isinstance(result, OCRError):
        return Failure(index=index, image=image, error=result, attempts=attempts, maybe_billed=lost)
    return Success(index=index, image=image, record=result, attempts=attempts, maybe_billed=lost)


@frozen(kw_only=True)
class Stats:
    """A snapshot.

    Attributes:
        in_flight: Requests under way.
        queued: Images that wait for a slot.
        limit: Requests that may be under way now.
        outage: Whether the service is out of reach, so that only probes are sent.
        requests: Requests begun.
        records_sent: Records that reached the service, or may have.
        records_billed: Records that were read, or submitted to be read later.
        records_maybe_billed: Records whose reply was lost, once for each time.
        records_retried: Records of those that had been sent before.
        records_failed: Images that ended as a failure.
        bytes_sent: Of request bodies.
    """

    in_flight: int
    queued: int
    limit: int
    outage: bool
    requests: int
    records_sent: int
    records_billed: int
    records_maybe_billed: int
    records_retried: int
    records_failed: int
    bytes_sent: int

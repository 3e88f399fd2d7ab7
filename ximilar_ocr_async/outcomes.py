"""What the user gets: one `Success` or `Failure` for each image, and the session's `Stats`."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Protocol, TypeAlias, TypeVar

from attrs import Factory, field, frozen

from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record

if TYPE_CHECKING:
    # Python 3.11 has no defaults of type variables. Type checkers need no package installed.
    import typing_extensions

    T = typing_extensions.TypeVar("T", default=Record)
else:
    T = TypeVar("T")
"""The type of a successful outcome's value, by default a `Record`."""


@frozen(kw_only=True)
class Success(Generic[T]):
    """An image that was read.

    Attributes:
        index: The position of the image in the input, from 0.
        image: The image that was given.
        record: What the service returned.
        value: The instance of the user's class from `extract_all` and the like, else the record.
        attempts: How many requests contained the image.
        maybe_billed: Whether an earlier response was lost, so that it may be billed more than once.
    """

    index: int
    image: Image
    record: Record = field(repr=False)
    value: T = field(default=Factory(lambda self: self.record, takes_self=True), hash=False)
    attempts: int = 1
    maybe_billed: bool = False
    ok: Literal[True] = field(default=True, init=False)

    def unwrap(self) -> T:
        """Return the value. `Failure.unwrap` raises instead."""
        return self.value


@frozen(kw_only=True)
class Failure:
    """An image that was not read.

    Attributes:
        index: The position of the image in the input, from 0.
        image: The image that was given.
        error: Why the image was not read.
        attempts: How many requests contained the image. 0 if it was never sent.
        maybe_billed: Whether a response was lost, so that the image may have been billed.
    """

    index: int
    image: Image
    error: OCRError
    attempts: int = 0
    maybe_billed: bool = False
    ok: Literal[False] = field(default=False, init=False)

    def unwrap(self) -> NoReturn:
        """Raise a copy of the error."""
        # Who unwraps it twice must not see the tracebacks and notes of the first time.
        raise copy(self.error) from self.error.__cause__


Outcome: TypeAlias = Success[T] | Failure


def in_order(outcomes: Iterable[Outcome[T]]) -> list[Outcome[T]]:
    """Return *outcomes* in the order of their images."""
    return sorted(outcomes, key=lambda outcome: outcome.index)


def carry(error: BaseException, outcomes: Iterable[Outcome[Any]]) -> None:
    """Let an *error* that ends a bulk call early carry what was done before, which was paid for.

    It may be of any class, such as one that the user's own iterable raised, and is left as it is
    otherwise. One that takes no attributes goes without.
    """
    with suppress(Exception):
        done = in_order(outcomes)
        error.outcomes = done  # type: ignore[attr-defined]
        if done and isinstance(error, Exception):
            images = "1 image" if len(done) == 1 else f"{len(done)} images"
            error.add_note(f"{images} had an outcome before: see the error's 'outcomes'")


class Ended(Protocol):
    """An image that has its result."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def image(self) -> Image: ...  # noqa: D102
    @property
    def attempts(self) -> int: ...  # noqa: D102
    @property
    def maybe_billed(self) -> int: ...  # noqa: D102


def make_outcome(ended: Ended, result: Record | OCRError) -> Outcome:
    """Return the outcome of an image whose *result* is a record or an error."""
    index, image, attempts = ended.index, ended.image, ended.attempts
    lost = ended.maybe_billed > 0
    if isinstance(result, OCRError):
        # Several images may have failed with one error; none gets the notes of another.
        error = copy(result)
        return Failure(index=index, image=image, error=error, attempts=attempts, maybe_billed=lost)
    return Success(index=index, image=image, record=result, attempts=attempts, maybe_billed=lost)


@frozen(kw_only=True)
class EndpointStats:
    """What a session knows of one endpoint, such as ``read``, from its traffic alone.

    Attributes:
        in_flight: Requests in flight now.
        queued: Images that wait for a slot now.
        limit: Requests that may be in flight now, if no other endpoint needs the slots.
        oldest_wait: For how long the image has waited that waits longest [s].
        round_trip: How long an answer takes on average [s]; None before the first.
        outage: Why only probes are sent now; None if all is well.
        outage_seconds: How long that has lasted [s].
        next_probe: When the next probe may be sent [s from now]; None if all is well.
        held: For how long the service still asks to be left alone [s].
    """

    in_flight: int
    queued: int
    limit: int
    oldest_wait: float
    round_trip: float | None
    outage: str | None
    outage_seconds: float
    next_probe: float | None
    held: float


@frozen(kw_only=True)
class Stats:
    """A snapshot of a session's counters, made without a request.

    Attributes:
        in_flight: Requests in flight now.
        queued: Images that wait for a slot now.
        limit: Requests that may be in flight now.
        outage: Whether an endpoint fails or is unreachable now, so that only probes are sent there.
        requests: Requests begun so far.
        records_sent: Records that reached the service or may have reached it.
        records_billed: Records that were read or submitted.
        records_maybe_billed: Records whose response was lost, counted once for each time.
        records_retried: Records that were sent again, counted once for each time.
        records_failed: Images that ended as a failure.
        bytes_sent: Size of the request bodies that were sent [bytes].
        errors: Images that ended as a failure, by the class of the error.
        endpoints: What is known of each endpoint that was used, by name.
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
    errors: Mapping[str, int] = field(factory=dict, hash=False)
    endpoints: Mapping[str, EndpointStats] = field(factory=dict, hash=False)

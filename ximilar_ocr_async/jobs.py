"""What the scheduler moves about: calls, their jobs, and the batches that these form."""

from collections.abc import Callable

import anyio
from attrs import define, field

from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.exchange import Lane
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.outcomes import Outcome


@define(eq=False, repr=False)
class Call:
    """One call of the user's: where its outcomes go, and until when they are wanted."""

    deliver: Callable[[Outcome], None]
    deadline: float = float("inf")
    # The deadline has passed.
    expired: bool = False
    # Jobs submitted and not done.
    waiting: int = 0
    # Nobody waits for its outcomes any more.
    abandoned: bool = False
    # By endpoint: why nothing more of this call is sent there.
    stopped: dict[str, OCRError] = field(factory=dict)


@define(eq=False, repr=False)
class Job:
    """One image on its way to its outcome."""

    id: str
    index: int
    image: Image
    prompt: str | None
    lane: Lane
    call: Call
    attempts: int = 0
    # Attempts that may have been billed and brought no result.
    maybe_billed: int = 0
    done: bool = False
    # When it was made; and [s] in attempts and pauses, those that ended.
    since: float = field(factory=anyio.current_time)
    attempting: float = 0.0
    pausing: float = 0.0

    def tell_time(self) -> str:
        """Say where the time since it was made went."""
        total = anyio.current_time() - self.since
        queued = max(0.0, total - self.attempting - self.pausing)
        attempts = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        return (
            f"{total:.1f} s since it was pulled, {queued:.1f} s of them queued, "
            f"{self.attempting:.1f} s in {attempts}, {self.pausing:.1f} s in pauses"
        )


@define(eq=False, repr=False)
class Batch:
    """Jobs of one lane that share a request."""

    jobs: list[Job]
    began: float = field(factory=anyio.current_time)
    # Of the attempt under way, or of the pause.
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    # Whether its slot stays taken while it pauses.
    holds_slot: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for any of it."""
        return any(not job.done and not job.call.abandoned for job in self.jobs)


@define
class Counts:
    """What the scheduler has done, in records."""

    sent: int = 0
    billed: int = 0
    maybe_billed: int = 0
    retried: int = 0
    failed: int = 0

"""What the scheduler moves about: calls, their items, and the batches that these form."""

from collections.abc import Callable, Iterable

import anyio
from attrs import define, field, frozen

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._protocol import Submission
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import FileFingerprint, Image
from ximilar_ocr_async.outcomes import Outcome

WITNESSES = 3
"""Records sent alone that must fail alike for the service, and not the records, to be at fault."""


@frozen(cache_hash=True)
class BatchKey:
    """What the records of one request have in common, and how many may be in it.

    With a *submission*, they are not read by the request, but later.
    """

    endpoint: str
    lang: str
    most: int = MAX_RECORDS
    submission: Submission | None = None

    @property
    def target(self) -> tuple[str, bool]:
        """What is refused, where the account may not use it."""
        return self.endpoint, self.submission is not None


@define(eq=False, repr=False)
class Call:
    """One call of the user's: where its outcomes go, and until when they are wanted."""

    deliver: Callable[[Outcome], None]
    deadline: float = float("inf")
    # [s] of an outage that it waits for the service to come back.
    outage_timeout: float = float("inf")
    # Whether its attempts count in an outage too.
    fail_fast: bool = False
    opened: float = 0.0
    # The deadline has passed.
    expired: bool = False
    # Items submitted and not done.
    waiting: int = 0
    # Nobody waits for its outcomes any more.
    abandoned: bool = False
    # By target: why nothing more of this call is sent there.
    stopped: dict[tuple[str, bool], OCRError] = field(factory=dict)


@define(eq=False, repr=False)
class Item:
    """One image on its way to its outcome."""

    id: str
    index: int
    image: Image
    prompt: str | None
    batch_key: BatchKey
    call: Call
    # Of its file at the first attempt.
    fingerprint: FileFingerprint | None = None
    attempts: int = 0
    # Attempts that the policy does not count: those in an outage, and the one before isolation.
    free_attempts: int = 0
    # Attempts that reached the service, or may have.
    sent: int = 0
    # Attempts that may have been billed and brought no result.
    maybe_billed: int = 0
    # Whether a request that carried it was answered with 500 or 502.
    crashed: bool = False
    # How many requests had been answered when an outage first turned it away.
    turned_away: int | None = None
    # Set when it is sent alone because its batch was refused as a whole.
    isolation: "Isolation | None" = None
    done: bool = False
    # Whether an attempt under way was counted as maybe billed because nobody waits for it.
    given_up: bool = False
    # When it was pulled; and [s] in attempts and pauses, those that ended.
    since: float = 0.0
    attempting: float = 0.0
    pausing: float = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it."""
        return not self.done and not self.call.abandoned

    def time_breakdown(self) -> str:
        """Say where the time since it was pulled went."""
        total = anyio.current_time() - self.since
        queued = max(0.0, total - self.attempting - self.pausing)
        attempts = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        return (
            f"{total:.1f} s since it was pulled, {queued:.1f} s of them queued, "
            f"{self.attempting:.1f} s in {attempts}, {self.pausing:.1f} s in pauses"
        )


@define(eq=False, repr=False)
class Isolation:
    """The items of a batch that was refused as a whole, which are now sent alone."""

    items: list[Item] = field(factory=list)
    # How the first attempt of each ended, by id: an error in words, or nothing.
    _ends: dict[str, str] = field(init=False, factory=dict)
    _is_convicted: bool = field(init=False, default=False)

    def convicts(self, item: Item, error: OCRError | None) -> bool:
        """Count how *item* alone ended; return whether it is plain that none will do better."""
        if item.id not in self._ends and len(self._ends) < WITNESSES:
            self._ends[item.id] = str(error or "")
            ends = self._ends.values()
            self._is_convicted = len(ends) == WITNESSES and len(set(ends)) == 1 and all(ends)
        return self._is_convicted


@define(eq=False, repr=False)
class Batch:
    """Items of one lane that share a request."""

    items: list[Item]
    # Whether it is the one request that asks if an outage is over.
    is_probe: bool = False
    began: float = field(factory=anyio.current_time)
    # Ids of the items whose request was made: then giving up on them may cost.
    sent: frozenset[str] = frozenset()
    # Of the attempt under way, or of the pause.
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    # Whether its slot stays taken while it pauses.
    holds_slot: bool = False

    def depart(self, ids: Iterable[str]) -> None:
        """Count the request as made, with the items of these *ids* in it."""
        self.sent = frozenset(ids)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for any of it."""
        return any(item.is_wanted for item in self.items)

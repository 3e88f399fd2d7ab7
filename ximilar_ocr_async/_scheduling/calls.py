"""What the scheduler moves about: calls, their items, and the batches that items form."""

import os
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from itertools import count
from math import inf
from typing import Any, Protocol, Self, TypeAlias

import anyio
from attrs import define, evolve, field, frozen

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE, MAX_RECORDS
from ximilar_ocr_async._protocol import Request
from ximilar_ocr_async._scheduling.decisions import is_suspect
from ximilar_ocr_async._validation import (
    check_at_least,
    check_language,
    check_outage_timeout,
    check_prompt,
)
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import FileFingerprint, Image
from ximilar_ocr_async.outcomes import Outcome, T, make_outcome

WITNESSES = 3
"""Records sent alone that must fail alike before the service, and not the records, is at fault."""

Result: TypeAlias = Any
"""What an attempt brought for one item: a value that its request decoded, or an `OCRError`."""


MakeRequest: TypeAlias = Callable[[str, str], Request]
"""Makes a request from an endpoint and a language."""


@frozen(kw_only=True)
class CallOptions:
    """What a call says of all of its images, and of its own time.

    Attributes:
        lang: The language of an image that names none.
        ordered: Whether outcomes come in the order of the images.
        deadline: [s] that the call may take in all; None for the session's own.
        outage_timeout: [s] of an outage that the call waits for; None for the session's own.
        fail_fast: Whether attempts count in an outage, too.
    """

    lang: str = DEFAULT_LANGUAGE
    ordered: bool = False
    deadline: float | None = None
    outage_timeout: float | None = None
    fail_fast: bool = False

    def __attrs_post_init__(self) -> None:
        check_language(self.lang)
        if self.deadline is not None:
            check_at_least("deadline", self.deadline, 0.0)
        if self.outage_timeout is not None:
            check_outage_timeout(self.outage_timeout)

    def or_else(self, other: Self) -> Self:
        """Return these options, with the waiting times of *other* where they have none."""
        deadline, timeout = self.deadline, self.outage_timeout
        return evolve(
            self,
            deadline=other.deadline if deadline is None else deadline,
            outage_timeout=other.outage_timeout if timeout is None else timeout,
        )


class Question(Protocol[T]):
    """What a call asks of each image, and what it makes of the answer."""

    def prompt_for(self, image: Image) -> str | None:
        """Return what the language model is asked about *image*, if it is asked."""
        ...

    def interpret(self, item: "Item", result: Result) -> Outcome[T] | str:
        """Return the outcome of *item*, or the prompt with which to ask about its image again."""
        ...


def _check_prompt(_: object, __: object, value: str | None) -> None:
    if value is not None:
        check_prompt(value)


@frozen(eq=False)
class Reading:
    """Asks for the record as it is, with the answer to a *prompt* in it if there is one."""

    prompt: str | None = field(default=None, validator=_check_prompt)

    def prompt_for(self, image: Image) -> str | None:
        """Return the image's own prompt, else that of the call."""
        return self.prompt if image.prompt is None else image.prompt

    def interpret(self, item: "Item", result: Result) -> Outcome:
        """Return the outcome with the record."""
        return make_outcome(item, result)


@frozen
class Patience:
    """How long a call waits.

    Attributes:
        opened: When [s] the call began.
        deadline: When [s] its time is over.
        outage_timeout: [s] of an outage that it waits for.
        fail_fast: Whether attempts count in an outage, too.
    """

    opened: float
    deadline: float = inf
    outage_timeout: float = inf
    fail_fast: bool = False

    @classmethod
    def begin(cls, options: CallOptions) -> Self:
        """Return how long a call waits that begins now."""
        now, timeout = anyio.current_time(), options.outage_timeout
        deadline = inf if options.deadline is None else now + options.deadline
        return cls(now, deadline, inf if timeout is None else timeout, options.fail_fast)


@frozen(cache_hash=True)
class BatchKey:
    """What the items of one batch have in common.

    Attributes:
        request: The request that carries them.
        most: Items that may be in one batch.
    """

    request: Request
    most: int = MAX_RECORDS


@define(eq=False, repr=False)
class Call:
    """One call of the user's: what makes its items, and where their results go.

    Attributes:
        deliver: Takes the result of an item, synchronously.
        lang: The language of an image that names none.
        make_request: Makes the request for an image's endpoint and language.
        patience: How long the call waits.
        waiting: Items that were submitted and have not ended.
        is_abandoned: Whether nobody waits for its results any more.
        stopped: By target, why nothing more of this call is sent there.
    """

    deliver: "Callable[[Item, Result], None]"
    lang: str
    make_request: MakeRequest
    patience: Patience = field(init=False, default=Patience(0.0))
    waiting: int = field(init=False, default=0)
    is_abandoned: bool = field(init=False, default=False)
    stopped: dict[str, OCRError] = field(init=False, factory=dict)
    _batch_keys: dict[tuple[str, str], BatchKey] = field(init=False, factory=dict)
    # Other calls' records are in the same request, so names are unique among all calls.
    _name: str = field(init=False, factory=lambda: os.urandom(8).hex())
    _numbers: Iterator[int] = field(init=False, factory=count)

    def abandon(self) -> None:
        """Wait for no results any more."""
        self.is_abandoned = True

    def make_item(self, index: int, image: Image, prompt: str | None) -> "Item":
        """Make the item of the image at place *index* of the input."""
        batch_key = self._batch_key("read" if prompt is None else "read_gpt", image.lang)
        unique = f"{self._name}-{next(self._numbers)}"
        record_id = batch_key.request.record_id(unique, index, image)
        return Item(record_id, index, image, prompt, batch_key, self, anyio.current_time())

    def _batch_key(self, endpoint: str, lang: str | None) -> BatchKey:
        # One object for all images, of which there may be many.
        key = endpoint, lang or self.lang
        if key not in self._batch_keys:
            self._batch_keys[key] = BatchKey(self.make_request(*key))
        return self._batch_keys[key]


class Phase(IntEnum):
    """What an item is doing."""

    QUEUED = 0
    IN_ATTEMPT = 1
    IN_PAUSE = 2


@define(eq=False, repr=False)
class Item:
    """One image on its way to its result.

    Attributes:
        id: What its record is called on the wire.
        index: The place of its image in the call's input, from 0.
        image: The image.
        prompt: What the language model is asked about it.
        batch_key: The items that it may share a request with.
        call: The call that it belongs to.
        entered: When [s] it began what it is doing.
        fingerprint: What its file was at the first attempt.
        attempts: Requests that carried it.
        free_attempts: Those of them that the retry policy does not count.
        sent: Those of them that reached the service, or may have.
        maybe_billed: Those of them that may have been billed and brought no result.
        has_crashed: Whether a request that carried it was answered with 500 or 502.
        first_outage: How many requests had been answered when an outage first turned it away.
        isolation: The batch that was refused as a whole, if it is now sent alone.
        is_done: Whether it has ended.
        is_given_up: Whether an attempt that is under way was counted as maybe billed.
    """

    id: str
    index: int
    image: Image
    prompt: str | None
    batch_key: BatchKey
    call: Call
    _entered: float = 0.0
    fingerprint: FileFingerprint | None = None
    attempts: int = 0
    free_attempts: int = 0
    sent: int = 0
    maybe_billed: int = 0
    has_crashed: bool = False
    first_outage: int | None = None
    isolation: "Isolation | None" = None
    is_done: bool = False
    is_given_up: bool = False
    _phase: Phase = field(init=False, default=Phase.QUEUED)
    # [s] in each phase.
    _spent: list[float] = field(init=False, factory=lambda: [0.0, 0.0, 0.0])

    @property
    def request(self) -> Request:
        """The request that carries it."""
        return self.batch_key.request

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it."""
        return not self.is_done and not self.call.is_abandoned

    @property
    def is_alike(self) -> bool:
        """Whether enough of those that were isolated with it failed alike, alone."""
        return self.isolation is not None and self.isolation.is_alike

    def enter(self, phase: Phase, now: float) -> None:
        """Begin to do something else *now* [s]."""
        self._spent[self._phase] += now - self._entered
        self._phase, self._entered = phase, now

    def isolate(self, isolation: "Isolation") -> None:
        """Be sent alone from now on, at no cost of attempts."""
        self.resize(1)
        self.isolation = isolation
        isolation.items.append(self)

    def resize(self, most: int) -> None:
        """Be sent in batches of *most* items from now on, at no cost of attempts."""
        self.free_attempts += 1
        self.batch_key = evolve(self.batch_key, most=most)

    def time_breakdown(self, now: float) -> str:
        """Return where the time until *now* [s] went, since it was pulled, in words."""
        self.enter(self._phase, now)
        queued, attempting, pausing = self._spent
        attempts = f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}"
        return (
            f"{queued + attempting + pausing:.1f} s since it was pulled, {queued:.1f} s of them "
            f"queued, {attempting:.1f} s in {attempts}, {pausing:.1f} s in pauses"
        )


@define(eq=False, repr=False)
class Isolation:
    """The items of a batch that was refused as a whole, which are now sent alone.

    Attributes:
        items: The items.
    """

    items: list[Item] = field(factory=list)
    # How the first attempt of each ended, by id: an error in words, or nothing.
    _ends: dict[str, str] = field(init=False, factory=dict)

    def observe(self, item: Item, error: OCRError | None) -> bool:
        """Take note of how the first attempt at *item* alone ended.

        An *error* for which no record can be at fault says nothing.

        Returns:
            Whether all of them have failed alike.
        """
        if error is None or is_suspect(error):
            self._ends.setdefault(item.id, str(error or ""))
        return self.is_alike and len(self._ends) == len(self.items)

    @property
    def is_alike(self) -> bool:
        """Whether enough of them failed alike to say that no record is at fault."""
        ends = self._ends.values()
        return len(ends) >= WITNESSES and len(set(ends)) == 1 and all(ends)


@define(eq=False, repr=False)
class Batch:
    """Items that share a request.

    Attributes:
        items: The items.
        is_probe: Whether it is the one request that asks whether an outage is over.
        began: When [s] its attempt began.
        sent: Ids of the items whose request was made; giving up on them may cost money.
        scope: The scope of the attempt that is under way, or of the pause.
        holds_slot: Whether its slot stays taken during its pause.
    """

    items: list[Item]
    is_probe: bool = False
    began: float = field(factory=anyio.current_time)
    sent: frozenset[str] = frozenset()
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    holds_slot: bool = False

    @property
    def request(self) -> Request:
        """The request that carries them."""
        return self.items[0].request

    def mark_sent(self, ids: Iterable[str]) -> None:
        """Count the request as made, with the items of these *ids* in it."""
        self.sent = frozenset(ids)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for any of it."""
        return any(item.is_wanted for item in self.items)

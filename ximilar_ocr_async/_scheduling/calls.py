"""What the scheduler moves about: calls, their items, and the batches that items form."""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextvars import Context
from enum import IntEnum
from itertools import count
from typing import Any, ClassVar, Protocol, TypeAlias

import anyio
from attrs import define, field, frozen

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._protocol import Request
from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.call_options import CallOptions, Patience
from ximilar_ocr_async._scheduling.isolation import Isolation
from ximilar_ocr_async._scheduling.tenant import Tenant
from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.images import FileFingerprint, Image
from ximilar_ocr_async.outcomes import Outcome, T, make_outcome

Result: TypeAlias = Any
"""What an attempt brought for one item: a value that its request decoded, or an `OCRError`."""


SUSPICION = 2
"""Times that a record is turned away, while others are answered, that are too many for an accident.
Source: judgement; of what a busy service refuses at random, little is refused three times."""

MakeRequest: TypeAlias = Callable[[str, str], Request]
"""Makes a request from an endpoint and a language."""


class Question(Protocol[T]):
    """What a call asks of each image, and what it makes of the answer."""

    kind: ClassVar[str]
    """What the call is for, in a word."""

    def prompt_for(self, image: Image) -> str | None:
        """Return what the language model is asked about *image*, if it is asked."""
        ...

    @property
    def prepare(self) -> Callable[[Result], Result] | None:
        """Makes of a result what `interpret` takes, which may take long; None if it takes all.

        It may run in a thread, and raises no `Exception`.
        """
        ...

    def interpret(self, item: "Item", result: Result, /) -> Outcome[T] | str:
        """Return the outcome of *item*, or the prompt with which to ask about its image again."""
        ...


def _check_prompt(_: object, __: object, value: str | None) -> None:
    if value is not None:
        check_prompt(value)


@frozen(eq=False)
class Reading:
    """Asks for the record as it is, with the answer to a *prompt* in it if there is one."""

    prompt: str | None = field(default=None, validator=_check_prompt)
    kind: ClassVar[str] = "read"

    @property
    def prepare(self) -> None:
        """Nothing is made of a record."""

    def prompt_for(self, image: Image) -> str | None:
        """Return the image's own prompt, else that of the call."""
        return self.prompt if image.prompt is None else image.prompt

    def interpret(self, item: "Item", result: Result) -> Outcome:
        """Return the outcome with the record."""
        return make_outcome(item, result)


@define(eq=False, repr=False)
class Call:
    """One call of the user's: what makes its items, and where their results go.

    Attributes:
        deliver: Takes the result of an item, synchronously.
        options: What the call says of all of its images.
        make_request: Makes the request for an image's endpoint and language.
        tenant: Whose account it uses.
        question: What it asks of each image.
        patience: How long the call waits.
        items: What was submitted and has not ended, in order.
        is_abandoned: Whether nobody waits for its results any more.
        context: Of whoever made it, until it ends.
        stopped: By target, why nothing more of this call is sent there.
        id: What the ids of its records begin with.
    """

    deliver: "Callable[[Item, Result], None]"
    options: CallOptions
    make_request: MakeRequest
    tenant: Tenant
    question: Question[Any] = field(factory=Reading)
    patience: Patience = field(init=False, default=Patience(0.0))
    items: "dict[Item, None]" = field(init=False, factory=dict)
    is_abandoned: bool = field(init=False, default=False)
    context: Context = field(init=False, factory=Context)
    stopped: dict[str, OCRError] = field(init=False, factory=dict)
    _requests: dict[tuple[str, str], Request] = field(init=False, factory=dict)
    # Other calls' records are in the same request, so ids are unique among all calls.
    id: str = field(init=False, factory=lambda: os.urandom(8).hex())
    _numbers: Iterator[int] = field(init=False, factory=count)

    @property
    def is_interactive(self) -> bool:
        """Whether a person waits for it."""
        return self.options.priority == "interactive"

    @property
    def fair_key(self) -> Hashable:
        """What takes turns: whom the call is for, or else the call itself."""
        return self if self.options.fair_by is None else self.options.fair_by

    def abandon(self) -> None:
        """Wait for no results any more."""
        self.is_abandoned = True
        # What its caller keeps there is not for us to keep.
        self.context = Context()

    def make_item(self, index: int, image: Image, prompt: str | None) -> "Item":
        """Make the item of the image at place *index* of the input."""
        request = self._request("read" if prompt is None else "read_gpt", image.lang)
        record_id = request.record_id(f"{self.id}-{next(self._numbers)}", index, image)
        return Item(record_id, index, image, prompt, request, self, anyio.current_time())

    def _request(self, endpoint: str, lang: str | None) -> Request:
        # One object for all images, of which there may be many.
        key = endpoint, lang or self.options.lang
        if key not in self._requests:
            self._requests[key] = self.make_request(*key)
        return self._requests[key]


class Sent(Protocol):
    """How far a request has come, as far as the books ask."""

    @property
    def may_be_whole(self) -> bool: ...


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
        request: The request that carries it; it may share one with items of an equal request.
        call: The call that it belongs to.
        entered: When [s] it began what it is doing.
        fingerprint: What its file was when it was last looked at.
        most: Items that may be in one batch with it.
        attempts: Requests that carried it.
        free_attempts: Those of them that the retry policy does not count.
        sent: Those of them that reached the service, or may have.
        maybe_billed: Those of them that may have been billed and brought no result.
        has_crashed: Whether a request that carried it was answered with 500 or 502.
        turned_away: How many requests had been answered when it was last turned away.
        suspicion: How often it was turned away when others had been answered since the last time.
        first_outage: How many requests had been answered when an outage first turned it away.
        isolation: The batch that was refused as a whole, if it is now sent alone.
        batch: The batch that carries it now, or that pauses with it.
        is_done: Whether it has ended.
        is_given_up: Whether an attempt that is under way was counted as maybe billed.
        preparing: The scope in which something is made of its result, while that takes.
    """

    id: str
    index: int
    image: Image
    prompt: str | None
    request: Request
    call: Call
    _entered: float = 0.0
    fingerprint: FileFingerprint | None = None
    most: int = MAX_RECORDS
    attempts: int = 0
    free_attempts: int = 0
    sent: int = 0
    maybe_billed: int = 0
    has_crashed: bool = False
    turned_away: int | None = None
    suspicion: int = 0
    first_outage: int | None = None
    isolation: Isolation | None = None
    batch: "Batch | None" = None
    is_done: bool = False
    is_given_up: bool = False
    preparing: anyio.CancelScope | None = None
    _phase: Phase = field(init=False, default=Phase.QUEUED)
    # [s] in each phase.
    _spent: list[float] = field(init=False, factory=lambda: [0.0, 0.0, 0.0])

    @property
    def accounting(self) -> Accounting:
        """The books in which it stands."""
        return self.call.tenant.accounting

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for it."""
        return not self.is_done and not self.call.is_abandoned

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a slot."""
        return self._phase is Phase.QUEUED

    @property
    def size(self) -> int:
        """[bytes] of its image as base64, as far as that is known without a look at the disk."""
        source = self.image.source
        if isinstance(source, bytes):
            return -(-len(source) // 3) * 4
        return -(-self.fingerprint.size // 3) * 4 if self.fingerprint else 0

    def turn_away(self, answers: int) -> None:
        """Count that its whole request was turned away, after so many *answers* to others."""
        self.suspicion += self.turned_away is not None and answers > self.turned_away
        self.turned_away = answers

    @property
    def is_suspected(self) -> bool:
        """Whether it was turned away again and again, and others were answered in between."""
        return self.suspicion >= SUSPICION

    @property
    def is_alike(self) -> bool:
        """Whether enough of those that were isolated with it failed alike, alone."""
        return self.isolation is not None and self.isolation.is_alike

    def waited(self, now: float) -> float:
        """Return how long [s] it has been doing what it is doing."""
        return now - self._entered

    def enter(self, phase: Phase, now: float) -> None:
        """Begin to do something else *now* [s]."""
        self._spent[self._phase] += now - self._entered
        self._phase, self._entered = phase, now

    def isolate(self, isolation: Isolation, *, is_free: bool) -> None:
        """Be sent alone from now on; the attempt before counts, unless it *is_free*."""
        self.free_attempts += is_free
        self.most = 1
        self.isolation = isolation
        isolation.items.append(self)

    def resize(self, most: int) -> None:
        """Be sent in batches of *most* items from now on, at no cost of attempts."""
        self.free_attempts += 1
        self.most = most

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
class Batch:
    """Items that share a request.

    Attributes:
        items: The items.
        is_probe: Whether it is the one request that asks whether an outage is over.
        began: When [s] its attempt began.
        answers_before: Batches that its endpoint had answered by then.
        sent: Ids of the items whose request was made.
        scope: The scope of the attempt that is under way, or of the pause.
        holds_slot: Whether its slot stays taken during its pause.
        number: What events call its attempt; 0 if none tells of it.
        sent_at: When [s] its request was made, if it has a number.
        queue_wait: [s] that its items waited for a slot at most, if anybody is told.
    """

    items: list[Item]
    is_probe: bool = False
    began: float = field(factory=anyio.current_time)
    answers_before: int = 0
    sent: frozenset[str] = frozenset()
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    holds_slot: bool = False
    number: int = field(init=False, default=0)
    sent_at: float = field(init=False, default=0.0)
    queue_wait: float = field(init=False, default=0.0)
    request: Request = field(init=False)
    tenant: Tenant = field(init=False)
    _trace: Sent | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        # Kept, for all of its items may be given back.
        self.request, self.tenant = self.items[0].request, self.items[0].call.tenant

    def mark_sent(self, ids: Iterable[str], trace: Sent | None) -> None:
        """Count the request as made, with the items of these *ids* in it.

        The *trace* tells how far it comes; without one it may have been sent at once.
        """
        self.sent, self._trace = frozenset(ids), trace

    @property
    def is_whole(self) -> bool:
        """Whether the request may have been sent to its end, so that it may be billed."""
        return bool(self.sent) and (self._trace is None or self._trace.may_be_whole)

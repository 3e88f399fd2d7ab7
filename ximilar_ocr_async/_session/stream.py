"""One call of the user's: images pulled from its source, outcomes handed to its consumer.

Both ends are bounded by one count: images pulled whose outcomes were not yet handed out.
"""

import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing, suppress
from inspect import isasyncgen
from time import perf_counter
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import SIGNALS, is_from_outside
from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._scheduling import (
    Call,
    CallOptions,
    Item,
    MakeRequest,
    Patience,
    Question,
    Result,
    Scheduler,
    Tenant,
)
from ximilar_ocr_async._session.slow_source import SlowSource
from ximilar_ocr_async.errors import OCRError, OptionError, SessionClosed, SessionStateError
from ximilar_ocr_async.images import Image, Source, check_source
from ximilar_ocr_async.outcomes import Outcome, T

AnyImage: TypeAlias = Image | Source
Images: TypeAlias = Iterable[AnyImage] | AsyncIterable[AnyImage]

TURN = 0.001
"""[s] of work in a source after which other tasks get their turn."""

LEAVE = 5.0
"""[s] that a source gets to clean up when its stream is left early."""


def check_images(images: object) -> None:
    """Raise `OptionError` when *images* is one image or nothing that can be iterated over."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image)
    if one or not isinstance(images, Iterable | AsyncIterable):
        kind = type(images).__name__
        raise OptionError(f"images is a {kind}, expected an (async) iterable of images")


@define(eq=False, repr=False)
class Stream(Generic[T]):
    """Outcomes as they come. Lives as long as its ``async with`` block; iterate inside it.

    Leaving the block early withdraws what was not sent.
    """

    _images: Images
    _question: Question[T]
    _options: CallOptions
    _make_request: MakeRequest = field(kw_only=True)
    # [s] that an image waits for company in its batch.
    _linger: float = field(kw_only=True)
    _scheduler: Scheduler = field(kw_only=True)
    _tenant: Tenant = field(kw_only=True)
    _group: TaskGroup = field(kw_only=True)

    _call: Call = field(init=False)
    _clock: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    _scope: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    _lingering: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    # Pulled and not yet submitted, and until when [s] they wait for company.
    _block: list[Item] = field(init=False, factory=list)
    _due: float = field(init=False, default=0.0)
    # Pulled and not yet handed out: never more than the window.
    _held: int = field(init=False, default=0)
    _pulled: int = field(init=False, default=0)
    _ready: deque[Outcome[T]] = field(init=False, factory=deque)
    # In order only: outcomes whose turn has not come, by index.
    _early: dict[int, Outcome[T]] = field(init=False, factory=dict)
    _turn: int = field(init=False, default=0)
    # Raised to the consumer after the last outcome; None once the source is exhausted.
    _source_error: BaseException | None = field(
        init=False, factory=lambda: SessionClosed("the session closed before its images ended")
    )
    _started: bool = field(init=False, default=False)
    _begun: anyio.Event = field(init=False, factory=anyio.Event)
    _fed: anyio.Event = field(init=False, factory=anyio.Event)
    _changed: anyio.Event = field(init=False, factory=anyio.Event)
    _room: anyio.Event = field(init=False, factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        check_images(self._images)
        request, asked = self._make_request, self._question
        self._call = Call(
            self._receive, self._options, request, self._tenant, asked.prepare, asked.kind
        )

    # ---- the consumer's end

    async def __aenter__(self) -> Self:
        if self._started:
            raise SessionStateError("a stream is entered once; make another")
        self._started = True
        self._scheduler.open(self._call)
        self._call.patience = Patience.begin(self._options)
        if self._options.deadline is not None:
            self._group.start_soon(self._expire)
        self._group.start_soon(self._feed)
        self._group.start_soon(self._submit_late)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._clock.cancel()
        self._scope.cancel()
        self._lingering.cancel()
        self._scheduler.withdraw(self._call)
        with anyio.move_on_after(LEAVE, shield=True):
            await self._fed.wait()
        # Images are not kept until a stream that somebody still holds is collected.
        self._images = ()
        self._ready.clear()
        self._early.clear()
        self._changed.set()
        if exc is None:
            self._raise_signal()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[T]:
        self._check_inside()
        self._raise_signal()
        while not self._ready:
            if self._fed.is_set() and not self._held:
                # A session that is cancelled ends its streams before their consumers hear of it.
                await anyio.lowlevel.checkpoint_if_cancelled()
                self._finish()
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
            self._check_inside()
        self._held -= 1
        if self._held <= self._window - MAX_RECORDS:
            self._room.set()
        return self._ready.popleft()

    def __reduce__(self) -> NoReturn:
        # A copy would be left half made, and not even have a repr.
        raise TypeError("a stream cannot be copied or pickled")

    def __repr__(self) -> str:
        return f"<Stream, {self._pulled} images pulled, {self._held} of them not handed out>"

    def _check_inside(self) -> None:
        if not self._started or self._call.is_abandoned:
            raise SessionStateError("a stream is iterated over inside its async with block")

    def _raise_signal(self) -> None:
        """Raise what a signal raised in the source: it does not wait for outcomes."""
        if self._fed.is_set() and isinstance(self._source_error, SIGNALS):
            self._finish()

    def _finish(self) -> None:
        if self._source_error is not None:
            error, self._source_error = self._source_error, None
            raise error
        raise StopAsyncIteration

    async def _expire(self) -> None:
        with self._clock:
            await anyio.sleep_until(self._call.patience.deadline)
            self._flush()
            self._scheduler.expire(self._call)

    # ---- the scheduler's end

    def _receive(self, item: Item, result: Result) -> None:
        """Take a result; called synchronously, so that nothing paid for can be lost."""
        interpreted = self._question.interpret(item, result)
        if isinstance(interpreted, str):
            self._scheduler.ask_again(item, interpreted)
            return
        if not self._options.ordered:
            self._ready.append(interpreted)
        else:
            self._early[item.index] = interpreted
            while self._turn in self._early:
                self._ready.append(self._early.pop(self._turn))
                self._turn += 1
        self._changed.set()
        self._scheduler.slots.events.outcome_ready(item, interpreted)

    # ---- the source's end, in a task of the session

    @property
    def _window(self) -> int:
        return (self._scheduler.slots.ceiling + 1) * MAX_RECORDS

    async def _feed(self) -> None:
        try:
            with self._scope:
                await self._pull()
                self._source_error = None
        except BaseException as error:
            # Whatever the source raises is the consumer's to hear, as long as there is one.
            if is_from_outside(error) or self._call.is_abandoned:
                raise
            self._source_error = error
        finally:
            self._flush()
            self._fed.set()
            self._changed.set()

    async def _pull(self) -> None:
        left = self._window
        async with aclosing(_each(self._images)) as images:
            async for image in images:
                self._accept(image)
                left -= 1
                if not left:
                    # Submitted together, so that batches of several languages have more in them.
                    self._flush()
                    left = await self._wait_for_room()

    async def _wait_for_room(self) -> int:
        """Return how many images may be pulled now."""
        # Whole batches: a few more would go out alone where a slot is free.
        while (room := (self._window - self._held) // MAX_RECORDS * MAX_RECORDS) <= 0:
            self._room = anyio.Event()
            await self._room.wait()
        return room

    def _accept(self, given: AnyImage) -> None:
        index, self._pulled = self._pulled, self._pulled + 1
        self._held += 1
        image = given if isinstance(given, Image) else Image(given)
        try:
            check_source(image)
            prompt = self._question.prompt_for(image)
        except OCRError as error:
            item = self._call.make_item(index, image, None)
            self._receive(item, error.with_traceback(None))
            return
        if not self._block:
            self._due = anyio.current_time() + self._linger
            self._begun.set()
        self._block.append(self._call.make_item(index, image, prompt))

    async def _submit_late(self) -> None:
        """Submit what waited for company long enough: in one task, for most blocks fill before."""
        with self._lingering:
            while True:
                await self._begun.wait()
                await anyio.sleep_until(self._due)
                # Else that block was filled, and another began.
                if self._due <= anyio.current_time():
                    self._begun = anyio.Event()
                    self._flush()

    def _flush(self) -> None:
        block, self._block = self._block, []
        self._scheduler.submit(block)


async def _each(images: Images) -> AsyncGenerator[AnyImage]:
    """Iterate over either kind of iterable; close an async generator that was left early."""
    if isinstance(images, AsyncIterable):
        iterator = aiter(images)
        try:
            async for image in iterator:
                yield image
        finally:
            if isasyncgen(iterator):
                # Else its own cleanup would be cancelled at its first await.
                with anyio.move_on_after(LEAVE, shield=True), suppress(RuntimeError):
                    await iterator.aclose()
    else:
        slow, asked = SlowSource(images), perf_counter()
        turn = asked + TURN
        for number, image in enumerate(images, 1):
            slow.count(asked, perf_counter())
            yield image
            # Other tasks get their turn however long a source that is always ready may be; but not
            # at each image, or there would be no more images than turns of a busy loop.
            if number % MAX_RECORDS == 0 or perf_counter() > turn:
                await anyio.lowlevel.checkpoint()
                turn = perf_counter() + TURN
            asked = perf_counter()


async def collect(stream: Stream[T]) -> list[Outcome[T]]:
    """Return (n) outcomes of a stream, in the order of its images."""
    # In order only at the end: on the way, one slow image would hold up all behind it.
    async with stream:
        outcomes = [outcome async for outcome in stream]
    return sorted(outcomes, key=lambda outcome: outcome.index)

"""One call of the user's: images pulled from its source, outcomes handed to its consumer.

Both ends are bounded by one count: images pulled whose outcomes were not yet handed out.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import (
    SIGNALS,
    EventLoopGuard,
    NotCopied,
    is_cancellation,
    is_from_outside,
)
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
    is_fatal,
)
from ximilar_ocr_async._session.source import (
    LEAVE,
    UNFINISHED,
    AnyImage,
    Images,
    Source,
    check_images,
    scope_ended,
)
from ximilar_ocr_async.errors import OCRError, SessionStateError, with_reason
from ximilar_ocr_async.images import Image, check_source
from ximilar_ocr_async.outcomes import Outcome, T

_log = logging.getLogger("ximilar_ocr_async")


@define(eq=False, repr=False)
class Stream(NotCopied, Generic[T]):
    """Outcomes as they come. Lives as long as its ``async with`` block; iterate inside it.

    Leaving the block early withdraws what was not sent.
    """

    _images: Images
    _question: Question[T]
    _options: CallOptions
    _make_request: MakeRequest = field(kw_only=True, alias="make_request")
    # [s] that an image waits for company in its batch.
    _linger: float = field(kw_only=True, alias="linger")
    _scheduler: Scheduler = field(kw_only=True, alias="scheduler")
    _tenant: Tenant = field(kw_only=True, alias="tenant")
    _group: TaskGroup = field(kw_only=True, alias="group")

    _call: Call = field(init=False)
    _place: EventLoopGuard = field(init=False, factory=EventLoopGuard)
    _clock: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    _scope: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    _lingering: anyio.CancelScope = field(init=False, factory=anyio.CancelScope)
    # Pulled and not yet submitted, and until when [s] they wait for company.
    _block: list[Item] = field(init=False, factory=list)
    _due: float = field(init=False, default=0.0)
    # Images in a request at most; pulled and not handed out at most, and now.
    _batch: int = field(init=False)
    _window: int = field(init=False)
    _held: int = field(init=False, default=0)
    _pulled: int = field(init=False, default=0)
    _ready: deque[Outcome[T]] = field(init=False, factory=deque)
    # In order only: outcomes whose turn has not come, by index.
    _early: dict[int, Outcome[T]] = field(init=False, factory=dict)
    _turn: int = field(init=False, default=0)
    # Raised to the consumer after the last outcome; None once the source is exhausted.
    _source_error: BaseException | None = field(init=False, default=UNFINISHED)
    # Whether it ends when nothing more can be sent, and why it did.
    _stops: bool = field(init=False)
    _fatal: OCRError | None = field(init=False, default=None)
    _started: bool = field(init=False, default=False)
    # Whether nothing more is pulled.
    _is_left: bool = field(init=False, default=False)
    _begun: anyio.Event = field(init=False, factory=anyio.Event)
    _fed: anyio.Event = field(init=False, factory=anyio.Event)
    _changed: anyio.Event = field(init=False, factory=anyio.Event)
    _room: anyio.Event = field(init=False, factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        check_images(self._images)
        self._batch = self._scheduler.slots.queue.max_records
        self._window = (self._scheduler.slots.ceiling + 1) * self._batch
        self._stops = self._options.on_fatal == "stop"
        request, question = self._make_request, self._question
        self._call = Call(self._receive, self._options, request, self._tenant, question)

    # ---- the consumer's end

    async def __aenter__(self) -> Self:
        self._place.check()
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
        self._place.check()
        self._clock.cancel()
        self._scope.cancel()
        self._lingering.cancel()
        self._scheduler.withdraw(self._call)
        # A little longer than the source gets.
        with anyio.move_on_after(LEAVE + 1.0, shield=True):
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
            self._place.check()
            await self._changed.wait()
            self._check_inside()
        self._held -= 1
        if self._held <= self._window - self._batch:
            self._room.set()
        return self._ready.popleft()

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
        error = self._fatal or self._source_error
        if error is not None:
            self._fatal = self._source_error = None
            if error is UNFINISHED:
                raise self._scheduler.closing(str(error))
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
        if self._stops and isinstance(result, OCRError) and is_fatal(result):
            self._stop(result)
        if not self._options.ordered:
            self._ready.append(interpreted)
        else:
            self._early[item.index] = interpreted
            while self._turn in self._early:
                self._ready.append(self._early.pop(self._turn))
                self._turn += 1
        self._changed.set()
        self._scheduler.slots.events.outcome_ready(item, interpreted)

    def _stop(self, error: OCRError) -> None:
        """Pull no more, and let what is in flight be the last."""
        self._stops, self._is_left = False, True
        self._fatal = with_reason(error, "the call ends, because on_fatal is stop")
        self._scope.cancel()

    # ---- the source's end, in a task of the session

    async def _feed(self) -> None:
        """Have the source pulled in a task that has no scope of ours: it may hold its own open."""
        try:
            with self._scope:
                async with anyio.create_task_group() as guard:
                    guard.start_soon(self._pull, guard.cancel_scope)
                    try:
                        await self._fed.wait()
                    finally:
                        # The source may shield its task from what was cancelled here.
                        self._is_left = True
                        self._room.set()
                        # The guard is not cancelled before it has shielded the source's cleanup.
                        with anyio.CancelScope(shield=True):
                            await self._fed.wait()
        except ExceptionGroup as errors:
            # That task raises none itself: anyio says so of scopes that were left open in it.
            _log.warning("a source of images left a scope of its own open", exc_info=errors)
        finally:
            self._end_source()

    async def _pull(self, guard: anyio.CancelScope) -> None:
        source = None
        try:
            source = Source(self._images, guard)
            try:
                await self._take_all(source)
            finally:
                await source.aclose()
            if not self._is_left:
                self._source_error = None
        except BaseException as error:  # noqa: BLE001 - raised again, to the consumer
            is_own = source is not None and not self._ends and source.is_cancelled_inside
            self._hear(error, is_own=is_own)
        finally:
            self._end_source()

    def _hear(self, error: BaseException, *, is_own: bool) -> None:
        """Keep what the source raises for its consumer, but no cancellation unless it *is_own*."""
        if is_from_outside(error):
            if not is_own:
                raise error
            error = scope_ended()
        if self._ends and is_cancellation(error):
            return
        if not self._call.is_abandoned:
            self._source_error = error
        elif isinstance(error, SIGNALS):
            raise error
        else:
            _log.warning("a source of images raised when its stream was left", exc_info=error)

    @property
    def _ends(self) -> bool:
        """Whether the stream or its session is being left."""
        return self._scope.cancel_called or self._is_left or self._scheduler.closed is not None

    def _end_source(self) -> None:
        self._flush()
        if self._fatal is not None:
            self._scheduler.fail_unsent(list(self._call.items), self._fatal)
        self._fed.set()
        self._changed.set()

    async def _take_all(self, source: Source) -> None:
        left = self._window
        with suppress(StopAsyncIteration):
            async for image in source:
                self._accept(image)
                left -= 1
                if not left:
                    # Submitted together, so that batches of several languages have more in them.
                    self._flush()
                    while not (left := self._count_room()) and not self._is_left:
                        self._room = anyio.Event()
                        await self._rest(source, self._room.wait)
                if source.takes_turns:
                    await self._rest(source, anyio.lowlevel.checkpoint)
                if self._is_left:
                    return

    async def _rest(self, source: Source, wait: Callable[[], Awaitable[object]]) -> None:
        """Wait for something else than the source.

        What ends a scope of its own meanwhile is told to it. It may go on with another image.
        """
        try:
            await wait()
        except anyio.get_cancelled_exc_class() as error:
            if self._ends or not source.is_cancelled_inside:
                raise
            self._accept(await source.throw(error))

    def _count_room(self) -> int:
        """Return how many images may be pulled now."""
        # Whole batches: a few more would go out alone where a slot is free.
        return max(0, (self._window - self._held) // self._batch * self._batch)

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

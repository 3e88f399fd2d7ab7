"""One call of one image: no source, no window and no task of its own, only a wait."""

from typing import Generic

import anyio
import anyio.lowlevel
from attrs import define, field

from ximilar_ocr_async._protocol import ReadRequest
from ximilar_ocr_async._scheduling import (
    Call,
    CallOptions,
    Item,
    Patience,
    Question,
    Result,
    Scheduler,
    Tenant,
)
from ximilar_ocr_async.errors import DeadlineExceeded
from ximilar_ocr_async.images import AnySource, Image, check_source
from ximilar_ocr_async.outcomes import Outcome, T


@define(eq=False)
class Single(Generic[T]):
    """A call of one image. Whoever waits may be cancelled at any time."""

    _question: Question[T]
    _options: CallOptions
    _scheduler: Scheduler
    _tenant: Tenant
    _call: Call = field(init=False)
    _outcomes: list[Outcome[T]] = field(init=False, factory=list)
    _ended: anyio.Event = field(init=False, factory=anyio.Event)

    def __attrs_post_init__(self) -> None:
        options, question = self._options, self._question
        self._call = Call(self._receive, options, ReadRequest, self._tenant, question)

    async def read(self, given: Image | AnySource) -> Outcome[T]:
        """Return the outcome of the image.

        What cannot be read before a cancel scope around the call ends is not sent; the call waits
        for that end all the same.
        """
        image = given if isinstance(given, Image) else Image(given)
        check_source(image)
        prompt = self._question.prompt_for(image)
        call, scheduler, latest = self._call, self._scheduler, anyio.current_effective_deadline()
        scheduler.open(call)
        call.patience = Patience.begin(self._options, latest=latest)
        try:
            scheduler.submit([call.make_item(0, image, prompt)])
            if self._options.deadline is None:
                await self._wait(latest)
            else:
                with anyio.move_on_after(self._options.deadline):
                    await self._wait(latest)
                scheduler.expire(call)
            return self._outcomes[0]
        finally:
            scheduler.withdraw(call)

    async def _wait(self, latest: float) -> None:
        """Wait for the outcome; if a scope made it late, until that ends *latest* [s]."""
        await self._ended.wait()
        if self._is_late and self._call.patience.deadline == latest:
            # Timers are not exact, and a scope's deadline may be moved.
            while anyio.current_effective_deadline() == latest:  # noqa: ASYNC110 - as said
                await anyio.sleep_until(latest)
            await anyio.lowlevel.checkpoint_if_cancelled()

    @property
    def _is_late(self) -> bool:
        outcome = self._outcomes[0]
        return outcome.ok is False and isinstance(outcome.error, DeadlineExceeded)

    def _receive(self, item: Item, result: Result) -> None:
        """Take a result; called synchronously, so that nothing paid for can be lost."""
        interpreted = self._question.interpret(item, result)
        if isinstance(interpreted, str):
            self._scheduler.ask_again(item, interpreted)
            return
        self._outcomes.append(interpreted)
        self._ended.set()
        self._scheduler.slots.events.outcome_ready(item, interpreted)

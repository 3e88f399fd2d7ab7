"""Telling: what happens in; events for the log and for the session's listener out.

Nothing else makes events. Without anybody who listens none of the frequent ones is made.
"""

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence
from inspect import iscoroutine
from itertools import count
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._constants import CREDITS
from ximilar_ocr_async._scheduling.accounting import is_billed, is_maybe_billed
from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item, Result
from ximilar_ocr_async._scheduling.event_log import EventLog, is_logged
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.events import (
    AttemptEnded,
    BatchSent,
    CallEnded,
    CallOpened,
    Event,
    Listener,
    OutcomeReady,
    RetryScheduled,
)
from ximilar_ocr_async.outcomes import Failure

_log = logging.getLogger("ximilar_ocr_async")

_NUMBERS = count(1)

Pauses: TypeAlias = Mapping[Item, float]
"""How long [s] each item pauses."""


@define(eq=False, repr=False)
class Events:
    """Tells what happens. Lives as long as its session.

    Attributes:
        listener: The user's function, if there is one.
        group: Where what is no `Exception` is raised that comes from it.
    """

    listener: Listener | None = None
    group: TaskGroup | None = None
    _log: EventLog = field(init=False, factory=EventLog)
    # Kinds of events and errors that were complained about.
    _complaints: set[tuple[str, str]] = field(init=False, factory=set)

    @property
    def are_heard(self) -> bool:
        """Whether there is a listener, for whom even frequent events are made."""
        return self.listener is not None

    def tell(self, event: Event) -> None:
        """Log *event* and hand it to the listener, whatever that makes of it."""
        self._log(event)
        if self.listener is not None:
            self._hand_over(event, self.listener)

    def _hand_over(self, event: Event, listener: Listener) -> None:
        try:
            returned = listener(event)
        except BaseException as error:  # noqa: BLE001 - the listener is the user's
            # A cancellation that is not of this task's making is an error like any other.
            harmless = (Exception, GeneratorExit, anyio.get_cancelled_exc_class())
            if isinstance(error, harmless):
                words = "".join(traceback.format_exception(error))
                self._complain(event, type(error).__name__, f"on_event raised\n{words}")
            else:
                self._raise_outside(error)
        else:
            if iscoroutine(returned):
                returned.close()
                words = "on_event returned a coroutine, which is not awaited; give a plain function"
                self._complain(event, "coroutine", words)

    def _complain(self, event: Event, kind: str, words: str) -> None:
        # Once for each kind, or a million events would be a million lines.
        key = type(event).__name__, kind
        if key not in self._complaints:
            self._complaints.add(key)
            _log.error("for %s, and maybe for more of its kind, %s", key[0], words)

    def _raise_outside(self, error: BaseException) -> None:
        """Raise what a signal raised in a task of its own: the step that told ends as it should.

        Otherwise images that were paid for would be left without their outcomes.
        """

        async def interrupt() -> None:
            raise error

        try:
            if self.group is None:
                raise error
            self.group.start_soon(interrupt)
        except RuntimeError:
            # The session has ended already.
            raise error from None

    # ---- calls

    def call_opened(self, call: Call) -> None:
        """Tell that *call* began."""
        if self.are_heard:
            event = CallOpened(
                call_id=call.id,
                kind=call.question.kind,
                lang=call.options.lang,
                priority=call.options.priority,
                account=call.tenant.name,
            )
            self.tell(event)

    def call_ended(self, call: Call) -> None:
        """Tell that *call* ends now, unless that was told."""
        if self.are_heard and not call.is_abandoned:
            event = CallEnded(
                call_id=call.id,
                duration=anyio.current_time() - call.patience.opened,
                unfinished=len(call.items),
                account=call.tenant.name,
            )
            self.tell(event)

    def outcome_ready(self, item: Item, outcome: Any) -> None:
        """Tell that *item* has its *outcome*: a `Failure`, or whatever a success is."""
        if self.are_heard:
            failure = outcome if isinstance(outcome, Failure) else None
            event = OutcomeReady(
                call_id=item.call.id,
                index=outcome.index,
                ok=failure is None,
                error=_kind(failure.error if failure else None),
                attempts=outcome.attempts,
                maybe_billed=bool(outcome.maybe_billed),
                endpoint=item.request.target,
                lang=item.request.lang,
                account=item.call.tenant.name,
            )
            self.tell(event)

    # ---- attempts

    def batch_begun(self, batch: Batch, now: float) -> None:
        """Remember for how long a *batch* waited that got its slot *now* [s]."""
        if self.are_heard:
            batch.queue_wait = max(item.waited(now) for item in batch.items)

    def batch_sent(self, batch: Batch) -> None:
        """Tell that the request of *batch* is made, and begins to be sent."""
        if self.are_heard or is_logged(logging.DEBUG):
            batch.number, batch.sent_at = next(_NUMBERS), anyio.current_time()
        if self.are_heard:
            items = [item for item in batch.items if item.id in batch.sent]
            event = BatchSent(
                attempt_id=batch.number,
                call_ids=_calls_of(items),
                endpoint=batch.request.target,
                lang=batch.request.lang,
                records=len(items),
                attempt=max(item.attempts for item in items) + 1,
                queue_wait=batch.queue_wait,
                is_probe=batch.is_probe,
                account=batch.tenant.name,
            )
            self.tell(event)

    def attempt_ended(self, batch: Batch, attempted: AttemptResult) -> None:
        """Tell how an attempt at *batch* ended, if a request was made."""
        if not batch.number:
            return
        ended = {i: result for i, result in attempted.results.items() if i in batch.sent}
        billed = sum(map(is_billed, ended.values()))
        event = AttemptEnded(
            attempt_id=batch.number,
            call_ids=_calls_of(item for item in batch.items if item.id in batch.sent),
            endpoint=batch.request.target,
            lang=batch.request.lang,
            records=len(batch.sent),
            duration=anyio.current_time() - batch.sent_at,
            status=attempted.status,
            error=_kind(attempted.error),
            request_id=attempted.request_id,
            billed=billed,
            maybe_billed=_count_lost(batch, attempted, ended.values()),
            credits=billed * CREDITS.get(batch.request.endpoint, 0),
            is_given_up=attempted.is_given_up,
            account=batch.tenant.name,
        )
        self.tell(event)

    def retry_scheduled(
        self, batch: Batch, attempted: AttemptResult, again: Sequence[Item], pauses: Pauses
    ) -> None:
        """Tell which items of *batch* will be sent again: at once, or after their pauses [s]."""
        if not batch.number:
            return
        items = [item for item in (*again, *pauses) if item.id in batch.sent]
        if items:
            result = attempted.results.get(items[0].id)
            event = RetryScheduled(
                attempt_id=batch.number,
                endpoint=batch.request.target,
                lang=batch.request.lang,
                records=len(items),
                pause=max(pauses.values(), default=0.0),
                error=_kind(result if isinstance(result, OCRError) else attempted.error),
                account=batch.tenant.name,
            )
            self.tell(event)


def _kind(error: OCRError | None) -> str | None:
    return None if error is None else type(error).__name__


def _calls_of(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.call.id for item in items))


def _count_lost(batch: Batch, attempted: AttemptResult, results: Iterable[Result]) -> int:
    if attempted.is_given_up:
        return len(batch.sent) if batch.is_whole else 0
    return sum(is_maybe_billed(result, is_lost=attempted.is_lost) for result in results)

"""Images that were submitted for later: ids in, outcomes out as they are done."""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from functools import partial
from math import inf
from typing import Self

import anyio
from attrs import define, evolve, field

from ximilar_ocr_async._concurrency import NotCopied
from ximilar_ocr_async._constants import JOB_KEPT, MAX_RECORDS
from ximilar_ocr_async._jobs.polling import Polling
from ximilar_ocr_async._jobs.receiver import Delivery, WebhookReceiver
from ximilar_ocr_async._protocol import Document, jobs
from ximilar_ocr_async._scheduling import CallOptions, JSONGetter
from ximilar_ocr_async._validation import check_kind, check_request_ids
from ximilar_ocr_async.errors import (
    DeadlineExceeded,
    JobExpired,
    JobFailed,
    JobNotFound,
    OCRError,
    ReplyError,
    RequestRejected,
    with_reason,
)
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import JobInfo
from ximilar_ocr_async.outcomes import Failure, Outcome, carry, in_order

NOT_FOUND = 404

NEW = 60.0
"""[s] for which a request that cannot be found may only not be found yet. Source: judgement."""


@define(eq=False)
class Part:
    """One asynchronous request of a job.

    Attributes:
        first: The place of its first image; records that do not say theirs count from it.
        images: Its images by place; none if another process submitted them.
        submitted: When [s] it was submitted, if that is known.
    """

    first: int
    images: dict[int, Image] = field(factory=dict)
    submitted: float = inf

    @property
    def places(self) -> Sequence[int]:
        """The places of its images, as far as they are known."""
        return sorted(self.images) or range(self.first, self.first + MAX_RECORDS)


@define(eq=False, repr=False)
class Job(NotCopied):
    """Images that were submitted together, in asynchronous requests of up to 10.

    The service keeps it, whatever becomes of this program: store the `ids`, and `OCRSession.job`
    takes it up again.

    Attributes:
        getter: Asks the service.
        options: How long one request about the job may take, and wait for an outage.
        receiver: Gets deliveries that wake the job.
        parts: Its asynchronous requests by id, in the order of their submission.
        failures: Images that were not submitted.
    """

    getter: JSONGetter
    options: CallOptions
    receiver: WebhookReceiver | None
    parts: dict[str, Part] = field(factory=dict)
    failures: list[Failure] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        if self.receiver:
            self.receiver.listen(self)

    @classmethod
    def resume(
        cls,
        ids: str | Iterable[str],
        getter: JSONGetter,
        options: CallOptions,
        receiver: WebhookReceiver | None,
    ) -> Self:
        """Return the job of what was submitted before under these *ids*."""
        if receiver is not None:
            check_kind("webhook", receiver, WebhookReceiver, "a WebhookReceiver")
        unique = enumerate(dict.fromkeys(check_request_ids(ids)))
        parts = {request_id: Part(number * MAX_RECORDS) for number, request_id in unique}
        return cls(getter, options, receiver, parts)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its asynchronous requests, in the order of the images."""
        return tuple(sorted(self.parts, key=lambda request_id: self.parts[request_id].first))

    def __repr__(self) -> str:
        return f"<Job of {len(self.parts)} asynchronous requests>"

    def outcomes(
        self, *, deadline: float | None = None, outage_timeout: float | None = None
    ) -> "JobOutcomes":
        """Iterate over the outcomes as they are done: ``async for outcome in job.outcomes()``.

        There is one for each image that was submitted here. A job that was taken up by its ids
        knows no images but those that come back: if one of its requests failed as a whole, the
        error is raised after all other outcomes. Every iteration asks the service anew.

        Args:
            deadline: [s] from now; none by default. The service goes on all the same.
            outage_timeout: [s] of an outage to wait for, before the session's own.

        Raises:
            DeadlineExceeded: Not everything is done by then.
            OCRError: The service cannot be asked.
        """
        own = CallOptions(deadline=deadline, outage_timeout=outage_timeout)
        seconds = inf if deadline is None else deadline
        # The deadline is that of all requests together.
        options = evolve(own.or_else(self.options), deadline=self.options.deadline)
        return JobOutcomes(self, options, seconds, anyio.current_time() + seconds)

    async def wait(
        self, *, deadline: float | None = None, outage_timeout: float | None = None
    ) -> list[Outcome]:
        """Wait until everything is done; return (n) outcomes in the order of the images.

        Takes and raises what `outcomes` does; the error's ``outcomes`` are what was done before.
        """
        outcomes: list[Outcome] = []
        try:
            async for outcome in self.outcomes(deadline=deadline, outage_timeout=outage_timeout):
                outcomes.append(outcome)  # noqa: PERF401 - kept although the loop raises
        except BaseException as error:
            carry(error, outcomes)
            raise
        return in_order(outcomes)

    async def infos(
        self, *, deadline: float | None = None, outage_timeout: float | None = None
    ) -> list[JobInfo]:
        """Ask how its asynchronous requests stand; return (n) of them, in the order of `ids`.

        What the service says of one beside its state, such as why it failed and the results in
        its ``response``, is in ``extra``.

        Args:
            deadline: [s] that the call may take in all.
            outage_timeout: [s] of an outage to wait for, before the session's own.

        Raises:
            JobNotFound: There is no such request.
            OCRError: The service cannot be asked.
        """
        own = CallOptions(deadline=deadline, outage_timeout=outage_timeout)
        options, began = own.or_else(self.options), anyio.current_time()
        infos: list[JobInfo] = []
        for request_id in self.ids:
            left = options.deadline
            if left is not None:
                left = max(0.0, began + left - anyio.current_time())
            document = await self.ask(request_id, evolve(options, deadline=left))
            decode = partial(jobs.decode_info, document, request_id)
            infos.append(await self.getter.decode(decode, document.size))
        return infos

    async def ask(self, request_id: str, options: CallOptions) -> Document:
        """Return what the service says of one of its requests; raise `JobNotFound` if nothing."""
        try:
            return await self.getter.get(jobs.path_of(request_id), options)
        except RequestRejected as error:
            if error.status != NOT_FOUND:
                raise
            raise _not_found(request_id, self.parts[request_id], error) from None


@define(eq=False, repr=False)
class JobOutcomes:
    """Outcomes of a job, from deliveries or polls, whichever come first."""

    _job: Job
    _options: CallOptions
    # [s] that it may take, and when that is over.
    _seconds: float
    _end: float
    _polling: Polling = field(init=False)
    _ready: deque[Outcome] = field(init=False)
    # Why requests failed whose images are not known.
    _errors: list[OCRError] = field(init=False, factory=list)
    # Deliveries that are not decoded yet; one stays if that is cancelled.
    _came: deque[Delivery] = field(init=False, factory=deque)
    # Requests that were reported as done and are to be asked after.
    _hints: deque[str] = field(init=False, factory=deque)
    # Why the service could not be asked, to be raised after what is ready.
    _trouble: OCRError | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._polling = Polling(self._job.parts)
        self._ready = deque(self._job.failures)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        while not self._ready:
            if self._trouble:
                trouble, self._trouble = self._trouble, None
                raise trouble
            if not self._polling.pending:
                self._finish()
            await self._advance()
        return self._ready.popleft()

    def _finish(self) -> None:
        errors, self._errors = self._errors, []
        if len(errors) > 1:
            first = with_reason(errors[0], f"and {len(errors) - 1} more failed")
            for error in errors[1:]:
                first.add_note(str(error))
            raise first
        if errors:
            raise errors[0]
        raise StopAsyncIteration

    # ---- what brings outcomes

    async def _advance(self) -> None:
        """Take what was delivered; else ask after what is due; else wait for either."""
        receiver, now = self._job.receiver, anyio.current_time()
        slots = self._job.getter.width
        if receiver:
            self._came.extend(receiver.take(self._polling.pending))
            while self._came:
                await self._take(self._came[0])
                self._came.popleft()
        if self._ready:
            return
        if self._hints:
            hints = [self._hints.popleft() for _ in range(min(slots, len(self._hints)))]
            await self._ask([hint for hint in hints if hint in self._polling.pending])
        elif now >= self._end:
            pending, all_ = len(self._polling.pending), len(self._job.parts)
            raise DeadlineExceeded(
                f"{pending} of {all_} asynchronous requests are not done after {self._seconds:g} s;"
                " they go on: wait again, or take them up with session.job(ids)"
            )
        elif wait := self._polling.delay(now):
            waits_for = self._polling.pending
            arrival = partial(receiver.wait, waits_for) if receiver else anyio.sleep_forever
            await self._job.getter.wait(arrival, seconds=min(wait, self._end - now))
        else:
            ids = self._polling.begin(now, slots)
            await self._ask(ids)
            self._polling.end(ids, anyio.current_time())

    async def _take(self, delivery: Delivery) -> None:
        part = self._job.parts[delivery.id]
        decode = partial(delivery.decode, part.places)
        outcomes = await self._job.getter.decode(decode, len(delivery.body or b"")) or ()
        if not outcomes or (part.images and part.images.keys() != {o.index for o in outcomes}):
            # Which image is which is clearer in the service's own answer.
            self._hints.append(delivery.id)
        else:
            self._polling.hear(delivery.id, anyio.current_time())
            self._keep(delivery.id, outcomes)

    async def _ask(self, ids: Collection[str]) -> None:
        """Ask after the requests with these *ids* together."""

        async def ask(request_id: str) -> None:
            try:
                await self._ask_one(request_id)
            except OCRError as error:
                self._trouble = error

        with anyio.CancelScope(deadline=self._end):
            async with anyio.create_task_group() as group:
                for request_id in ids:
                    group.start_soon(ask, request_id)

    async def _ask_one(self, request_id: str) -> None:
        job = self._job
        try:
            document = await job.ask(request_id, self._options)
        except JobNotFound as error:
            # What was submitted just now may not be known to all of the service's machines yet.
            if not 0 <= anyio.current_time() - job.parts[request_id].submitted < NEW:
                self._fail(request_id, error)
            return
        if error_ := jobs.bad_end(document, request_id):
            self._fail(request_id, error_)
        elif jobs.state_of(document) == jobs.DONE:
            places = job.parts[request_id].places
            decode = partial(jobs.decode_outcomes, document, request_id, places)
            outcomes = await job.getter.decode(decode, document.size)
            if isinstance(outcomes, ReplyError):
                self._fail(request_id, outcomes)
            else:
                self._keep(request_id, outcomes)

    # ---- what becomes of a request

    def _keep(self, request_id: str, outcomes: Iterable[Outcome]) -> None:
        """Count a request as done; give the images back that it was submitted with."""
        self._polling.drop(request_id)
        images = self._job.parts[request_id].images
        found = {outcome.index: outcome for outcome in outcomes}
        if not images:
            self._ready.extend(found.values())
            return
        for index, image in images.items():
            if index in found:
                self._ready.append(evolve(found[index], image=image))
            else:
                message = f"asynchronous request {request_id} is done without this image"
                error = ReplyError(message, request_id=request_id)
                self._ready.append(_failure(index, image, error))

    def _fail(self, request_id: str, error: OCRError) -> None:
        """Count a request as failed, as a whole."""
        self._polling.drop(request_id)
        images = self._job.parts[request_id].images
        self._ready.extend(_failure(index, image, error) for index, image in images.items())
        if not images:
            self._errors.append(error)


def _failure(index: int, image: Image, error: OCRError) -> Failure:
    # A job that failed was not billed: the service says so itself. All else may have been read.
    maybe_billed = not isinstance(error, JobFailed)
    # A copy for each, as in `make_outcome`.
    own = copy(error)
    return Failure(index=index, image=image, error=own, attempts=1, maybe_billed=maybe_billed)


def _not_found(request_id: str, part: Part, error: OCRError) -> JobNotFound:
    message = f"asynchronous request {request_id}: {error}"
    if anyio.current_time() - part.submitted >= JOB_KEPT:
        return JobExpired(f"{message}; its two weeks are over", status=NOT_FOUND)
    return JobNotFound(f"{message}; it is another account's, or its time is over", status=NOT_FOUND)

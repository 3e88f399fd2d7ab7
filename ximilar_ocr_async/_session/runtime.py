"""What stands between entering a session and leaving it: its tasks, its connections, its guard."""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Self

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import evolve, frozen

from ximilar_ocr_async._concurrency import EventLoopGuard
from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._http import Token, Transport, make_client
from ximilar_ocr_async._protocol import Submission, Webhook, decode_model, page_path
from ximilar_ocr_async._scheduling import (
    Accounting,
    AdaptiveLimit,
    BatchAttempt,
    CircuitBreaker,
    JSONGetter,
    Question,
    RateLimiter,
    Scheduler,
    Throttle,
)
from ximilar_ocr_async._session.account import DETAILS
from ximilar_ocr_async._session.options import Options
from ximilar_ocr_async._session.stream import AnyImage, CallOptions, Images, Stream
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.models import Account
from ximilar_ocr_async.outcomes import Outcome, Stats, T

if TYPE_CHECKING:
    # Of what is read later nothing is loaded before it is asked for; most programs never do.
    from ximilar_ocr_async._jobs import Job, JobList, WebhookReceiver

READ_OUTAGE_TIMEOUT = 30.0
"""[s] of an outage that a single read without a deadline waits at most: somebody stands there."""

CLOSING = 5.0
"""[s] that connections get to close."""


@frozen(eq=False, repr=False)
class Runtime:
    """The parts of a session, put together."""

    options: Options
    group: TaskGroup
    scheduler: Scheduler
    transport: Transport
    getter: JSONGetter
    guard: EventLoopGuard

    @classmethod
    async def start(cls, options: Options, token: Token) -> Self:
        """Put the parts together, and open the task group in which all requests run."""
        client = options.http_client
        transport = Transport(
            base_url=options.base_url,
            token=token,
            timeout=options.timeout,
            max_response_bytes=options.max_response_bytes,
            client=await make_client() if client is None else client,
            owns_client=client is None,
        )
        group = await anyio.create_task_group().__aenter__()
        rate = options.max_requests_per_second
        scheduler = Scheduler(
            BatchAttempt(transport, options.max_batch_bytes, options.per_record_lang),
            options.retry,
            Throttle(
                AdaptiveLimit(options.max_concurrency, adaptive=options.adaptive),
                RateLimiter(1 / rate if rate else 0.0),
                CircuitBreaker(options.retry.base, options.retry.cap),
            ),
            Accounting(inf if options.max_records is None else options.max_records),
            group,
        )
        group.start_soon(scheduler.run)
        guard = EventLoopGuard()
        getter = JSONGetter(scheduler, transport, options.retry, group, guard)
        return cls(options, group, scheduler, transport, getter, guard)

    async def leave(self, exc: BaseException | None) -> None:
        """End all that runs, after *exc* in the body."""
        self.scheduler.close()
        try:
            if isinstance(exc, anyio.get_cancelled_exc_class()):
                await self.group.__aexit__(type(exc), exc, exc.__traceback__)
            else:
                # The body's error stays out of the group, which would wrap it in one of its own.
                self.group.cancel_scope.cancel()
                await self.group.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(CLOSING, shield=True):
                await self.transport.aclose()

    # ---- calls

    def stream(
        self,
        images: Images,
        question: Question[T],
        *,
        lang: str,
        ordered: bool = False,
        deadline: float | None,
        outage_timeout: float | None,
        submission: Submission | None = None,
    ) -> Stream[T]:
        """Begin a call of many images."""
        options = CallOptions(
            lang=lang,
            ordered=ordered,
            deadline=self.options.deadline if deadline is None else deadline,
            outage_timeout=self.options.outage_timeout
            if outage_timeout is None
            else outage_timeout,
            linger=self.options.linger,
            submission=submission,
        )
        return self._stream(images, question, options)

    async def collect(
        self,
        images: Images,
        question: Question[T],
        *,
        lang: str,
        deadline: float | None,
        outage_timeout: float | None,
    ) -> list[Outcome[T]]:
        """Make a call of many images; return the outcomes in their order."""
        # In order only at the end: on its way, one slow image would hold up all behind it.
        async with self.stream(
            images, question, lang=lang, deadline=deadline, outage_timeout=outage_timeout
        ) as stream:
            outcomes = [outcome async for outcome in stream]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    async def first(
        self,
        image: AnyImage,
        question: Question[T],
        *,
        lang: str,
        deadline: float | None,
        outage_timeout: float | None,
    ) -> T:
        """Make a call of one image; return its value, or raise its error."""
        deadline = self.options.deadline if deadline is None else deadline
        fail_fast = deadline is None and outage_timeout is None
        if outage_timeout is None:
            outage_timeout = (
                min(self.options.outage_timeout, READ_OUTAGE_TIMEOUT) if deadline is None else inf
            )
        options = CallOptions(
            lang=lang,
            deadline=deadline,
            outage_timeout=outage_timeout,
            fail_fast=fail_fast,
            linger=self.options.linger,
        )
        async with self._stream([image], question, options) as outcomes:
            outcome = await anext(outcomes)
        return outcome.unwrap()

    def _stream(self, images: Images, question: Question[T], options: CallOptions) -> Stream[T]:
        self.guard.check()
        return Stream(images, question, options, self.scheduler, self.group)

    async def submit(
        self,
        images: Images,
        prompt: str | None,
        submission: Submission,
        webhook: "Webhook | WebhookReceiver | None",
        *,
        on_id: Callable[[str], object] | None,
        lang: str,
        deadline: float | None,
        outage_timeout: float | None,
    ) -> "Job":
        """Submit images for later."""
        from ximilar_ocr_async._jobs import (  # noqa: PLC0415 - as above
            Job,
            Submitting,
            WebhookReceiver,
        )

        receiver = webhook if isinstance(webhook, WebhookReceiver) else None
        hook = webhook.webhook if isinstance(webhook, WebhookReceiver) else webhook
        job = Job(self.getter, self._outage_timeout, receiver, {})
        stream = self.stream(
            images,
            Submitting(prompt, job=job),
            lang=lang,
            deadline=deadline,
            outage_timeout=outage_timeout,
            submission=evolve(submission, webhook=hook),
        )
        told: set[str] = set()
        sent = self.scheduler.accounting.sent
        try:
            async with stream as outcomes:
                async for _ in outcomes:
                    if on_id:
                        new = [request_id for request_id in job.parts if request_id not in told]
                        told.update(new)
                        for request_id in new:
                            on_id(request_id)
        except BaseException as error:
            if job.parts:
                error.add_note(f"submitted before: {', '.join(job.ids)}")
            if self.scheduler.accounting.sent > sent + sum(
                len(p.images) for p in job.parts.values()
            ):
                error.add_note("what was on its way may have been submitted too: session.jobs()")
            raise
        return job

    def job(self, ids: str | Iterable[str], receiver: "WebhookReceiver | None") -> "Job":
        """Take up what was submitted before."""
        from ximilar_ocr_async._jobs import Job, Part  # noqa: PLC0415 - as above

        self.guard.check()
        given = [ids] if isinstance(ids, str) else list(ids)
        for request_id in given:
            if not isinstance(request_id, str) or request_id in {"", ".", ".."}:
                raise OptionError(f"id is {request_id!r}, expected that of an asynchronous request")
        places = {
            request_id: Part(i * MAX_RECORDS) for i, request_id in enumerate(dict.fromkeys(given))
        }
        return Job(self.getter, self._outage_timeout, receiver, places)

    def jobs(self, **asked: str | None) -> "JobList":
        """List what was submitted, filtered as *asked*."""
        from ximilar_ocr_async._jobs import JobList  # noqa: PLC0415 - as above

        self.guard.check()
        return JobList(self.getter, self._outage_timeout, page_path(**asked))

    @property
    def _outage_timeout(self) -> float:
        """[s] for an errand: also where no outage is waited for, an answer takes its time."""
        return max(self.options.outage_timeout, READ_OUTAGE_TIMEOUT)

    async def account(self, *, outage_timeout: float = READ_OUTAGE_TIMEOUT) -> Account:
        """Ask for the account."""
        self.guard.check()
        return decode_model(await self.getter.get(DETAILS, outage_timeout=outage_timeout), Account)

    # ---- what it has done

    @property
    def summary(self) -> str:
        """Where it sends, and how much."""
        stats = self.stats
        return (
            f"open, {self.options.base_url}, {stats.in_flight} of {stats.limit} slots in use,"
            f" {stats.queued} queued, {stats.records_billed} read, {stats.records_failed} failed"
        )

    @property
    def stats(self) -> Stats:
        """What was done and is being done."""
        scheduler, accounting = self.scheduler, self.scheduler.accounting
        return Stats(
            in_flight=len(scheduler.in_flight) + scheduler.gets,
            queued=len(scheduler.queue),
            limit=scheduler.throttle.limit.slots,
            outage=scheduler.throttle.breaker.is_on,
            requests=self.transport.requests,
            records_sent=accounting.sent,
            records_billed=accounting.billed,
            records_maybe_billed=accounting.maybe_billed,
            records_retried=accounting.retried,
            records_failed=accounting.failed,
            bytes_sent=self.transport.bytes_sent,
        )

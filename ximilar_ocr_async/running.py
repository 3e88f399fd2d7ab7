"""What stands between entering a session and leaving it: its tasks, its connections, its place."""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING, Self

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import evolve, frozen

from ximilar_ocr_async.account import DETAILS
from ximilar_ocr_async.asynchronous import page_path
from ximilar_ocr_async.auth import Token
from ximilar_ocr_async.errands import Errands
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.exchange import Exchange
from ximilar_ocr_async.ledger import Ledger
from ximilar_ocr_async.limit import Limit
from ximilar_ocr_async.limits import MAX_RECORDS
from ximilar_ocr_async.models import Account
from ximilar_ocr_async.options import Options
from ximilar_ocr_async.outage import Outage
from ximilar_ocr_async.outcomes import Outcome, T
from ximilar_ocr_async.pace import Pace
from ximilar_ocr_async.place import Place
from ximilar_ocr_async.questions import Question
from ximilar_ocr_async.scheduler import Scheduler
from ximilar_ocr_async.stats import Stats
from ximilar_ocr_async.stream import AnyImage, CallOptions, Images, Stream
from ximilar_ocr_async.submission import Submission, Webhook
from ximilar_ocr_async.traffic import Traffic
from ximilar_ocr_async.transport import Transport, make_client
from ximilar_ocr_async.wire import decode_model

if TYPE_CHECKING:
    # Of what is read later nothing is loaded before it is asked for; most programs never do.
    from ximilar_ocr_async.jobs import Job, JobList
    from ximilar_ocr_async.webhooks import WebhookReceiver

READ_PATIENCE = 30.0
"""[s] of an outage that a single read without a deadline waits at most: somebody stands there."""

CLOSING = 5.0
"""[s] that connections get to close."""


@frozen(eq=False, repr=False)
class Running:
    """The parts of a session, put together."""

    options: Options
    group: TaskGroup
    scheduler: Scheduler
    transport: Transport
    errands: Errands
    place: Place

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
            Exchange(transport, options.max_batch_bytes, options.per_record_lang),
            options.retry,
            Traffic(
                Limit(options.max_concurrency, adaptive=options.adaptive),
                Pace(1 / rate if rate else 0.0),
                Outage(options.retry.base, options.retry.cap),
            ),
            Ledger(inf if options.max_records is None else options.max_records),
            group,
        )
        group.start_soon(scheduler.run)
        place = Place()
        errands = Errands(scheduler, transport, options.retry, group, place)
        return cls(options, group, scheduler, transport, errands, place)

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
        patience: float | None,
        submission: Submission | None = None,
    ) -> Stream[T]:
        """Begin a call of many images."""
        options = CallOptions(
            lang=lang,
            ordered=ordered,
            deadline=self.options.deadline if deadline is None else deadline,
            patience=self.options.patience if patience is None else patience,
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
        patience: float | None,
    ) -> list[Outcome[T]]:
        """Make a call of many images; return the outcomes in their order."""
        # In order only at the end: on its way, one slow image would hold up all behind it.
        async with self.stream(
            images, question, lang=lang, deadline=deadline, patience=patience
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
        patience: float | None,
    ) -> T:
        """Make a call of one image; return its value, or raise its error."""
        deadline = self.options.deadline if deadline is None else deadline
        is_hurried = deadline is None and patience is None
        if patience is None:
            patience = min(self.options.patience, READ_PATIENCE) if deadline is None else inf
        options = CallOptions(
            lang=lang,
            deadline=deadline,
            patience=patience,
            is_hurried=is_hurried,
            linger=self.options.linger,
        )
        async with self._stream([image], question, options) as outcomes:
            outcome = await anext(outcomes)
        return outcome.unwrap()

    def _stream(self, images: Images, question: Question[T], options: CallOptions) -> Stream[T]:
        self.place.check()
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
        patience: float | None,
    ) -> "Job":
        """Submit images for later."""
        from ximilar_ocr_async.jobs import Job, Submitting  # noqa: PLC0415 - as above
        from ximilar_ocr_async.webhooks import WebhookReceiver  # noqa: PLC0415 - as above

        receiver = webhook if isinstance(webhook, WebhookReceiver) else None
        hook = webhook.webhook if isinstance(webhook, WebhookReceiver) else webhook
        job = Job(self.errands, self._patience, receiver, {})
        stream = self.stream(
            images,
            Submitting(prompt, job=job),
            lang=lang,
            deadline=deadline,
            patience=patience,
            submission=evolve(submission, webhook=hook),
        )
        told: set[str] = set()
        sent = self.scheduler.ledger.sent
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
            if self.scheduler.ledger.sent > sent + sum(len(p.images) for p in job.parts.values()):
                error.add_note("what was on its way may have been submitted too: session.jobs()")
            raise
        return job

    def job(self, ids: str | Iterable[str], receiver: "WebhookReceiver | None") -> "Job":
        """Take up what was submitted before."""
        from ximilar_ocr_async.jobs import Job, Part  # noqa: PLC0415 - as above

        self.place.check()
        given = [ids] if isinstance(ids, str) else list(ids)
        for request_id in given:
            if not isinstance(request_id, str) or request_id in {"", ".", ".."}:
                raise OptionError(f"id is {request_id!r}, expected that of an asynchronous request")
        places = {
            request_id: Part(i * MAX_RECORDS) for i, request_id in enumerate(dict.fromkeys(given))
        }
        return Job(self.errands, self._patience, receiver, places)

    def jobs(self, **asked: str | None) -> "JobList":
        """List what was submitted, filtered as *asked*."""
        from ximilar_ocr_async.jobs import JobList  # noqa: PLC0415 - as above

        self.place.check()
        return JobList(self.errands, self._patience, page_path(**asked))

    @property
    def _patience(self) -> float:
        """[s] for an errand: also where no outage is waited for, an answer takes its time."""
        return max(self.options.patience, READ_PATIENCE)

    async def account(self, *, patience: float = READ_PATIENCE) -> Account:
        """Ask for the account."""
        self.place.check()
        return decode_model(await self.errands.get(DETAILS, patience=patience), Account)

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
        scheduler, ledger = self.scheduler, self.scheduler.ledger
        return Stats(
            in_flight=len(scheduler.in_flight) + scheduler.visits,
            queued=len(scheduler.turns),
            limit=scheduler.traffic.limit.slots,
            outage=scheduler.traffic.outage.is_on,
            requests=self.transport.requests,
            records_sent=ledger.sent,
            records_billed=ledger.billed,
            records_maybe_billed=ledger.maybe_billed,
            records_retried=ledger.retried,
            records_failed=ledger.failed,
            bytes_sent=self.transport.bytes_sent,
        )

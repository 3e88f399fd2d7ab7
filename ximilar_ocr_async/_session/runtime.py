"""What stands between entering a session and leaving it: its tasks, connections and event loop."""

from math import inf
from typing import Self

from attrs import evolve, frozen

from ximilar_ocr_async._concurrency import EventLoopGuard
from ximilar_ocr_async._http import Sender, Token
from ximilar_ocr_async._protocol import ReadRequest
from ximilar_ocr_async._scheduling import (
    Accounting,
    CallOptions,
    JSONGetter,
    MakeRequest,
    Question,
    Scheduler,
    Tenant,
    build_scheduler,
)
from ximilar_ocr_async._session.host import Host
from ximilar_ocr_async._session.options import SessionOptions
from ximilar_ocr_async._session.single import Single
from ximilar_ocr_async._session.source import AnyImage, Images
from ximilar_ocr_async._session.stream import Stream
from ximilar_ocr_async.errors import without_frames
from ximilar_ocr_async.outcomes import Stats, T

READ_OUTAGE_TIMEOUT = 30.0
"""[s] of an outage that a call of one request waits for without a deadline: a person waits."""


@frozen(eq=False, repr=False)
class Runtime:
    """The parts of an open session, put together."""

    options: SessionOptions
    host: Host
    scheduler: Scheduler
    tenant: Tenant
    getter: JSONGetter
    guard: EventLoopGuard

    @classmethod
    async def start(cls, options: SessionOptions, token: Token) -> Self:
        """Put the parts together, and open the task group in which all requests run."""
        try:
            sender = await Sender.open(
                base_url=options.base_url,
                token=token,
                timeout=options.timeout,
                max_response_bytes=options.max_response_bytes,
                client=options.http_client,
                ssl_context=options.ssl_context,
                proxy=options.proxy,
            )
        except Exception as error:  # noqa: BLE001 - raised again
            # Its frames may hold the password of a proxy.
            raise without_frames(error) from None
        host = Host(sender.aclose)
        await host.open()
        group = host.group
        group.start_soon(sender.run)
        scheduler = build_scheduler(
            group,
            retry=options.retry,
            max_concurrency=options.max_concurrency,
            adaptive=options.adaptive,
            max_requests_per_second=options.max_requests_per_second,
            max_batch_records=options.max_batch_records,
            max_batch_bytes=options.max_batch_bytes,
            max_queue=options.max_queue,
            on_event=options.on_event,
        )
        host.end = scheduler.close
        guard = EventLoopGuard()
        tenant = _tenant(sender, options.max_records)
        getter = JSONGetter(scheduler, tenant, options.retry, group, guard)
        return cls(options, host, scheduler, tenant, getter, guard)

    def for_token(self, token: Token, max_records: int | None, name: str | None) -> Self:
        """Return the same for another account, with books of its own."""
        tenant = _tenant(self.tenant.sender.for_token(token), max_records, name)
        return evolve(self, tenant=tenant, getter=evolve(self.getter, tenant=tenant))

    async def leave(self, exc: BaseException | None) -> None:
        """End all that runs, after *exc* in the body."""
        self.scheduler.close()
        await self.host.leave(exc)

    # ---- calls

    def stream(
        self,
        images: Images,
        question: Question[T],
        options: CallOptions,
        make_request: MakeRequest = ReadRequest,
    ) -> Stream[T]:
        """Begin a call of many images."""
        self.guard.check()
        return Stream(
            images,
            question,
            self.complete(options),
            make_request=make_request,
            linger=self.options.linger,
            scheduler=self.scheduler,
            tenant=self.tenant,
            group=self.host.group,
        )

    async def read_one(self, image: AnyImage, question: Question[T], options: CallOptions) -> T:
        """Make a call of one image; return its value, or raise its error."""
        self.guard.check()
        single = Single(question, self.complete_single(options), self.scheduler, self.tenant)
        return (await single.read(image)).unwrap()

    def complete(self, options: CallOptions) -> CallOptions:
        """Return *options* with the session's own where the call leaves them open."""
        own = self.options
        return options.or_else(
            CallOptions(deadline=own.deadline, outage_timeout=own.outage_timeout, priority="bulk")
        )

    def complete_single(self, options: CallOptions) -> CallOptions:
        """Return *options* of a call for which a person may wait.

        It waits for an outage until its deadline; without one, not for long, and its attempts
        count.
        """
        short = min(self.options.outage_timeout, READ_OUTAGE_TIMEOUT)
        deadline = self.options.deadline if options.deadline is None else options.deadline
        timeout = short if deadline is None else inf
        is_open = deadline is None and options.outage_timeout is None
        own = CallOptions(deadline=deadline, outage_timeout=timeout, priority="interactive")
        return evolve(options.or_else(own), fail_fast=is_open)

    # ---- what it has done

    @property
    def summary(self) -> str:
        """Where it sends, and how much."""
        stats = self.stats
        return (
            f"open, {self.options.base_url}, {stats.in_flight} of {stats.limit} slots in use, "
            f"{stats.queued} queued, {stats.records_billed} billed, {stats.records_failed} failed"
        )

    @property
    def stats(self) -> Stats:
        """What was done and is being done."""
        slots, accounting = self.scheduler.slots, self.tenant.accounting
        return Stats(
            in_flight=len(slots.in_flight) + slots.gets,
            queued=len(slots.queue),
            limit=slots.limit,
            outage=any(t.breaker.is_on for t in slots.throttles.values()),
            requests=self.tenant.sender.requests,
            records_sent=accounting.sent,
            records_billed=accounting.billed,
            records_maybe_billed=accounting.maybe_billed,
            records_retried=accounting.retried,
            records_failed=accounting.failed,
            bytes_sent=self.tenant.sender.bytes_sent,
            errors=dict(accounting.errors),
            endpoints=slots.stats(),
        )


def _tenant(sender: Sender, max_records: int | None, name: str | None = None) -> Tenant:
    return Tenant(sender, Accounting(inf if max_records is None else max_records), name)

"""The session: what a program holds to have images read. It wires the parts; they do the work."""

import os
import warnings
from math import inf
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import field, frozen

from ximilar_ocr_async.auth import Token
from ximilar_ocr_async.errors import SessionStateError
from ximilar_ocr_async.exchange import Exchange
from ximilar_ocr_async.ledger import Ledger
from ximilar_ocr_async.limit import Limit
from ximilar_ocr_async.limits import (
    BASE_URL,
    DEFAULT_LANGUAGE,
    MAX_BATCH_BYTES,
    MAX_RESPONSE_BYTES,
    RECOMMENDED_CONCURRENCY,
    check_at_least,
    check_patience,
)
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outage import Outage
from ximilar_ocr_async.outcomes import Outcome
from ximilar_ocr_async.pace import Pace
from ximilar_ocr_async.retry import RetryPolicy
from ximilar_ocr_async.scheduler import Scheduler
from ximilar_ocr_async.stats import Stats
from ximilar_ocr_async.stream import AnyImage, CallOptions, Images, Stream
from ximilar_ocr_async.traffic import Traffic
from ximilar_ocr_async.transport import Client, Transport, check_base_url

CLOSING = 5.0
"""[s] that connections get to close."""

READ_PATIENCE = 30.0
"""[s] of an outage that a single read without a deadline waits at most: somebody stands there."""


@frozen
class _Running:
    """What stands between entering and leaving."""

    group: TaskGroup
    scheduler: Scheduler
    transport: Transport
    # Neither its tasks nor its connections work anywhere else.
    loop: object = field(factory=anyio.lowlevel.current_token)
    process: int = field(factory=os.getpid)

    def check_place(self) -> None:
        """Raise `SessionStateError` in another event loop, thread or process than its own."""
        try:
            is_home = anyio.lowlevel.current_token() == self.loop and os.getpid() == self.process
        except RuntimeError:
            is_home = False
        if not is_home:
            raise SessionStateError(
                "a session is used in the event loop and process it was made in"
            )

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


class OCRSession:
    """An instance of this should live as long as your application does; enter it once.

    Every call of a session shares its slots and its connections. All requests run in a task group
    of the session's own, so cancelling a call never harms a connection.

    Args:
        token: The account's API token; else `XIMILAR_API_TOKEN`, else `XIMILAR_API_KEY` of the
            environment.
        base_url: The service's address; else `XIMILAR_BASE_URL`, else https://api.ximilar.com.
        max_concurrency: Requests in flight at most, each of up to 10 images. The vendor
            recommends the default, 3.
        adaptive: Whether fewer are in flight while the service says that it is asked too much.
        max_requests_per_second: Requests begun in a second at most, evenly spaced.
        linger: [s] that an image of a slow source waits for company in its batch, at most.
        max_batch_bytes: [bytes] of encoded images in one request; a larger image goes alone.
        max_response_bytes: [bytes] of an answer, decompressed; a larger one is an error.
        max_records: Records that the session may send in all, resends among them; images beyond
            fail unsent, with `BudgetExceeded`.
        retry: How often and how soon an image is sent again.
        timeout: [s] that one request may take in all. In it, connecting may take 10 s, and the
            service may be silent for 90 s.
        deadline: [s] that a call may take in all: waiting, attempts and pauses; a call's own goes
            before it.
        patience: [s] of an outage that `read_all` and `stream` wait through. A `read` waits until
            its deadline; without one, for as many attempts as any image gets, and 30 s at most.
        drain: [s] that requests under way get to finish when the session is left.
        http_client: An ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` to send with; it is not
            closed. It should allow *max_concurrency* connections.

    Raises:
        OptionError: There is no token, or an option is outside its allowed values.
    """

    # On the class, because __del__ asks for it even where __init__ was called wrongly.
    _running: _Running | None = None

    def __init__(
        self,
        token: str | Token | None = None,
        *,
        base_url: str | None = None,
        max_concurrency: int = RECOMMENDED_CONCURRENCY,
        adaptive: bool = True,
        max_requests_per_second: float | None = None,
        linger: float = 0.02,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        max_records: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = 180.0,
        deadline: float | None = None,
        patience: float = 600.0,
        drain: float = 5.0,
        http_client: Client | None = None,
    ) -> None:
        self._entered = False
        self._base_url = base_url or os.environ.get("XIMILAR_BASE_URL") or BASE_URL
        self._max_concurrency = max_concurrency
        self._adaptive = adaptive
        self._max_requests_per_second = max_requests_per_second
        self._linger = linger
        self._max_batch_bytes = max_batch_bytes
        self._max_response_bytes = max_response_bytes
        self._max_records = max_records
        self._retry = retry or RetryPolicy()
        self._timeout = timeout
        self._deadline = deadline
        self._patience = patience
        self._drain = drain
        self._http_client = http_client
        try:
            self._token = Token.find(token)
        finally:
            # The raw token must not stand in the locals of a traceback.
            del token
        self._check_options()

    def _check_options(self) -> None:
        check_base_url(self._base_url)
        check_at_least("max_concurrency", self._max_concurrency, 1)
        check_at_least("max_batch_bytes", self._max_batch_bytes, 1)
        check_at_least("max_response_bytes", self._max_response_bytes, 1)
        check_patience(self._patience)
        check_at_least("timeout", self._timeout, 0.001)
        check_at_least("drain", self._drain, 0.0)
        check_at_least("linger", self._linger, 0.0)
        if self._max_requests_per_second is not None:
            check_at_least("max_requests_per_second", self._max_requests_per_second, 0.001)
        if self._max_records is not None:
            check_at_least("max_records", self._max_records, 0)
        if self._deadline is not None:
            check_at_least("deadline", self._deadline, 0.0)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionStateError("a session is entered once; make another")
        self._entered = True
        transport = Transport(
            base_url=self._base_url,
            token=self._token,
            connections=self._max_concurrency,
            timeout=self._timeout,
            max_response_bytes=self._max_response_bytes,
            client=self._http_client,
        )
        group = await anyio.create_task_group().__aenter__()
        rate = self._max_requests_per_second
        scheduler = Scheduler(
            Exchange(transport, self._max_batch_bytes),
            self._retry,
            Traffic(
                Limit(self._max_concurrency, adaptive=self._adaptive),
                Pace(1 / rate if rate else 0.0),
                Outage(self._retry.base, self._retry.cap),
            ),
            Ledger(inf if self._max_records is None else self._max_records),
            group,
        )
        group.start_soon(scheduler.run)
        self._running = _Running(group, scheduler, transport)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        try:
            if not isinstance(exc, anyio.get_cancelled_exc_class()):
                await running.scheduler.drain(self._drain)
        except BaseException as error:
            exc = error
            raise
        finally:
            await running.leave(exc)

    async def aclose(self) -> None:
        """Leave the session: as the end of its block does, in the task that entered it.

        Requests under way get *drain* seconds to finish; all else fails with `SessionClosed`.
        """
        await self.__aexit__(None, None, None)

    def __del__(self) -> None:
        if self._running is not None:
            message = f"{self!r} was never closed"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)

    @property
    def stats(self) -> Stats:
        """What the session has done and is doing, as a snapshot."""
        running = self._open()
        scheduler, ledger = running.scheduler, running.scheduler.ledger
        return Stats(
            in_flight=len(scheduler.in_flight),
            queued=len(scheduler.turns),
            limit=scheduler.traffic.limit.slots,
            outage=scheduler.traffic.outage.is_on,
            requests=running.transport.requests,
            records_sent=ledger.sent,
            records_billed=ledger.billed,
            records_maybe_billed=ledger.maybe_billed,
            records_retried=ledger.retried,
            records_failed=ledger.failed,
            bytes_sent=running.transport.bytes_sent,
        )

    def __repr__(self) -> str:
        if self._running is None:
            state = "closed" if self._entered else "not entered"
            return f"<OCRSession {state}, {self._base_url}>"
        stats = self.stats
        return (
            f"<OCRSession open, {self._base_url}, {stats.in_flight} of {stats.limit} slots in use,"
            f" {stats.queued} queued, {stats.records_billed} read, {stats.records_failed} failed>"
        )

    def _open(self) -> _Running:
        if self._running is None:
            done = "is closed" if self._entered else "was not entered"
            raise SessionStateError(f"the session {done}; use it inside its async with block")
        return self._running

    def _stream(self, images: Images, options: CallOptions) -> Stream:
        running = self._open()
        running.check_place()
        return Stream(images, options, running.scheduler, running.group)

    def stream(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        ordered: bool = False,
        deadline: float | None = None,
        patience: float | None = None,
    ) -> Stream:
        """Read images as they come from an iterable or async iterable, pulled as needed.

        Use as ``async with session.stream(images) as outcomes: async for outcome in outcomes:``.
        At most ``(max_concurrency + 1) * 10`` images are pulled ahead of the outcomes taken.

        Args:
            images: URLs as `str`, files as `Path`, encoded images as `bytes`, or `Image`.
            lang: Language of their text; an image's own goes before it.
            prompt: Question for the language model; an image's own goes before it.
            ordered: Whether outcomes come in the order of the images, not as they finish.
            deadline: [s] that the call may take in all. What is not read by then fails with
                `DeadlineExceeded`; an attempt that could only begin later is not waited for.
            patience: [s] of an outage to wait through, before the session's own.

        Returns:
            The stream; its outcomes are one for each image.

        Raises:
            OptionError: An option is outside its allowed values.
            SessionStateError: The session is not open.
        """
        options = CallOptions(
            lang=lang,
            prompt=prompt,
            ordered=ordered,
            deadline=self._deadline if deadline is None else deadline,
            patience=self._patience if patience is None else patience,
            linger=self._linger,
        )
        return self._stream(images, options)

    async def read_all(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        deadline: float | None = None,
        patience: float | None = None,
    ) -> list[Outcome]:
        """Read images; return (n) outcomes in their order, a `Failure` where one went wrong.

        Raises as `stream` does, and what the iterable itself raises.
        """
        # In order only at the end: on its way, one slow image would hold up all behind it.
        async with self.stream(
            images, lang=lang, prompt=prompt, deadline=deadline, patience=patience
        ) as stream:
            outcomes = [outcome async for outcome in stream]
        return sorted(outcomes, key=lambda outcome: outcome.index)

    async def read(
        self,
        image: AnyImage,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        deadline: float | None = None,
        patience: float | None = None,
    ) -> Record:
        """Read one image; return its record.

        Raises:
            OCRError: It was not read.
        """
        deadline = self._deadline if deadline is None else deadline
        is_hurried = deadline is None and patience is None
        if patience is None:
            patience = min(self._patience, READ_PATIENCE) if deadline is None else inf
        options = CallOptions(
            lang=lang,
            prompt=prompt,
            deadline=deadline,
            patience=patience,
            is_hurried=is_hurried,
            linger=self._linger,
        )
        async with self._stream([image], options) as outcomes:
            outcome = await anext(outcomes)
        return outcome.unwrap()

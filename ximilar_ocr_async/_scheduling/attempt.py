"""One attempt at a batch: its images are loaded, encoded and sent, and the response is decoded."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

import anyio
from attrs import define, evolve, field

from ximilar_ocr_async._concurrency import THREADS, run_aside
from ximilar_ocr_async._http import Response, Trace
from ximilar_ocr_async._protocol import Echo, Parts, Request, RequestBody, encode_images, make_body
from ximilar_ocr_async._scheduling.attempt_result import AttemptResult
from ximilar_ocr_async._scheduling.calls import Batch, Item, Result
from ximilar_ocr_async._scheduling.decisions import Verdict, judge
from ximilar_ocr_async._scheduling.telling import Events
from ximilar_ocr_async.errors import ImageError, OCRError, PoolExhausted, UploadCut
from ximilar_ocr_async.models import Record

LARGE = 8 * 1024 * 1024
"""[bytes] of a request that may be cut off for its size, before a 413 can be read."""

SMALL_RESPONSE = 8 * 1024
"""[bytes] of a response that is decoded at once, in a millisecond whatever it is."""

CUTS = 2
"""Large requests cut off that are one too many for an accident."""


GiveBack: TypeAlias = Callable[[Batch, list[Item]], None]


class Attempt(Protocol):
    """Makes one attempt at a batch; raises nothing but cancellation."""

    @property
    def max_bytes(self) -> int: ...
    def __call__(self, batch: Batch, give_back: GiveBack) -> Awaitable[AttemptResult]: ...


@define
class BatchAttempt:
    """Attempts batches. Lives as long as its session.

    Attributes:
        max_bytes: [bytes] of images, as base64, that one request may hold; it shrinks when the
            service refuses large requests.
        events: Told when a request is made.
    """

    max_bytes: int
    events: Events = field(factory=Events)
    # Not that of the files: what was paid is not to wait for a disk that hangs.
    _decoding: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(1))
    _files: anyio.CapacityLimiter = field(
        init=False, factory=lambda: anyio.CapacityLimiter(THREADS)
    )
    _echo: Echo = field(init=False, factory=Echo)
    _cuts: int = field(init=False, default=0)

    async def __call__(self, batch: Batch, give_back: GiveBack) -> AttemptResult:
        """Attempt a batch; raise nothing but cancellation.

        Args:
            batch: The batch.
            give_back: Called with those of its items that do not fit into the request.
        """
        encoded = await self._encode(batch.items)
        give_back(batch, [item for item in batch.items if item.id not in encoded])
        unfit = {i: parts for i, parts in encoded.items() if isinstance(parts, ImageError)}
        # While the others were read from disk, some may have been given up.
        wanted = {item.id for item in batch.items if item.is_wanted}
        records = {
            i: parts
            for i, parts in encoded.items()
            if i in wanted and not isinstance(parts, ImageError)
        }
        if not records:
            return AttemptResult(unfit)
        body = make_body(list(records.values()), batch.request.fields)
        attempted = await self._exchange(batch, body, list(records))
        return evolve(attempted, results=unfit | attempted.results)

    async def _exchange(self, batch: Batch, body: RequestBody, ids: list[str]) -> AttemptResult:
        """Send the records with these *ids*; return what came of them."""
        sender, trace = batch.tenant.sender, Trace()
        batch.mark_sent(ids, trace if sender.is_exact else None)
        self.events.batch_sent(batch)
        try:
            response = await sender.send(
                "POST",
                batch.request.path,
                body,
                # After a lost reply: what broke one idle connection may have broken others.
                fresh=any(item.maybe_billed for item in batch.items),
                keep_cut=True,
                trace=trace,
            )
            results = await self._decode(batch.request, response, ids)
            for result in results:
                if isinstance(result, OCRError):
                    sender.mask(result)
            # Not from refusals of all records, which come sooner.
            if not all(isinstance(result, OCRError) for result in results):
                sender.learn(batch.request.path, response.seconds)
        except OCRError as error:
            # A traceback holds its frames, these hold the body: outcomes must not.
            failure = error.with_traceback(None)
            sender.mask(failure)
            if body.faulty is not None:
                # Not all of it was sent, so nothing was read: the others go again as if unsent.
                return AttemptResult({body.faulty: failure})
            if isinstance(failure, PoolExhausted):
                # No request was made, so none of these has made an attempt.
                return AttemptResult(failure=failure)
            self._learn(failure, len(ids), len(body))
            failed = dict.fromkeys(ids, failure)
            status, request_id = failure.status, failure.request_id
            return AttemptResult(failed, len(ids), failure, status=status, request_id=request_id)
        names = {item.id: item.image.id for item in batch.items}
        named = {i: _named(result, names[i]) for i, result in zip(ids, results, strict=True)}
        return AttemptResult(
            named,
            len(ids),
            size=len(response.body),
            cut=response.cut,
            status=response.status,
            request_id=_request_id(results[0]),
        )

    async def _encode(self, items: Sequence[Item]) -> dict[str, Parts | ImageError]:
        encode = partial(encode_images, items, self.max_bytes)
        if all(isinstance(item.image.source, str | bytes) for item in items):
            return encode()
        return await run_aside(encode, abandon_on_cancel=True, limiter=self._files)

    async def _decode(self, request: Request, response: Response, ids: list[str]) -> list[Result]:
        decode = partial(request.decode, response, ids, self._echo)
        if len(response.body) < SMALL_RESPONSE:
            return decode()
        # Shielded, for it was paid. One at a time, each in a turn of the loop of its own or in a
        # thread: many that come at once would hold up the loop, and the requests after them.
        decoded: Sequence[Result] | None = None
        with anyio.CancelScope(shield=True):
            async with self._decoding:
                decoded = request.decode_usual(response, ids, self._echo)
            if decoded is None:
                decoded = await run_aside(decode, limiter=self._decoding)
        return list(decoded or ())

    def _learn(self, error: OCRError, records: int, size: int) -> None:
        """Make requests smaller from now on, if one of *size* [bytes] was too large."""
        if records == 1:
            return
        self._cuts += isinstance(error, UploadCut) and size >= LARGE
        if self._cuts == CUTS or judge(error, shared=True) is Verdict.SPLIT:
            self._cuts = 0
            self.max_bytes = min(self.max_bytes, size // 2)


def _request_id(result: Result) -> str | None:
    """Return the service's id of the request, as the first *result* has it."""
    if isinstance(result, OCRError):
        return result.request_id
    return result.status.request_id if isinstance(result, Record) else None


def _named(result: Result, name: str | None) -> Result:
    """Give a record the caller's own name for its image; on the wire names must be unique."""
    return evolve(result, id=name) if name is not None and isinstance(result, Record) else result

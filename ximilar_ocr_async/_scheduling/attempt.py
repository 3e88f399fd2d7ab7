"""One attempt at a batch: its images are loaded, encoded and sent, and the response is decoded."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, evolve, field, frozen

from ximilar_ocr_async._concurrency import THREADS
from ximilar_ocr_async._http import Response, Trace
from ximilar_ocr_async._protocol import Echo, Parts, Request, RequestBody, encode_images, make_body
from ximilar_ocr_async._scheduling.calls import Batch, Item, Result
from ximilar_ocr_async._scheduling.decisions import Verdict, is_overload, judge
from ximilar_ocr_async.errors import ImageError, OCRError, PoolExhausted, UploadCut
from ximilar_ocr_async.models import Record

LARGE = 8 * 1024 * 1024
"""[bytes] of a request that may be cut off for its size, before a 413 can be read."""

SMALL_COMPLETIONS = 4 * 1024
"""[bytes] of a response whose completions are made instances at once. Source: judgement; that takes
10 ms at most."""

SMALL_RESPONSE = 8 * 1024
"""[bytes] of a response that is decoded at once, in a millisecond whatever it is."""

CUTS = 2
"""Large requests cut off that are one too many for an accident."""


GiveBack: TypeAlias = Callable[[Batch, list[Item]], None]


@frozen
class AttemptResult:
    """What an attempt brought.

    Attributes:
        results: By id; images that did not fit into the request are not in it.
        sent: Records in the request; 0 if none was made.
        failure: Why the request failed as a whole; it is the result of each record in it, too.
        cut: Why its response broke off behind some records, if it did.
        is_lost: Whether the attempt broke off after it was made: it may have been billed.
    """

    results: dict[str, Result] = field(factory=dict)
    sent: int = 0
    failure: OCRError | None = None
    cut: OCRError | None = None
    is_lost: bool = False

    @property
    def is_overload(self) -> bool:
        """Whether any of it failed because the service is asked too much."""
        ends = [*self.results.values(), self.cut]
        return any(is_overload(end) for end in ends if isinstance(end, OCRError))


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
    """

    max_bytes: int
    # Not that of the files: what was paid is not to wait for a disk that hangs.
    _decoding: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(1))
    # Not that of decoding either: what a class of the user's takes is not for others to wait for.
    _preparing: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(1))
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
            return AttemptResult(dict.fromkeys(ids, failure), len(ids), failure)
        names = {item.id: item.image.id for item in batch.items}
        named = {i: _named(result, names[i]) for i, result in zip(ids, results, strict=True)}
        prepared = await self._prepare(batch.items, named, len(response.body))
        return AttemptResult(named | prepared, len(ids), cut=response.cut)

    async def _encode(self, items: Sequence[Item]) -> dict[str, Parts | ImageError]:
        encode = partial(encode_images, items, self.max_bytes)
        if all(isinstance(item.image.source, str | bytes) for item in items):
            return encode()
        return await anyio.to_thread.run_sync(encode, abandon_on_cancel=True, limiter=self._files)

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
                decoded = await anyio.to_thread.run_sync(decode, limiter=self._decoding)
        return list(decoded or ())

    async def _prepare(
        self, items: Sequence[Item], results: Mapping[str, Result], size: int
    ) -> dict[str, Result]:
        """Return by id what calls make of the *results* in a response of so many [bytes]."""
        makers = {item.id: item.call.prepare for item in items if item.is_wanted}
        work = {i: partial(make, results[i]) for i, make in makers.items() if make and i in results}
        if not work:
            return {}

        def prepare() -> dict[str, Result]:
            return {i: make() for i, make in work.items()}

        if size < SMALL_COMPLETIONS:
            return prepare()
        prepared: dict[str, Result] = {}
        # As when it is decoded.
        with anyio.CancelScope(shield=True):
            prepared |= await anyio.to_thread.run_sync(prepare, limiter=self._preparing)
        return prepared

    def _learn(self, error: OCRError, records: int, size: int) -> None:
        """Make requests smaller from now on, if one of *size* [bytes] was too large."""
        if records == 1:
            return
        self._cuts += isinstance(error, UploadCut) and size >= LARGE
        if self._cuts == CUTS or judge(error, shared=True) is Verdict.SPLIT:
            self._cuts = 0
            self.max_bytes = min(self.max_bytes, size // 2)


def _named(result: Result, name: str | None) -> Result:
    """Give a record the caller's own name for its image; on the wire names must be unique."""
    return evolve(result, id=name) if name is not None and isinstance(result, Record) else result

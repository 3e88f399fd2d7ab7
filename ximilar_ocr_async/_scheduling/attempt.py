"""One attempt at a batch: images in; for each of them a record or an error out."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

import anyio
import anyio.to_thread
from attrs import define, evolve, field, frozen

from ximilar_ocr_async._concurrency import THREADS
from ximilar_ocr_async._http import Transport
from ximilar_ocr_async._protocol import (
    REQUESTS,
    Base64Image,
    Part,
    RequestBody,
    as_ambiguous,
    decode,
    decode_submitted,
    encode_batch,
    encode_record,
    name_plan,
)
from ximilar_ocr_async._scheduling.calls import BatchKey
from ximilar_ocr_async._scheduling.decisions import Verdict, is_overload, judge
from ximilar_ocr_async.errors import ImageError, OCRError, UploadCut
from ximilar_ocr_async.images import FileFingerprint, Image, examine, unreadable
from ximilar_ocr_async.models import Record

Decoded: TypeAlias = list[Record | OCRError]

_log = logging.getLogger("ximilar_ocr_async.scheduling")

LARGE = 8 * 1024 * 1024
"""[bytes] of a request that may be cut off for its size, before a 413 can be read."""

SMALL_ANSWER = 8 * 1024
"""[bytes] of an answer that is decoded at once, in a fraction of a millisecond."""

LARGE_ANSWER = 512 * 1024
"""[bytes] of an answer that is decoded in a thread: on the event loop it would take 5 ms or so."""

CUTS = 2
"""Large requests cut off that are one too many for an accident."""


class Outgoing(Protocol):
    """One image about to be sent, under the *id* that its record comes back with."""

    id: str
    image: Image
    prompt: str | None
    # Of its file at the first attempt.
    fingerprint: FileFingerprint | None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it."""
        ...


@frozen
class AttemptResult:
    """How an attempt ended.

    Attributes:
        results: By id; images that did not fit into the request are not in it.
        sent: Records in the request; 0 if none was made.
        failure: Why it failed as a whole, which then is the result of each record in it.
    """

    results: dict[str, Record | OCRError] = field(factory=dict)
    sent: int = 0
    failure: OCRError | None = None

    @property
    def is_overload(self) -> bool:
        """Whether any of it failed because the service is asked too much."""
        errors = [result for result in self.results.values() if isinstance(result, OCRError)]
        return any(map(is_overload, errors))


@define
class BatchAttempt:
    """Loads, encodes, sends, decodes. Lives as long as its session."""

    transport: Transport
    # [bytes] of images, as base64, that one request may hold; a larger image goes alone.
    max_bytes: int
    per_record_lang: bool = False
    # Not that of the files: what was paid is not to wait for a disk that hangs.
    _decoding: anyio.CapacityLimiter = field(init=False, factory=lambda: anyio.CapacityLimiter(1))
    _cuts: int = field(init=False, default=0)
    _threads: anyio.CapacityLimiter = field(
        init=False, factory=lambda: anyio.CapacityLimiter(THREADS)
    )

    async def __call__(
        self,
        batch_key: BatchKey,
        batch: Sequence[Outgoing],
        depart: Callable[[Iterable[str]], None],
    ) -> AttemptResult:
        """Attempt a batch; raise nothing but cancellation.

        Args:
            batch_key: Of all its images.
            batch: (1 to 10) images.
            depart: Called with the ids that are in the request when it is made; from then on they
                may be billed.
        """
        began = anyio.current_time()
        ended = await self._attempt(batch_key, batch, depart)
        if _log.isEnabledFor(logging.DEBUG):
            told = {
                "endpoint": batch_key.endpoint,
                "lang": batch_key.lang,
                "records": len(ended.results),
                "read": sum(isinstance(result, Record) for result in ended.results.values()),
                "seconds": anyio.current_time() - began,
            }
            words = "%(endpoint)s %(lang)s, %(records)d records, %(read)d read in %(seconds).3f s"
            _log.debug(words, told, extra=told)
        return ended

    async def _attempt(
        self,
        batch_key: BatchKey,
        batch: Sequence[Outgoing],
        depart: Callable[[Iterable[str]], None],
    ) -> AttemptResult:
        encoded = await self._encode(batch_key, batch)
        unfit: dict[str, Record | OCRError] = {
            i: e for i, e in encoded.items() if isinstance(e, ImageError)
        }
        # While the others were read from disk, some may have been given up.
        wanted = {outgoing.id for outgoing in batch if outgoing.is_wanted}
        records = {
            i: e for i, e in encoded.items() if i in wanted and not isinstance(e, ImageError)
        }
        if not records:
            return AttemptResult(unfit)
        upload = self._pack(batch_key, records)
        depart(records)
        try:
            answers = await self._send(batch_key, upload, list(records))
        except OCRError as error:
            # A traceback holds its frames, these hold the body: outcomes must not.
            failure = error.with_traceback(None)
            if upload.faulty is not None:
                # Not all of it was sent, so nothing was read: the others go again as if unsent.
                return AttemptResult(unfit | {upload.faulty: failure})
            return AttemptResult(unfit | dict.fromkeys(records, failure), len(records), failure)
        names = {outgoing.id: outgoing.image.id for outgoing in batch}
        renamed = {i: _renamed(answer, names[i]) for i, answer in answers.items()}
        return AttemptResult(unfit | renamed, len(records))

    async def _encode(
        self, batch_key: BatchKey, batch: Sequence[Outgoing]
    ) -> dict[str, tuple[Part, ...] | ImageError]:
        lang = batch_key.lang if self.per_record_lang else None
        encode = partial(_encode, batch, self.max_bytes, lang)
        if all(isinstance(outgoing.image.source, str | bytes) for outgoing in batch):
            return encode()
        return await anyio.to_thread.run_sync(encode, abandon_on_cancel=True, limiter=self._threads)

    def _pack(self, batch_key: BatchKey, records: dict[str, tuple[Part, ...]]) -> RequestBody:
        fields = {"lang": batch_key.lang}
        if batch_key.submission:
            fields = {**batch_key.submission.fields, "endpoint": batch_key.endpoint, **fields}
        return RequestBody(encode_batch(list(records.values()), fields))

    async def _send(
        self, batch_key: BatchKey, upload: RequestBody, ids: list[str]
    ) -> dict[str, Record | OCRError]:
        path, decode_it = f"/ocr/v2/{batch_key.endpoint}", decode
        if batch_key.submission:
            path, decode_it = REQUESTS, decode_submitted
        try:
            answer = await self.transport.send("POST", path, upload)
            work = partial(
                decode_it, answer.status, answer.body, ids, retry_after=answer.retry_after
            )
            decoded = await self._decode(work, len(answer.body))
        except ImageError:
            raise
        except OCRError as error:
            if len(ids) > 1:
                self._learn(error, len(upload))
            error = name_plan(error, batch_key.endpoint)
            raise (as_ambiguous(error) if batch_key.submission else error) from None
        return dict(zip(ids, decoded, strict=True))

    async def _decode(self, decode: Callable[[], Decoded], size: int) -> Decoded:
        if size < SMALL_ANSWER:
            return decode()
        # Shielded, for it was paid. One at a time, each in a turn of the loop of its own or in a
        # thread: many that come at once would hold up the loop, and the requests after them.
        decoded: Decoded = []
        with anyio.CancelScope(shield=True):
            if size < LARGE_ANSWER:
                async with self._decoding:
                    decoded = decode()
            else:
                decoded = await anyio.to_thread.run_sync(decode, limiter=self._decoding)
        return decoded

    def _learn(self, error: OCRError, size: int) -> None:
        """Make requests smaller from now on, if one of *size* [bytes] was too large."""
        self._cuts += isinstance(error, UploadCut) and size >= LARGE
        if self._cuts == CUTS or judge(error, shared=True) is Verdict.SPLIT:
            self._cuts = 0
            self.max_bytes = min(self.max_bytes, size // 2)


def _encode(
    batch: Sequence[Outgoing], max_bytes: int, lang: str | None
) -> dict[str, tuple[Part, ...] | ImageError]:
    """Encode images in their order, until the next would make the request too large."""
    encoded: dict[str, tuple[Part, ...] | ImageError] = {}
    total = 0
    for outgoing in batch:
        record = _encode_one(outgoing, lang)
        if not isinstance(record, ImageError):
            total += sum(len(part) for part in record if isinstance(part, Base64Image))
        if encoded and total > max_bytes:
            break
        encoded[outgoing.id] = record
    return encoded


def _encode_one(outgoing: Outgoing, lang: str | None) -> tuple[Part, ...] | ImageError:
    image = outgoing.image
    try:
        picture = None if isinstance(image.source, str) else _look_at(outgoing)
        return encode_record(outgoing.id, image, picture, prompt=outgoing.prompt, lang=lang)
    except ImageError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - a path or a mapping of the caller's own class
        return unreadable(image, error)


def _look_at(outgoing: Outgoing) -> Base64Image:
    fingerprint = examine(outgoing.image)
    if outgoing.fingerprint not in {None, fingerprint}:
        # An attempt before may have been billed; this would be another picture.
        raise ImageError(f"{outgoing.image.name} changed since it was first sent")
    outgoing.fingerprint = fingerprint
    return Base64Image(outgoing.id, outgoing.image, fingerprint)


def _renamed(answer: Record | OCRError, name: str | None) -> Record | OCRError:
    """Give a record the caller's own name for its image; on the wire names must be unique."""
    return evolve(answer, id=name) if name is not None and isinstance(answer, Record) else answer

"""One attempt at a batch: images in; for each of them a record or an error out."""

from collections.abc import Sequence
from typing import Protocol

import anyio
import anyio.to_thread
from attrs import evolve, field, frozen

from ximilar_ocr_async.errors import ImageError, OCRError
from ximilar_ocr_async.images import Image, load, size
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.transport import Transport
from ximilar_ocr_async.wire import decode, encode_batch, encode_record

LOADING_THREADS = 4
"""Threads that read and encode; more would make neither a disk nor the interpreter faster."""

INLINE = 64 * 1024
"""[bytes] of images that are encoded on the event loop: for so few, a thread costs more."""


@frozen
class Lane:
    """What the records of one request have in common."""

    endpoint: str
    lang: str


class Outgoing(Protocol):
    """One image about to be sent, under the *id* that its record comes back with."""

    id: str
    image: Image
    prompt: str | None


@frozen
class Exchange:
    """Loads, encodes, sends, decodes. Lives as long as its session."""

    transport: Transport
    # [bytes] of images, as base64, that one request may hold; a larger image goes alone.
    max_bytes: int
    _threads: anyio.CapacityLimiter = field(
        init=False, factory=lambda: anyio.CapacityLimiter(LOADING_THREADS)
    )

    async def __call__(self, lane: Lane, batch: Sequence[Outgoing]) -> dict[str, Record | OCRError]:
        """Return by id what became of each image of *batch*; raise nothing but cancellation.

        Images that do not fit into the request are left out.
        """
        encoded = await self._encode(batch)
        failed = {i: e for i, e in encoded.items() if isinstance(e, ImageError)}
        records = {i: e for i, e in encoded.items() if not isinstance(e, ImageError)}
        answers = await self._send(lane, records) if records else {}
        names = {outgoing.id: outgoing.image.id for outgoing in batch}
        return failed | {i: _renamed(answer, names[i]) for i, answer in answers.items()}

    async def _encode(self, batch: Sequence[Outgoing]) -> dict[str, tuple[bytes, ...] | ImageError]:
        if _is_small(batch):
            return _encode(batch, self.max_bytes)
        return await anyio.to_thread.run_sync(
            _encode, batch, self.max_bytes, abandon_on_cancel=True, limiter=self._threads
        )

    async def _send(
        self, lane: Lane, records: dict[str, tuple[bytes, ...]]
    ) -> dict[str, Record | OCRError]:
        body = encode_batch(list(records.values()), lane.lang)
        try:
            answer = await self.transport.post(f"/ocr/v2/{lane.endpoint}", body)
        except OCRError as error:
            # A traceback holds its frames, these hold the body: outcomes must not.
            return dict.fromkeys(records, error.with_traceback(None))
        ids = list(records)
        decoded = decode(answer.status, answer.body, ids, retry_after=answer.retry_after)
        return dict(zip(ids, decoded, strict=True))


def _is_small(batch: Sequence[Outgoing]) -> bool:
    sources = [outgoing.image.source for outgoing in batch]
    if not all(isinstance(source, str | bytes) for source in sources):
        return False
    return sum(len(source) for source in sources if isinstance(source, bytes)) <= INLINE


def _encode(batch: Sequence[Outgoing], max_bytes: int) -> dict[str, tuple[bytes, ...] | ImageError]:
    """Encode images in their order, until the next would make the request too large."""
    encoded: dict[str, tuple[bytes, ...] | ImageError] = {}
    total = 0
    for outgoing in batch:
        total += size(outgoing.image) * 4 // 3
        if encoded and total > max_bytes:
            break
        encoded[outgoing.id] = _encode_one(outgoing)
    return encoded


def _encode_one(outgoing: Outgoing) -> tuple[bytes, ...] | ImageError:
    image = outgoing.image
    try:
        data = None if isinstance(image.source, str) else load(image)
        return encode_record(outgoing.id, image, data, prompt=outgoing.prompt)
    except ImageError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - a path or a mapping of the caller's own class
        return ImageError(f"a {type(image.source).__name__} cannot be read: {error!r}")


def _renamed(answer: Record | OCRError, name: str | None) -> Record | OCRError:
    """Give a record the caller's own name for its image; on the wire names must be unique."""
    return evolve(answer, id=name) if name is not None and isinstance(answer, Record) else answer

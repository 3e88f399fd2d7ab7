"""Images in, the body of a request out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from ximilar_ocr_async._protocol.request_body import Base64Image, Part, RequestBody
from ximilar_ocr_async.errors import ImageError, shown
from ximilar_ocr_async.images import FileFingerprint, Image, examine, unreadable

Parts: TypeAlias = tuple[Part, ...]
"""One encoded record."""

_dumps = json.JSONEncoder(allow_nan=False).encode


class Outgoing(Protocol):
    """An image that is about to be sent.

    Attributes:
        id: What its record is called, on the way out and back.
        image: The image.
        prompt: What the language model is asked about it.
        fingerprint: What its file was when it was first sent.
    """

    id: str
    image: Image
    prompt: str | None
    fingerprint: FileFingerprint | None


def encode_images(images: Sequence[Outgoing], max_bytes: int) -> dict[str, Parts | ImageError]:
    """Encode images in their order, until the next would make the request too large.

    Blocks on the disk unless all images are given by URL or as bytes.

    Args:
        images: The images.
        max_bytes: [bytes] of images, as base64, that one request may hold; the first image is
            encoded even if it is larger.

    Returns:
        By id, the parts of a record or why the image cannot be sent; images that did not fit are
        not in it.
    """
    encoded: dict[str, Parts | ImageError] = {}
    total = 0
    for image in images:
        record = _encode_one(image)
        if not isinstance(record, ImageError):
            total += sum(len(part) for part in record if isinstance(part, Base64Image))
        if encoded and total > max_bytes:
            break
        encoded[image.id] = record
    return encoded


def _encode_one(outgoing: Outgoing) -> Parts | ImageError:
    image = outgoing.image
    try:
        data = None if isinstance(image.source, str) else _look_at(outgoing)
        return encode_record(outgoing.id, image, data, prompt=outgoing.prompt)
    except ImageError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - a path or a mapping of the caller's own class
        return unreadable(image, error)


def _look_at(outgoing: Outgoing) -> Base64Image:
    fingerprint = examine(outgoing.image)
    if outgoing.fingerprint not in {None, fingerprint}:
        # An attempt before may have been billed; this would be another picture.
        raise ImageError(f"{shown(outgoing.image.name)} changed since it was first sent")
    outgoing.fingerprint = fingerprint
    return Base64Image(outgoing.id, outgoing.image, fingerprint)


def encode_record(
    record_id: str, image: Image, data: Base64Image | None, *, prompt: str | None = None
) -> Parts:
    """Encode one image as a record, in parts: by its URL, or as *data* where there is any.

    Raises:
        ImageError: Its ``extra`` is not JSON.
    """
    fields: dict[str, Any] = {**image.extra, "_id": record_id}
    if prompt is not None:
        fields["prompt"] = prompt
    if data is None:
        fields["_url"] = image.source
    try:
        head = _dumps(fields).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(f"extra of {shown(image.name)} is not JSON: {error}") from None
    if data is None:
        return (head,)
    # Base64 needs no escapes, so it is spliced in: json.dumps would walk and copy all of it.
    return (head[:-1] + b', "_base64": "', data, b'"}')


def make_body(records: Sequence[Parts], fields: Mapping[str, Any]) -> RequestBody:
    """Join encoded records to a request body, with other *fields* before them."""
    parts: list[Part] = [_dumps(fields).encode()[:-1] + b', "records": [']
    for place, record in enumerate(records):
        if place:
            parts.append(b", ")
        parts.extend(record)
    parts.append(b"]}")
    return RequestBody(tuple(parts))

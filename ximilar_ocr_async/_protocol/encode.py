"""Images in, the parts of a request body out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ximilar_ocr_async._protocol.request_body import Base64Image, Part
from ximilar_ocr_async.errors import ImageError
from ximilar_ocr_async.images import Image

_dumps = json.JSONEncoder(allow_nan=False).encode


def encode_record(
    record_id: str,
    image: Image,
    picture: Base64Image | None,
    *,
    prompt: str | None = None,
    lang: str | None = None,
) -> tuple[Part, ...]:
    """Encode one image as a record, in parts: by URL, or as the *picture* where there is one.

    Its *lang* need not stand here, for its request has it too.

    Raises:
        ImageError: Its ``extra`` is not JSON.
    """
    fields_: dict[str, Any] = {**image.extra, "_id": record_id}
    if prompt is not None:
        fields_["prompt"] = prompt
    if lang is not None:
        fields_["lang"] = lang
    if picture is None:
        fields_["_url"] = image.source
    try:
        head = _dumps(fields_).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(f"extra of {image.name} is not JSON: {error}") from None
    if picture is None:
        return (head,)
    # Base64 needs no escapes, so it is spliced in: json.dumps would walk and copy all of it.
    return (head[:-1] + b', "_base64": "', picture, b'"}')


def encode_batch(records: Sequence[Sequence[Part]], fields: Mapping[str, Any]) -> tuple[Part, ...]:
    """Join encoded records into a request body with these other *fields*, still in parts."""
    parts: list[Part] = [_dumps(fields).encode()[:-1] + b', "records": [']
    for place, record in enumerate(records):
        if place:
            parts.append(b", ")
        parts.extend(record)
    parts.append(b"]}")
    return tuple(parts)

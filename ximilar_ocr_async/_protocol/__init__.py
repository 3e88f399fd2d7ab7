"""The service's language: images in, a request body out; a response in, records or errors out."""

from ximilar_ocr_async._protocol.decode import decode, decode_document, decode_model, unstructure
from ximilar_ocr_async._protocol.encode import encode_batch, encode_record
from ximilar_ocr_async._protocol.error_mapping import as_ambiguous, name_plan
from ximilar_ocr_async._protocol.jobs import (
    DONE,
    REQUESTS,
    bad_end,
    decode_outcomes,
    decode_page,
    decode_submitted,
    make_id,
    page_path,
    path_of,
    state_of,
)
from ximilar_ocr_async._protocol.request_body import Base64Image, Part, RequestBody
from ximilar_ocr_async._protocol.webhook import Submission, Webhook

__all__ = [
    "DONE",
    "REQUESTS",
    "Base64Image",
    "Part",
    "RequestBody",
    "Submission",
    "Webhook",
    "as_ambiguous",
    "bad_end",
    "decode",
    "decode_document",
    "decode_model",
    "decode_outcomes",
    "decode_page",
    "decode_submitted",
    "encode_batch",
    "encode_record",
    "make_id",
    "name_plan",
    "page_path",
    "path_of",
    "state_of",
    "unstructure",
]

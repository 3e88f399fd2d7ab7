"""The service's language: images in, a request body out; a response in, records or errors out.

Nothing here sends or waits.
"""

from ximilar_ocr_async._protocol import jobs
from ximilar_ocr_async._protocol.converter import named_parts
from ximilar_ocr_async._protocol.decode import decode_account, decode_document
from ximilar_ocr_async._protocol.decode_usual import Echo
from ximilar_ocr_async._protocol.documents import Document
from ximilar_ocr_async._protocol.encode import Parts, encode_images, make_body
from ximilar_ocr_async._protocol.request_body import RequestBody
from ximilar_ocr_async._protocol.requests import ReadRequest, Request, SubmitRequest
from ximilar_ocr_async._protocol.webhook import Webhook

__all__ = [
    "Document",
    "Echo",
    "Parts",
    "ReadRequest",
    "Request",
    "RequestBody",
    "SubmitRequest",
    "Webhook",
    "decode_account",
    "decode_document",
    "encode_images",
    "jobs",
    "make_body",
    "named_parts",
]

"""The service's language: images in, a request body out; a response in, records or errors out.

Nothing here sends or waits.
"""

from ximilar_ocr_async._protocol import jobs
from ximilar_ocr_async._protocol.decode import Echo, decode_document, decode_model, unstructure
from ximilar_ocr_async._protocol.encode import Parts, encode_images, make_body
from ximilar_ocr_async._protocol.requests import ReadRequest, Request, SubmitRequest
from ximilar_ocr_async._protocol.webhook import Webhook

__all__ = [
    "Echo",
    "Parts",
    "ReadRequest",
    "Request",
    "SubmitRequest",
    "Webhook",
    "decode_document",
    "decode_model",
    "encode_images",
    "jobs",
    "make_body",
    "unstructure",
]

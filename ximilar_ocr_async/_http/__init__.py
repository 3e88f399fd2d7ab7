"""HTTP: a request body in, a response out, over connections that are kept and never shared."""

from ximilar_ocr_async._http.auth import Token
from ximilar_ocr_async._http.evidence import Timing
from ximilar_ocr_async._http.sender import HTTPClient, Response, Sender
from ximilar_ocr_async._http.trace import Trace

__all__ = [
    "HTTPClient",
    "Response",
    "Sender",
    "Timing",
    "Token",
    "Trace",
]

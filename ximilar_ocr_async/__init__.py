"""Read text off images with Ximilar's OCR service: batches, slots, retries and money seen to.

Start with `OCRSession`.
"""

from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ExtractionError,
    ImageError,
    OCRError,
    OptionError,
    PlanError,
    RateLimited,
    ReplyError,
    ReplyLost,
    RequestRejected,
    RequestTimeout,
    ServiceError,
    ServiceUnavailable,
    SessionClosed,
    SessionStateError,
    UploadCut,
)
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.limits import Language
from ximilar_ocr_async.models import GPT, OCR, Record, Status, Text
from ximilar_ocr_async.outcomes import Failure, Outcome, Success
from ximilar_ocr_async.retry import RetryPolicy
from ximilar_ocr_async.session import OCRSession
from ximilar_ocr_async.stats import Stats

__all__ = [
    "GPT",
    "OCR",
    "AddressError",
    "AuthError",
    "BudgetExceeded",
    "ConnectionFailed",
    "DeadlineExceeded",
    "ExtractionError",
    "Failure",
    "Image",
    "ImageError",
    "Language",
    "OCRError",
    "OCRSession",
    "OptionError",
    "Outcome",
    "PlanError",
    "RateLimited",
    "Record",
    "ReplyError",
    "ReplyLost",
    "RequestRejected",
    "RequestTimeout",
    "RetryPolicy",
    "ServiceError",
    "ServiceUnavailable",
    "SessionClosed",
    "SessionStateError",
    "Stats",
    "Status",
    "Success",
    "Text",
    "UploadCut",
]

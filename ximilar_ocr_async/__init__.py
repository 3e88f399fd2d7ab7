"""Read text off images with Ximilar's OCR service: batches, slots, retries and money seen to.

Start with `OCRSession`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ximilar_ocr_async._constants import Language
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    BudgetExceeded,
    ConnectionFailed,
    CreditsExhausted,
    DeadlineExceeded,
    ExtractionError,
    ImageError,
    JobExpired,
    JobFailed,
    JobNotFound,
    OCRError,
    OptionError,
    Overloaded,
    PlanError,
    PoolExhausted,
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
    WebhookError,
)
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import GPT, OCR, Account, JobInfo, Record, Status, Text
from ximilar_ocr_async.outcomes import EndpointStats, Failure, Outcome, Stats, Success
from ximilar_ocr_async.retry import RetryPolicy

if TYPE_CHECKING:
    from ximilar_ocr_async._jobs import Delivery, Job, WebhookReceiver
    from ximilar_ocr_async._protocol import Webhook
    from ximilar_ocr_async._session import OCRSession, estimate

__all__ = [
    "GPT",
    "OCR",
    "Account",
    "AddressError",
    "AuthError",
    "BudgetExceeded",
    "ConnectionFailed",
    "CreditsExhausted",
    "DeadlineExceeded",
    "Delivery",
    "EndpointStats",
    "ExtractionError",
    "Failure",
    "Image",
    "ImageError",
    "Job",
    "JobExpired",
    "JobFailed",
    "JobInfo",
    "JobNotFound",
    "Language",
    "OCRError",
    "OCRSession",
    "OptionError",
    "Outcome",
    "Overloaded",
    "PlanError",
    "PoolExhausted",
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
    "Webhook",
    "WebhookError",
    "WebhookReceiver",
    "estimate",
]

_LATE = {
    "Delivery": "_jobs",
    "Job": "_jobs",
    "OCRSession": "_session",
    "Webhook": "_protocol",
    "WebhookReceiver": "_jobs",
    "estimate": "_session",
}
"""Names that are loaded when they are first used, and where they are: not all programs need all."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

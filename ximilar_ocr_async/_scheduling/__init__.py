"""Slots and batches: items of many calls in, full batches out, and one outcome for each item."""

from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.adaptive_limit import AdaptiveLimit
from ximilar_ocr_async._scheduling.attempt import BatchAttempt
from ximilar_ocr_async._scheduling.calls import BatchKey, Call, Item
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.json_get import JSONGetter
from ximilar_ocr_async._scheduling.questions import Question, Reading
from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter
from ximilar_ocr_async._scheduling.scheduler import Scheduler
from ximilar_ocr_async._scheduling.throttle import Throttle

__all__ = [
    "Accounting",
    "AdaptiveLimit",
    "BatchAttempt",
    "BatchKey",
    "Call",
    "CircuitBreaker",
    "Item",
    "JSONGetter",
    "Question",
    "RateLimiter",
    "Reading",
    "Scheduler",
    "Throttle",
]

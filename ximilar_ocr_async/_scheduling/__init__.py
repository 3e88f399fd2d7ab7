"""Scheduling: items of many calls in, full batches out, and one result for each item.

It knows neither what an image is asked nor what a request is for.
"""

from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.build import build_scheduler
from ximilar_ocr_async._scheduling.call_options import BulkWaiting, CallOptions, Patience, Waiting
from ximilar_ocr_async._scheduling.calls import (
    Call,
    Item,
    MakeRequest,
    Question,
    Reading,
    Result,
)
from ximilar_ocr_async._scheduling.decisions import is_fatal
from ximilar_ocr_async._scheduling.json_get import JSONGetter
from ximilar_ocr_async._scheduling.scheduler import Scheduler
from ximilar_ocr_async._scheduling.tenant import Tenant

__all__ = [
    "Accounting",
    "BulkWaiting",
    "Call",
    "CallOptions",
    "Item",
    "JSONGetter",
    "MakeRequest",
    "Patience",
    "Question",
    "Reading",
    "Result",
    "Scheduler",
    "Tenant",
    "Waiting",
    "build_scheduler",
    "is_fatal",
]

"""Calls and items as the scheduling tests need them, without a session around them."""

from math import inf
from typing import Any

from ximilar_ocr_async._protocol import ReadRequest
from ximilar_ocr_async._scheduling.adaptive_limit import RAMP_FROM, AdaptiveLimit
from ximilar_ocr_async._scheduling.call_options import CallOptions, Patience, Priority
from ximilar_ocr_async._scheduling.calls import Batch, Call, Item
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter
from ximilar_ocr_async._scheduling.tenant import Tenant
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.images import Image

URL = "https://images.example/1.jpg"
NOTHING: Any = None
"""What is not asked for where nothing is sent: a sender, a cancel scope."""
OWNER = Tenant(NOTHING)


def make_tenant() -> Tenant:
    """Return another account, with books of its own."""
    return Tenant(NOTHING)


def make_call(
    *,
    priority: Priority = "bulk",
    fair_by: Any = None,
    deadline: float = inf,
    fail_fast: bool = False,
    tenant: Tenant = OWNER,
) -> Call:
    """Return a call that has until *deadline* [s], and keeps nothing of what it is told."""
    options = CallOptions(priority=priority, fair_by=fair_by)
    call = Call(lambda _, __: None, options, ReadRequest, tenant)
    call.patience = Patience(0.0, deadline=deadline, fail_fast=fail_fast)
    return call


def make_item(
    call: Call, number: int = 0, *, lang: str = "en", size: int = 0, most: int = 10
) -> Item:
    """Return an item of *call*; *size* is that of its image as base64 [bytes], a multiple of 4."""
    image = Image(bytes(size // 4 * 3) if size else URL)
    return Item(f"r{number}", number, image, None, ReadRequest("read", lang), call, 0.0, most=most)


def make_batch(*items: Item, answers_before: int = 0) -> Batch:
    """Return a batch of *items*, which began at 0 s."""
    return Batch([*items], began=0.0, answers_before=answers_before, scope=NOTHING)


def make_throttle(*, ceiling: int = RAMP_FROM, interval: float = 0.0) -> Throttle:
    """Return the throttle of a new session, with pauses as long as may be."""
    limit, breaker = AdaptiveLimit(ceiling), CircuitBreaker(1.0, 60.0, lambda: 1.0)
    return Throttle(limit, RateLimiter(interval), breaker)

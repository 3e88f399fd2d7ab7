"""The parts of scheduling, put together: a session's options in, its scheduler out."""

from math import inf

from anyio.abc import TaskGroup

from ximilar_ocr_async._scheduling.adaptive_limit import AdaptiveLimit
from ximilar_ocr_async._scheduling.attempt import BatchAttempt
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.fair_queue import FairQueue
from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter
from ximilar_ocr_async._scheduling.scheduler import Scheduler
from ximilar_ocr_async._scheduling.slots import Slots
from ximilar_ocr_async._scheduling.telling import Events
from ximilar_ocr_async._scheduling.throttle import Throttle
from ximilar_ocr_async.events import Listener
from ximilar_ocr_async.retry import RetryPolicy


def build_scheduler(
    group: TaskGroup,
    *,
    retry: RetryPolicy,
    max_concurrency: int,
    adaptive: bool,
    max_requests_per_second: float | None,
    max_batch_records: int,
    max_batch_bytes: int,
    max_queue: int | None,
    on_event: Listener | None = None,
) -> Scheduler:
    """Return a scheduler that runs in *group*; the options are those of `OCRSession`."""
    rate = max_requests_per_second
    rate_limiter = RateLimiter(1 / rate if rate else 0.0)

    def make_limit() -> AdaptiveLimit:
        return AdaptiveLimit(max_concurrency, adaptive=adaptive)

    def make_throttle(endpoint: str) -> Throttle:
        breaker = CircuitBreaker(retry.base, retry.cap)
        return Throttle(make_limit(), rate_limiter, breaker, endpoint, events)

    events = Events(on_event, group)
    attempt = BatchAttempt(max_batch_bytes, events)
    slots = Slots(max_concurrency, make_limit, make_throttle, events, FairQueue(max_batch_records))
    queue = inf if max_queue is None else max_queue
    scheduler = Scheduler(attempt, retry, slots, group, queue)
    group.start_soon(scheduler.run)
    return scheduler

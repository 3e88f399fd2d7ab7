"""The throttle: ends of attempts in; a limit, and the time until a request may begin, out.

Pure: the caller passes the time in.
"""

import logging

from attrs import define, field

from ximilar_ocr_async._scheduling.adaptive_limit import AdaptiveLimit
from ximilar_ocr_async._scheduling.calls import Patience
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.decisions import is_answer, is_overload, is_turned_away
from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter
from ximilar_ocr_async.errors import OCRError, RequestTimeout, with_reason
from ximilar_ocr_async.retry import MAX_RETRY_AFTER

_log = logging.getLogger("ximilar_ocr_async.scheduling")


@define
class Throttle:
    """What a session knows of the service's state.

    Attributes:
        limit: How many requests may be in flight.
        rate_limiter: How soon one request may follow another.
        breaker: Whether there is an outage, in which only probes are sent.
    """

    limit: AdaptiveLimit
    rate_limiter: RateLimiter
    breaker: CircuitBreaker
    # How a request was last turned away.
    _error: OCRError = field(init=False, factory=OCRError)
    # Whether the log says that there is an outage.
    _is_logged: bool = field(init=False, default=False)

    def delay(self, now: float) -> float:
        """Return how long [s] from *now* [s] until a request may begin."""
        return max(self.rate_limiter.delay(now), self.breaker.delay(now))

    def begin(self, now: float) -> bool:
        """Count a request that begins *now* [s]; return whether it is a probe."""
        self.rate_limiter.begin(now)
        return self.breaker.begin()

    def outage_error(self, patience: Patience, now: float) -> OCRError | None:
        """Return why a call need not wait any longer, if its patience ends before the outage."""
        if not self.breaker.outlasts(patience, now):
            return None
        waited = now - max(patience.opened, self.breaker.began)
        return with_reason(self._error, f"the service was out of reach for {waited:.0f} s")

    def succeed(self, *, began: float, now: float, in_flight: int, is_overloaded: bool) -> None:
        """Count a request that was answered.

        Args:
            began: When [s] it began.
            now: The time [s].
            in_flight: Other requests in flight.
            is_overloaded: Whether some of its records failed because of overload.
        """
        self._end_outage(now)
        before = self.limit.slots
        if is_overloaded:
            self.limit.overload(began=began, now=now)
        else:
            self.limit.succeed(now - began, in_flight=in_flight + 1)
        self._log_limit(before)

    def fail(
        self, error: OCRError, *, began: float, now: float, in_flight: int, probe: bool
    ) -> None:
        """Count a request that failed as a whole."""
        before = self.limit.slots
        if error.retry_after:
            self.breaker.hold(min(error.retry_after, MAX_RETRY_AFTER), now)
        # An overload while nothing else is in flight is not of our making.
        is_others = is_overload(error) and not isinstance(error, RequestTimeout) and not in_flight
        if is_turned_away(error) or is_others:
            self._error = error
            if self.breaker.turn_away(now, probe=probe):
                self.limit.forgive()
            elif self.breaker.is_on and probe:
                self._log_outage(error)
        elif is_answer(error):
            self._end_outage(now)
        else:
            self.breaker.miss(now, probe=probe)
        if is_overload(error) and not self.breaker.is_on:
            self.limit.overload(began=began, now=now)
        self._log_limit(before)

    def answer(self, now: float) -> None:
        """Count a request without items that was answered: the limit learns nothing from it."""
        self._end_outage(now)

    def withdraw(self, now: float, *, probe: bool, was_sent: bool) -> None:
        """Count a request that was given up before it ended, or that was never made."""
        if was_sent:
            self.breaker.miss(now, probe=probe)
        else:
            self.breaker.release(probe=probe)

    def _end_outage(self, now: float) -> None:
        if self._is_logged:
            self._is_logged = False
            facts = {"seconds": now - self.breaker.began}
            _log.warning("the service is back after %(seconds).1f s", facts, extra=facts)
        self.breaker.answer()

    def _log_outage(self, error: OCRError) -> None:
        # Not at its beginning: two failures in a row may be chance.
        if not self._is_logged:
            self._is_logged = True
            facts = {"error": str(error)}
            words = "the service is out of reach, waiting for it: %(error)s"
            _log.warning(words, facts, extra=facts)

    def _log_limit(self, before: int) -> None:
        if self.limit.slots != before:
            facts = {"before": before, "after": self.limit.slots}
            _log.info("limit %(before)d -> %(after)d", facts, extra=facts)

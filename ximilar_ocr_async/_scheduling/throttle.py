"""What a session knows of one endpoint's state: ends of attempts in, how much may be sent out.

Pure: the caller passes the time in.
"""

import logging
from collections.abc import Sequence
from math import inf

from attrs import define, field

from ximilar_ocr_async._scheduling.adaptive_limit import AdaptiveLimit
from ximilar_ocr_async._scheduling.call_options import Patience
from ximilar_ocr_async._scheduling.circuit_breaker import CircuitBreaker
from ximilar_ocr_async._scheduling.decisions import (
    is_answer,
    is_overload,
    is_suspicious,
    is_turned_away,
    is_vain,
)
from ximilar_ocr_async._scheduling.rate_limiter import RateLimiter
from ximilar_ocr_async._scheduling.round_trip import RoundTrip
from ximilar_ocr_async.errors import OCRError, Overloaded, RequestTimeout, with_reason
from ximilar_ocr_async.outcomes import EndpointStats
from ximilar_ocr_async.retry import MAX_RETRY_AFTER

STALL, STALL_LEAST = 4.0, 2.0
"""An endpoint that answers nothing for so many times as long as nearly every answer takes, and for
so long [s], stalls. Source: judgement."""

_log = logging.getLogger("ximilar_ocr_async.scheduling")


@define(eq=False)
class Throttle:
    """What a session knows of one endpoint's state.

    Attributes:
        limit: How many requests may be in flight.
        rate_limiter: How soon one request may follow another; that of all endpoints.
        breaker: Whether there is an outage, in which only probes are sent.
        round_trip: How long answers take.
        answers: Batches that were answered so far.
        error: How a request was last in vain.
    """

    limit: AdaptiveLimit
    rate_limiter: RateLimiter
    breaker: CircuitBreaker
    round_trip: RoundTrip = field(init=False, factory=RoundTrip)
    answers: int = field(init=False, default=0)
    error: OCRError = field(init=False, factory=OCRError)
    # When [s] each request under way began, from the oldest.
    _under_way: list[float] = field(init=False, factory=list)
    # When [s] anything was last answered.
    _heard: float = field(init=False, default=-inf)
    # As many answers as there were when a batch was last refused, each of its records alone.
    _refused: int = field(init=False, default=0)
    # Whether the log says that there is an outage.
    _is_logged: bool = field(init=False, default=False)

    # ---- what may be sent

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._under_way)

    def stalls(self, usual: float) -> float:
        """Return when [s] the requests under way begin to stall; never if others are answered.

        Args:
            usual: [s] that answers of other endpoints take, while those of this are not known.
        """
        usual = self.round_trip.needed(inf) or usual
        is_silent = self._under_way and self._heard < self._under_way[0]
        if not is_silent or not usual:
            return inf
        return self._under_way[0] + max(STALL * usual, STALL_LEAST)

    def delay(self, now: float, *, urgent: bool = False) -> float:
        """Return how long [s] from *now* [s] until a request may begin, if there is a slot."""
        return max(self.rate_limiter.delay(now), self.breaker.delay(now, urgent=urgent))

    def begin(self, now: float) -> bool:
        """Count a request that begins *now* [s]; return whether it is a probe."""
        self._under_way.append(now)
        self.rate_limiter.begin(now)
        return self.breaker.begin(now)

    def needed(self, waited: float, now: float) -> float:
        """Return how long [s] an item must have left to be sent, after it *waited* [s]."""
        if self.round_trip.is_stale(now) and not self.in_flight:
            return 0.0
        return self.round_trip.needed(waited)

    def is_troubled(self, now: float) -> bool:
        """Whether what waits may wait in vain."""
        return self.breaker.is_on or self.breaker.held > now

    def hopeless(self, patience: Patience, now: float, *, urgent: bool = False) -> OCRError | None:
        """Return why a call need not wait any longer, if it ends before anything may be sent.

        It never does while that may happen at any time: then there is nothing to wait for.
        """
        breaker = self.breaker
        if not self.is_troubled(now):
            return None
        resumes = now if breaker.is_probing else breaker.next_probe(now, urgent=urgent)
        if breaker.is_on and (resumes > now or breaker.is_probing):
            began = max(patience.opened, breaker.began)
            if resumes >= began + patience.outage_timeout:
                return self._tired(now - began)
        if breaker.held > now:
            began = max(patience.opened, breaker.hold_began)
            end = min(patience.deadline, began + patience.outage_timeout)
            if breaker.held >= end:
                return self._overloaded(now)
        return None

    def end_of(self, patience: Patience) -> float:
        """Return when [s] a call stops waiting for an outage to end; never without an outage."""
        if not self.breaker.is_on:
            return inf
        return max(patience.opened, self.breaker.began) + patience.outage_timeout

    def _tired(self, seconds: float) -> OCRError:
        how = "was out of reach" if is_turned_away(self.error) else "has failed like that"
        return with_reason(self.error, f"the service {how} for {seconds:.0f} s")

    def _overloaded(self, now: float) -> Overloaded:
        left = self.breaker.held - now
        return Overloaded(
            f"the service asks to be left alone for another {left:.0f} s: {self.error}",
            status=self.error.status,
            retry_after=left,
        )

    def stats(self, waits: Sequence[float], now: float) -> EndpointStats:
        """Return what is known of the endpoint, for which images have waited so many [s]."""
        breaker = self.breaker
        return EndpointStats(
            in_flight=self.in_flight,
            queued=len(waits),
            limit=self.limit.slots,
            oldest_wait=max(waits, default=0.0),
            round_trip=self.round_trip.mean or None,
            outage=str(self.error) if breaker.is_on else None,
            outage_seconds=now - breaker.began if breaker.is_on else 0.0,
            next_probe=breaker.delay(now) if breaker.is_on else None,
            held=max(0.0, breaker.held - now),
        )

    # ---- what came of it

    def end(self, began: float) -> None:
        """Count a request that *began* then [s] and is over, before it is told how it ended."""
        self._under_way.remove(began)

    def refuse(self) -> None:
        """Count a batch of which each record was refused alike, alone."""
        self._refused = self.answers

    @property
    def is_refusing(self) -> bool:
        """Whether the service has answered nothing since it refused such a batch, or ever.

        Otherwise a few records that are refused alike may be the very ones that are at fault.
        """
        return self._refused == self.answers

    def succeed(self, *, began: float, now: float, in_flight: int, is_overloaded: bool) -> None:
        """Count a request that was answered.

        Args:
            began: When [s] it began.
            now: The time [s].
            in_flight: Other requests in flight.
            is_overloaded: Whether some of its records failed because of overload.
        """
        self.answers += 1
        self.answer(now)
        before = self.limit.slots
        if is_overloaded:
            self.limit.overload(began=began, now=now)
        else:
            self.round_trip.observe(now - began, now)
            self.limit.succeed(now - began, in_flight=in_flight + 1)
        self._log_limit(before)

    def fail(
        self,
        error: OCRError,
        *,
        began: float,
        now: float,
        in_flight: int,
        probe: bool,
        is_repeated: bool = False,
    ) -> None:
        """Count a request that failed as a whole.

        Args:
            error: How.
            began: When [s] it began.
            now: The time [s].
            in_flight: Other requests in flight.
            probe: Whether it was a probe.
            is_repeated: Whether all of its records had failed before. If the service itself fails
                again, that may be for them.
        """
        before = self.limit.slots
        is_sign = is_vain(error) and not (is_repeated and is_suspicious(error))
        # An overload while nothing else is in flight is not of our making.
        is_others = is_overload(error) and not isinstance(error, RequestTimeout) and not in_flight
        if error.retry_after:
            self.error = error
            self.breaker.hold(min(error.retry_after, MAX_RETRY_AFTER), now)
        if is_sign or is_others:
            self.error = error
            if self.breaker.fail(now, seconds=now - began, probe=probe):
                self.limit.forgive()
            elif self.breaker.is_on and probe:
                self._log_outage(error)
        elif is_answer(error) and not is_vain(error):
            self.answer(now)
        else:
            self.breaker.miss(now, probe=probe)
        if is_overload(error) and not self.breaker.is_on:
            self.limit.overload(began=began, now=now)
        self._log_limit(before)

    def answer(self, now: float) -> None:
        """Count a request without items that was answered: the limit learns nothing from it."""
        self._heard = now
        if self._is_logged:
            self._is_logged = False
            facts = {"seconds": now - self.breaker.began}
            _log.warning("the service is back after %(seconds).1f s", facts, extra=facts)
        self.breaker.answer()

    def withdraw(self, now: float, *, probe: bool, was_sent: bool) -> None:
        """Count a request that was given up before it ended, or that was never made."""
        if was_sent:
            self.breaker.miss(now, probe=probe)
        else:
            self.breaker.release(probe=probe)

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

"""What a session knows of one endpoint's state: ends of attempts in, how much may be sent out.

Pure: the caller passes the time in.
"""

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
from ximilar_ocr_async._scheduling.telling import Events
from ximilar_ocr_async.errors import OCRError, Overloaded, RequestTimeout, with_reason
from ximilar_ocr_async.events import (
    HoldBegan,
    LimitChange,
    LimitChanged,
    OutageBegan,
    OutageEnded,
    ProbeFailed,
)
from ximilar_ocr_async.outcomes import EndpointStats
from ximilar_ocr_async.retry import MAX_RETRY_AFTER

STALL, STALL_LEAST = 4.0, 2.0
"""An endpoint that answers nothing for so many times as long as nearly every answer takes, and for
so long [s], stalls. Source: judgement."""


@define(eq=False)
class Throttle:
    """What a session knows of one endpoint's state.

    Attributes:
        limit: How many requests may be in flight.
        rate_limiter: How soon one request may follow another; that of all endpoints.
        breaker: Whether there is an outage, in which only probes are sent.
        name: That of the endpoint.
        events: Told what changes.
        round_trip: How long answers take.
        answers: Batches that were answered so far.
        error: How a request was last in vain.
    """

    limit: AdaptiveLimit
    rate_limiter: RateLimiter
    breaker: CircuitBreaker
    name: str = ""
    events: Events = field(factory=Events)
    round_trip: RoundTrip = field(init=False, factory=RoundTrip)
    answers: int = field(init=False, default=0)
    error: OCRError = field(init=False, factory=OCRError)
    # When [s] each request under way began, from the oldest.
    _under_way: list[float] = field(init=False, factory=list)
    # When [s] anything was last answered.
    _heard: float = field(init=False, default=-inf)
    # As many answers as there were when a batch was last refused, each of its records alone.
    _refused: int = field(init=False, default=0)
    # Whether it was told that an outage began.
    _is_out: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._tell_limit(0, "start")

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
        self._tell_limit(before, "overload" if is_overloaded else "answers")

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
            self._hold(error, min(error.retry_after, MAX_RETRY_AFTER), now)
        if is_sign or is_others:
            self.error = error
            if self.breaker.fail(now, seconds=now - began, probe=probe):
                self.limit.forgive()
                self._tell_limit(before, "outage")
                self._tell_outage(error)
            elif self.breaker.is_on and probe:
                self._tell_probe(error, now)
        elif is_answer(error) and not is_vain(error):
            self.answer(now)
        else:
            self.breaker.miss(now, probe=probe)
        if is_overload(error) and not self.breaker.is_on:
            self.limit.overload(began=began, now=now)
            self._tell_limit(before, "overload")

    def answer(self, now: float) -> None:
        """Count a request without items that was answered: the limit learns nothing from it."""
        self._heard = now
        was_out, self._is_out = self._is_out, False
        self.breaker.answer()
        if was_out:
            lasted = now - self.breaker.began
            self.events.tell(OutageEnded(endpoint=self.name, duration=lasted))

    def withdraw(self, now: float, *, probe: bool, was_sent: bool) -> None:
        """Count a request that was given up before it ended, or that was never made."""
        if was_sent:
            self.breaker.miss(now, probe=probe)
        else:
            self.breaker.release(probe=probe)

    # ---- what is told of it

    def _hold(self, error: OCRError, seconds: float, now: float) -> None:
        is_new = self.breaker.held <= now
        self.breaker.hold(seconds, now)
        if is_new:
            kind, status = type(error).__name__, error.status
            event = HoldBegan(endpoint=self.name, duration=seconds, error=kind, status=status)
            self.events.tell(event)

    def _tell_outage(self, error: OCRError) -> None:
        # A failure on trial goes on with the same outage.
        if not self._is_out:
            self._is_out = True
            kind, why = type(error).__name__, str(error)
            self.events.tell(OutageBegan(endpoint=self.name, error=kind, why=why))

    def _tell_probe(self, error: OCRError, now: float) -> None:
        event = ProbeFailed(
            endpoint=self.name,
            error=type(error).__name__,
            why=str(error),
            duration=now - self.breaker.began,
        )
        self.events.tell(event)

    def _tell_limit(self, before: int, why: LimitChange) -> None:
        after = self.limit.slots
        if after != before:
            event = LimitChanged(endpoint=self.name, before=before, after=after, why=why)
            self.events.tell(event)

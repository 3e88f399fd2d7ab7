"""The circuit breaker: ends of attempts in; whether only probes are sent, and when, out.

Pure: the caller passes time and chance in.
"""

import random
from collections.abc import Callable

from attrs import define, field

SIGNS = 2
"""Attempts in vain in a row that open the circuit."""

APART = 60.0
"""[s] between two attempts in vain that are not of one outage. Source: judgement."""

MINUTE = 60.0
"""A young outage, in units of the longest first pause (1 s by default)."""

REQUESTS = 15
"""Requests that a minute of outage may cost the service: those that were turned away at first, and
probes spread over the rest. With 8 slots that is a probe in 9 s, with 3 in 5 s."""

FEWEST = 4
"""Probes in that minute, however many requests were turned away at first."""

SHARE = 1 / 12
"""Pause between two probes, as a share of the outage so far, which seems 8 % longer at most."""

LEAST, LONGEST = 0.01, 60.0
"""[s] The shortest and longest pause between probes of a growing outage: a session must not spin
whatever its policy."""

URGENT_SHARE, URGENT_LEAST, URGENT_LONGEST = 1 / 4, 1.0, 5.0
"""The same while a person waits, whom half a minute would cost the answer. Source: judgement."""

JITTER = 0.03
"""Share of a pause that is random, so that the probes of many clients drift apart."""

HINT_FACTOR, HINT_LEAST = 2.0, 0.3
"""A probe that is under way for so many times as long as any attempt in vain took, and for so long
[s], is being worked on."""


@define
class CircuitBreaker:
    """Pauses an endpoint while requests to it are in vain or it asks to be left alone.

    The second attempt in a row that is in vain opens the circuit: there is an outage. Then one
    request at a time is sent, as a probe: the first soon, the next after pauses that grow. Any
    answer closes the circuit at once. A probe that is not turned away as quickly as all before it
    closes it on trial: whoever waits need not wait for the whole answer, which takes seconds. The
    next attempt in vain opens it again.
    Source: Nygard, Release It!, 2007; half-open states: resilience4j.

    Attributes:
        base: [s] The longest pause before the first probe; it is drawn from 0 up: full jitter.
        cap: [s] The longest pause between two probes of a young outage.
        draw: Returns a random number from 0 to 1.
        began: When [s] the first of the attempts in a row was in vain.
        held: Until when [s] the service asked to be left alone.
        hold_began: When [s] it did.
    """

    base: float
    cap: float
    draw: Callable[[], float] = random.random
    began: float = field(init=False, default=0.0)
    held: float = field(init=False, default=float("-inf"))
    hold_began: float = field(init=False, default=0.0)
    # Attempts in vain in a row, as far as they count.
    _signs: int = field(init=False, default=0)
    # When [s] the last of them was, while the circuit is closed.
    _last: float = field(init=False, default=float("-inf"))
    # Requests that the outage cost beside probes.
    _cost: int = field(init=False, default=0)
    _on_trial: bool = field(init=False, default=False)
    # When [s] the probe under way began, if there is one.
    _probe: float | None = field(init=False, default=None)
    # [s] that attempts in vain took at most.
    _slowest: float = field(init=False, default=0.0)
    # When [s] the next probe may begin, and when while a person waits.
    _next: float = field(init=False, default=0.0)
    _urgent: float = field(init=False, default=0.0)

    @property
    def is_on(self) -> bool:
        """Whether only probes are sent."""
        return self._signs >= SIGNS

    def is_probe(self, began: float) -> bool:
        """Whether the request that *began* then [s] is the probe; a trial may have overtaken it."""
        return self._probe == began

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None

    def next_probe(self, now: float, *, urgent: bool = False) -> float:
        """Return when [s] the next request may begin; during a probe, when it is a good sign."""
        if not self.is_on:
            return max(now, self.held)
        if self._probe is not None:
            hint = max(HINT_LEAST, HINT_FACTOR * self._slowest)
            return max(now, self._probe + hint, self.held)
        return max(now, min(self._next, self._urgent) if urgent else self._next, self.held)

    def delay(self, now: float, *, urgent: bool = False) -> float:
        """Return how long [s] from *now* [s] until a request may begin.

        Args:
            now: The time [s].
            urgent: Whether a person waits.
        """
        return self.next_probe(now, urgent=urgent) - now

    def begin(self, now: float) -> bool:
        """Count a request that begins; return whether it is a probe."""
        if not self.is_on:
            return False
        if self._probe is not None:
            # It has been under way for so long that the service must be working on it. If not, that
            # long is no such sign in this outage.
            self._slowest = max(self._slowest, now - self._probe)
            self._signs, self._probe, self._on_trial = SIGNS - 1, None, True
            return False
        self._probe = now
        return True

    def fail(self, now: float, *, seconds: float, probe: bool) -> bool:
        """Count an attempt that was in vain, after *seconds*; return whether an outage begins."""
        if self.is_on:
            # Only the probe tells anything new.
            self._cost += not probe
            if probe:
                self._slowest = max(self._slowest, seconds)
            self.miss(now, probe=probe)
            return False
        if not self._on_trial and now - self._last > APART:
            self._signs = 0  # too long ago to be the beginning of this
        if not self._signs:
            self.began, self._slowest, self._cost = now, 0.0, 0
        self._last = now
        self._signs += 1
        self._cost += 1
        self._slowest = max(self._slowest, seconds)
        soon = self.draw() * min(self.cap, self.base)
        self._next = now + (self._pause(now - self.began) if self._on_trial else soon)
        self._urgent = now + (self._urgent_pause(now - self.began) if self._on_trial else soon)
        self._on_trial = False
        return self.is_on

    def miss(self, now: float, *, probe: bool) -> None:
        """Count an attempt that brought nothing and was not in vain for all that is known."""
        if self.is_on and probe:
            self._probe = None
            self._next = now + self._pause(now - self.began)
            self._urgent = now + self._urgent_pause(now - self.began)

    def release(self, *, probe: bool) -> None:
        """Count a probe that was not sent after all; the next may begin at once."""
        if probe:
            self._probe = None

    def answer(self) -> None:
        """Count an answer: the service is there, and the outage is over."""
        self._signs = 0
        self._probe = None
        self._on_trial = False

    def hold(self, seconds: float, now: float) -> None:
        """Wait *seconds* [s] from *now* [s], because the service asks for it."""
        if self.held <= now:
            self.hold_began = now
        self.held = max(self.held, now + seconds)

    def _pause(self, age: float) -> float:
        # A third of a probe less, for the first comes before its time.
        probes = max(FEWEST, REQUESTS - 1 / 3 - self._cost)
        young = min(self.cap, MINUTE * self.base / probes)
        return self._jittered(max(young, min(LONGEST, SHARE * age), LEAST))

    def _urgent_pause(self, age: float) -> float:
        return self._jittered(max(URGENT_LEAST, min(URGENT_LONGEST, URGENT_SHARE * age)))

    def _jittered(self, pause: float) -> float:
        return pause * (1 + JITTER * (self.draw() - 0.5))

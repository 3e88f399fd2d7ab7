"""The circuit breaker: ends of attempts in; whether only probes are sent, and when, out.

Pure: the caller passes time and chance in.
"""

import random
from collections.abc import Callable
from math import inf

from attrs import define, field

from ximilar_ocr_async._scheduling.calls import Patience

SIGNS = 2
"""Attempts turned away in a row that open the circuit."""

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

JITTER = 0.03
"""Share of a pause that is random, so that the probes of many clients drift apart."""


@define
class CircuitBreaker:
    """Pauses the whole session while the service cannot be reached or asks to be left alone.

    The second attempt in a row that is turned away opens the circuit: there is an outage. Then one
    request at a time is sent, as a probe: the first soon, the next after pauses that grow. Any
    answer closes the circuit at once.

    Attributes:
        base: [s] The longest pause before the first probe; it is drawn from 0 up: full jitter.
        cap: [s] The longest pause between two probes of a young outage.
        draw: Returns a random number from 0 to 1.
        began: When [s] the first of the attempts in a row was turned away.
    """

    base: float
    cap: float
    draw: Callable[[], float] = random.random
    began: float = field(init=False, default=0.0)
    _signs: int = field(init=False, default=0)
    _probing: bool = field(init=False, default=False)
    # When [s] the next probe may begin, and when [s] the service may be asked again.
    _next: float = field(init=False, default=0.0)
    _held: float = field(init=False, default=float("-inf"))

    @property
    def is_on(self) -> bool:
        """Whether only probes are sent."""
        return self._signs >= SIGNS

    def delay(self, now: float) -> float:
        """Return how long [s] from *now* [s] until a request may begin; infinite during a probe."""
        probe = (inf if self._probing else self._next - now) if self.is_on else 0.0
        return max(0.0, probe, self._held - now)

    def begin(self) -> bool:
        """Count a request that begins; return whether it is a probe."""
        self._probing = self.is_on
        return self.is_on

    def turn_away(self, now: float, *, probe: bool) -> bool:
        """Count an attempt that was turned away; return whether an outage begins with it."""
        if self.is_on:
            # Only the probe tells anything new.
            self._signs += not probe
            self.miss(now, probe=probe)
            return False
        if not self._signs:
            self.began = now
        self._signs += 1
        self._next = now + self.draw() * min(self.cap, self.base)
        return self.is_on

    def miss(self, now: float, *, probe: bool) -> None:
        """Count an attempt that brought nothing and was not turned away."""
        if self.is_on and probe:
            self._probing = False
            self._next = now + self._pause(now - self.began)

    def release(self, *, probe: bool) -> None:
        """Count a probe that was not sent after all; the next may begin at once."""
        self._probing = self._probing and not probe

    def answer(self) -> None:
        """Count an answer: the service is there, and the outage is over."""
        self._signs = 0
        self._probing = False

    def hold(self, seconds: float, now: float) -> None:
        """Wait *seconds* [s] from *now* [s], because the service asks for it."""
        self._held = max(self._held, now + seconds)

    def end_of(self, patience: Patience) -> float:
        """Return when [s] a call stops waiting for the outage to end; never without an outage."""
        return max(patience.opened, self.began) + patience.outage_timeout if self.is_on else inf

    def outlasts(self, patience: Patience, now: float) -> bool:
        """Return whether a call stops waiting before the next probe.

        It never does when that is due: then there is nothing to wait for.
        """
        resumes = max(now, self._next, self._held)
        return self.delay(now) > 0 and resumes >= self.end_of(patience)

    def _pause(self, age: float) -> float:
        # A third of a probe less, for the first comes before its time.
        probes = max(FEWEST, REQUESTS - 1 / 3 - self._signs)
        young = min(self.cap, MINUTE * self.base / probes)
        pause = max(young, min(LONGEST, SHARE * age), LEAST)
        return pause * (1 + JITTER * (self.draw() - 0.5))

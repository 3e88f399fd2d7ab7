"""How long the service takes: answers in, the time that a request needs out.

Pure: the caller passes the time in.
"""

from attrs import define, field

SMOOTHING, SPREAD_SMOOTHING, SPREADS = 1 / 8, 1 / 4, 4
"""Weights of the newest answer in mean and spread, and spreads above the mean that nearly every
answer keeps within. Source: RFC 6298, 2, which sets TCP's timeouts so."""

AT_ONCE = 1 / 8
"""How long an item may wait for a slot and still count as one that found it free, as a share of the
time that an answer takes. Source: judgement."""

FORGETTING = 1 / 64
"""How far the quickest answer drifts to the mean with each answer: a service may become slower."""

STALE = 60.0
"""[s] after the last answer for which what is known keeps anything from being sent. Source:
judgement; the service may have become quicker meanwhile."""


@define
class RoundTrip:
    """The times of answers from one endpoint.

    Attributes:
        mean: [s] that an answer takes; 0 if there was none.
    """

    mean: float = field(init=False, default=0.0)
    _spread: float = field(init=False, default=0.0)
    _quickest: float = field(init=False, default=0.0)
    # When [s] the last answer came.
    _heard: float = field(init=False, default=float("-inf"))

    def observe(self, seconds: float, now: float) -> None:
        """Learn from an answer that took so many *seconds*."""
        self._heard = now
        if not self.mean:
            self.mean = self._quickest = seconds
            return
        self._spread += SPREAD_SMOOTHING * (abs(seconds - self.mean) - self._spread)
        self.mean += SMOOTHING * (seconds - self.mean)
        self._quickest += FORGETTING * (self.mean - self._quickest)
        self._quickest = min(self._quickest, seconds)

    def needed(self, waited: float) -> float:
        """Return how long [s] an item must have left to be sent, after it *waited* [s] for a slot.

        One that comes at once is sent if it can be read in time. Where others wait, only what will
        be: a queue that gives each of them a slot at its last moment would pay for all in vain.
        """
        is_at_once = waited < self.mean * AT_ONCE
        return self._quickest if is_at_once else self.mean + SPREADS * self._spread

    def is_stale(self, now: float) -> bool:
        """Whether what is known is too old to keep anything from being sent."""
        return now - self._heard > STALE

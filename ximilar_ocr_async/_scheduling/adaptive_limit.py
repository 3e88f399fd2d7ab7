"""The adaptive limit: ends of attempts in, the number of requests that may be in flight out.

Pure: the caller passes the time in.
"""

from attrs import define, field

RAMP_FROM = 8
"""Slots at the start, if the ceiling is higher; below it there is nothing to find out."""

SHRINK = 0.875
"""Factor of the decrease. Standard TCP halves, CUBIC takes 0.7 [RFC 9438, 4.6]. A service that
answers 429 at once loses nothing that was sent, so less need be given up."""

SMOOTHING = 0.125
"""Weight of the newest round trip in the mean. Source: RFC 6298, 2.3."""


@define
class AdaptiveLimit:
    """Additive increase, multiplicative decrease, with a ramp before the first decrease.

    While all is well it doubles with each round trip up to the first sign of overload (429, 503,
    a timeout), as TCP's slow start does; from then on it grows by one slot in a round trip, and
    shrinks by `SHRINK` at a sign, once in a round trip. Clients that share a service without
    knowing of each other come to equal shares.
    Source: Chiu and Jain, Analysis of the increase and decrease algorithms for congestion
    avoidance in computer networks, 1989; slow start: RFC 5681, 3.1.

    Attributes:
        ceiling: The most slots.
        adaptive: Whether it adapts; otherwise it stays at the ceiling.
    """

    ceiling: int
    adaptive: bool = True
    _value: float = field(init=False)
    _ramps: bool = field(init=False, default=True)
    # Mean time [s] of recent attempts.
    _round_trip: float = field(init=False, default=0.0)
    # When [s] it last shrank; and its value and whether it ramped at the last success.
    _shrank: float = field(init=False, default=float("-inf"))
    _before: tuple[float, bool] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._value = float(min(self.ceiling, RAMP_FROM) if self.adaptive else self.ceiling)
        self._before = (self._value, self._ramps)

    @property
    def slots(self) -> int:
        """Requests that may be in flight, 1 to the ceiling."""
        return int(self._value)

    def succeed(self, seconds: float, *, in_flight: int) -> None:
        """Grow, if an attempt of *seconds* [s] went well while most slots were in use.

        Unused slots prove nothing; a limit that grew without use would allow a burst.
        """
        known = self._round_trip or seconds
        self._round_trip = known + SMOOTHING * (seconds - known)
        if self.adaptive and in_flight * 2 >= self.slots:
            step = 1.0 if self._ramps else 1.0 / self._value
            self._value = min(float(self.ceiling), self._value + step)
        self._before = (self._value, self._ramps)

    def overload(self, *, began: float, now: float) -> None:
        """Shrink after a sign of overload, if it says anything new.

        It says nothing new if its attempt *began* [s] before the last decrease, or ended within a
        round trip of it.
        """
        is_new = began >= self._shrank and now >= self._shrank + self._round_trip
        if self.adaptive and is_new:
            self._shrank = now
            self._ramps = False
            self._value = max(1.0, self._value * SHRINK)

    def forgive(self) -> None:
        """Undo all decreases since the last success: a service that is down is not overloaded."""
        self._value, self._ramps = self._before

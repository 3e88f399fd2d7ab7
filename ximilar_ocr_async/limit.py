"""How many requests may be in flight: outcomes of attempts in, a number of slots out.

Pure: it knows neither time nor tasks.
"""

from attrs import define, field

RAMP_FROM = 8
"""Slots that a higher ceiling starts with. Up to so many, there is nothing to find out."""

SHRINK = 0.85
"""Factor of the decrease. Standard TCP halves, CUBIC takes 0.7 [RFC 9438, 4.6]; a service that says
429 at once, instead of losing what is sent, is found again sooner, so less need be given up."""


@define
class Limit:
    """Additive increase, multiplicative decrease, with a ramp before the first decrease.

    While all is well it doubles with each round trip up to the first sign of overload (429, 503,
    a timeout), as TCP's slow start does; from then on it grows by one slot in a round trip, and
    shrinks by `SHRINK` at each sign. Of all attempts that were in flight together only the first
    sign counts: they tell of the same overload. Clients that share a service and do not know of
    each other come to equal shares.
    Source: Chiu and Jain, Analysis of the increase and decrease algorithms for congestion
    avoidance in computer networks, 1989; slow start: RFC 5681, 3.1.

    Args:
        ceiling: Slots at most.
        adaptive: Whether it listens; else it stays at the ceiling.
    """

    ceiling: int
    adaptive: bool = True
    _value: float = field(init=False)
    _ramps: bool = field(init=False, default=True)
    # Counts the decreases: an attempt begun before the last one says nothing new.
    _epoch: int = field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self._value = float(min(self.ceiling, RAMP_FROM) if self.adaptive else self.ceiling)

    @property
    def slots(self) -> int:
        """Requests that may be in flight, 1 to the ceiling."""
        return int(self._value)

    def begin(self) -> int:
        """Begin an attempt; return what tells later how old it is."""
        return self._epoch

    def succeed(self, *, in_flight: int) -> None:
        """Grow, if an attempt went well while most slots were in use.

        Unused slots prove nothing: growing on their account would end in a burst.
        """
        if self.adaptive and in_flight * 2 >= self.slots:
            step = 1.0 if self._ramps else 1.0 / self._value
            self._value = min(float(self.ceiling), self._value + step)

    def overload(self, begun: int) -> None:
        """Shrink, if the attempt that met a sign of overload began since the last decrease."""
        if self.adaptive and begun == self._epoch:
            self._epoch += 1
            self._ramps = False
            self._value = max(1.0, self._value * SHRINK)

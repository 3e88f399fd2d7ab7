"""The rate limiter: requests that begin in, the time until the next may begin out.

Pure: the caller passes the time in.
"""

from attrs import define, field


@define
class RateLimiter:
    """Spaces requests evenly, with no burst: the generic cell rate algorithm.

    Source: ITU-T I.371, annex A, as virtual scheduling with a tolerance of 0.

    Attributes:
        interval: [s] from one request to the next; 0 for no spacing.
    """

    interval: float
    _next: float = field(init=False, default=float("-inf"))

    def delay(self, now: float) -> float:
        """Return how long [s] from *now* [s] until a request may begin."""
        return max(0.0, self._next - now)

    def begin(self, now: float) -> None:
        """Count a request that begins *now* [s]."""
        self._next = max(self._next, now) + self.interval

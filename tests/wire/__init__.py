"""The wire: real proxies on loopback between the session and a service that bills.

The programs are those of the system. A case whose program is not installed cannot be tried.
"""

from tests.wire.answers import ANSWERS
from tests.wire.case import LOOPS, Case
from tests.wire.money import MONEY
from tests.wire.trial import Result, hold
from tests.wire.ways import WAYS

__all__ = ["CASES", "LOOPS", "Case", "Result", "hold"]

CASES = [*MONEY, *WAYS, *ANSWERS]

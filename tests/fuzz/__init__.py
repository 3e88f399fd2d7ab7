"""A fuzzer: what others may send, damaged in any way, into what takes it, with bounds on the cost.

`inputs` draws what is sent, `targets` says what takes it, and `engine` watches over both.
"""

from tests.fuzz.engine import Target, fuzz
from tests.fuzz.targets import TARGETS

__all__ = ["TARGETS", "Target", "fuzz"]

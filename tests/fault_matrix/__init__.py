"""The fault matrix: each fault that we know of, what is promised in it, and the trial of it.

F67 and F68 are not in it: they are of a journal, which the package does not have.
"""

from tests.fault_matrix.caller import CALLER
from tests.fault_matrix.connect import CONNECT
from tests.fault_matrix.reply import REPLY
from tests.fault_matrix.send import SEND
from tests.fault_matrix.status import STATUS
from tests.fault_matrix.trial import BACKENDS, LIBRARIES, Case, hold

__all__ = ["BACKENDS", "CASES", "LIBRARIES", "Case", "hold"]

CASES = [*CONNECT, *SEND, *REPLY, *STATUS, *CALLER]
"""In the order of their rows."""

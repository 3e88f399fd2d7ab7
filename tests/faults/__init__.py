"""The fault matrix: each fault that we know of, what is promised in it, and the trial of it.

F67 and F68 are not in it: they are about a journal, which the package does not have.
"""

from tests.faults.between import BETWEEN
from tests.faults.caller import CALLER
from tests.faults.case import BACKENDS, LIBRARIES, Case
from tests.faults.chaos import CHAOS
from tests.faults.connect import CONNECT
from tests.faults.cut import CUT
from tests.faults.early import EARLY
from tests.faults.handshake import HANDSHAKE
from tests.faults.injected import INJECTED
from tests.faults.proxies import PROXIES
from tests.faults.reply import REPLY
from tests.faults.send import SEND
from tests.faults.status import STATUS
from tests.faults.trial import hold

__all__ = ["BACKENDS", "CASES", "LIBRARIES", "Case", "hold"]

CASES = [
    *CONNECT,
    *PROXIES,
    *HANDSHAKE,
    *SEND,
    *REPLY,
    *STATUS,
    *CALLER,
    *EARLY,
    *CUT,
    *BETWEEN,
    *INJECTED,
    *CHAOS,
]
"""In the order of their rows."""

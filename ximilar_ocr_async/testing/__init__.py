"""For the tests of programs that read images: the service in process, faults, and virtual time.

`InProcessService` stands in for Ximilar's, counts what it bills and keeps each `SeenRequest`;
`in_turn` scripts what the first ones get. A `FaultPlan` says what goes wrong by chance; a
`ScriptedGPT` stands in for the language model; `virtual_time` makes an hour of pauses pass at once.
A plugin for pytest is in ``ximilar_ocr_async.testing.fixtures``. No extra is needed.
"""

from ximilar_ocr_async.testing.clock import virtual_time
from ximilar_ocr_async.testing.in_process import InProcessService
from ximilar_ocr_async.testing.scripting import Script, ScriptedReply, SeenRequest, in_turn
from ximilar_ocr_async.testing.service import FaultPlan, ScriptedGPT

__all__ = [
    "FaultPlan",
    "InProcessService",
    "Script",
    "ScriptedGPT",
    "ScriptedReply",
    "SeenRequest",
    "in_turn",
    "virtual_time",
]

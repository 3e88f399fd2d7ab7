"""Tools for testing programs that use this package: a fake service, faults, and virtual time.

`InProcessService` replaces Ximilar's service, counts what it bills and keeps each `SeenRequest`;
`in_turn` scripts the replies to the first requests. A `FaultPlan` draws faults by a seed. A
`ScriptedGPT` replaces the language model. `virtual_time` makes an hour of pauses pass at once.
``ximilar_ocr_async.testing.fixtures`` is a pytest plugin. No extra is needed.
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

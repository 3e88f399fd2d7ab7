"""For the tests of programs that read images: the service in process, faults, and virtual time.

`InProcessService` stands in for Ximilar's and counts what it bills; a `FaultPlan` says what goes
wrong; a `ScriptedGPT` stands in for the language model; `virtual_time` makes an hour of pauses pass
at once. ``ximilar_ocr_async.testing.fixtures`` is a plugin for pytest. No extra is needed.
"""

from ximilar_ocr_async.testing.clock import virtual_time
from ximilar_ocr_async.testing.in_process import InProcessService
from ximilar_ocr_async.testing.service import FaultPlan, ScriptedGPT

__all__ = ["FaultPlan", "InProcessService", "ScriptedGPT", "virtual_time"]

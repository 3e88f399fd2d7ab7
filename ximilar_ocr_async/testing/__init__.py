"""Tools for testing programs that use this package: a fake service, faults, and virtual time.

`InProcessService` replaces Ximilar's service and counts what it bills. A `FaultPlan` says what goes
wrong. A `ScriptedGPT` replaces the language model. `virtual_time` makes an hour of pauses pass at
once. ``ximilar_ocr_async.testing.fixtures`` is a pytest plugin. No extra is needed.
"""

from ximilar_ocr_async.testing.clock import virtual_time
from ximilar_ocr_async.testing.in_process import InProcessService
from ximilar_ocr_async.testing.service import FaultPlan, ScriptedGPT

__all__ = ["FaultPlan", "InProcessService", "ScriptedGPT", "virtual_time"]

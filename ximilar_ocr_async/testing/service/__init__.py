"""The fake service: a request in, a reply as Ximilar's service would give it out.

It works with any OCR engine: a scripted one in tests, a real one in the emulator.
"""

from ximilar_ocr_async.testing.service.contract import Reply, Request, full_prompt, refuse
from ximilar_ocr_async.testing.service.engine import Engine, Reading, Unreadable
from ximilar_ocr_async.testing.service.faults import (
    PAGE,
    Cut,
    FaultPlan,
    Garbled,
    Interference,
    Stalled,
)
from ximilar_ocr_async.testing.service.jobs import DELIVERY_TIMEOUT, Jobs
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import GPT, ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service
from ximilar_ocr_async.testing.service.submissions import Webhook

__all__ = [
    "DELIVERY_TIMEOUT",
    "GPT",
    "PAGE",
    "Cut",
    "Engine",
    "FaultPlan",
    "Garbled",
    "Interference",
    "Jobs",
    "Reading",
    "Reply",
    "Request",
    "ScriptedEngine",
    "ScriptedGPT",
    "Service",
    "Stalled",
    "Unreadable",
    "Webhook",
    "full_prompt",
    "refuse",
]

"""Pytest plugin. Enable it with ``pytest_plugins = ["ximilar_ocr_async.testing.fixtures"]``."""

import pytest

from ximilar_ocr_async.testing import FaultPlan, InProcessService


@pytest.fixture
def ocr_faults() -> FaultPlan:
    """Return the fault plan of `ocr_service`. It is empty; override this fixture to plan faults."""
    return FaultPlan()


@pytest.fixture
def ocr_service(ocr_faults: FaultPlan) -> InProcessService:
    """Return a fresh in-process service that shows the faults of `ocr_faults`."""
    return InProcessService(ocr_faults)

"""A plugin for pytest: ``pytest_plugins = ["ximilar_ocr_async.testing.fixtures"]`` enables it."""

import pytest

from ximilar_ocr_async.testing import FaultPlan, InProcessService


@pytest.fixture
def ocr_faults() -> FaultPlan:
    """What goes wrong with `ocr_service`: nothing, unless a test or a module overrides this."""
    return FaultPlan()


@pytest.fixture
def ocr_service(ocr_faults: FaultPlan) -> InProcessService:
    """Give a service in process, of which nothing was asked yet."""
    return InProcessService(ocr_faults)

"""What the tests of several engines share."""

import numpy as np
import pytest

from ximilar_ocr_async.emulator.images import Pixels


@pytest.fixture
def blank() -> Pixels:
    """A white picture."""
    return np.full((300, 400, 3), 255, np.uint8)

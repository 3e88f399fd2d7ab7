"""What the tests share: both backends in virtual time, and a service to read from."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests import leaks
from tests.command_line import cli, empty_folder
from ximilar_ocr_async.testing import InProcessService, virtual_time

__all__ = ["anyio_backend", "cli", "empty_folder", "service"]

# A test never asserts a time, and the machine may be busy.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run each test on asyncio and on trio, in virtual time."""
    return virtual_time(request.param)


@pytest.fixture
def service() -> InProcessService:
    """Give a service in process that takes a second for a reading."""
    return InProcessService(latency=1.0)


class _Watch(logging.Handler):
    """Keeps what is logged about items that ended twice."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "ended twice" in record.getMessage():
            self.seen.append(record.getMessage())


@pytest.fixture(autouse=True)
def _no_item_ends_twice(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which an item ended twice, unless it is about that."""
    logger, watch = logging.getLogger("ximilar_ocr_async.scheduling"), _Watch()
    logger.addHandler(watch)
    yield
    logger.removeHandler(watch)
    if request.node.get_closest_marker("ends_twice") is None:
        assert watch.seen == []


@pytest.fixture(autouse=True)
def _no_token_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which the token stood in a log or in a frame of an exception."""
    watch = leaks.Watch()
    monkeypatch.setattr(pytest, "raises", watch.raises)
    logging.getLogger().addHandler(watch)
    yield
    logging.getLogger().removeHandler(watch)
    assert watch.found == []

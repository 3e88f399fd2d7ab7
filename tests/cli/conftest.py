"""What the tests of the command line share: an empty folder, and a service to read from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.echo import Echo
from tests.command_line import served
from ximilar_ocr_async.emulator.fetch import Fetch
from ximilar_ocr_async.testing.service.service import Service


@pytest.fixture(autouse=True)
def folder(empty_folder: Path) -> Path:
    """Run each test in an empty folder."""
    return empty_folder


@pytest.fixture
def echo() -> Echo:
    """Give the engine of the service."""
    return Echo()


@pytest.fixture
def service(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Serve what the engine reads, and point the command line there."""
    with served(Service(echo, fetch=Fetch(allow_private=True)), monkeypatch) as service:
        yield service

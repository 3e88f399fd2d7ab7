"""A generator that forgets to close one inside it leaves a scope open, and harms only itself."""

import logging
from collections.abc import AsyncIterator

import anyio
import pytest

from tests.helpers import texts, urls
from ximilar_ocr_async.testing import InProcessService, virtual_time


async def inner() -> AsyncIterator[str]:
    """Yield under a timeout."""
    with anyio.fail_after(600):
        for url in urls(1000):
            yield url


async def outer() -> AsyncIterator[str]:
    """Yield under another, and leave the inner generator as it is."""
    with anyio.fail_after(600):
        async for url in inner():
            yield url


# Python itself closes the inner one, later and in another task.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_scope_that_is_left_open_harms_nobody(
    library: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning says so, and the session goes on."""
    backend, options = virtual_time(library)

    async def main() -> list[str]:
        service = InProcessService(latency=1.0)
        async with service.session() as session:
            async with session.stream(outer()) as outcomes:
                await anext(outcomes)
            return texts(await session.read_all(urls(5)))

    with caplog.at_level(logging.WARNING, "ximilar_ocr_async"):
        assert anyio.run(main, backend=backend, backend_options=options) == urls(5)
    assert "a source of images" in caplog.text

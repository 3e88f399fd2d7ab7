"""The scripted engine: readings as told, for any image or for each by its bytes."""

import anyio
import pytest

from tests.emulator.engines.pictures import words
from ximilar_ocr_async.emulator.engines.order import reading_order
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine


@pytest.mark.anyio
async def test_scripted_text() -> None:
    """The scripted engine reads the same lines in every image, below each other."""
    reading = await ScriptedEngine("one\ntwo").read(b"anything", "en")
    assert words(reading.texts) == ["one", "two"]
    assert reading_order(reading.texts[::-1]) == reading.texts
    assert reading.texts[1].polygon[2] == (reading.width, reading.height)


@pytest.mark.anyio
async def test_scripted_images() -> None:
    """The scripted engine reads each image by its bytes, and refuses one it was not told of."""
    engine = ScriptedEngine({b"a": "first", b"b": ""})
    assert words((await engine.read(b"a", "en")).texts) == ["first"]
    assert (await engine.read(b"b", "en")).texts == ()
    with pytest.raises(Unreadable) as refusal:
        await engine.read(b"c", "en")
    assert refusal.value.code == 422
    assert engine.calls == 3


@pytest.mark.anyio
async def test_scripted_counts() -> None:
    """The scripted engine counts readings, and how many there were at the same time."""
    engine = ScriptedEngine(latency=0.01)
    for readings in (2, 1):
        async with anyio.create_task_group() as tasks:
            for _ in range(readings):
                tasks.start_soon(engine.read, b"", "en")
    assert (engine.calls, engine.peak) == (3, 2)

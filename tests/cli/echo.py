"""An engine that reads off each image what stands in its bytes, and the images that were read."""

from attrs import define, field

from tests.command_line import JPEG, Ran
from ximilar_ocr_async.testing.service.engine import Reading
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine


@define
class Echo:
    """Reads off each image what stands in its bytes."""

    read_by: list[str] = field(factory=list)

    async def read(self, image: bytes, lang: str) -> Reading:
        """Read *image*, and note in which language."""
        self.read_by.append(lang)
        text = image.removeprefix(JPEG).decode(errors="replace")
        return await ScriptedEngine(text).read(image, lang)


def images(ran: Ran) -> list[str]:
    """Return the images of the JSON lines in the order of the input."""
    return [line["image"] for line in sorted(ran.lines, key=lambda line: line["index"])]

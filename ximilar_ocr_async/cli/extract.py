"""``ximilar-ocr extract``: images and a class in, objects that the language model filled in out."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ximilar_ocr_async._extraction import Extraction
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.classes import choose_class
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, ConnectionOptions
from ximilar_ocr_async.cli.console import USAGE, report_error
from ximilar_ocr_async.cli.json_lines import extraction_to_json, to_json
from ximilar_ocr_async.cli.printer import Renderer
from ximilar_ocr_async.cli.run import DEFAULTS, Arguments, Command, SharedOptions, run
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.outcomes import Success


def extract(
    images: Arguments,
    /,
    *,
    schema: str | None = None,
    fields: str | None = None,
    instructions: str = "",
    max_reasks: int = 0,
    options: SharedOptions = DEFAULTS,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Fill in a class from images with the language model.

    Parameters
    ----------
    images
        Files, folders, patterns or URLs. @FILE reads a list of them, - reads it from standard
        input.
    schema
        Class to fill in, as module:Class. It is an attrs class, a dataclass or a TypedDict, in a
        module that is installed or, failing that, in the current folder.
    fields
        Fields to fill in instead of a class: "number: str, due: date?, total: Decimal, tags:
        list[str]". Types are str, int, float, Decimal, bool, date, datetime, time, list[X], and X?
        for a value that may be missing.
    instructions
        Further instructions for the model.
    max_reasks
        How often to ask again about an image whose answer does not fit the class. Each time costs
        as much as the first.
    """
    try:
        cls = choose_class(schema, fields)
        # Check the class before anything is sent.
        Extraction(cls, instructions, max_reasks)
        command = Command(
            start=partial(
                OCRSession.extract_stream,
                cls=cls,
                instructions=instructions,
                max_reasks=max_reasks,
                lang=options.lang,
            ),
            renderer=Renderer(to_json=extraction_to_json, to_lines=_lines, success="filled in"),
            format="jsonl",
        )
        return run(images, options, connection, command)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)


def _lines(outcome: Success[Any]) -> Sequence[str]:
    document = extraction_to_json(outcome)
    # Of a value that cannot be written there is more to say than null.
    told = {key: document[key] for key in ("value", "problem", "answer") if key in document}
    return [to_json(told if "problem" in told else told["value"], indent=2)]

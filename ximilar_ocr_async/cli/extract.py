"""``ximilar-ocr extract``: images and a class in; what the language model fills in, out."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from ximilar_ocr_async._extraction import Extraction, unstructure
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.classes import choose_class
from ximilar_ocr_async.cli.json_lines import extraction_to_json
from ximilar_ocr_async.cli.printer import Form
from ximilar_ocr_async.cli.run import DEFAULTS, Command, Flat, Words, run
from ximilar_ocr_async.cli.telling import USAGE, complain
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.outcomes import Success


def extract(
    images: Words,
    /,
    *,
    schema: str | None = None,
    fields: str | None = None,
    instructions: str = "",
    max_reasks: int = 0,
    options: Flat = DEFAULTS,
) -> int:
    """Have the language model fill in a class from images.

    Parameters
    ----------
    images
        Files, folders, patterns, URLs; @FILE for a list of them, - for one on standard input.
    schema
        The class, as module:Class: of attrs, a dataclass or a TypedDict, in a module that Python
        finds from here.
    fields
        Instead of a class: "number: str, due: date?, total: Decimal, tags: list[str]". Types are
        str, int, float, Decimal, bool, date, datetime, time, list[X], and X? for what may be
        missing.
    instructions
        What else the model should know.
    reasks
        How often an image is asked about again whose answer does not fit. Each time costs as the
        first.
    """
    try:
        cls = choose_class(schema, fields)
        # Before anything is sent.
        Extraction(cls, instructions, max_reasks)
        command = Command(
            ask=partial(
                OCRSession.extract_stream,
                cls=cls,
                instructions=instructions,
                max_reasks=max_reasks,
                lang=options.lang,
            ),
            form=Form(to_json=extraction_to_json, to_lines=_lines, success="filled in"),
            format="jsonl",
        )
        return run(images, options, command)
    except (OptionError, OSError) as error:
        return complain(error, USAGE)


def _lines(outcome: Success[Any]) -> Sequence[str]:
    value = unstructure(outcome.value)
    return [json.dumps(value, ensure_ascii=False, indent=2, default=str)]

"""``ximilar-ocr account``: the account out, or why the service cannot be asked for it."""

import sys
from typing import Literal

from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.json_lines import model_to_json
from ximilar_ocr_async.cli.telling import (
    ALL_WELL,
    USAGE,
    complain,
    put,
    run,
    to_json,
    to_lines,
)
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.models import Account


def account(*, format: Literal["text", "json"] | None = None) -> int:  # noqa: A002 - the option's name
    """Show the account that the token belongs to. It costs nothing.

    That it is shown proves that the service is reached and takes the token; else the exit code is
    2, and standard error says what to do.

    Parameters
    ----------
    format
        How to write it. Else text on a terminal, and JSON to a file or a pipe.
    """

    async def show() -> int:
        try:
            document = model_to_json(await _ask())
        except OCRError as error:
            return complain(error, USAGE)
        is_text = format == "text" if format else sys.stdout.isatty()
        put(to_lines(document) if is_text else to_json(document))
        return ALL_WELL

    return run(show)


async def _ask() -> Account:
    async with OCRSession() as session:
        # First, because its errors say what to do.
        await session.check()
        return await session.account()

"""``ximilar-ocr account``: the account out, or the reason why it cannot be fetched."""

import sys
from typing import Literal

from ximilar_ocr_async._session import CHECK_DEADLINE
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, Connection, ConnectionOptions
from ximilar_ocr_async.cli.console import (
    SUCCESS,
    USAGE,
    check_output,
    report_error,
    run,
    to_table,
    write_line,
)
from ximilar_ocr_async.cli.json_lines import to_json
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.models import Account


def account(
    *,
    format: Literal["text", "json"] | None = None,  # noqa: A002 - the option's name
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Show the account that the token belongs to. It costs nothing.

    If the account is shown, the service can be reached and accepts the token. Otherwise the exit
    code is 2, and standard error says what to do.

    Parameters
    ----------
    format
        Output format. The default is text on a terminal, and JSON in a file or a pipe.
    connection.deadline
        Longest time in seconds for each of the two requests. The default is 10.
    """

    async def show() -> int:
        check_output(sys.stdout)
        try:
            document = to_dict(await _fetch_account(connection))
        except OCRError as error:
            return report_error(error, USAGE)
        is_text = format == "text" if format else sys.stdout.isatty()
        write_line(to_table(document) if is_text else to_json(document))
        return SUCCESS

    return run(show)


async def _fetch_account(connection: Connection) -> Account:
    deadline = CHECK_DEADLINE if connection.deadline is None else connection.deadline
    async with connection.make_session() as session:
        # Checked first, because the errors of the check say what to do.
        await session.check(deadline=deadline)
        return await session.account(deadline=deadline)

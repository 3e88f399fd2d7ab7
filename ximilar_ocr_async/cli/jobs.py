"""``ximilar-ocr jobs``: ids of asynchronous requests in; their states and outcomes out."""

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from attrs import frozen

from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async._validation import check_request_ids
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, ConnectionOptions
from ximilar_ocr_async.cli.console import (
    MAX_NAME_SHOWN,
    SOME_FAILED,
    SUCCESS,
    USAGE,
    check_output,
    report_error,
    run,
    to_table,
    write_line,
    write_message,
)
from ximilar_ocr_async.cli.json_lines import to_json
from ximilar_ocr_async.cli.lists import LIST_FILE, STANDARD_INPUT, read_list
from ximilar_ocr_async.cli.printer import (
    RECORD_RENDERER,
    Format,
    Printer,
    open_output,
    progress,
)
from ximilar_ocr_async.cli.run import Arguments
from ximilar_ocr_async.errors import JobNotFound, OptionError, ReplyError, shown
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.models import JobInfo

# ---- list and show


def list_jobs(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002 - the option's name
    format: Format | None = None,  # noqa: A002 - the option's name
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """List the account's asynchronous requests: id, state, type and time of submission.

    Parameters
    ----------
    status
        List only requests in this state, such as CREATED, PROCESSING, DONE or FAILED.
    type
        List only requests of this type.
    format
        Output format. The default is text on a terminal, and JSON lines in a file or a pipe.
    connection.deadline
        Longest time in seconds for each page of the list.
    """

    async def start() -> int:
        check_output(sys.stdout)
        state = status.upper() if status else None
        async with connection.make_session() as session:
            async for info in session.jobs(status=state, type=type):
                write_line(_row(info) if _is_text(format) else to_json(to_dict(info)))
        return SUCCESS

    return run(start)


def show(
    ids: Arguments,
    /,
    *,
    format: Format | None = None,  # noqa: A002 - the option's name
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Show the state and the details of asynchronous requests.

    Parameters
    ----------
    ids
        Ids of requests. @FILE reads a list of them, - reads it from standard input.
    format
        Output format. The default is text on a terminal, and JSON lines in a file or a pipe. Only
        JSON lines contain the results.
    connection.deadline
        Longest time in seconds for each id.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)

    async def start() -> int:
        check_output(sys.stdout)
        code = SUCCESS
        async with connection.make_session() as session:
            for request_id in found:
                try:
                    [info] = await session.job(request_id).infos()
                except (JobNotFound, ReplyError) as error:
                    # What is wrong with this one costs no other.
                    write_message(str(error))
                    code = SOME_FAILED
                else:
                    write_line(_details(info) if _is_text(format) else to_json(to_dict(info)))
        return code

    return run(start)


def find_ids(arguments: Sequence[str]) -> list[str]:
    """Return the ids that *arguments* name, each once; raise `OptionError` if there are none."""
    words = (word.strip() for argument in arguments for word in _words(argument))
    found = list(dict.fromkeys(word for word in words if word))
    check_request_ids(found)
    if not found:
        raise OptionError(f"no ids: {' '.join(arguments)}")
    return found


def _words(argument: str) -> Iterator[str]:
    if argument == STANDARD_INPUT or argument.startswith(LIST_FILE):
        yield from chain.from_iterable(read_list(argument))
    else:
        yield argument


def _is_text(format: Format | None) -> bool:  # noqa: A002 - the option's name
    return format == "text" if format else sys.stdout.isatty()


def _row(info: JobInfo) -> str:
    created = info.created.isoformat(" ", "seconds") if info.created else "-"
    state, kind = shown(info.status, MAX_NAME_SHOWN), shown(info.type or "-", MAX_NAME_SHOWN)
    return f"{shown(info.id):<36}  {state:<18}  {kind}  {created}"


def _details(info: JobInfo) -> str:
    """Return a table about a request, with the number of results instead of the results."""
    document = to_dict(info)
    response = document.pop("response", None)
    records = response.get("records") if isinstance(response, dict) else None
    count = {"records": len(records)} if isinstance(records, list) else {}
    return f"{to_table(document | count)}\n"


# ---- wait


@frozen(kw_only=True)
class Output:
    """How to write outcomes.

    Attributes:
        path: File to write to. None means standard output.
        format: Output format.
        quiet: Whether to hide progress and totals.
    """

    path: Path | None
    format: Format
    quiet: bool


def wait(
    ids: Arguments,
    /,
    *,
    output: Path | None = None,
    format: Format | None = None,  # noqa: A002 - the option's name
    quiet: bool = False,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Wait for submitted images, and print outcomes as they arrive.

    Parameters
    ----------
    ids
        Ids of requests. @FILE reads a list of them, - reads it from standard input.
    output
        File to write outcomes to, as JSON lines. The default is standard output, as text.
    format
        Output format.
    quiet
        Hide progress and totals. Failures are still shown.
    connection.deadline
        Longest time to wait in seconds. Requests that are not done by then continue, and you can
        wait for them again.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)

    async def start() -> int:
        output_format = format or ("jsonl" if output else "text")
        target = Output(path=output, format=output_format, quiet=quiet)
        return await _wait(connection.make_session(), found, connection.deadline, target)

    return run(start)


async def _wait(
    session: OCRSession, ids: Sequence[str], deadline: float | None, output: Output
) -> int:
    async with session:
        # Started before the output is opened, because it checks its arguments.
        outcomes = session.job(ids).outcomes(deadline=deadline)
        with open_output(output.path) as file, progress(quiet=output.quiet) as bar:
            printer = Printer(file, RECORD_RENDERER, format=output.format, headings=True)
            task = bar.add_task(f"{len(ids)} asynchronous requests", total=None)
            async for outcome in outcomes:
                printer.write(outcome)
                bar.advance(task)
    if not output.quiet:
        write_message(printer.totals())
    return SOME_FAILED if printer.failed else SUCCESS

"""``ximilar-ocr jobs``: images submitted to be read later in; ids, states and outcomes out."""

import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, TypeAlias

from attrs import frozen
from cyclopts import Parameter

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE
from ximilar_ocr_async._protocol import Webhook
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.console import (
    SOME_FAILED,
    SUCCESS,
    USAGE,
    report_error,
    run,
    to_json,
    to_table,
    write_line,
)
from ximilar_ocr_async.cli.inputs import STANDARD_INPUT, find_images
from ximilar_ocr_async.cli.json_lines import model_to_json
from ximilar_ocr_async.cli.printer import (
    RECORD_RENDERER,
    Format,
    Printer,
    open_output,
    progress,
)
from ximilar_ocr_async.cli.run import Arguments
from ximilar_ocr_async.errors import JobNotFound, OptionError
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import JobInfo

Headers: TypeAlias = Annotated[list[str] | None, Parameter(negative="")]

# ---- submit


@frozen(kw_only=True)
class Submission:
    """The arguments of a submission.

    Attributes:
        arguments: Command-line arguments that name the images.
        lang: Language of the text.
        prompt: Question for the language model.
        webhook: Where to send the results.
        type: Type of the asynchronous requests.
        endpoint: Endpoint of that type. None means the default.
    """

    arguments: Sequence[str]
    lang: str
    prompt: str | None
    webhook: Webhook | None
    type: str
    endpoint: str | None


def submit(
    images: Arguments,
    /,
    *,
    lang: str = DEFAULT_LANGUAGE,
    prompt: str | None = None,
    webhook: str | None = None,
    webhook_header: Headers = None,
    type: str = "ocr",  # noqa: A002 - the option's name
    endpoint: str | None = None,
    max_records: int | None = None,
) -> int:
    """Submit images to be read later; print the ids of their asynchronous requests.

    Keep the ids: "ximilar-ocr jobs wait" accepts them on any machine for two weeks.

    Parameters
    ----------
    images
        Files, folders, patterns or URLs. @FILE reads a list of them, - reads it from standard
        input.
    lang
        Language of the text: en, zh, ko, ja or ru.
    prompt
        Question for the language model.
    webhook
        URL that receives the results when they are done, such as that of "ximilar-ocr webhook".
    webhook_header
        "Name: value" to send with the results. Keep it secret. It can be given more than once. The
        default is a generated header, which is shown on standard error.
    type
        Type of the requests. Ximilar has not published the type of OCR; "ocr" is a guess.
    endpoint
        Endpoint of that type. The default is read, or read_gpt with a prompt.
    max_records
        Maximum number of records to send in total. Images beyond that fail without being sent.
    """

    async def start() -> int:
        submission = Submission(
            arguments=images,
            lang=lang,
            prompt=prompt,
            webhook=_webhook(webhook, webhook_header),
            type=type,
            endpoint=endpoint,
        )
        return await _submit(OCRSession(max_records=max_records), submission)

    return run(start)


def _webhook(url: str | None, headers: list[str] | None) -> Webhook | None:
    if url is None:
        if headers:
            raise OptionError("--webhook-header goes with --webhook")
        return None
    webhook = Webhook(url, parse_headers(headers, "--webhook-header"))
    if not headers:
        show_secret(webhook)
    return webhook


def parse_headers(texts: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return the headers in *texts* by name.

    Args:
        texts: Headers as ``Name: value``.
        option: Name of the option that they come from.

    Raises:
        OptionError: A text has no colon. The message does not show it, as it may be secret.
    """
    pairs = [text.partition(":") for text in texts or ()]
    if not all(colon for _, colon, _ in pairs):
        raise OptionError(f'{option} has no colon, expected "Name: value"')
    return {name.strip(): value.strip() for name, _, value in pairs}


def show_secret(webhook: Webhook) -> None:
    """Show the generated headers of *webhook* on standard error, because nobody knows them yet."""
    for name, value in webhook.headers.items():
        sys.stderr.write(
            f"deliveries have this header; it is your secret and is not shown again:\n"
            f"{name}: {value}\n"
        )
    sys.stderr.flush()


async def _submit(session: OCRSession, submission: Submission) -> int:
    async with session, aclosing(_find(submission.arguments)) as images:
        job = await session.submit(
            images,
            webhook=submission.webhook,
            on_id=write_line,
            lang=submission.lang,
            prompt=submission.prompt,
            type=submission.type,
            endpoint=submission.endpoint,
        )
    for failure in job.failures:
        sys.stderr.write(f"{failure.image.name}: {failure.error}\n")
    return SOME_FAILED if job.failures else SUCCESS


async def _find(arguments: Sequence[str]) -> AsyncGenerator[str | Image]:
    """Yield the images that *arguments* name. Files get their names as ids to identify results."""
    async with aclosing(find_images(arguments)) as found:
        async for source in found:
            yield Image(source, id=str(source)) if isinstance(source, Path) else source


# ---- list and show


def list_jobs(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002 - the option's name
    format: Format | None = None,  # noqa: A002 - the option's name
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
    """

    async def start() -> int:
        state = status.upper() if status else None
        async with OCRSession() as session:
            async for info in session.jobs(status=state, type=type):
                write_line(_row(info) if _is_text(format) else to_json(model_to_json(info)))
        return SUCCESS

    return run(start)


def show(ids: Arguments, /, *, format: Format | None = None) -> int:  # noqa: A002 - the option's name
    """Show the state and the details of asynchronous requests.

    Parameters
    ----------
    ids
        Ids of requests. @FILE reads a list of them, - reads it from standard input.
    format
        Output format. The default is text on a terminal, and JSON lines in a file or a pipe. Only
        JSON lines contain the results.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)

    async def start() -> int:
        code = SUCCESS
        async with OCRSession() as session:
            for request_id in found:
                try:
                    [info] = await session.job(request_id).infos()
                except JobNotFound as error:
                    sys.stderr.write(f"{error}\n")
                    code = SOME_FAILED
                else:
                    write_line(_details(info) if _is_text(format) else to_json(model_to_json(info)))
        return code

    return run(start)


def find_ids(arguments: Sequence[str]) -> list[str]:
    """Return the ids that *arguments* name, each once; raise `OptionError` if there are none."""
    lines = (line.strip() for argument in arguments for line in _lines(argument))
    if found := list(dict.fromkeys(line for line in lines if line)):
        return found
    raise OptionError(f"no ids: {' '.join(arguments)}")


def _lines(argument: str) -> list[str]:
    if argument == STANDARD_INPUT:
        return sys.stdin.read().splitlines()
    if argument.startswith("@"):
        return Path(argument[1:]).read_text(encoding="utf-8", errors="replace").splitlines()
    return [argument]


def _is_text(format: Format | None) -> bool:  # noqa: A002 - the option's name
    return format == "text" if format else sys.stdout.isatty()


def _row(info: JobInfo) -> str:
    created = info.created.isoformat(" ", "seconds") if info.created else "-"
    return f"{info.id:<36}  {info.status:<18}  {info.type or '-'}  {created}"


def _details(info: JobInfo) -> str:
    """Return a table about a request, with the number of results instead of the results."""
    document = model_to_json(info)
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
    deadline: float | None = None,
    output: Path | None = None,
    format: Format | None = None,  # noqa: A002 - the option's name
    quiet: bool = False,
) -> int:
    """Wait for submitted images, and print outcomes as they arrive.

    Parameters
    ----------
    ids
        Ids of requests. @FILE reads a list of them, - reads it from standard input.
    deadline
        Longest time to wait in seconds. Requests that are not done by then continue, and you can
        wait for them again.
    output
        File to write outcomes to, as JSON lines. The default is standard output, as text.
    format
        Output format.
    quiet
        Hide progress and totals. Failures are still shown.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)

    async def start() -> int:
        output_format = format or ("jsonl" if output else "text")
        target = Output(path=output, format=output_format, quiet=quiet)
        return await _wait(OCRSession(), found, deadline, target)

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
        sys.stderr.write(f"{printer.totals()}\n")
    return SOME_FAILED if printer.failed else SUCCESS

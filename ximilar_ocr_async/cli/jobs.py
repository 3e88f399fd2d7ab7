"""``ximilar-ocr jobs``: images submitted to be read later; ids, states and outcomes out."""

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
from ximilar_ocr_async.cli.inputs import STANDARD_INPUT, find_images
from ximilar_ocr_async.cli.json_lines import model_to_json
from ximilar_ocr_async.cli.printer import (
    RECORDS,
    Format,
    Printer,
    open_output,
    progress,
)
from ximilar_ocr_async.cli.run import Words
from ximilar_ocr_async.cli.telling import (
    ALL_WELL,
    SOME_FAILED,
    USAGE,
    complain,
    put,
    run,
    to_json,
    to_lines,
)
from ximilar_ocr_async.errors import JobNotFound, OptionError
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import JobInfo

Headers: TypeAlias = Annotated[list[str] | None, Parameter(negative="")]

# ---- submit


@frozen(kw_only=True)
class Request:
    """What is submitted, as `OCRSession.submit` takes it."""

    words: Sequence[str]
    lang: str
    prompt: str | None
    webhook: Webhook | None
    type: str
    endpoint: str | None


def submit(
    images: Words,
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
    """Submit images to be read later; write the ids of their requests to standard output.

    Keep the ids: "ximilar-ocr jobs wait" takes them, on any machine, for two weeks.

    Parameters
    ----------
    images
        Files, folders, patterns, URLs; @FILE for a list of them, - for one on standard input.
    lang
        Language of the text: en, zh, ko, ja or ru.
    prompt
        Question for the language model.
    webhook
        URL to tell when they are done, such as where "ximilar-ocr webhook" is reached.
    webhook_header
        "Name: value" to send there, which must stay secret; may be given more than once. Without
        it one is made, and shown on standard error.
    type
        Type of the requests; Ximilar has not published that of OCR, and "ocr" is a guess.
    endpoint
        Endpoint of that type. Else read, or read_gpt where there is a prompt.
    max_records
        Records that may be sent in all; what would go over fails unsent.
    """

    async def start() -> int:
        request = Request(
            words=images,
            lang=lang,
            prompt=prompt,
            webhook=_webhook(webhook, webhook_header),
            type=type,
            endpoint=endpoint,
        )
        return await _submit(OCRSession(max_records=max_records), request)

    return run(start)


def _webhook(url: str | None, headers: list[str] | None) -> Webhook | None:
    if url is None:
        if headers:
            raise OptionError("--webhook-header goes with --webhook")
        return None
    hook = Webhook(url, parse_headers(headers, "--webhook-header"))
    if not headers:
        tell_secret(hook)
    return hook


def parse_headers(texts: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return headers by name; raise `OptionError`, which shows no secret, if a text is none."""
    pairs = [text.partition(":") for text in texts or ()]
    if not all(colon for _, colon, _ in pairs):
        raise OptionError(f'{option} has no colon, expected "Name: value"')
    return {name.strip(): value.strip() for name, _, value in pairs}


def tell_secret(hook: Webhook) -> None:
    """Show on standard error the headers that were made for *hook*: nobody else knows them."""
    for name, value in hook.headers.items():
        sys.stderr.write(
            f"deliveries bring this header, which is your secret and is not shown again:\n"
            f"{name}: {value}\n"
        )
    sys.stderr.flush()


async def _submit(session: OCRSession, request: Request) -> int:
    async with session, aclosing(_find(request.words)) as images:
        job = await session.submit(
            images,
            webhook=request.webhook,
            on_id=put,
            lang=request.lang,
            prompt=request.prompt,
            type=request.type,
            endpoint=request.endpoint,
        )
    for failure in job.failures:
        sys.stderr.write(f"{failure.image.name}: {failure.error}\n")
    return SOME_FAILED if job.failures else ALL_WELL


async def _find(words: Sequence[str]) -> AsyncGenerator[str | Image]:
    """Yield images, files with their names: nothing else tells them apart when they come back."""
    async with aclosing(find_images(words)) as found:
        async for source in found:
            yield Image(source, id=str(source)) if isinstance(source, Path) else source


# ---- list and show


def list_jobs(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002 - the option's name
    format: Format | None = None,  # noqa: A002 - the option's name
) -> int:
    """List the account's asynchronous requests: id, state, type and when they were submitted.

    Parameters
    ----------
    status
        Those in this state alone, such as CREATED, PROCESSING, DONE or FAILED.
    type
        Those of this type alone.
    format
        How to write them. Else text on a terminal, and JSON lines to a file or a pipe.
    """

    async def start() -> int:
        asked = status.upper() if status else None
        async with OCRSession() as session:
            async for info in session.jobs(status=asked, type=type):
                put(_row(info) if _is_text(format) else to_json(model_to_json(info)))
        return ALL_WELL

    return run(start)


def show(ids: Words, /, *, format: Format | None = None) -> int:  # noqa: A002 - the option's name
    """Show how asynchronous requests stand, and all else that is known of them.

    Parameters
    ----------
    ids
        Ids of requests; @FILE for a list of them, - for one on standard input.
    format
        How to write it: JSON lines hold the results too. Else text on a terminal, and JSON lines to
        a file or a pipe.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return complain(error, USAGE)

    async def start() -> int:
        code = ALL_WELL
        async with OCRSession() as session:
            for request_id in found:
                try:
                    [info] = await session.job(request_id).infos()
                except JobNotFound as error:
                    sys.stderr.write(f"{error}\n")
                    code = SOME_FAILED
                else:
                    put(_page(info) if _is_text(format) else to_json(model_to_json(info)))
        return code

    return run(start)


def find_ids(words: Sequence[str]) -> list[str]:
    """Return the ids that *words* name, each once; raise `OptionError` if there are none."""
    lines = (line.strip() for word in words for line in _lines(word))
    if found := list(dict.fromkeys(line for line in lines if line)):
        return found
    raise OptionError(f"no ids: {' '.join(words)}")


def _lines(word: str) -> list[str]:
    if word == STANDARD_INPUT:
        return sys.stdin.read().splitlines()
    if word.startswith("@"):
        return Path(word[1:]).read_text(encoding="utf-8", errors="replace").splitlines()
    return [word]


def _is_text(given: Format | None) -> bool:
    return given == "text" if given else sys.stdout.isatty()


def _row(info: JobInfo) -> str:
    created = info.created.isoformat(" ", "seconds") if info.created else "-"
    return f"{info.id:<36}  {info.status:<18}  {info.type or '-'}  {created}"


def _page(info: JobInfo) -> str:
    """Return lines about a request, with the number of results in their place."""
    document = model_to_json(info)
    response = document.pop("response", None)
    records = response.get("records") if isinstance(response, dict) else None
    counted = {"records": len(records)} if isinstance(records, list) else {}
    return f"{to_lines(document | counted)}\n"


# ---- wait


@frozen(kw_only=True)
class Output:
    """Where outcomes are written, and how."""

    path: Path | None
    format: Format
    quiet: bool


def wait(
    ids: Words,
    /,
    *,
    deadline: float | None = None,
    output: Path | None = None,
    format: Format | None = None,  # noqa: A002 - the option's name
    quiet: bool = False,
) -> int:
    """Wait for images that were submitted, and write what was read as it is done.

    Parameters
    ----------
    ids
        Ids of requests; @FILE for a list of them, - for one on standard input.
    deadline
        Seconds to wait at most. What is not done by then goes on, and can be waited for again.
    output
        File to write outcomes to, as JSON lines. Else they go to standard output, as text.
    format
        How to write outcomes.
    quiet
        Show neither progress nor totals. Failures are named all the same.
    """
    try:
        found = find_ids(ids)
    except (OptionError, OSError) as error:
        return complain(error, USAGE)

    async def start() -> int:
        how = format or ("jsonl" if output else "text")
        where = Output(path=output, format=how, quiet=quiet)
        return await _wait(OCRSession(), found, deadline, where)

    return run(start)


async def _wait(
    session: OCRSession, ids: Sequence[str], deadline: float | None, output: Output
) -> int:
    async with session:
        # Before anything is sent.
        outcomes = session.job(ids).outcomes(deadline=deadline)
        with open_output(output.path) as file, progress(quiet=output.quiet) as bar:
            printer = Printer(file, RECORDS, format=output.format, headings=True)
            task = bar.add_task(f"{len(ids)} asynchronous requests", total=None)
            async for outcome in outcomes:
                printer.write(outcome)
                bar.advance(task)
    if not output.quiet:
        sys.stderr.write(f"{printer.totals()}\n")
    return SOME_FAILED if printer.failed else ALL_WELL

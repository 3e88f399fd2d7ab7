"""``ximilar-ocr jobs submit``: images to be read later in; ids of asynchronous requests out."""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import define, frozen

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE
from ximilar_ocr_async._jobs import Job
from ximilar_ocr_async._protocol import Webhook
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, ConnectionOptions
from ximilar_ocr_async.cli.console import (
    SOME_FAILED,
    SUCCESS,
    check_output,
    discard,
    reason_of,
    run,
    warn_of_secret,
    write_line,
    write_message,
)
from ximilar_ocr_async.cli.draining import DRAIN, Drain
from ximilar_ocr_async.cli.headers import Headers, parse_headers, show_secret
from ximilar_ocr_async.cli.inputs import find_images
from ximilar_ocr_async.cli.lists import LINE, NUL
from ximilar_ocr_async.cli.run import Arguments
from ximilar_ocr_async.errors import OptionError, shown
from ximilar_ocr_async.images import Image


@frozen(kw_only=True)
class Submission:
    """The arguments of a submission.

    Attributes:
        arguments: Command-line arguments that name the images.
        ending: What entries of lists end with.
        lang: Language of the text.
        prompt: Question for the language model.
        webhook: Where to send the results.
        type: Type of the asynchronous requests.
        endpoint: Endpoint of that type. None means the default.
    """

    arguments: Sequence[str]
    ending: bytes
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
    drain: float = DRAIN,
    null: bool = False,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
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
        "Name: value" to send with the results, or @FILE with one in each line. Keep it secret:
        others can see the words of a command, and not what is in a file. It can be given more than
        once. The default is a generated header, which is shown on standard error.
    type
        Type of the requests. Ximilar has not published the type of OCR; "ocr" is a guess.
    endpoint
        Endpoint of that type. The default is read, or read_gpt with a prompt.
    max_records
        Maximum number of records to send in total. Images beyond that fail without being sent.
    drain
        Longest time in seconds for what is in flight when the command is interrupted.
    null
        Names in lists end with a NUL character, as "find -print0" writes them, and not with a line
        break. Use it for files that others have named.
    connection.deadline
        Longest time in seconds for all submissions. Images that are not submitted by then fail.
    """

    async def start() -> int:
        hook = _webhook(webhook, webhook_header)
        ending = NUL if null else LINE
        what: dict[str, Any] = {"lang": lang, "prompt": prompt, "type": type, "endpoint": endpoint}
        submission = Submission(arguments=images, ending=ending, webhook=hook, **what)
        session = connection.make_session(max_records=max_records, drain=drain)
        return await _submit(Drain(session), submission)

    return run(start)


def _webhook(url: str | None, headers: list[str] | None) -> Webhook | None:
    if url is None:
        if headers:
            raise OptionError("--webhook-header goes with --webhook")
        return None
    webhook = Webhook(url, parse_headers(headers, "--webhook-header"))
    if urlsplit(url).password:
        warn_of_secret("--webhook", "its headers prove deliveries without a password")
    if not headers:
        show_secret(webhook)
    return webhook


@define
class _Ids:
    """Where the ids of a submission go: nobody else knows what was paid for.

    Attributes:
        drain: Stops the submission when they cannot be written.
        is_broken: Whether they go to standard error, because standard output cannot be written.
    """

    drain: Drain
    is_broken: bool = False

    def tell(self, request_id: str) -> None:
        """Write an id."""
        try:
            if not self.is_broken:
                write_line(request_id)
        except OSError as error:
            self.is_broken = True
            self.drain.stop()
            discard(sys.stdout)
            reason = f"standard output cannot be written: {reason_of(error)}"
            write_message(f"ximilar-ocr: {reason}; nothing more is sent")
        if self.is_broken:
            write_message(f"ximilar-ocr: submitted before: {request_id}")


async def _submit(drain: Drain, submission: Submission) -> int:
    check_output(sys.stdout)
    ids = _Ids(drain)
    jobs: list[Job] = []

    async def work() -> None:
        async with aclosing(_find(submission)) as found, aclosing(drain.pull(found)) as images:
            job = await drain.session.submit(
                images,
                webhook=submission.webhook,
                on_id=ids.tell,
                lang=submission.lang,
                prompt=submission.prompt,
                type=submission.type,
                endpoint=submission.endpoint,
            )
        jobs.append(job)

    await drain.run(work)
    told = (one for job in jobs for one in job.failures)
    failures = [one for one in told if one.maybe_billed or not drain.is_unread(one)]
    for failure in failures:
        write_message(f"{shown(failure.image.name)}: {failure.error}")
    if drain.is_stopped and not ids.is_broken:
        count = sum(len(job.ids) for job in jobs)
        write_message(f"interrupted: {count} requests were submitted, and nothing more is sent")
    return SOME_FAILED if failures or ids.is_broken else SUCCESS


async def _find(submission: Submission) -> AsyncGenerator[str | Image]:
    """Yield the images of a submission. Files get their names as ids to identify results."""
    async with aclosing(find_images(submission.arguments, submission.ending)) as found:
        async for source in found:
            yield Image(source, id=str(source)) if isinstance(source, Path) else source

"""``ximilar-ocr read``: images in; their texts or JSON lines out, as they arrive."""

from functools import partial

from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, Connection, ConnectionOptions
from ximilar_ocr_async.cli.console import USAGE, report_error
from ximilar_ocr_async.cli.printer import RECORD_RENDERER
from ximilar_ocr_async.cli.run import DEFAULTS, Arguments, Command, SharedOptions, run
from ximilar_ocr_async.errors import OptionError

NO_MODEL = (
    "--local has no language model to ask: leave out --prompt, or serve one with"
    " ximilar-ocr serve --gpt-url and point XIMILAR_BASE_URL there"
)

REMOTE = frozenset({"--base-url", "--ca-file", "--proxy"})
"""Options that have no meaning on this machine."""


def read(
    images: Arguments,
    /,
    *,
    prompt: str | None = None,
    local: bool = False,
    options: SharedOptions = DEFAULTS,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Read the text in images.

    Parameters
    ----------
    images
        Files, folders, patterns or URLs. @FILE reads a list of them, - reads it from standard
        input.
    prompt
        Question for the language model about each image. An answer costs 15 credits instead of 5.
        Text output shows the answer in place of the image's text; JSON lines contain both.
    local
        Read on this machine, without a token. This needs the extra "local".
    """
    try:
        _check_prompt(prompt, local=local)
        if local:
            _check_local(connection)
        command = Command(
            start=partial(OCRSession.stream, lang=options.lang, prompt=prompt),
            renderer=RECORD_RENDERER,
            format="text",
            is_local=local,
        )
        return run(images, options, connection, command)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)


def _check_prompt(prompt: str | None, *, local: bool) -> None:
    if prompt is None:
        return
    check_prompt(prompt, "--prompt")
    if local:
        raise OptionError(NO_MODEL)


def _check_local(connection: Connection) -> None:
    if useless := [option for option in connection.given if option in REMOTE]:
        raise OptionError(f"--local reads on this machine: leave out {', '.join(useless)}")

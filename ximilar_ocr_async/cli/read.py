"""``ximilar-ocr read``: images in; their text, or JSON lines, out as they finish."""

from functools import partial

from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.cli.printer import RECORDS
from ximilar_ocr_async.cli.run import DEFAULTS, Command, Flat, Words, run
from ximilar_ocr_async.cli.telling import USAGE, complain
from ximilar_ocr_async.errors import OptionError

NO_MODEL = (
    "--local has no language model to ask: leave out --prompt, or give one to"
    " ximilar-ocr serve --gpt-url and point XIMILAR_BASE_URL there"
)


def read(
    images: Words,
    /,
    *,
    prompt: str | None = None,
    local: bool = False,
    options: Flat = DEFAULTS,
) -> int:
    """Read the text off images.

    Parameters
    ----------
    images
        Files, folders, patterns, URLs; @FILE for a list of them, - for one on standard input.
    prompt
        Question for the language model about each image, which costs 15 credits, not 5. As text
        its answer stands in place of what was read; JSON lines have both.
    local
        Read on this machine, without a token. Needs the extra "local".
    """
    try:
        if prompt is not None:
            # Before anything is sent.
            check_prompt(prompt, "--prompt")
            if local:
                raise OptionError(NO_MODEL)
        command = Command(
            ask=partial(OCRSession.stream, lang=options.lang, prompt=prompt),
            form=RECORDS,
            format="text",
            is_local=local,
        )
        return run(images, options, command)
    except (OptionError, OSError) as error:
        return complain(error, USAGE)

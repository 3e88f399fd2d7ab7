"""``ximilar-ocr read``: images in; their text, or JSON lines, out as they finish."""

from collections.abc import Sequence
from functools import partial

from ximilar_ocr_async.cli.run import DEFAULTS, Command, Flat, Words, run, tell_misuse
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.limits import check_prompt
from ximilar_ocr_async.outcomes import Success
from ximilar_ocr_async.session import OCRSession
from ximilar_ocr_async.wire import outcome_to_json

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
            # Before the output is opened, for that empties it.
            check_prompt(prompt, "--prompt")
            if local:
                raise OptionError(NO_MODEL)
        command = Command(
            ask=partial(OCRSession.stream, lang=options.lang, prompt=prompt),
            to_json=outcome_to_json,
            to_lines=_lines,
            success="read",
            format="text",
            is_local=local,
        )
        return run(images, options, command)
    except (OptionError, OSError) as error:
        return tell_misuse(error)


def _lines(outcome: Success) -> Sequence[str]:
    """Return what the language model has answered, if it was asked; else what was read."""
    record = outcome.record
    if record.gpt is not None:
        return [record.gpt.result or ""]
    return [text.text for text in record.ocr.texts]

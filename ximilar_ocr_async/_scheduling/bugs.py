"""Bugs, of ours or of an injected client: an exception in, the error for whoever waits out."""

import logging
import traceback

from ximilar_ocr_async.errors import OCRError

_log = logging.getLogger("ximilar_ocr_async.scheduling")


def record_bug(what: str, error: BaseException) -> OCRError:
    """Log *error*, which *what* says where it was raised; return our error for it.

    The log gets its traceback as text. Frames would be looked into by those who collect logs with
    their locals, such as Sentry, and those of HTTP clients hold the token.
    """
    frames = "".join(traceback.format_exception(error))
    _log.error("%s raised\n%s", what, frames)
    return OCRError(f"internal error: {error!r}")

"""An error in; the answer to an HTTP client out. It needs no framework."""

import logging
import math
from typing import NamedTuple

from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    DeadlineExceeded,
    ImageError,
    OCRError,
    OptionError,
    ReplyError,
    RequestRejected,
    RequestTimeout,
)

_log = logging.getLogger("ximilar_ocr_async.integrations")


class Answer(NamedTuple):
    """An answer to a client, as Flask takes it.

    Attributes:
        body: The body, to be written as JSON.
        status: The HTTP status.
        headers: The headers beside those of any JSON.
    """

    body: dict[str, str]
    status: int
    headers: dict[str, str]


def answer_to(error: OCRError) -> Answer:
    """Return the answer to a client whose request met *error*.

    A client that can mend its request is told how, with 422. Other errors are logged, and the
    client is told no more than that it cannot be served: with 504 if it took too long, 502 if
    token, credits or address are at fault, else 503, and with ``Retry-After`` if that is known.
    None becomes a 401, because the token is the backend's, not the client's.
    """
    match error:
        case ImageError() | OptionError() | RequestRejected():
            return Answer({"detail": str(error)}, 422, {})
        case DeadlineExceeded() | RequestTimeout():
            status = 504
        case AuthError() | AddressError() | ReplyError():
            status = 502
        case _:
            status = 503
    _log.error("%r", error)
    wait = error.retry_after
    headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    return Answer({"detail": "images cannot be read now"}, status, headers)

"""What can go wrong: one tree of errors. Each class says who is at fault and what to do.

::

    OCRError
    ├── OptionError (ValueError)     the program: an option is outside its allowed values
    ├── ImageError                   the program: this image cannot be sent
    ├── SessionStateError            the program: the session is not open
    │   └── SessionClosed            the program: the session closed before the image was read
    ├── DeadlineExceeded             the program: the deadline of its call passed
    ├── BudgetExceeded               the program: its session may not send any more records
    ├── Overloaded                   the program: it asks for more than can be done now; not sent
    ├── AddressError                 the program: base_url does not lead to the service
    ├── ConnectionFailed             the network: the request did not arrive; nothing was billed
    │   ├── PoolExhausted            the program: its http_client has too few connections
    │   └── UploadCut                the network: the connection broke during the upload
    ├── ReplyLost                    the network: the response was lost; maybe billed
    │   └── RequestTimeout           the service: the request timed out; maybe billed
    ├── ReplyError                   the service: the response is invalid; maybe billed
    ├── WebhookError                 the sender: this is not a valid delivery
    ├── ExtractionError              the model: the completion does not fit the class; billed
    └── ServiceError                 the service: it reported an error
        ├── AuthError                the account: its token or plan does not allow the request
        │   ├── CreditsExhausted     the account: its credits are used up
        │   └── PlanError            the account: its plan does not include the endpoint
        ├── RateLimited              the program: it sends too many requests
        ├── RequestRejected          the program: the service refuses the request or the record
        ├── JobNotFound              the program: the asynchronous request does not exist
        │   └── JobExpired           the program: it came after the two weeks that results are kept
        ├── JobFailed                the service: it did not complete an asynchronous request
        └── ServiceUnavailable       the service: it failed; a later attempt may succeed
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, Self, TypeVar

from ximilar_ocr_async._constants import MAX_REQUEST_ID

MAX_SHOWN = 500
"""How much of others' words a message shows [characters]. Source: judgement."""

MAX_MESSAGE = 1800
"""The longest message of an error [characters]. Source: judgement; it has room for the words of the
service twice over, and for ours."""


def in_one_line(text: str) -> str:
    """Return *text* with escapes for all that is not printable, such as ends of lines.

    It may end up in a log or on a terminal, where it must not begin lines or give orders.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Return *text* as a part of one line, of *limit* characters and a few."""
    line = in_one_line(text[:limit])[:limit]
    return line if len(text) <= limit else f"{line}... ({len(text):,} characters)"


def _message(text: str) -> str:
    """Return *text* as one line of `MAX_MESSAGE` characters; twice does no more than once."""
    line = in_one_line(text[: MAX_MESSAGE + 1])
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 3]}..."


E = TypeVar("E", bound=BaseException)


class OCRError(Exception):
    """Base of every error of this package. Its message is one line of 1,800 characters at most.

    Attributes:
        status: The HTTP status or the service's own code, if the failure has one.
        request_id: The service's id of the request, if it gave one, in 200 characters at most.
            Quote it to support.
        retry_after: How long the service asks to wait before another attempt [s], if it does.
        retryable: Whether the same call, unchanged, may succeed later. What the session sends again
            by itself it has sent again by then; where ``maybe_billed`` is said, it may cost again.
        outcomes: What a call of many images had done before the error ended it: those outcomes that
            it did not hand out otherwise, in the order of the images.
    """

    retryable: ClassVar[bool] = False
    outcomes: Sequence[Any] = ()
    _is_marked: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        # What others wrote may be in it. No reply, however odd, forges lines of logs or fills them.
        super().__init__(_message(message))
        self.status = status
        self.request_id = request_id and in_one_line(request_id[:MAX_REQUEST_ID])[:MAX_REQUEST_ID]
        self.retry_after = retry_after

    def __copy__(self) -> Self:
        """Return an error of its own: what is noted on it, or raised with it, is not on this one.

        It has all that this one has but the traceback, for that holds frames.
        """
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        if notes := getattr(self, "__notes__", None):
            twin.__notes__ = [*notes]
        twin.__cause__, twin.__context__ = self.__cause__, self.__context__
        twin.__suppress_context__ = self.__suppress_context__
        return twin


def with_reason(error: OCRError, reason: str) -> OCRError:
    """Return a copy of *error* whose message also gives the *reason* why it was final."""
    explained = copy(error)
    explained.args = (_message(f"{error}; {reason}"),)
    explained.__cause__ = error.__cause__
    return explained


def without_frames(error: E) -> E:
    """Return *error* without the frames that it came from, whose locals may hold a secret."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def marked(error: OCRError) -> OCRError:
    """Return *error*, with a mark that its request may have been billed whatever its class says."""
    error._is_marked = True  # noqa: SLF001 - its own  # pyright: ignore[reportPrivateUsage]
    return error


def is_marked(error: OCRError) -> bool:
    """Return whether *error* has the mark of `marked`."""
    return error._is_marked  # noqa: SLF001 - its own  # pyright: ignore[reportPrivateUsage]


class OptionError(OCRError, ValueError):
    """An option is outside its allowed values. Change the option."""


class ImageError(OCRError):
    """The image cannot be sent. Replace or skip it."""


class SessionStateError(OCRError):
    """The session is not open. Use it inside its ``async with`` block."""


class SessionClosed(SessionStateError):
    """The session closed before the image was read. Read it in a new session."""


class DeadlineExceeded(OCRError):
    """The deadline passed before the image was read. The message says what took the time."""

    retryable = True


class BudgetExceeded(OCRError):
    """The image was not sent, because that would exceed ``max_records``. Raise it, or stop."""


class Overloaded(OCRError):
    """Too much waits already, or the service asks to be left alone. Nothing was sent: try later.

    A web backend responds with 503 and ``retry_after`` [s], if it is known.
    """

    retryable = True


class AddressError(OCRError):
    """The address does not lead to the service. Check ``base_url``, certificates and proxy."""


class ConnectionFailed(OCRError):
    """The request did not reach the service and was not billed. Check network and address."""

    retryable = True


class PoolExhausted(ConnectionFailed):
    """``http_client`` had no connection to spare. Give it as many as ``max_concurrency``."""


class UploadCut(ConnectionFailed):
    """The connection broke during the upload. Send less at once."""


class ReplyLost(OCRError):
    """The request was sent, but its response did not arrive whole. It may have been billed."""

    retryable = True


class RequestTimeout(ReplyLost):
    """The request timed out and may have been billed. Raise ``timeout``, or send less at once."""


class ReplyError(OCRError):
    """The service's response is invalid. The request may have been billed. Report the error."""

    retryable = True


class ExtractionError(OCRError):
    """The language model's completion does not fit the class. It was billed; see ``faults``.

    Attributes:
        faults: What does not fit, each with its address, such as ``$.lines[2]: expected an object,
            got 7``. Empty if the completion contains no JSON object.
        hints: The faults without anything that the model wrote, such as ``$.lines[2]: expected an
            object``. A prompt may contain them.
        answer: The whole completion. The message shows its beginning.
        record: The `Record` that was billed, with the text of the image.
    """

    retryable = True

    def __init__(
        self,
        message: str = "",
        *,
        faults: tuple[str, ...] = (),
        hints: tuple[str, ...] = (),
        answer: str = "",
        record: Any = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, retry_after=retry_after)
        self.faults = faults
        self.hints = hints
        self.answer = answer
        self.record = record


class WebhookError(OCRError):
    """A delivery to the webhook is refused. Respond with ``status``."""


class ServiceError(OCRError):
    """The service reported an error. Its ``status`` and message are the service's own."""


class AuthError(ServiceError):
    """The token or the plan does not allow the request. See the account's page."""


class CreditsExhausted(AuthError):
    """The account's credits are used up. Buy more, or wait until the plan renews them."""


class PlanError(AuthError):
    """The account's plan does not include the endpoint. The message names a plan that does."""


class RateLimited(ServiceError):
    """The program sends too many requests. Lower ``max_concurrency``, or wait."""

    retryable = True


class RequestRejected(ServiceError):
    """The service refuses the request or the record. Do not send it again unchanged."""


class JobNotFound(ServiceError):
    """The account has no such asynchronous request, or no longer has it. Check the id."""


class JobExpired(JobNotFound):
    """The asynchronous request is older than two weeks and was deleted. Submit it again."""


class JobFailed(ServiceError):
    """An asynchronous request did not complete. The message gives its state and what to try."""


class ServiceUnavailable(ServiceError):
    """The service failed on every attempt that the retry policy allows. Try again later."""

    retryable = True

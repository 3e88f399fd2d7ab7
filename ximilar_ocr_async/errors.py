"""What can go wrong: one tree, each class saying who is at fault and what to do.

::

    OCRError
    ├── OptionError (ValueError)     the program: an option is outside its allowed values
    ├── ImageError                   the program: this image cannot be sent; nothing was
    ├── SessionStateError            the program: the session is not open
    │   └── SessionClosed            the session closed before the image had its turn
    ├── DeadlineExceeded             the program: its deadline passed first
    ├── BudgetExceeded               the program: its session may send no more records
    ├── AddressError                 the program: base_url does not lead to the service
    ├── ConnectionFailed             the network: the service was not reached; nothing was billed
    │   └── UploadCut                the network: it broke while the request was being sent
    ├── ReplyLost                    the network: sent, but no whole answer came; maybe billed
    │   └── RequestTimeout           the service: it took longer than the timeout; maybe billed
    ├── ReplyError                   the service: its answer makes no sense; maybe billed
    ├── WebhookError                 whoever called the webhook: this is no delivery
    ├── ExtractionError              the model: its answer does not fit the class; paid for
    └── ServiceError                 the service answered with a failing status
        ├── AuthError                the account: the token or the plan does not allow this
        │   └── PlanError            the account: its plan is without this endpoint
        ├── RateLimited              the program: too many requests; wait
        ├── RequestRejected          the program: the service refuses this request or this record
        ├── JobNotFound              the program: there is no such asynchronous request
        │   └── JobExpired           the program: it was kept for two weeks, and these are over
        ├── JobFailed                the service: an asynchronous request came to no good end
        └── ServiceUnavailable       the service: it failed; worth another attempt
"""

from copy import copy
from typing import Any


class OCRError(Exception):
    """Base of every error of this package.

    Attributes:
        status: HTTP status or the service's own code that came with the failure, if any.
        request_id: The service's name for the request, for its support, if it gave one.
        retry_after: [s] to wait before another attempt, if the service asked for it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


def with_reason(error: OCRError, reason: str) -> OCRError:
    """Return a copy of *error* that also says why it was the end."""
    told = copy(error)
    told.args = (f"{error}; {reason}",)
    return told


class OptionError(OCRError, ValueError):
    """An option is outside its allowed values. Change the option."""


class ImageError(OCRError):
    """This image cannot be sent, and was not. Mend or drop the image."""


class SessionStateError(OCRError):
    """The session is not open. Use it inside its ``async with`` block."""


class SessionClosed(SessionStateError):
    """The session closed before this image was read. Read it in a new session."""


class DeadlineExceeded(OCRError):
    """The call's deadline passed before this image was read. The message says where time went."""


class BudgetExceeded(OCRError):
    """Sending this image would go over ``max_records``, so it was not sent. Raise that, or stop."""


class AddressError(OCRError):
    """The address does not lead to the service. Check ``base_url``, certificates and proxy."""


class ConnectionFailed(OCRError):
    """The request did not reach the service, so nothing was billed. Check network and address."""


class UploadCut(ConnectionFailed):
    """The connection broke while the request was being sent. Send less at once."""


class ReplyLost(OCRError):
    """The request was sent and no whole answer came back. It may have been billed."""


class RequestTimeout(ReplyLost):
    """The request took longer than the timeout. Raise ``timeout``, or send less at once."""


class ReplyError(OCRError):
    """The service's answer cannot be understood. It may have been billed; report it."""


class ExtractionError(OCRError):
    """The language model's answer does not fit the class. It was paid for; see ``faults``.

    Attributes:
        faults: What does not fit, each with its address, such as ``$.lines[2]: expected an object,
            got 7``; empty where no answer was found at all.
        answer: What the model wrote, whole; the message shows its beginning.
        record: What was paid for: the `Record`, with the text of the image.
    """

    def __init__(
        self,
        message: str = "",
        *,
        faults: tuple[str, ...] = (),
        answer: str = "",
        record: Any = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, retry_after=retry_after)
        self.faults = faults
        self.answer = answer
        self.record = record


class WebhookError(OCRError):
    """What came to the webhook is not taken. Answer it with ``status``."""


class ServiceError(OCRError):
    """The service answered with a failing status; ``status`` and the message are its own."""


class AuthError(ServiceError):
    """The token is wrong, or the plan or its credits do not allow this. See the account's page."""


class PlanError(AuthError):
    """The account's plan is without this endpoint. The message names the plan that has it."""


class RateLimited(ServiceError):
    """Too many requests at once. Lower ``max_concurrency``, or wait."""


class RequestRejected(ServiceError):
    """The service refuses this request or this record. Sending it again would not help."""


class JobNotFound(ServiceError):
    """There is no such asynchronous request of this account, or no more. Check the id."""


class JobExpired(JobNotFound):
    """The asynchronous request was kept for two weeks, and these are over. Submit it again."""


class JobFailed(ServiceError):
    """An asynchronous request came to no good end; the message says its state and what to try."""


class ServiceUnavailable(ServiceError):
    """The service failed. It was asked as often as the retry policy allows; try later."""

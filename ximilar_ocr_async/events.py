"""What a session tells while it works, to the function that it was given as ``on_event``.

One small frozen class for each kind of event; an instance holds words and numbers, and never an
image, its name, a text or the token. The function is called on the event loop at the moment when
it happens, so it should be quick. What it raises is logged, once for each kind, and harms nothing::

    def show(event: Event) -> None:
        if isinstance(event, AttemptEnded):
            print(event.endpoint, event.credits)

    async with OCRSession(on_event=show) as session: ...

Calls and attempts have ids: an attempt names the calls whose images it carries. The ``account`` of
an event is the *name* that `OCRSession.for_token` was given; None for the session's own.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from attrs import frozen

__all__ = [
    "AttemptEnded",
    "BatchSent",
    "CallEnded",
    "CallOpened",
    "Event",
    "HoldBegan",
    "LimitChange",
    "LimitChanged",
    "Listener",
    "OutageBegan",
    "OutageEnded",
    "OutcomeReady",
    "ProbeFailed",
    "RetryScheduled",
]

LimitChange: TypeAlias = Literal["start", "answers", "overload", "outage"]
"""Why a limit changed."""


# ---- calls


@frozen(kw_only=True)
class CallOpened:
    """A call began: of one image or of many.

    Attributes:
        call_id: What names the call in other events; the ids of its records begin with it.
        kind: ``read``, ``extract`` or ``submit``.
        lang: The language of images that name none.
        priority: ``interactive`` or ``bulk``.
        account: The account's name.
    """

    call_id: str
    kind: str
    lang: str
    priority: str | None
    account: str | None


@frozen(kw_only=True)
class OutcomeReady:
    """An image of a call has its outcome. It comes before whoever waits for it goes on.

    Attributes:
        call_id: The call.
        index: The position of the image in the call's input, from 0.
        ok: Whether the image was read, or submitted.
        error: The class of the error if it was not, such as ``ImageError``.
        attempts: How many requests contained the image.
        maybe_billed: Whether a response was lost, so that it may have been billed in vain.
        endpoint: Where it was to go, such as ``read``.
        lang: Its language.
        account: The account's name.
    """

    call_id: str
    index: int
    ok: bool
    error: str | None
    attempts: int
    maybe_billed: bool
    endpoint: str
    lang: str
    account: str | None


@frozen(kw_only=True)
class CallEnded:
    """A call ended, or was left early.

    Attributes:
        call_id: The call.
        duration: How long it took [s].
        unfinished: Images that were queued or sent, and that it waits for no more.
        account: The account's name.
    """

    call_id: str
    duration: float
    unfinished: int
    account: str | None


# ---- attempts


@frozen(kw_only=True)
class BatchSent:
    """A request with images begins to be sent. One `AttemptEnded` follows.

    Attributes:
        attempt_id: What names the attempt in other events, in this process.
        call_ids: The calls whose images it carries; the first is that of the first image.
        endpoint: Where it goes: ``read``, ``read_gpt``, or ``asynchronous read`` for `submit`.
        lang: The language of its images.
        records: How many images it carries.
        attempt: Which attempt it is, from 1: of the image in it that was tried most often.
        queue_wait: How long the image waited for its slot that waited longest [s].
        is_probe: Whether it asks if an outage is over.
        account: The account's name.
    """

    attempt_id: int
    call_ids: tuple[str, ...]
    endpoint: str
    lang: str
    records: int
    attempt: int
    queue_wait: float
    is_probe: bool
    account: str | None


@frozen(kw_only=True)
class AttemptEnded:
    """A request with images was answered, failed, or was given up.

    Attributes:
        attempt_id: The attempt.
        call_ids: The calls whose images it carried; the first is that of the first image.
        endpoint: Where it went.
        lang: The language of its images.
        records: How many images it carried.
        duration: How long it took, since it was sent [s].
        status: The HTTP status or the service's own code; None without an answer.
        error: The class of the error by which all of it failed, such as ``RateLimited``.
        request_id: The service's id of the request, if it gave one.
        billed: Records of it that were read or submitted.
        maybe_billed: Records of it that may have been billed and brought nothing.
        credits: What the billed ones cost [credits]; 0 where the price is not known.
        is_given_up: Whether nobody waited for its answer any more, or the session ended.
        account: The account's name.
    """

    attempt_id: int
    call_ids: tuple[str, ...]
    endpoint: str
    lang: str
    records: int
    duration: float
    status: int | None
    error: str | None
    request_id: str | None
    billed: int
    maybe_billed: int
    credits: int
    is_given_up: bool
    account: str | None


@frozen(kw_only=True)
class RetryScheduled:
    """Images of an attempt that ended will be sent again.

    Attributes:
        attempt_id: The attempt.
        endpoint: Where it went.
        lang: The language of its images.
        records: How many of its images are sent again.
        pause: How long they wait before they are queued [s]; 0 if they are queued at once.
        error: The class of the error for which the first of them is, if it has one.
        account: The account's name.
    """

    attempt_id: int
    endpoint: str
    lang: str
    records: int
    pause: float
    error: str | None
    account: str | None


# ---- endpoints


@frozen(kw_only=True)
class LimitChanged:
    """Another number of requests may be in flight to an endpoint.

    Attributes:
        endpoint: Such as ``read``; ``account`` for requests without images.
        before: How many were allowed; 0 at the start.
        after: How many are allowed now.
        why: ``start`` for an endpoint that is used for the first time, ``answers`` after good
            ones, ``overload``, or ``outage``, which undoes what its first failures did.
    """

    endpoint: str
    before: int
    after: int
    why: LimitChange


@frozen(kw_only=True)
class HoldBegan:
    """The service asks to be left alone: nothing is sent to the endpoint for a while.

    Attributes:
        endpoint: The endpoint.
        duration: For how long [s]. Later answers may prolong it.
        error: The class of the error with which it asked.
        status: The HTTP status or the service's own code.
    """

    endpoint: str
    duration: float
    error: str
    status: int | None


@frozen(kw_only=True)
class OutageBegan:
    """Requests to an endpoint were in vain, so only probes are sent: its circuit is open.

    Attributes:
        endpoint: The endpoint.
        error: The class of the error.
        why: The error in a line of words, as in the log.
    """

    endpoint: str
    error: str
    why: str


@frozen(kw_only=True)
class ProbeFailed:
    """An outage goes on.

    Attributes:
        endpoint: The endpoint.
        error: The class of the error by which the probe failed.
        why: The error in a line of words, as in the log.
        duration: How long the outage has lasted [s].
    """

    endpoint: str
    error: str
    why: str
    duration: float


@frozen(kw_only=True)
class OutageEnded:
    """An endpoint answers again: its circuit is closed.

    Attributes:
        endpoint: The endpoint.
        duration: How long the outage lasted [s].
    """

    endpoint: str
    duration: float


Event: TypeAlias = (
    CallOpened
    | OutcomeReady
    | CallEnded
    | BatchSent
    | AttemptEnded
    | RetryScheduled
    | LimitChanged
    | HoldBegan
    | OutageBegan
    | ProbeFailed
    | OutageEnded
)

Listener: TypeAlias = Callable[[Event], object]
"""Is called with each event. What it returns is ignored."""

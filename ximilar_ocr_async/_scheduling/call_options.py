"""What a call says of itself: its images, its time, and how it shares the session with others."""

from collections.abc import Hashable
from math import inf
from typing import Literal, Self, TypeAlias, TypedDict

import anyio
from attrs import evolve, field, frozen

from ximilar_ocr_async._constants import DEFAULT_LANGUAGE
from ximilar_ocr_async._validation import (
    check_flag,
    check_language,
    check_optional,
    check_outage_timeout,
    told,
)
from ximilar_ocr_async.errors import OptionError

Priority: TypeAlias = Literal["interactive", "bulk"]
"""Who waits for a call: a person, or a program with much to do."""

PRIORITIES: tuple[Priority, ...] = ("interactive", "bulk")
"""From the most urgent."""


class Waiting(TypedDict, total=False):
    """How a call waits, and how it shares the session with others.

    Attributes:
        deadline: [s] that the call may take in all, before the session's own. What is not read by
            then fails with `DeadlineExceeded`; what can no longer be read in time is not sent.
        outage_timeout: [s] of an outage to wait through, before the session's own.
        priority: ``interactive`` for a call that a person waits for, as calls of one image are by
            default; ``bulk`` for all others. Each has a share of every batch.
        fair_by: Whom the call is for, such as a tenant's name. All calls for one take turns as one;
            by default each call has turns of its own.
    """

    deadline: float | None
    outage_timeout: float | None
    priority: Priority | None
    fair_by: Hashable


OnFatal: TypeAlias = Literal["continue", "stop"]
"""What a call of many images does when nothing more can be sent."""

ON_FATAL: tuple[OnFatal, ...] = ("continue", "stop")


class BulkWaiting(Waiting, total=False):
    """The same of a call of many images.

    Attributes:
        on_fatal: What it does when nothing more can be sent, because of the token, the credits,
            the plan, the address or ``max_records``. ``continue`` pulls all images, so that each
            has its outcome; ``stop`` pulls no more, and raises the cause after the last outcome.
    """

    on_fatal: OnFatal


def _check_hashable(_: object, __: object, value: Hashable) -> None:
    try:
        hash(value)
    except TypeError:
        kind = type(value).__name__
        raise OptionError(f"fair_by is a {kind}, expected a key such as a tenant's name") from None


@frozen(kw_only=True)
class CallOptions:
    """What a call says of all of its images, and of its own time.

    Attributes:
        lang: The language of an image that names none.
        ordered: Whether outcomes come in the order of the images.
        deadline: [s] that the call may take in all; None for the session's own.
        outage_timeout: [s] of an outage that the call waits for; None for the session's own.
        priority: Who waits for it; None for the default of its kind.
        fair_by: The calls that it takes turns with as one; None for none.
        fail_fast: Whether attempts count in an outage, too.
        on_fatal: Whether it goes on when nothing more can be sent.
    """

    lang: str = DEFAULT_LANGUAGE
    ordered: bool = False
    deadline: float | None = None
    outage_timeout: float | None = None
    priority: Priority | None = None
    fair_by: Hashable = field(default=None, validator=_check_hashable)
    fail_fast: bool = False
    on_fatal: OnFatal = "continue"

    @classmethod
    def of(
        cls,
        waiting: Waiting | BulkWaiting,
        *,
        lang: str,
        ordered: bool = False,
        is_single: bool = False,
    ) -> Self:
        """Return the options of a call that was made with these words.

        Raises:
            TypeError: One of them is no word of a call, which no type checker lets through.
        """
        words = (Waiting if is_single else BulkWaiting).__annotations__
        if wrong := waiting.keys() - words.keys():
            known = ", ".join(words)
            raise TypeError(f"{', '.join(sorted(wrong))} is no option of this call; also: {known}")
        return cls(lang=lang, ordered=ordered, **waiting)  # pyright: ignore[reportArgumentType]

    def __attrs_post_init__(self) -> None:
        check_language(self.lang)
        check_flag("ordered", self.ordered)
        check_optional("deadline", self.deadline, 0.0)
        if self.outage_timeout is not None:
            check_outage_timeout(self.outage_timeout)
        # Not in a set: what cannot be hashed is refused like all else.
        if self.priority not in (None, *PRIORITIES):
            allowed = ", ".join(PRIORITIES)
            raise OptionError(f"priority is {told(self.priority)}, allowed are {allowed}")
        if self.on_fatal not in ON_FATAL:
            allowed = ", ".join(ON_FATAL)
            raise OptionError(f"on_fatal is {told(self.on_fatal)}, allowed are {allowed}")

    def or_else(self, other: Self) -> Self:
        """Return these options, with those of *other* where they leave them open."""
        deadline, timeout = self.deadline, self.outage_timeout
        return evolve(
            self,
            deadline=other.deadline if deadline is None else deadline,
            outage_timeout=other.outage_timeout if timeout is None else timeout,
            priority=self.priority or other.priority,
        )


@frozen
class Patience:
    """How long a call waits.

    Attributes:
        opened: When [s] the call began.
        deadline: When [s] its time is over.
        outage_timeout: [s] of an outage that it waits for.
        fail_fast: Whether attempts count in an outage, too.
    """

    opened: float
    deadline: float = inf
    outage_timeout: float = inf
    fail_fast: bool = False

    @classmethod
    def begin(cls, options: CallOptions, *, latest: float = inf) -> Self:
        """Return how long a call waits that begins now, and is cancelled at *latest* [s]."""
        now, timeout = anyio.current_time(), options.outage_timeout
        deadline = inf if options.deadline is None else now + options.deadline
        timeout = inf if timeout is None else timeout
        return cls(now, min(deadline, latest), timeout, options.fail_fast)

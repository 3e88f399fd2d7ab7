"""A tenant: an account, its books, and what it was refused.

The tenants of a session share its slots and connections, and what is known of the service. Money,
resends and refusals are each one's own.
"""

from attrs import define, field, frozen

from ximilar_ocr_async._http import Sender
from ximilar_ocr_async._scheduling.accounting import Accounting
from ximilar_ocr_async._scheduling.decisions import Verdict, judge
from ximilar_ocr_async.errors import OCRError, with_reason

LEAST, LONGEST, GROWTH = 1.0, 5.0, 1.25
"""[s] for which calls fail after two refusals in a row, at first and at most, and its factor from
one to the next. Source: judgement; a backend that reads 50 images a second must not ask 50 times.
"""


FORGOTTEN = 60.0
"""[s] after which a refusal is no reason any more not to ask. Source: judgement; whoever reads
images all the time hears of it sooner."""


@define
class Refusal:
    """An endpoint that refuses the account.

    Attributes:
        error: Why.
        told: When [s] it said so.
        until: Until when [s] calls fail with it.
        pause: [s] for which they do after the next refusal.
        asking: The call that may find out whether that is still so.
    """

    error: OCRError
    told: float
    until: float
    pause: float = LEAST
    asking: object = None


@frozen(eq=False)
class Tenant:
    """An account.

    Attributes:
        sender: Sends its requests, signed with its token.
        accounting: Its books.
        name: What events call it; None for the session's own, and for one without a name.
        accepted: By target, when [s] its last request was answered well.
    """

    sender: Sender
    accounting: Accounting = field(factory=Accounting)
    name: str | None = None
    accepted: dict[str, float] = field(init=False, factory=dict)
    _refusals: dict[str, Refusal] = field(init=False, factory=dict)

    def observe(self, target: str, failure: OCRError | None, *, began: float, now: float) -> None:
        """Count a request to *target* that was answered, or that failed as a whole.

        Args:
            target: The endpoint.
            failure: How it failed.
            began: When [s] it began.
            now: The time [s].
        """
        refusal = self._refusals.get(target)
        if failure is None:
            self.accepted[target] = now
            self._refusals.pop(target, None)
        elif judge(failure) is not Verdict.STOP:
            if refusal and began >= refusal.told:
                # That told nothing of the account: another may find out.
                refusal.until = now
        elif refusal is None:
            self.accepted.pop(target, None)
            # The next call may try at once: a plan may have been upgraded.
            self._refusals[target] = Refusal(failure, now, now)
        elif began >= refusal.told:
            refusal.error, refusal.told, refusal.until = failure, now, now + refusal.pause
            refusal.pause, refusal.asking = min(LONGEST, refusal.pause * GROWTH), None

    def refusal(self, target: str, call: object, now: float) -> OCRError | None:
        """Return why a *call* need not ask *target* now.

        Once in a while one call may pass, to find out whether that is still so; the others fail
        until that is known.
        """
        refusal = self._refusals.get(target)
        if refusal is None or refusal.asking is call:
            return None
        if now - refusal.told > FORGOTTEN:
            del self._refusals[target]
            return None
        if now < refusal.until:
            return with_reason(refusal.error, "it is asked again in a few seconds")
        refusal.until, refusal.asking = now + LONGEST, call
        return None

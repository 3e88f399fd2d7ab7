"""The books of a session: what was sent and billed, and the one outcome of each job.

Synchronous, so that nothing comes between "paid" and "recorded".
"""

from attrs import define, field

from ximilar_ocr_async.errors import (
    BudgetExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ImageError,
    OCRError,
)
from ximilar_ocr_async.jobs import Job
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success
from ximilar_ocr_async.retry import Verdict, judge


@define(eq=False, repr=False)
class Ledger:
    """Counts records, and ends jobs. Lives as long as its session.

    Invariant: a job that anybody waits for is ended once, and never before its money is counted.

    Args:
        max_records: Records that may be sent at most.
    """

    max_records: float = float("inf")
    # Records that reached the service, or may have; of them those that were read, those whose
    # reply was lost, and those that had been sent before.
    sent: int = field(init=False, default=0)
    billed: int = field(init=False, default=0)
    maybe_billed: int = field(init=False, default=0)
    retried: int = field(init=False, default=0)
    # Images that ended as a failure.
    failed: int = field(init=False, default=0)

    # ---- money

    def afford(self, jobs: list[Job], *, reserved: int) -> list[Job]:
        """Return the jobs that may be sent beside *reserved* others; fail the rest."""
        left = max(0, self.max_records - self.sent - reserved)
        if len(jobs) <= left:
            return jobs
        for job in jobs[int(left) :]:
            told = f"max_records is {self.max_records}, and as many were sent or are on their way"
            self.fail(job, BudgetExceeded(told))
        return jobs[: int(left)]

    def count(self, job: Job, result: Record | OCRError) -> None:
        """Count how an attempt ended for *job*."""
        if job.given_up:
            self._count_lost(job, -1)
        if isinstance(result, ImageError):
            return
        job.attempts += 1
        if not isinstance(result, ConnectionFailed):
            self._count_sent(job, 1)
        if isinstance(result, Record):
            self.billed += 1
        elif judge(result) is Verdict.RESEND_MAYBE_BILLED:
            self.maybe_billed += 1
            job.maybe_billed += 1

    def give_up(self, job: Job) -> None:
        """Count an attempt under way that *job* will not wait for: it may be billed."""
        if not job.given_up:
            self._count_lost(job, 1)

    def _count_lost(self, job: Job, step: int) -> None:
        # Taken back with -1 if it ends after all, because others wait for it.
        job.given_up = step > 0
        job.attempts += step
        job.maybe_billed += step
        self.maybe_billed += step
        self._count_sent(job, step)

    def _count_sent(self, job: Job, step: int) -> None:
        most = max(job.sent, job.sent + step)
        job.sent += step
        self.sent += step
        self.retried += step * (most > 1)

    # ---- how jobs end

    def succeed(self, job: Job, record: Record) -> None:
        """End *job* well."""
        outcome = Success(
            index=job.index,
            image=job.image,
            record=record,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        self._end(job, outcome)

    def fail_late(self, job: Job, error: OCRError | None = None) -> None:
        """End *job*, which cannot be done before its deadline; *error* ended its last attempt."""
        told = f"; the last attempt: {error}" if error else ""
        self.fail(job, DeadlineExceeded(f"the deadline passed: {job.tell_time()}{told}"))

    def fail(self, job: Job, error: OCRError) -> None:
        """End *job* with *error*."""
        outcome = Failure(
            index=job.index,
            image=job.image,
            error=error,
            attempts=job.attempts,
            maybe_billed=job.maybe_billed > 0,
        )
        self.failed += job.is_wanted
        self._end(job, outcome)

    def _end(self, job: Job, outcome: Outcome) -> None:
        # An answer may come in the very turn of the loop in which the session closes.
        if job.is_wanted:
            job.done = True
            job.call.waiting -= 1
            job.call.deliver(outcome)

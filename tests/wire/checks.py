"""What has to hold when a case is over."""

from collections.abc import Iterator

from tests.faults.expect import name_of
from tests.wire.case import TOKEN, Check, Trial
from ximilar_ocr_async import OCRError, Outcome


def tell(outcome: Outcome) -> str:
    """Return an outcome in a few words."""
    ended = "was read" if outcome.ok else f"failed with {outcome.error!r}"
    return f"{name_of(outcome.image)}, which {ended} at attempt {outcome.attempts}"


def all_read(trial: Trial) -> Iterator[str]:
    """No image is lost."""
    if failed := [outcome for outcome in trial.outcomes if not outcome.ok]:
        yield f"{len(failed)} were not read, such as {tell(failed[0])}"


def none_untold(trial: Trial) -> Iterator[str]:
    """No image is paid for in silence, and the books know of all."""
    if untold := trial.untold:
        yield f"{len(untold)} were paid for in silence, such as {tell(untold[0])}"
    stats, paid = trial.stats, trial.backend.bills.total()
    if stats and stats.records_billed + stats.records_maybe_billed < paid:
        yield f"{paid} were paid for, but {stats}"


def none_for_nothing(trial: Trial) -> Iterator[str]:
    """At most one image in a thousand, or those of one batch, are marked for nothing."""
    marked = trial.marked_for_nothing
    if len(marked) > max(10, len(trial.outcomes) / 1000):
        yield f"{len(marked)} were marked for nothing, such as {tell(marked[0])}"


def none_doubled(trial: Trial) -> Iterator[str]:
    """No image is paid for twice."""
    if trial.doubled:
        yield f"{trial.doubled} were paid for twice"


def all_fail(error: type[OCRError], status: int | None = None) -> Check:
    """Every image fails with this *error*, and with this *status* if one is given."""

    def check(trial: Trial) -> Iterator[str]:
        wrong = [
            outcome
            for outcome in trial.outcomes
            if outcome.ok
            or type(outcome.error) is not error
            or status not in {None, outcome.error.status}
        ]
        if wrong:
            yield f"{len(wrong)} ended otherwise, such as {tell(wrong[0])}"

    return check


def one_request_a_slot(trial: Trial) -> Iterator[str]:
    """No slot asks again."""
    if trial.stats and trial.stats.requests > trial.case.slots:
        yield f"{trial.stats.requests} requests, {trial.case.slots} at most"


def within(seconds: float) -> Check:
    """All is over in so many *seconds* [s]."""

    def check(trial: Trial) -> Iterator[str]:
        if trial.seconds > seconds:
            yield f"took {trial.seconds:.1f} s, {seconds:g} s at most"

    return check


def no_token_overheard(trial: Trial) -> Iterator[str]:
    """Forward proxies are asked for tunnels, and hear nothing else."""
    heard = bytes(trial.relay.heard) if trial.relay else b""
    if b"CONNECT " not in heard:
        yield "the proxy was asked for no tunnel"
    if TOKEN.encode() in heard or b"POST" in heard:
        yield "the proxy heard a request"

"""The run: questions in, findings out, within the credits and the time."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import anyio
from attrs import define, evolve, field, frozen

from _lib.live.books import Budget
from _lib.live.pictures import Pictures
from _lib.live.wire import Answer, Place, Request, ask

MB = 1_000_000


class Refused(Exception):
    """The service answered, but not with what the question needs."""


@frozen
class Limits:
    """How long and how much everything may be.

    Attributes:
        total: Time for the whole run [s].
        exchange: Time for one request with its answer [s].
        uploads: Time for all large bodies without a picture together [s].
        idle: How long an idle connection is watched [s].
        lag: How long the counter of credits is waited for at first [s].
        quiet: How long the counter must be at rest after a step [s].
        late: The same after a request whose answer was not waited for [s].
        pause: Time between two looks at the account [s].
        calm: Time after a burst in which the service refused something [s].
        hang_up: Time between the last byte that is sent and the end of the connection [s].
        sizes: The large bodies [bytes], in ascending order.
        crowd: Requests that cost nothing in a burst.
        readers: Most readings in a burst.
        again: How often the times of one record and of ten are taken again.
    """

    total: float = 600.0
    exchange: float = 120.0
    uploads: float = 90.0
    idle: float = 120.0
    lag: float = 60.0
    quiet: float = 2.0
    late: float = 20.0
    pause: float = 1.0
    calm: float = 5.0
    hang_up: float = 0.5
    sizes: Sequence[int] = (1 * MB, 4 * MB, 16 * MB, 32 * MB, 64 * MB)
    crowd: int = 40
    readers: int = 20
    again: int = 2


@define(eq=False)
class Lab:
    """What the questions share. Lives for one run.

    Attributes:
        place: Where the service is.
        limits: How long and how much everything may be.
        budget: What may be spent.
        pictures: The pictures of this run.
        kept: The answers that the report shows as they came, with what each was to.
        times: How long requests took [s], by the number of their records.
        largest: The largest body that was taken without a picture [bytes].
        is_large_read: Whether a large picture was read.
        is_told: Whether the account shows soon what a reading cost. None until the first was read.
        empty_is_free: Whether a record without an image was seen to cost nothing.
        statuses: Statuses of failing answers that were seen, each with the first answer.
    """

    place: Place
    limits: Limits
    budget: Budget
    pictures: Pictures = field(factory=Pictures)
    kept: list[tuple[str, Answer]] = field(factory=list)
    times: dict[int, list[float]] = field(factory=lambda: defaultdict(list))
    largest: int = 0
    is_large_read: bool = False
    is_told: bool | None = None
    empty_is_free: bool = False
    statuses: dict[int, Answer] = field(factory=dict)

    async def ask(self, request: Request, *, keep: str = "") -> Answer:
        """Return the answer to *request*; one with a name to *keep* is shown in the report."""
        with anyio.fail_after(self.limits.exchange):
            answer = await ask(self.place, request)
        if keep:
            self.kept.append((keep, answer))
        if answer.status >= 400:
            self.statuses.setdefault(answer.status, answer)
        return answer


@frozen
class Seen:
    """What came of a question.

    Attributes:
        text: What came, in lines.
        verdict: Says what a cost [credits] means, for questions about money.
    """

    text: str
    verdict: Callable[[int], str] | None = None


Ask: TypeAlias = Callable[[Lab], Awaitable[Seen]]


def always(_: Lab) -> bool:
    """Say that a question is to be asked."""
    return True


@frozen
class Step:
    """One question.

    Attributes:
        question: What is to be known.
        did: What is done for it.
        ask: Does it.
        worst: What that may cost [credits].
        is_about_money: Whether there is nothing to learn if the account does not tell what was
            spent.
        is_answered: Whether an answer is waited for.
        is_open: Whether the question is still open when its turn comes.
    """

    question: str
    did: str
    ask: Ask
    worst: Callable[[Lab], int] = lambda _: 0
    is_about_money: bool = False
    is_answered: bool = True
    is_open: Callable[[Lab], bool] = always


@frozen
class Finding:
    """The answer to a question, or why there is none.

    Attributes:
        question: What was to be known.
        did: What was done.
        came: What came.
        before: The counter of credits before.
        after: The counter after.
        has_failed: Whether the question was asked in vain.
    """

    question: str
    did: str
    came: str
    before: int | None = None
    after: int | None = None
    has_failed: bool = False

    @property
    def cost(self) -> int | None:
        """What the account says that it cost [credits]; None if that is not known."""
        if self.before is None or self.after is None:
            return None
        return abs(self.after - self.before)


async def run(
    lab: Lab,
    steps: Iterable[Step],
    last: Step,
    findings: list[Finding],
    tell: Callable[[Step], None],
) -> None:
    """Ask all questions.

    Args:
        lab: What they share.
        steps: The questions, in order.
        last: The question for which there is always time.
        findings: Takes the findings as they come, so that they are there if the run is broken off.
        tell: Is told of each question before it is asked.
    """
    ahead = list(steps)
    with anyio.move_on_after(lab.limits.total):
        while ahead:
            if ahead[0].is_open(lab):
                tell(ahead[0])
                findings.append(await take(lab, ahead[0]))
            del ahead[0]
    late = f"no answer: the {lab.limits.total:g} s for all were over"
    findings += [Finding(step.question, step.did, late) for step in ahead if step.is_open(lab)]
    findings.append(await take(lab, last))


async def take(lab: Lab, step: Step) -> Finding:
    """Ask one question, unless it may cost too much, and look at the account afterwards."""
    books, worst = lab.budget.books, step.worst(lab)
    if worst > lab.budget.left:
        left = max(0, lab.budget.left)
        said = f"not asked: it may cost {worst} credits, and {left} are left to spend"
        return Finding(step.question, step.did, said)
    if step.is_about_money and lab.is_told is False:
        return Finding(
            step.question, step.did, "not asked: the account does not show what is spent"
        )
    before, seen, failure, is_final = await books.known(), Seen(""), "", step.is_answered
    try:
        seen = await step.ask(lab)
    except Refused as error:
        failure = str(error)
    except Exception as error:  # noqa: BLE001 - the other questions are to be asked all the same
        failure, is_final = f"failed: {describe(error)}", False
    # The bill for a request that was not answered may come late.
    after = await books.settle(before, quiet=_quiet(lab, worst, is_final=is_final), enough=worst)
    finding = Finding(
        step.question,
        step.did,
        failure or seen.text,
        before=before,
        after=after,
        has_failed=bool(failure),
    )
    if worst and is_final and not failure:
        books.lag = max(books.lag, books.moved_after)
        lab.is_told = bool(finding.cost) if lab.is_told is None else lab.is_told
    lab.budget.charge(worst, finding.cost, is_final=is_final and lab.is_told is True)
    if seen.verdict is None or failure:
        return finding
    # A counter that stands still says nothing about what is free.
    known = finding.cost if lab.is_told else None
    verdict = "what it cost is not known" if known is None else seen.verdict(known)
    return evolve(finding, came=f"{finding.came}\n{verdict}")


def _quiet(lab: Lab, worst: int, *, is_final: bool) -> float:
    """Return how long the account must be at rest before its counter is believed [s]."""
    if not worst:
        return 0
    if not is_final:
        return lab.limits.late
    if lab.is_told is None:
        return lab.limits.lag
    return max(lab.limits.quiet, 2 * lab.budget.books.lag)


def describe(error: BaseException) -> str:
    """Return what an error says, those within a group one by one."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(describe, error.exceptions))
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return said if error.__cause__ is None else f"{said}, from {describe(error.__cause__)}"

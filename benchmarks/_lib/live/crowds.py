"""Questions about many requests at once: what a refusal for too many looks like."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import anyio

from _lib.live.books import DETAILS
from _lib.live.lab import Lab, Seen, Step, describe
from _lib.live.readings import CROWD, PATH, PRICE, billed, picture, reading
from _lib.live.refusals import NOTHING
from _lib.live.wire import Answer, Request
from _lib.live.words import summary

FEWEST = 2
"""The least number of readings that are a burst."""


async def crowd(lab: Lab, name: str, requests: Sequence[Request]) -> Seen:
    """Send all *requests* at once."""
    answers: list[Answer] = []
    failures: list[str] = []

    async def send(request: Request) -> None:
        try:
            answers.append(await lab.ask(request))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            failures.append(f"failed: {describe(error)}")

    async with anyio.create_task_group() as group:
        for request in requests:
            group.start_soon(send, request)
    counts = Counter([str(answer.status) for answer in answers] + failures)
    lines = [", ".join(f"{times} of {what}" for what, times in counts.most_common())]
    refusals = {answer.status: answer for answer in answers if answer.status in {429, 503}}
    for status, answer in refusals.items():
        lab.kept.append((f"{name}, {status}", answer))
        lines.append(f"{summary(answer)}; Retry-After: {answer.header('retry-after') or 'none'}")
    if not refusals:
        lines.append("no 429 came")
    if refusals or failures:
        await anyio.sleep(lab.limits.calm)
    if answers:
        lines.append(f"slowest: {max(answer.took for answer in answers):.2f} s")
    return Seen("\n".join(lines))


async def ask_account(lab: Lab) -> Seen:
    """Ask for the account many times at once."""
    requests = [lab.place.get(DETAILS)] * lab.limits.crowd
    return await crowd(lab, "many requests for the account", requests)


async def read_nothing(lab: Lab) -> Seen:
    """Have nothing read many times at once."""
    requests = [lab.place.post(PATH, NOTHING)] * lab.limits.crowd
    return await crowd(lab, "many readings of nothing", requests)


def readers(lab: Lab) -> int:
    """Return how many readings there are credits for."""
    return max(FEWEST, min(lab.limits.readers, lab.budget.left // PRICE))


async def read_many(lab: Lab) -> Seen:
    """Read as many pictures at once as there are credits for."""
    count = readers(lab)
    requests = [reading(lab, picture(lab, CROWD + number)) for number in range(count)]
    seen = await crowd(lab, "many readings", requests)
    return Seen(f"{count} at once: {seen.text}", partial(billed, count))


async def tell_statuses(lab: Lab) -> Seen:
    """Tell which failing statuses came in the whole run."""
    lines = [summary(answer) for _, answer in sorted(lab.statuses.items())]
    if 503 not in lab.statuses:
        lines.append("no 503 came")
    return Seen("\n".join(lines))


def crowd_steps(many: int) -> list[Step]:
    """Return the questions about bursts of *many* requests."""
    question = "What does a 429 look like?"
    return [
        Step(question, f"{many} requests for the account at once", ask_account),
        Step(question, f"{many} readings of no records at once", read_nothing),
        Step(
            question,
            "as many pictures at once, each in its request, as there are credits left for",
            read_many,
            worst=lambda lab: readers(lab) * PRICE,
            is_answered=False,
        ),
    ]


STATUSES = Step(
    "Which failing statuses came, and is a 503 in JSON?",
    "the first answer with each status in this run",
    tell_statuses,
)

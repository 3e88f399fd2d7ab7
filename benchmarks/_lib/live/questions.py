"""All questions in their order: what is free and quick first, then what is worth its credits."""

from _lib.live.connections import FIRST_STEPS, HANG_UPS, IDLE
from _lib.live.crowds import STATUSES, crowd_steps
from _lib.live.lab import Lab, Limits, Seen, Step
from _lib.live.readings import MORE_STEPS, STEPS, steps_again
from _lib.live.refusals import FREE_STEPS, ODD_STEPS
from _lib.live.sizes import large_steps


async def close_books(lab: Lab) -> Seen:
    """Tell what the account shows for the whole run."""
    books, budget = lab.budget.books, lab.budget
    await books.look()
    return Seen(
        f"the counter went from {books.first} to {books.last}\n"
        f"spent in all: {books.spent} credits of {budget.limit}; it moved up to {books.lag:.1f} s "
        "after an answer"
    )


LAST = Step(
    "What was spent in all?",
    "the account's counter at the end against that at the beginning",
    close_books,
)


def all_questions(limits: Limits) -> list[Step]:
    """Return all questions but the last.

    Bursts come late, because a service may keep the door shut after them. Watching an idle
    connection comes at the end, because it takes long.
    """
    return [
        *FIRST_STEPS,
        *FREE_STEPS,
        *STEPS,
        *HANG_UPS,
        *MORE_STEPS,
        *large_steps(limits.sizes),
        *ODD_STEPS,
        *steps_again(limits.again),
        *crowd_steps(limits.crowd),
        STATUSES,
        IDLE,
    ]

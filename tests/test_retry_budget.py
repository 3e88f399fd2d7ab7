"""Resends stay a fifth of what is sent, whatever comes when."""

from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.retry import DEPOSIT, RESERVE, RetryBudget

WAVES = st.lists(st.tuples(st.sampled_from(["first", "resend"]), st.integers(1, 3000)), max_size=12)
"""Sends in the order in which they are asked for, as (kind, how many in a row)."""


def spend(budget: RetryBudget, wishes: int) -> int:
    """Ask for leave *wishes* times; return how often it was given."""
    return sum(budget.withdraw() for _ in range(wishes))


def send(budget: RetryBudget, firsts: int) -> None:
    """Count records sent for the first time."""
    for _ in range(firsts):
        budget.deposit()


@given(waves=WAVES)
def test_resends_are_a_reserve_and_a_fifth_at_most(waves: list[tuple[str, int]]) -> None:
    """In any order of first sends and resends, those beyond the reserve are a fifth of all."""
    budget, firsts, resends = RetryBudget(), 0, 0
    for kind, count in waves:
        if kind == "first":
            send(budget, count)
            firsts += count
        else:
            resends += spend(budget, count)
        assert resends <= RESERVE + DEPOSIT * firsts
        assert resends - RESERVE <= 0.2 * (firsts + resends - RESERVE) + 1e-9


@given(before=WAVES, waves=WAVES)
def test_rest_is_saved_up_to_the_reserve_only(
    before: list[tuple[str, int]], waves: list[tuple[str, int]]
) -> None:
    """Whatever was saved before, from any moment on the same bound holds anew."""
    budget = RetryBudget()
    for kind, count in before:
        if kind == "first":
            send(budget, count)
        else:
            spend(budget, count)
    firsts = resends = 0
    for kind, count in waves:
        if kind == "first":
            send(budget, count)
            firsts += count
        else:
            resends += spend(budget, count)
        assert resends <= RESERVE + DEPOSIT * firsts


@given(firsts=st.integers(0, 5000))
def test_nothing_in_hand_is_held_back(firsts: int) -> None:
    """From an empty hand, each four first sends pay for one resend, up to the reserve."""
    budget = RetryBudget()
    assert spend(budget, 10_000) == RESERVE
    send(budget, firsts)
    assert spend(budget, 10_000) == min(RESERVE, firsts // 4)


def test_a_refusal_costs_nothing() -> None:
    """Asking in vain does not put off the next leave."""
    budget = RetryBudget()
    spend(budget, 10_000)
    send(budget, 3)
    assert not budget.withdraw()
    send(budget, 1)
    assert budget.withdraw()
    assert not budget.withdraw()


def test_a_service_that_always_fails_is_sent_a_fifth_more() -> None:
    """A long run in which each record asks to be sent again ends at one resend in five sends."""
    budget, resends = RetryBudget(), 0
    for _ in range(100_000):
        send(budget, 1)
        resends += spend(budget, 1)
    assert resends == RESERVE + 100_000 * DEPOSIT - 1, "what came first found the reserve full"

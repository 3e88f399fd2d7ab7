"""An outage begins soon, is probed seldom, and is over with the first answer."""

from itertools import cycle
from math import inf

import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.calls import Patience
from ximilar_ocr_async._scheduling.circuit_breaker import (
    FEWEST,
    JITTER,
    LEAST,
    LONGEST,
    REQUESTS,
    SHARE,
    SIGNS,
    CircuitBreaker,
)

SLACK = 1e-6
"""[s] that sums of floats may be off."""

CHANCES = st.floats(0, 1)
MANY_CHANCES = st.lists(CHANCES, min_size=1, max_size=30)
ENDS = st.sampled_from(["turned away", "missed"])
"""How a probe ends that gets no answer."""
WAYS = st.lists(ENDS, min_size=1, max_size=8)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begins", "turned away", "missed", "answered"]),
        st.integers(0, 9),
        st.floats(0, 9),
    ),
    max_size=60,
)
"""What happens to a request, to which of those under way, and how long [s] after the last."""


def constant(number: float) -> CircuitBreaker:
    """Return an outage to be, with pauses of a second to a minute, where chance is *number*."""
    return CircuitBreaker(1.0, 60.0, lambda: number)


def by_chance(chances: list[float]) -> CircuitBreaker:
    """Return an outage to be, with pauses of a second to no end, where chance goes in a circle."""
    return CircuitBreaker(1.0, inf, cycle(chances).__next__)


def begun(outage: CircuitBreaker, now: float = 0.0, *, signs: int = SIGNS) -> CircuitBreaker:
    """Let *outage* begin *now* [s], with as many requests turned away as *signs*."""
    for _ in range(signs):
        outage.turn_away(now, probe=False)
    return outage


def fail(outage: CircuitBreaker, end: str, now: float) -> None:
    """End a probe, without an answer, *now* [s]."""
    if end == "turned away":
        outage.turn_away(now, probe=True)
    else:
        outage.miss(now, probe=True)


@define
class Siege:
    """A session that probes a service which stays away, each probe answered at once."""

    outage: CircuitBreaker
    # Times [s] at which a probe began, and the pause [s] that was told after each end.
    probes: list[float] = field(factory=list)
    pauses: list[float] = field(factory=list)

    def last(self, until: float, ends: list[str]) -> "Siege":
        """Probe until *until* [s]; probes end as *ends* say, over and over."""
        now = self.outage.began
        self.pauses.append(self.outage.delay(now))
        while now + self.pauses[-1] <= until:
            now += self.pauses[-1]
            assert self.outage.begin()
            fail(self.outage, ends[len(self.probes) % len(ends)], now)
            self.probes.append(now)
            self.pauses.append(self.outage.delay(now))
        return self


# ---- how it begins and ends


def test_it_begins_with_the_second_attempt_turned_away_in_a_row() -> None:
    """One may be an accident, two are none, and more add nothing."""
    outage = constant(1.0)
    assert not outage.is_on
    assert not outage.turn_away(3.0, probe=False)
    assert not outage.is_on
    assert outage.delay(3.0) == 0
    assert outage.turn_away(4.0, probe=False)
    assert outage.is_on
    assert outage.began == 3.0
    assert not outage.turn_away(4.1, probe=False)
    assert outage.began == 3.0


def test_an_answer_between_is_a_new_start() -> None:
    """Attempts turned away that are not in a row make no outage."""
    outage = constant(1.0)
    for now in range(10):
        assert not outage.turn_away(now, probe=False)
        outage.answer()
    assert not outage.is_on
    assert not outage.turn_away(20.0, probe=False)
    assert outage.turn_away(21.0, probe=False)
    assert outage.began == 20.0


def test_what_merely_brings_nothing_is_no_sign() -> None:
    """An attempt that was neither turned away nor answered begins nothing, and resets nothing."""
    outage = constant(1.0)
    for now in range(10):
        outage.miss(now, probe=False)
    assert not outage.is_on
    outage.turn_away(10.0, probe=False)
    outage.miss(11.0, probe=False)
    assert outage.turn_away(12.0, probe=False)


@given(signs=st.lists(st.sampled_from(["turned away", "missed", "answered"]), max_size=50))
def test_it_is_on_after_two_signs_since_the_last_answer(signs: list[str]) -> None:
    """Whatever came before, what counts is what came since the last answer."""
    outage, in_a_row = constant(1.0), 0
    for now, sign in enumerate(signs):
        before = in_a_row
        match sign:
            case "turned away":
                in_a_row += 1
                assert outage.turn_away(now, probe=outage.is_on) == (before == SIGNS - 1)
            case "missed":
                outage.miss(now, probe=outage.is_on)
            case "answered":
                in_a_row = 0
                outage.answer()
        assert outage.is_on == (in_a_row >= SIGNS)


@given(ends=st.lists(ENDS, max_size=10), is_probing=st.booleans())
def test_any_answer_ends_it_at_once(ends: list[str], *, is_probing: bool) -> None:
    """However long it lasted, and whether or not a probe is under way, all may be sent again."""
    outage, now = begun(constant(1.0)), 0.0
    for end in ends:
        now += outage.delay(now)
        outage.begin()
        fail(outage, end, now)
    if is_probing:
        now += outage.delay(now)
        outage.begin()
    outage.answer()
    assert not outage.is_on
    assert outage.delay(now) == 0
    assert not outage.begin()
    assert outage.delay(now) == 0


# ---- probes


def test_requests_are_probes_in_an_outage_only() -> None:
    """What begins is told whether it is a probe."""
    outage = constant(1.0)
    assert not outage.begin()
    assert begun(outage).begin()


@pytest.mark.parametrize("end", ["turned away", "missed"])
def test_one_probe_is_sent_at_a_time(end: str) -> None:
    """During a probe there is nothing to wait for but its end."""
    outage = begun(constant(1.0))
    assert outage.delay(0.0) == 1.0
    outage.begin()
    assert outage.delay(1.0) == outage.delay(1e9) == inf
    fail(outage, end, 11.0)
    assert 0 < outage.delay(11.0) < inf


@given(others=st.lists(ENDS, min_size=1, max_size=20), is_probing=st.booleans())
def test_only_the_probe_tells_when_the_next_one_is(others: list[str], *, is_probing: bool) -> None:
    """Attempts that were under way when the outage began end in it without a meaning."""
    outage = begun(constant(1.0))
    if is_probing:
        outage.begin()
    before = outage.delay(0.0)
    for now, end in enumerate(others):
        if end == "turned away":
            assert not outage.turn_away(now / 100, probe=False)
        else:
            outage.miss(now / 100, probe=False)
    assert outage.delay(0.0) == before


@given(base=st.floats(0, 100), cap=st.floats(0, 100), chance=CHANCES, now=st.floats(0, 1e6))
def test_the_first_probe_is_full_jitter(base: float, cap: float, chance: float, now: float) -> None:
    """Clients that see an outage begin at one moment spread their first probe over all of base."""
    outage = begun(CircuitBreaker(base, cap, lambda: chance), now)
    assert outage.delay(now) == pytest.approx(chance * min(base, cap), abs=SLACK)


def young(*, signs: int = SIGNS, base: float = 1.0) -> float:
    """Return the usual pause [s] after the first probe of an outage that just began."""
    outage = begun(CircuitBreaker(base, inf, lambda: 0.5), signs=signs)
    outage.begin()
    outage.turn_away(0.0, probe=True)
    return outage.delay(0.0)


@pytest.mark.parametrize("end", ["turned away", "missed"])
def test_the_second_probe_is_a_later_one_however_the_first_ended(end: str) -> None:
    """A first probe that brings nothing is not followed by another first one."""
    outage = begun(constant(0.0))
    outage.begin()
    fail(outage, end, 0.0)
    assert 4.5 < outage.delay(0.0) <= 5.3


@given(signs=st.integers(SIGNS, 100), base=st.floats(0.1, 100))
def test_the_more_were_turned_away_the_fewer_probes_follow(signs: int, base: float) -> None:
    """A young outage is probed every 5 s after two, ever less after more, and all in bases."""
    assert young(signs=signs) <= young(signs=signs + 1) <= 15.0
    assert young(signs=signs, base=base) == pytest.approx(base * young(signs=signs), abs=SLACK)


@pytest.mark.parametrize("signs, seconds", [(2, 5.0), (3, 5.0), (8, 9.0), (20, 15.0), (99, 15.0)])
def test_slots_share_what_a_minute_may_cost(signs: int, seconds: float) -> None:
    """The pauses of a young outage are about as documented for 3 slots, for 8, and for many."""
    assert young(signs=signs) == pytest.approx(seconds, abs=0.4)


@given(
    policy=st.tuples(st.floats(0, 100), st.floats(0, 1000)),
    chance=CHANCES,
    age=st.floats(0, 1e5),
    end=ENDS,
    signs=st.integers(SIGNS, 30),
)
def test_pauses_grow_with_the_outage(
    policy: tuple[float, float], chance: float, age: float, end: str, signs: int
) -> None:
    """A pause is about a young one or a twelfth of the outage, whichever is longer."""
    base, cap = policy
    outage = begun(CircuitBreaker(base, cap, lambda: chance), signs=signs)
    outage.begin()
    fail(outage, end, age)
    pause = max(min(cap, young(signs=signs, base=base)), min(LONGEST, age / 12), LEAST)
    least, most = ((1 + JITTER * side / 2) * pause for side in (-1, 1))
    assert least - SLACK <= outage.delay(age) <= most + SLACK


@given(signs=st.integers(SIGNS, 30), ends=WAYS, chances=MANY_CHANCES)
@example(signs=SIGNS, ends=["missed"], chances=[0.0, *[1.0] * 29])
def test_a_minute_costs_fifteen_requests(signs: int, ends: list[str], chances: list[float]) -> None:
    """Those turned away at first and the probes are 15 at most, but for the fewest probes."""
    siege = Siege(begun(by_chance(chances), signs=signs)).last(60.0 - SLACK, ends)
    fewest = signs + 1 + FEWEST
    assert signs + len(siege.probes) <= max(REQUESTS, fewest)


@given(ends=WAYS, chances=MANY_CHANCES, length=st.floats(0, 3 * 3600), start=st.floats(0, 1e6))
def test_the_end_of_an_outage_is_found_soon(
    ends: list[str], chances: list[float], length: float, start: float
) -> None:
    """At any time the next probe is 5.3 s off at most, or 8 % of what the outage lasted."""
    siege = Siege(begun(by_chance(chances), start)).last(start + length, ends)
    for now, pause in zip([start, *siege.probes], siege.pauses, strict=True):
        assert pause <= max(5.3, 1.02 * SHARE * (now - start)) + SLACK


@given(ends=WAYS, length=st.floats(0, 6 * 3600))
def test_no_pause_is_over_the_cap(ends: list[str], length: float) -> None:
    """Hours without the service are still probed once a minute."""
    siege = Siege(begun(constant(0.0))).last(length, ends)
    assert max(siege.pauses) <= 61.0
    assert len(siege.probes) >= length / 60 - 1


def test_a_policy_without_pauses_does_not_spin() -> None:
    """Time passes between two probes even where the policy waits for nothing."""
    outage = begun(CircuitBreaker(0.0, 0.0, lambda: 0.0))
    outage.begin()
    outage.turn_away(0.0, probe=True)
    assert 0 < outage.delay(0.0) <= LEAST


def test_the_next_outage_can_be_probed_too() -> None:
    """A probe that ended one outage does not stand in the way of the next one's."""
    outage = begun(constant(1.0))
    outage.begin()
    outage.answer()
    assert begun(outage, 5.0).delay(5.0) == 1.0


@given(steps=STEPS, chance=CHANCES)
def test_there_is_always_an_end_to_the_wait(
    steps: list[tuple[str, int, float]], chance: float
) -> None:
    """Unless a probe is under way, it is known when the next request may begin."""
    outage, now, under_way = constant(chance), 0.0, list[bool]()
    for step, place, seconds in steps:
        now += seconds
        if step == "begins":
            if outage.delay(now) == 0:
                under_way.append(outage.begin())
        elif under_way:
            is_probe = under_way.pop(place % len(under_way))
            match step:
                case "turned away":
                    outage.turn_away(now, probe=is_probe)
                case "missed":
                    outage.miss(now, probe=is_probe)
                case "answered":
                    outage.answer()
        assert outage.delay(now) >= 0
        assert any(under_way) or outage.delay(now) < inf


# ---- what the service asks for


def test_a_hold_is_kept_whatever_else_happens() -> None:
    """A service that asked to be left alone is, even where others get an answer from it."""
    outage = constant(1.0)
    outage.hold(30.0, 10.0)
    assert outage.delay(10.0) == 30
    assert not outage.is_on
    outage.answer()
    assert outage.delay(15.0) == 25
    assert begun(outage, 20.0).delay(20.0) == 20
    outage.answer()
    assert outage.delay(39.0) == 1
    assert outage.delay(40.0) == 0


@given(holds=st.lists(st.tuples(st.floats(0, 120), st.floats(0, 100)), min_size=1))
def test_the_longest_hold_counts(holds: list[tuple[float, float]]) -> None:
    """A shorter wait that is asked for later takes nothing from a longer one."""
    outage, now = constant(1.0), 0.0
    for seconds, gap in holds:
        now += gap
        before = outage.delay(now)
        outage.hold(seconds, now)
        assert outage.delay(now) == pytest.approx(max(before, seconds), abs=SLACK)


def test_a_probe_waits_for_the_hold_and_for_its_own_time() -> None:
    """Of the two the later counts, and neither changes the other."""
    outage = begun(constant(1.0))
    outage.hold(0.5, 0.0)
    assert outage.delay(0.0) == 1.0
    outage.hold(4.0, 0.0)
    assert outage.delay(0.0) == 4.0
    outage.begin()
    assert outage.delay(4.0) == inf


# ---- patience


@pytest.mark.parametrize(
    "outage_timeout, since, now, expected",
    [
        (0.0, 100.0, 100.0, True),
        (0.9, 100.0, 100.0, True),
        (1.0, 100.0, 100.0, True),
        (1.1, 100.0, 100.0, False),
        (1.1, 0.0, 100.0, False),
        (1.1, 0.0, 101.1, True),
        (1.1, 100.5, 100.5, False),
        (1.1, 102.0, 103.0, False),
        (1.1, 102.0, 103.1, True),
        (inf, 100.0, 1e9, False),
    ],
)
def test_patience_ends_with_the_probe_that_it_cannot_await(
    outage_timeout: float, since: float, now: float, *, expected: bool
) -> None:
    """It counts from the outage's begin or the call's own, up to the next probe, here at 101 s."""
    outage = begun(constant(1.0), 100.0)
    if now > 101:
        outage.begin()
    assert outage.outlasts(Patience(since, outage_timeout=outage_timeout), now + SLACK) is expected


def test_a_hold_tries_patience_in_an_outage_only() -> None:
    """A service that asks for a pause and works is waited for; one that is away may not be."""
    outage = constant(1.0)
    outage.hold(50.0, 0.0)
    assert not outage.outlasts(Patience(0.0, outage_timeout=10.0), 0.0)
    begun(outage)
    assert outage.outlasts(Patience(0.0, outage_timeout=10.0), 0.0)
    assert not outage.outlasts(Patience(0.0, outage_timeout=50.5), 0.0)


@given(outage_timeout=st.floats(0, 1e6), since=st.floats(0, 1e6), now=st.floats(0, 1e6))
def test_without_an_outage_patience_has_no_end(
    outage_timeout: float, since: float, now: float
) -> None:
    """Patience is for outages; what else takes time is the deadline's business."""
    outage = constant(1.0)
    outage.turn_away(0.0, probe=False)
    assert not outage.outlasts(Patience(since, outage_timeout=outage_timeout), now)
    begun(outage)
    outage.answer()
    assert not outage.outlasts(Patience(since, outage_timeout=outage_timeout), now)

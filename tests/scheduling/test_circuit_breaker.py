"""The circuit opens soon, is probed seldom, and closes with the first answer, or on a hint."""

from itertools import cycle, pairwise
from math import inf

import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from ximilar_ocr_async._scheduling.circuit_breaker import (
    FEWEST,
    HINT_FACTOR,
    HINT_LEAST,
    JITTER,
    LEAST,
    LONGEST,
    REQUESTS,
    SHARE,
    SIGNS,
    URGENT_LEAST,
    URGENT_LONGEST,
    URGENT_SHARE,
    CircuitBreaker,
)

QUICK = 0.05
"""[s] that an attempt in vain takes, where it does not matter."""

SLACK = 1e-6
"""[s] that sums of floats may be off."""

CHANCES = st.floats(0, 1)
MANY_CHANCES = st.lists(CHANCES, min_size=1, max_size=30)
ENDS = st.sampled_from(["in vain", "missed"])
"""How a probe ends that gets no answer."""
WAYS = st.lists(ENDS, min_size=1, max_size=8)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begins", "in vain", "missed", "answered"]),
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
    """Let *outage* begin *now* [s], with as many requests in vain as *signs*."""
    for _ in range(signs):
        fail(outage, now, probe=False)
    return outage


def fail(outage: CircuitBreaker, now: float, *, probe: bool, seconds: float = QUICK) -> bool:
    """End an attempt in vain *now* [s]; return whether an outage begins with it."""
    return outage.fail(now, seconds=seconds, probe=probe)


def finish(outage: CircuitBreaker, how: str, now: float) -> None:
    """End a probe, without an answer, *now* [s]."""
    if how == "in vain":
        fail(outage, now, probe=True)
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
            assert self.outage.begin(now)
            finish(self.outage, ends[len(self.probes) % len(ends)], now)
            self.probes.append(now)
            self.pauses.append(self.outage.delay(now))
        return self


# ---- how it begins and ends


def test_it_begins_with_the_second_attempt_turned_away_in_a_row() -> None:
    """One may be an accident, two are none, and more add nothing."""
    outage = constant(1.0)
    assert not outage.is_on
    assert not fail(outage, 3.0, probe=False)
    assert not outage.is_on
    assert outage.delay(3.0) == 0
    assert fail(outage, 4.0, probe=False)
    assert outage.is_on
    assert outage.began == 3.0
    assert not fail(outage, 4.1, probe=False)
    assert outage.began == 3.0


def test_an_answer_between_is_a_new_start() -> None:
    """Attempts in vain that are not in a row make no outage."""
    outage = constant(1.0)
    for now in range(10):
        assert not fail(outage, now, probe=False)
        outage.answer()
    assert not outage.is_on
    assert not fail(outage, 20.0, probe=False)
    assert fail(outage, 21.0, probe=False)
    assert outage.began == 20.0


def test_what_merely_brings_nothing_is_no_sign() -> None:
    """An attempt that was neither in vain nor answered begins nothing, and resets nothing."""
    outage = constant(1.0)
    for now in range(10):
        outage.miss(now, probe=False)
    assert not outage.is_on
    fail(outage, 10.0, probe=False)
    outage.miss(11.0, probe=False)
    assert fail(outage, 12.0, probe=False)


@given(signs=st.lists(st.sampled_from(["in vain", "missed", "answered"]), max_size=50))
def test_it_is_on_after_two_signs_since_the_last_answer(signs: list[str]) -> None:
    """Whatever came before, what counts is what came since the last answer."""
    outage, in_a_row = constant(1.0), 0
    for now, sign in enumerate(signs):
        before = in_a_row
        match sign:
            case "in vain":
                in_a_row += 1
                assert fail(outage, now, probe=outage.is_on) == (before == SIGNS - 1)
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
        outage.begin(now)
        finish(outage, end, now)
    if is_probing:
        now += outage.delay(now)
        outage.begin(now)
    outage.answer()
    assert not outage.is_on
    assert outage.delay(now) == 0
    assert not outage.begin(now)
    assert outage.delay(now) == 0


# ---- probes


def test_requests_are_probes_in_an_outage_only() -> None:
    """What begins is told whether it is a probe."""
    outage = constant(1.0)
    assert not outage.begin(0.0)
    assert begun(outage).begin(1.0)


@pytest.mark.parametrize("end", ["in vain", "missed"])
def test_one_probe_is_sent_at_a_time(end: str) -> None:
    """During a probe nothing is sent, unless it takes so long that it must be worked on."""
    outage = begun(constant(1.0))
    assert outage.delay(0.0) == 1.0
    outage.begin(1.0)
    assert outage.is_probing
    assert outage.delay(1.0) == pytest.approx(HINT_LEAST)
    finish(outage, end, 11.0)
    assert not outage.is_probing
    assert 4.5 < outage.delay(11.0) <= 5.3


@given(others=st.lists(ENDS, min_size=1, max_size=20), is_probing=st.booleans())
def test_only_the_probe_tells_when_the_next_one_is(others: list[str], *, is_probing: bool) -> None:
    """Attempts that were under way when the outage began end in it without a meaning."""
    outage = begun(constant(1.0))
    if is_probing:
        outage.begin(0.0)
    before = outage.delay(0.0)
    for now, end in enumerate(others):
        if end == "in vain":
            assert not fail(outage, now / 100, probe=False)
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
    outage.begin(0.0)
    fail(outage, 0.0, probe=True)
    return outage.delay(0.0)


@pytest.mark.parametrize("end", ["in vain", "missed"])
def test_the_second_probe_is_a_later_one_however_the_first_ended(end: str) -> None:
    """A first probe that brings nothing is not followed by another first one."""
    outage = begun(constant(0.0))
    outage.begin(0.0)
    finish(outage, end, 0.0)
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
    outage.begin(0.0)
    finish(outage, end, age)
    pause = max(min(cap, young(signs=signs, base=base)), min(LONGEST, age / 12), LEAST)
    least, most = ((1 + JITTER * side / 2) * pause for side in (-1, 1))
    assert least - SLACK <= outage.delay(age) <= most + SLACK


@given(signs=st.integers(SIGNS, 30), ends=WAYS, chances=MANY_CHANCES)
@example(signs=SIGNS, ends=["missed"], chances=[0.0, *[1.0] * 29])
def test_a_minute_costs_fifteen_requests(signs: int, ends: list[str], chances: list[float]) -> None:
    """Those in vain at first and the probes are 15 at most, but for the fewest probes."""
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
    outage.begin(0.0)
    fail(outage, 0.0, probe=True)
    assert 0 < outage.delay(0.0) <= LEAST


def test_the_next_outage_can_be_probed_too() -> None:
    """A probe that ended one outage does not stand in the way of the next one's."""
    outage = begun(constant(1.0))
    outage.begin(0.0)
    outage.answer()
    assert begun(outage, 5.0).delay(5.0) == 1.0


@given(steps=STEPS, chance=CHANCES)
def test_there_is_always_an_end_to_the_wait(
    steps: list[tuple[str, int, float]], chance: float
) -> None:
    """Whatever happens, it is known when the next request may begin, and when an urgent one."""
    outage, now, under_way = constant(chance), 0.0, list[bool]()
    for step, place, seconds in steps:
        now += seconds
        if step == "begins":
            if outage.delay(now) == 0:
                under_way.append(outage.begin(now))
        elif under_way:
            is_probe = under_way.pop(place % len(under_way))
            match step:
                case "in vain":
                    fail(outage, now, probe=is_probe)
                case "missed":
                    outage.miss(now, probe=is_probe)
                case "answered":
                    outage.answer()
        assert 0 <= outage.delay(now, urgent=True) <= outage.delay(now) < inf


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
    outage.begin(4.0)
    assert outage.delay(4.0) == pytest.approx(HINT_LEAST)
    outage.hold(9.0, 4.0)
    assert outage.delay(4.0) == 9.0


def test_a_hold_that_is_prolonged_began_with_the_first() -> None:
    """How long a call has waited for the service counts from when it was first asked to."""
    outage = constant(1.0)
    outage.hold(30.0, 10.0)
    outage.hold(30.0, 20.0)
    assert (outage.hold_began, outage.held) == (10.0, 50.0)
    outage.hold(1.0, 60.0)
    assert (outage.hold_began, outage.held) == (60.0, 61.0)


# ---- a hint


def probing(*, seconds: float = QUICK) -> CircuitBreaker:
    """Return an outage in which attempts took so many *seconds*, and a probe began at 10 s."""
    outage = constant(1.0)
    for _ in range(SIGNS):
        fail(outage, 0.0, probe=False, seconds=seconds)
    assert outage.begin(10.0)
    return outage


@given(seconds=st.floats(0, 100))
def test_a_probe_that_takes_longer_than_those_in_vain_closes_the_circuit(seconds: float) -> None:
    """Whoever waits is sent while it is being worked on, and is no probe."""
    outage = probing(seconds=seconds)
    hint = max(HINT_LEAST, HINT_FACTOR * seconds)
    assert outage.delay(10.0) == pytest.approx(hint, abs=SLACK)
    assert not outage.begin(10.0 + hint)
    assert not outage.is_on
    assert not outage.is_probing
    assert outage.delay(10.0 + hint) == 0


@given(quick=st.floats(0, 9), slow=st.floats(10, 100), probe=st.booleans())
def test_the_slowest_attempt_in_vain_is_the_measure(
    quick: float, slow: float, *, probe: bool
) -> None:
    """A service that refuses after a while gives no hint by taking that while once more."""
    outage = probing(seconds=quick)
    fail(outage, 10.0, probe=probe, seconds=slow)
    if probe:
        outage.begin(10.0)
        assert outage.delay(10.0) == pytest.approx(HINT_FACTOR * slow, abs=SLACK)
    else:
        assert outage.delay(10.0) < HINT_FACTOR * slow, "a straggler tells nothing of now"


@pytest.mark.parametrize("probe", [True, False])
def test_on_trial_one_attempt_in_vain_opens_it_again(*, probe: bool) -> None:
    """The outage goes on where it was: it began then, and its pauses are those of its age."""
    outage = probing()
    outage.begin(130.0)
    assert outage.fail(130.1, seconds=QUICK, probe=probe)
    assert outage.is_on
    assert outage.began == 0.0
    assert outage.delay(130.1) == pytest.approx(130.1 / 12, rel=JITTER)


def test_on_trial_an_answer_ends_the_outage() -> None:
    """Then two attempts in vain are needed again, and the next outage begins with its own."""
    outage = probing()
    outage.begin(11.0)
    outage.answer()
    assert not fail(outage, 20.0, probe=False)
    assert fail(outage, 21.0, probe=False)
    assert outage.began == 20.0
    assert outage.delay(21.0) == 1.0, "as soon as the first probe of any outage"


def test_on_trial_what_brings_nothing_changes_nothing() -> None:
    """A probe that is given up after its hint leaves the circuit as it is."""
    outage = probing()
    outage.begin(11.0)
    outage.miss(12.0, probe=True)
    outage.release(probe=True)
    assert not outage.is_on
    assert outage.delay(12.0) == 0


def test_a_probe_that_was_never_sent_costs_no_time() -> None:
    """Another one may begin at once, and what was no probe changes nothing."""
    outage = probing()
    outage.release(probe=False)
    assert outage.is_probing
    outage.release(probe=True)
    assert not outage.is_probing
    assert outage.delay(10.0) == 0


# ---- a person waits


@given(age=st.floats(0, 1e5), how=ENDS, chance=CHANCES)
def test_urgent_probes_come_every_few_seconds(age: float, how: str, chance: float) -> None:
    """Their pause grows from one second to five, and is never longer than the usual one."""
    outage = begun(constant(chance))
    outage.begin(0.0)
    finish(outage, how, age)
    pause = max(URGENT_LEAST, min(URGENT_LONGEST, URGENT_SHARE * age))
    usual, urgent = outage.delay(age), outage.delay(age, urgent=True)
    assert urgent == pytest.approx(min(usual, pause), rel=JITTER)
    assert urgent <= usual


def test_an_urgent_probe_is_a_probe() -> None:
    """During it nobody else is sent, however urgent."""
    outage = begun(constant(1.0))
    outage.begin(0.0)
    fail(outage, 0.0, probe=True)
    assert outage.delay(1.1, urgent=True) == 0
    assert outage.begin(1.1)
    assert outage.delay(1.1, urgent=True) == pytest.approx(HINT_LEAST)


def test_a_probe_that_a_trial_overtook_is_none_any_more() -> None:
    """Its late end must not be taken for that of the probe after it."""
    breaker = CircuitBreaker(1.0, 60.0, lambda: 0.0)
    for now in (0.0, 0.1):
        breaker.fail(now, seconds=0.05, probe=False)
    assert breaker.begin(1.0)
    assert breaker.is_probe(1.0)
    assert not breaker.begin(2.0)
    breaker.fail(2.1, seconds=0.1, probe=False)
    assert breaker.is_on
    assert breaker.begin(10.0)
    assert not breaker.is_probe(1.0)
    assert breaker.is_probe(10.0)


def test_each_trial_in_vain_makes_the_next_one_later() -> None:
    """A service that takes requests and answers none gets fewer and fewer of them."""
    breaker, now = CircuitBreaker(1.0, 60.0, lambda: 0.0), 0.0
    for _ in range(2):
        breaker.fail(now, seconds=1.0, probe=False)
    waits = []
    for _ in range(6):
        now += breaker.delay(now)
        assert breaker.begin(now)
        waits.append(breaker.delay(now))
        now += waits[-1]
        assert not breaker.begin(now)
        breaker.fail(now + 1.0, seconds=1.0, probe=False)
        now += 1.0
    assert all(later >= 1.9 * earlier for earlier, later in pairwise(waits))

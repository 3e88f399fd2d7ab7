"""Which requests are asked after, and when: none is forgotten, and none is asked after too much."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._jobs.polling import FIRST, JITTER, LONGEST, Polling

HOUR = 3600.0

ENDS = st.lists(st.floats(0, HOUR), max_size=30)
"""When [s] each of some requests is done."""

CHANCE = st.floats(0, 1)


def asked(
    polling: Polling, ends: Mapping[str, float], *, most: int = 3
) -> Iterator[tuple[float, list[str]]]:
    """Yield when [s] what is asked after, until nothing is left."""
    now = 0.0
    while polling.pending:
        # What rounding leaves of a wait is waited for as well.
        while wait := polling.delay(now):
            now += wait
        ids = polling.begin(now, most)
        assert ids
        yield now, ids
        for request_id in ids:
            if ends[request_id] <= now:
                polling.drop(request_id)
        polling.end(ids, now)


def named(ends: list[float]) -> dict[str, float]:
    """Give requests their names."""
    return {str(place): end for place, end in enumerate(ends)}


@given(ENDS, CHANCE, st.integers(1, 9))
def test_each_request_is_asked_after_until_it_is_done(
    ends: list[float], chance: float, most: int
) -> None:
    """None is forgotten, none is asked after when it is done, and never too many at once."""
    done: set[str] = set()
    rounds = list(asked(Polling(named(ends), lambda: chance), named(ends), most=most))
    for now, ids in rounds:
        assert 1 <= len(ids) <= most + 2  # those that lag behind come on top
        assert len(set(ids)) == len(ids)
        assert not done & set(ids)
        done |= {request_id for request_id in ids if ends[int(request_id)] <= now}
    assert done == set(named(ends))


@given(ENDS, CHANCE)
def test_a_request_that_is_not_done_is_not_asked_after_at_once(
    ends: list[float], chance: float
) -> None:
    """Between two questions about one request at least the first pause goes by."""
    last: dict[str, float] = {}
    for now, ids in asked(Polling(named(ends), lambda: chance), named(ends)):
        for request_id in ids:
            assert now - last.get(request_id, -HOUR) >= FIRST * 0.999
            last[request_id] = now


@given(CHANCE, st.floats(0, HOUR))
def test_pauses_grow_from_the_first_to_the_longest(chance: float, end: float) -> None:
    """Each pause is within its bounds and no shorter than the one before."""
    times = [now for now, _ in asked(Polling(["a"], lambda: chance), {"a": end})]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(FIRST * 0.999 <= pause <= LONGEST * (1 + JITTER) * 1.001 for pause in pauses)
    assert all(after >= before * 0.999 for before, after in pairwise(pauses))


def test_programs_that_start_together_drift_apart() -> None:
    """Chance adds up to its share to each pause."""
    early, late = (
        [now for now, _ in asked(Polling(["a"], lambda c=c: c), {"a": 100.0})]  # type: ignore[misc]
        for c in (0.0, 1.0)
    )
    assert early[1] == FIRST
    assert late[1] == FIRST * (1 + JITTER)


@given(st.integers(2, 40), st.data())
def test_one_that_lags_behind_holds_up_no_other(count: int, data: st.DataObject) -> None:
    """The others, done long ago, are all had within a minute, whichever takes an hour."""
    laggard = str(data.draw(st.integers(0, count - 1)))
    ends = {**named([0.0] * count), laggard: HOUR}
    last = {i: now for now, ids in asked(Polling(ends, lambda: 0.5), ends) for i in ids}
    assert last.pop(laggard) >= HOUR
    assert max(last.values()) < LONGEST


def test_an_hour_of_one_request_costs_few_questions() -> None:
    """It is asked after once a minute in the end."""
    assert len(list(asked(Polling(["a"], lambda: 0.0), {"a": HOUR}))) < 80


def test_what_was_done_long_ago_is_had_without_a_pause() -> None:
    """More and more are asked after at once, as many as are allowed, while all of them are done."""
    ends = named([0.0] * 100)
    rounds = list(asked(Polling(ends), ends, most=8))
    assert {now for now, _ in rounds} == {0.0}
    assert [len(ids) for _, ids in rounds[:9]] == [1, 2, 3, 4, 5, 6, 7, 8, 8]


def test_what_was_overtaken_is_asked_after_at_once() -> None:
    """Its delivery was lost, most likely; if it was not, the order proves nothing."""
    polling = Polling("abcdef", lambda: 0.0)
    polling.end(polling.begin(0, 3), 0)
    polling.hear("f", 0.5)
    assert polling.delay(0.5) == 0
    assert polling.begin(0.5, 3) == ["b"]
    polling.end(["b"], 0.5)
    assert polling.delay(0.5) > 0


def test_what_was_overtaken_is_asked_after_as_long_as_some_of_it_is_done() -> None:
    """One that lags behind among those whose delivery was lost proves nothing against the order."""
    polling = Polling("abcdefg", lambda: 0.0)
    polling.hear("g", 0)
    assert polling.begin(0, 2) == ["a", "b"]
    polling.drop("a")
    polling.end(["a", "b"], 0)
    assert polling.begin(0, 2) == ["c"]


def test_what_was_delivered_twice_is_done_once() -> None:
    """A delivery of what is not pending is no sign of anything."""
    polling = Polling("abcdefg", lambda: 0.0)
    polling.drop("g")
    polling.hear("g", 0)
    assert polling.begin(0, 2) == ["a"]


def test_a_service_that_keeps_no_order_is_not_asked_the_more() -> None:
    """Where the newest is done first, a sign costs one question of what is older, not all."""
    polling = Polling(named([0.0] * 1000), lambda: 0.0)
    questions = 0
    for place in range(999, 899, -1):
        now = 999.0 - place
        polling.hear(str(place), now)
        while not polling.delay(now):
            ids = polling.begin(now, 3)
            questions += len(ids)
            polling.end(ids, now)
    assert questions <= 3 * 100 + 10


def test_rounds_wait_while_the_service_tells_by_itself() -> None:
    """While deliveries come every second, in order, nothing is asked."""
    polling = Polling(named([0.0] * 50), lambda: 0.0)
    waits = []
    for place in range(10):
        polling.hear(str(place), float(place))
        waits.append(polling.delay(float(place)))
    assert waits[1:] == [4.0] * 9


@pytest.mark.parametrize("now", [0.0, 1e9])
def test_nothing_to_ask_is_waited_for_in_vain(now: float) -> None:
    """Without requests there is nothing to wait for."""
    assert Polling([]).delay(now) == float("inf")
    assert Polling([]).begin(now, 3) == []


def test_requests_asked_after_are_spread_evenly() -> None:
    """Where nothing is done, no request is asked after all the time, and none never."""
    ends = named([HOUR] * 6)
    counts = Counter(i for now, ids in asked(Polling(ends), ends) for i in ids if now < HOUR)
    assert set(counts) == set(ends)
    assert sum(counts.values()) < 150

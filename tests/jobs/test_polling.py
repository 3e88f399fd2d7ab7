"""Which requests are asked after, and when: none is forgotten, and none is asked after too much."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async._jobs.polling import GROWTH, JITTER, LONGEST, SHORTEST, Polling

HOUR = 3600.0

FIRST = SHORTEST * GROWTH
"""[s] The first pause without what chance adds."""

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
        assert 1 <= len(ids) <= most + 1  # a late one comes on top
        assert len(set(ids)) == len(ids)
        assert not done & set(ids)
        done |= {request_id for request_id in ids if ends[int(request_id)] <= now}
    assert done == set(named(ends))


@given(ENDS, CHANCE)
def test_a_request_that_is_not_done_is_not_asked_after_at_once(
    ends: list[float], chance: float
) -> None:
    """Between two questions about one request at least the shortest pause goes by."""
    last: dict[str, float] = {}
    for now, ids in asked(Polling(named(ends), lambda: chance), named(ends)):
        for request_id in ids:
            assert now - last.get(request_id, -HOUR) >= SHORTEST * 0.999
            last[request_id] = now


@given(CHANCE, st.floats(0, HOUR))
def test_pauses_grow_from_the_first_to_the_longest(chance: float, end: float) -> None:
    """Each pause is within its bounds and no shorter than the one before."""
    times = [now for now, _ in asked(Polling(["a"], lambda: chance), {"a": end})]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(FIRST * 0.999 <= pause <= LONGEST * (1 + JITTER) * 1.001 for pause in pauses)
    assert all(after >= before * 0.999 for before, after in pairwise(pauses))


def test_a_request_that_takes_an_hour_is_asked_after_once_a_minute_in_the_end() -> None:
    """The pauses of one request reach the longest, and stay there."""
    times = [now for now, _ in asked(Polling(["a"], lambda: 0.0), {"a": HOUR})]
    assert times[:5] == [0, 1, 3, 7, 15]
    assert times[-1] - times[-2] == LONGEST


def test_programs_that_start_together_drift_apart() -> None:
    """Chance adds up to its share to each pause."""
    early, late = (
        [now for now, _ in asked(Polling(["a"], lambda c=c: c), {"a": 100.0})]  # type: ignore[misc]
        for c in (0.0, 1.0)
    )
    assert early[1] == FIRST
    assert late[1] == FIRST * (1 + JITTER)


@given(st.integers(2, 40), st.data())
def test_one_that_is_late_holds_up_no_other(count: int, data: st.DataObject) -> None:
    """The others, done long ago, are all found within a minute, whichever takes an hour."""
    late = str(data.draw(st.integers(0, count - 1)))
    ends = {**named([0.0] * count), late: HOUR}
    last = {i: now for now, ids in asked(Polling(ends, lambda: 0.5), ends) for i in ids}
    assert last.pop(late) >= HOUR
    assert max(last.values()) < LONGEST


@pytest.mark.parametrize("most", [1, 3])
def test_one_that_is_late_is_found_while_others_are_still_asked_after(most: int) -> None:
    """However few slots there are, requests that are not late leave a turn to one that is."""
    ends = named([100.0, *[HOUR] * 99])
    found = next(
        now
        for now, ids in asked(Polling(ends, lambda: 0.5), ends, most=most)
        if now >= 100 and "0" in ids
    )
    assert found < 100 + 3 * LONGEST


def test_an_hour_of_one_request_costs_few_questions() -> None:
    """It is asked after once a minute in the end."""
    assert len(list(asked(Polling(["a"], lambda: 0.0), {"a": HOUR}))) < 80


def test_what_was_done_long_ago_is_had_without_a_pause() -> None:
    """More and more are asked after at once, as many as are allowed, while all of them are done."""
    ends = named([0.0] * 100)
    rounds = list(asked(Polling(ends), ends, most=8))
    assert {now for now, _ in rounds} == {0.0}
    assert [len(ids) for _, ids in rounds[:14]] == [1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 8, 8]


def test_the_oldest_is_asked_after_first_and_holds_up_the_others_once() -> None:
    """What is not done is asked after again alone; the next is asked after when it is late."""
    rounds = asked(Polling("abc", lambda: 0.0), dict.fromkeys("abc", HOUR))
    assert list(islice(rounds, 4)) == [(0, ["a"]), (1, ["a"]), (3, ["b", "a"]), (7, ["b", "a"])]


@pytest.mark.parametrize("interval", [0.2, 1.0, 3.0, 10.0])
def test_about_one_question_in_five_is_in_vain(interval: float) -> None:
    """The pauses adapt to how fast the requests are done."""
    ends = named([interval * place for place in range(1000)])
    questions = sum(len(ids) for _, ids in asked(Polling(ends, lambda: 0.5), ends))
    assert questions - 1000 < 0.27 * questions


@pytest.mark.parametrize("interval", [0.1, 1.0, 6.0])
def test_lost_deliveries_cost_little_more_than_a_question_each(interval: float) -> None:
    """Where a third of the deliveries is lost, the pauses adapt to those that are."""
    polling = Polling(named([0.0] * 1000), lambda: 0.5)
    now, questions = 0.0, 0
    for place in range(1000):
        end = interval * place
        while now + polling.delay(now) < end:
            now += polling.delay(now)
            ids = polling.begin(now, 3)
            questions += len(ids)
            for request_id in ids:
                if interval * int(request_id) <= now:
                    polling.drop(request_id)
            polling.end(ids, now)
        if place % 3:
            polling.drop(str(place))
    assert questions < 0.2 * 1000 + 1.2 * 1000 / 3


def test_what_is_delivered_is_not_asked_after() -> None:
    """It is dropped, be it new or late, and a second delivery changes nothing."""
    polling = Polling("abcd", lambda: 0.0)
    polling.end(polling.begin(0, 3), 0)
    polling.end(polling.begin(1, 3), 1)
    for request_id in "aaca":
        polling.drop(request_id)
    assert list(polling.pending) == ["b", "d"]
    assert polling.begin(3, 3) == ["b"]
    polling.drop("b")
    polling.end(["b"], 3)
    assert polling.begin(3, 3) == ["d"]


def test_a_service_that_keeps_no_order_is_not_asked_the_more() -> None:
    """Where the newest are done and delivered first, the older ones are asked after ever less."""
    polling = Polling(named([0.0] * 1000), lambda: 0.0)
    questions = 0
    for place in range(999, 899, -1):
        now = 999.0 - place
        polling.drop(str(place))
        while not polling.delay(now):
            ids = polling.begin(now, 3)
            questions += len(ids)
            polling.end(ids, now)
    assert questions <= 20


def test_rounds_get_rare_while_the_service_tells_by_itself() -> None:
    """While deliveries come every second, in order, hardly anything is asked."""
    polling = Polling(named([0.0] * 50), lambda: 0.0)
    asked_at = []
    for now in range(50):
        if not polling.delay(now):
            asked_at.append(now)
            polling.end(polling.begin(now, 3), now)
        polling.drop(str(now))
    assert asked_at == [0, 1, 3, 7, 15, 31]


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
    assert max(counts.values()) <= 3 * min(counts.values())

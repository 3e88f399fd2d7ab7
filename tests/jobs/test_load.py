"""Jobs of many requests: what one of them does to the others, and what a delivery costs."""

import anyio
import pytest

from tests.loopback import Site, answer
from ximilar_ocr_async._jobs.polling import Polling
from ximilar_ocr_async.emulator.deliveries import Delivery
from ximilar_ocr_async.testing.service.submissions import Webhook

ANSWER_TIME = 0.1
"""[s] that the service takes to say how a request is."""


def poll(done: list[float], most: int = 3) -> tuple[int, list[float]]:
    """Ask until all are *done* [s]; return the number of times, and how late [s] each was found."""
    polling = Polling(map(str, range(len(done))), lambda: 0.5)
    now, times, late = 0.0, 0, [0.0] * len(done)
    while polling.pending:
        now += polling.delay(now)
        asked = polling.begin(now, most)
        times += len(asked)
        for place in map(int, asked):
            if done[place] <= now:
                polling.drop(str(place))
                late[place] = now + ANSWER_TIME - done[place]
        now += ANSWER_TIME
        polling.end(asked, now)
    return times, sorted(late)


def test_requests_that_lag_behind_hold_up_no_others() -> None:
    """Of 1,000 requests, 50 take ten minutes longer; half of all are found within seconds."""
    done = [number / 5 + (600 if number % 20 == 7 else 0) for number in range(1000)]
    times, late = poll(done)
    assert late[500] < 5
    assert late[900] < 30
    assert times < 2000


def test_requests_that_are_done_in_order_are_asked_after_little() -> None:
    """With five done a second, there is one request in vain to five or more, and no long wait."""
    times, late = poll([number / 5 for number in range(1000)])
    assert times < 1250
    assert late[-1] < 3


def test_each_of_many_that_lag_behind_has_its_turn() -> None:
    """One that never seems to end does not hide that the others which lagged behind are done."""
    times, late = poll([3600.0, *(100.0 + number for number in range(20))])
    assert late[-2] < 100
    assert times < 400


def test_deliveries_share_what_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates are read once, not for each delivery, which would hold up the service."""

    async def deliver() -> None:
        await Delivery()(Webhook(site.url()), b"{}")

    with Site(answer(b"")).open() as site:
        anyio.run(deliver)
        monkeypatch.setattr("ssl.create_default_context", None)
        anyio.run(deliver)
    assert len(site.asked) == 2

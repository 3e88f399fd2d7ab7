"""What is told where there is no session around it."""

import pytest

from tests.scheduling.making import make_throttle
from ximilar_ocr_async._scheduling.telling import Events
from ximilar_ocr_async.errors import ServiceUnavailable
from ximilar_ocr_async.events import Event, LimitChanged, OutageBegan, OutageEnded

DOWN = ServiceUnavailable("503: down", status=503)
CHANGE = LimitChanged(endpoint="read", before=3, after=2, why="overload")


def test_an_outage_that_a_trial_interrupts_is_one() -> None:
    """A circuit that closes on trial and opens again is told of once, until something answers."""
    heard: list[Event] = []
    throttle = make_throttle()
    throttle.events.listener = heard.append
    for now in (10.0, 10.5):
        throttle.fail(DOWN, began=now - 1, now=now, in_flight=7, probe=False)
    assert throttle.begin(11.5)
    # The probe takes so long that the service must be working on it; then it is not after all.
    assert not throttle.begin(20.0)
    assert not throttle.breaker.is_on
    throttle.fail(DOWN, began=20.0, now=21.0, in_flight=7, probe=False)
    assert throttle.breaker.is_on
    assert [type(event) for event in heard if not isinstance(event, LimitChanged)] == [OutageBegan]
    throttle.answer(40.0)
    throttle.answer(41.0)
    assert heard[-1] == OutageEnded(endpoint="", duration=30.0)
    assert sum(isinstance(event, OutageEnded) for event in heard) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.anyio
async def test_a_signal_without_a_session_is_raised_at_once(error: type[BaseException]) -> None:
    """There is no task group to raise it in."""

    def listen(_: Event) -> None:
        raise error

    with pytest.raises(error):
        Events(listen).tell(CHANGE)

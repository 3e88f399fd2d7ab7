"""No more is sent and billed than a session may spend, and what it spent is counted."""

from typing import Any

import anyio
import pytest

from tests.helpers import error_of, failing, refused, refusing, urls
from ximilar_ocr_async import BudgetExceeded, OptionError
from ximilar_ocr_async.testing import InProcessService, in_turn

pytestmark = pytest.mark.anyio


async def test_no_more_records_are_sent_than_allowed(service: InProcessService) -> None:
    """What would go over the cap fails before it is sent; resends count too."""
    service.reply = in_turn(failing(500))
    async with service.session(max_records=35) as session:
        outcomes = await session.read_all(urls(60))
        assert session.stats.records_sent == 35
        with pytest.raises(BudgetExceeded, match="max_records is 35"):
            await session.read("https://x.example/1")
    assert sum(service.sizes) == 35
    assert sum(outcome.ok for outcome in outcomes) == 25
    failed = [error_of(outcome) for outcome in outcomes if not outcome.ok]
    assert {type(error) for error in failed} == {BudgetExceeded}


async def test_what_never_left_is_no_record_sent(service: InProcessService) -> None:
    """Refused connections use up nothing of the cap."""
    service.reply = in_turn(refused())
    async with service.session(max_records=20) as session:
        outcomes = await session.read_all(urls(20))
    assert all(outcome.ok for outcome in outcomes)


async def test_isolation_stays_inside_the_cap(service: InProcessService) -> None:
    """Singles are paid for as all else is."""
    service.reply = refusing("/3.jpg")
    async with service.session(max_records=14) as session:
        outcomes = await session.read_all(urls(10))
        assert session.stats.records_sent == 14
    assert sum(isinstance(error_of(o), BudgetExceeded) for o in outcomes if not o.ok) >= 5


@pytest.mark.parametrize("cap", [-1, 1.5, "9"])
def test_the_cap_is_a_whole_number(service: InProcessService, cap: Any) -> None:
    """Anything else is an error that says so."""
    with pytest.raises(OptionError, match="max_records is"):
        service.session(max_records=cap)


async def test_a_shared_answer_is_counted_once(service: InProcessService) -> None:
    """An image whose caller went away before the answer came is counted as read, not as lost."""
    async with service.session() as session, anyio.create_task_group() as group:
        group.start_soon(session.read, "https://x.example/kept")
        with anyio.move_on_after(0.5):
            await session.read("https://x.example/gone")
        assert session.stats.records_maybe_billed == 1
        await anyio.sleep(1)
        stats = session.stats
    assert (stats.records_sent, stats.records_billed, stats.records_maybe_billed) == (2, 2, 0)

"""What lives is not copied, and says so."""

import copy
import pickle
from collections.abc import Callable
from traceback import TracebackException

import pytest

from ximilar_ocr_async import Webhook, WebhookReceiver
from ximilar_ocr_async.testing import InProcessService

WAYS = [copy.copy, copy.deepcopy, pickle.dumps]


@pytest.mark.anyio
@pytest.mark.parametrize("duplicate", WAYS)
async def test_what_lives_is_not_copied(duplicate: Callable[[object], object]) -> None:
    """A stream, a job and a receiver refuse in words, and no half-made copy stands in locals."""
    receiver = WebhookReceiver(Webhook("https://me.example/"))
    async with InProcessService().session() as session:
        for alive in (session.stream([]), session.job("r1"), receiver):
            with pytest.raises(TypeError, match="cannot be copied or pickled") as caught:
                duplicate(alive)
            TracebackException.from_exception(caught.value, capture_locals=True)


@pytest.mark.anyio
@pytest.mark.parametrize("duplicate", WAYS[1:])
async def test_a_session_is_not_copied_deeply(duplicate: Callable[[object], object]) -> None:
    """The token stays where it is, and whatever shows the locals of the attempt goes on."""
    async with InProcessService().session() as session:
        with pytest.raises(TypeError) as caught:
            duplicate(session)
        TracebackException.from_exception(caught.value, capture_locals=True)

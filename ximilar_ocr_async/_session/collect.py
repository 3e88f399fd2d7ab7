"""A stream in, all of its outcomes out; an error on the way carries those that came before it."""

from ximilar_ocr_async._session.stream import Stream
from ximilar_ocr_async.outcomes import Outcome, T, carry, in_order


async def collect(stream: Stream[T]) -> list[Outcome[T]]:
    """Return (n) outcomes of a stream, in the order of its images; an error carries those."""
    outcomes: list[Outcome[T]] = []
    try:
        async with stream:
            # One by one: an error must not take what came before it.
            async for outcome in stream:
                outcomes.append(outcome)  # noqa: PERF401 - as said
    except BaseException as error:
        carry(error, outcomes)
        raise
    # Only at the end: on the way, one slow image would hold up all behind it.
    return in_order(outcomes)

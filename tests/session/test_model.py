"""Any sequence of calls, cancels and waits keeps the promises, in virtual time on both backends."""

from collections.abc import Callable
from typing import Any, TypeAlias

import anyio
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import failing
from ximilar_ocr_async import Image, OCRSession, Outcome, RetryPolicy
from ximilar_ocr_async.testing import InProcessService

pytestmark = pytest.mark.anyio

LANGS = st.sampled_from(["en", "ja"])
Step: TypeAlias = tuple[Any, ...]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), LANGS),
        st.tuples(st.just("stream"), LANGS, st.integers(0, 60), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("trouble"), st.sampled_from([429, 500, 503])),
        st.tuples(st.just("wait"), st.floats(0.01, 3)),
    ),
    max_size=25,
)


@define
class Caller:
    """One call, what it asked for and what it got."""

    name: int
    asked: int
    ordered: bool = False
    outcomes: list[Outcome] = field(factory=list)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    ended: bool = False


@define
class Model:
    """A session under test, and what must be true of it after every step.

    Attributes:
        codes: The statuses with which the next requests fail.
    """

    service: InProcessService
    session: OCRSession
    spawn: Callable[..., Any]
    callers: list[Caller] = field(factory=list)
    codes: list[int] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.service.reply = lambda _: failing(self.codes.pop(0)) if self.codes else None

    def take(self, step: Step) -> None:
        """Do what a step says."""
        match step:
            case ("read", lang):
                self._call(lang, 1, ordered=False)
            case ("stream", lang, count, ordered):
                self._call(lang, count, ordered=ordered)
            case ("cancel", number) if self.callers:
                self.callers[number % len(self.callers)].scope.cancel()
            case ("trouble", code):
                self.codes.append(code)

    def _call(self, lang: str, count: int, *, ordered: bool) -> None:
        caller = Caller(len(self.callers), count, ordered)
        self.callers.append(caller)
        images = [Image(f"https://x.example/{caller.name}/{n}", lang=lang) for n in range(count)]
        self.spawn(self._consume, caller, images)

    async def _consume(self, caller: Caller, images: list[Image]) -> None:
        with caller.scope:
            async with self.session.stream(images, ordered=caller.ordered) as outcomes:
                async for outcome in outcomes:
                    caller.outcomes.append(outcome)
        caller.ended = True

    def check(self) -> None:
        """Hold the invariants that are true at any time."""
        assert self.service.peak <= 3
        assert all(1 <= size <= 10 for size in self.service.sizes)
        for caller in self.callers:
            indexes = [outcome.index for outcome in caller.outcomes]
            assert len(set(indexes)) == len(indexes) <= caller.asked, "no outcome twice"
            assert not caller.ordered or indexes == list(range(len(indexes)))
            for outcome in caller.outcomes:
                assert not outcome.ok or outcome.record.text == outcome.image.source

    def check_end(self) -> None:
        """Hold what is true when every call has ended."""
        for caller in self.callers:
            assert caller.ended
            if not caller.scope.cancel_called:
                assert len(caller.outcomes) == caller.asked, "one outcome for each image"
        stats = self.session.stats
        assert (stats.in_flight, stats.queued) == (0, 0)
        billed = sum(outcome.ok for caller in self.callers for outcome in caller.outcomes)
        assert stats.records_billed >= billed

    def check_sent_in_order(self) -> None:
        """Each caller's images are first sent in the order in which it gave them.

        Requests of one moment have no order among them: trio shuffles tasks.
        """
        first: dict[int, dict[int, float]] = {}
        for seen in self.service.log:
            for record in seen.records:
                name, number = map(int, record["_url"].split("/")[-2:])
                first.setdefault(name, {}).setdefault(number, seen.at)
        for times in first.values():
            in_order = [times[number] for number in sorted(times)]
            assert in_order == sorted(in_order)


@settings(max_examples=80)
@given(steps=STEPS)
async def test_any_sequence_of_steps_keeps_the_promises(steps: list[Step]) -> None:
    """Each image one outcome, three requests at most, batches of 1 to 10, each caller in order."""
    service = InProcessService(latency=1.0)
    # Slots enough for the limit to be seen, and no randomness in who comes first.
    session = service.session(max_concurrency=3, adaptive=False, retry=RetryPolicy(base=0.5))
    async with session, anyio.create_task_group() as group:
        model = Model(service, session, group.start_soon)
        for step in steps:
            model.take(step)
            await anyio.sleep(step[1] if step[0] == "wait" else 0)
            model.check()
        await anyio.sleep(1000)
        model.check()
        model.check_end()
        model.check_sent_in_order()


@settings(max_examples=40)
@given(queued=st.integers(0, 300), limit=st.integers(1, 5), at=st.floats(0.1, 5))
async def test_a_read_waits_for_one_slot_whatever_is_queued(
    queued: int, limit: int, at: float
) -> None:
    """A single read begins within one service time, behind any stream of its language."""
    service = InProcessService(latency=1.0)
    images = [f"https://x.example/{n}" for n in range(queued)]
    async with service.session(max_concurrency=limit, adaptive=False) as session:
        async with anyio.create_task_group() as group:
            group.start_soon(session.read_all, images)
            await anyio.sleep(at)
            start = anyio.current_time()
            await session.read("https://single.example/1")
            assert anyio.current_time() - start <= 2 * service.latency + 1e-6


@settings(max_examples=40)
@given(readers=st.integers(1, 120), limit=st.integers(1, 6))
async def test_readers_that_come_together_share_as_few_requests_as_can_be(
    readers: int, limit: int
) -> None:
    """Single reads of one moment fill batches as a bulk call does."""
    service = InProcessService(latency=1.0)
    async with service.session(max_concurrency=limit) as session:
        async with anyio.create_task_group() as group:
            for number in range(readers):
                group.start_soon(session.read, f"https://x.example/{number}")
    assert sorted(service.sizes, reverse=True) == [
        min(10, readers - begin) for begin in range(0, readers, 10)
    ]

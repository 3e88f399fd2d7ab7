"""What calls make of results that were paid for: a record in, an instance of a user's class out.

It runs a user's code, which may take long, fail in any way, or never come back. So nothing of
another call waits for it, no slot does, and the event loop holds for one instance at most.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TypeAlias
from weakref import WeakKeyDictionary

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from ximilar_ocr_async._concurrency import run_aside
from ximilar_ocr_async._scheduling.calls import Call, Item, Result
from ximilar_ocr_async.models import Record

THREADS = 16
"""Calls that run in threads at a time. Source: judgement; one that hangs leaves room for others."""

SLOW = 0.005
"""[s] that one result may take on the event loop; then threads take its call's."""

SMALL, SMALL_RECORD = 4 * 1024, 16 * 1024
"""[characters] of a completion, and [bytes] of its record, that are tried on the event loop.
Source: judgement; a class of plain fields takes 1 ms."""

Prepare: TypeAlias = Callable[[Result], Result]


@define(eq=False)
class Preparing:
    """Prepares results and delivers them. Lives as long as its session."""

    _group: TaskGroup
    _threads: anyio.CapacityLimiter = field(
        init=False, factory=lambda: anyio.CapacityLimiter(THREADS)
    )
    # By call, whose results are prepared one after the other once they are known to take long.
    _lanes: WeakKeyDictionary[Call, anyio.CapacityLimiter] = field(
        init=False, factory=WeakKeyDictionary
    )

    def deliver(self, item: Item, result: Result, size: float) -> None:
        """End *item*, maybe later, with what its call makes of a *result* of *size* [bytes]."""
        prepare = item.call.prepare
        if prepare is None:
            item.accounting.end(item, result)
        elif item.call not in self._lanes and size < SMALL_RECORD and _is_short(result):
            began = perf_counter()
            item.accounting.end(item, item.call.context.run(prepare, result))
            if perf_counter() - began > SLOW:
                self._lanes[item.call] = anyio.CapacityLimiter(1)
        else:
            item.preparing = scope = anyio.CancelScope()
            start = self._group.start_soon
            item.call.context.run(start, self._prepare, item, prepare, result, scope)

    async def _prepare(
        self, item: Item, prepare: Prepare, result: Result, scope: anyio.CancelScope
    ) -> None:
        lane = self._lanes.setdefault(item.call, anyio.CapacityLimiter(1))
        with scope:
            async with lane:
                work = partial(prepare, result)
                result = await run_aside(work, limiter=self._threads, abandon_on_cancel=True)
            item.preparing = None
            item.accounting.end(item, result)


def give_up_preparing(item: Item) -> None:
    """Let nobody wait for what is made of *item*, which was billed."""
    assert item.preparing is not None  # noqa: S101 - for the type checker
    item.preparing.cancel()
    item.preparing = None
    item.maybe_billed += 1


def _is_short(result: Result) -> bool:
    gpt = result.gpt if isinstance(result, Record) else None
    return gpt is None or len(gpt.result or "") < SMALL

"""What calls make of results that were paid for: a record in, an instance of a user's class out.

It runs a user's code, which may take long, fail in any way, or never come back. So nothing of
another call waits for it, no slot does, and the event loop is held for one instance a minute.
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

SLOW, CAREFUL = 0.005, 60.0
"""[s] that one result may take on the event loop, and how long none is tried there after it took
longer."""

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
    # Until when [s of `perf_counter`] none is tried on the event loop.
    _careful_until: float = field(init=False, default=0.0)
    # By call: one that takes long has one thread, and no more.
    _lanes: WeakKeyDictionary[Call, anyio.CapacityLimiter] = field(
        init=False, factory=WeakKeyDictionary
    )

    def deliver(self, item: Item, result: Result, size: float) -> None:
        """End *item*, maybe later, with what its call makes of a *result* of *size* [bytes]."""
        prepare, began = item.call.question.prepare, perf_counter()
        if prepare is None:
            item.accounting.end(item, result)
        elif began >= self._careful_until and size < SMALL_RECORD and _is_short(result):
            item.accounting.end(item, item.call.context.run(prepare, result))
            if (now := perf_counter()) - began > SLOW:
                # Of whatever call it was: neighbours in a batch may have the same class.
                self._careful_until = now + CAREFUL
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

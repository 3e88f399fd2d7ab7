"""The local service: a request in, a reply out; Ximilar's OCR in miniature, around any engine."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import uuid4

import anyio
import anyio.to_thread
from attrs import define, evolve, field

from ximilar_ocr_async.emulator.contract import Reply, Request, Task, accept, compose, refuse
from ximilar_ocr_async.emulator.engines import Engine, Reading, Unreadable
from ximilar_ocr_async.emulator.faults import (
    LOST,
    MISSING_RECORDS,
    NO_CREDITS,
    RECORD_ERRORS,
    SPOILT,
    FaultPlan,
    Lot,
)

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""URL to encoded image; raises `Unreadable`."""

INLINE = 1024 * 1024
"""[bytes] of a request that are parsed on the event loop."""


@define(eq=False)
class Service:
    """Answers requests. Lives as long as its server.

    Args:
        engine: Reads the images.
        fetch: Fetches those given by URL; without it they are refused.
        token: The one that is allowed; any if there is none.
        faults: Those that it is to show.
        inline: [bytes] of a request that are parsed on the event loop; larger ones in a thread.

    Attributes:
        requests: Those that came, whatever became of them.
        records: Those in the requests that were fit to be read.
        billed: Records that were read, which the real service would bill.
        bills: How often each image was billed, by its URL, or by the SHA-256 of its bytes as
            hexadecimal digits: an entry for each image, however large it is.
    """

    engine: Engine
    fetch: Fetch | None = None
    token: str | None = field(default=None, repr=False)
    faults: FaultPlan = field(factory=FaultPlan)
    inline: int = field(default=INLINE, repr=False)
    requests: int = field(init=False, default=0)
    records: int = field(init=False, default=0)
    billed: int = field(init=False, default=0)
    bills: Counter[str] = field(init=False, factory=Counter, repr=False)
    # When [s] the first request came.
    _began: float | None = field(init=False, default=None)

    async def answer(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            Interference: A planned fault keeps the answer from the client.
        """
        lot = self._draw()
        if refusal := self.faults.refusal(lot.fault):
            return refusal
        if lot.fault in LOST:
            raise LOST[lot.fault]
        reply = await self._answer(request, lot)
        if lot.fault in SPOILT:
            raise SPOILT[lot.fault]
        return reply

    def _draw(self) -> Lot:
        now = anyio.current_time()
        self._began = now if self._began is None else self._began
        self.requests += 1
        return self.faults.draw(self.requests - 1, seconds=now - self._began)

    async def _answer(self, request: Request, lot: Lot) -> Reply:
        start = anyio.current_time()
        accepted = await self._accept(request)
        if isinstance(accepted, Reply):
            return accepted
        self.records += len(accepted)
        if refusal := self._refuse(accepted):
            return refusal
        tasks = [_spoil(*pair) for pair in zip(accepted, lot.records, strict=False)]
        readings = await self._read_all(tasks)
        self._bill(tasks, readings)
        kept = [p for p in range(len(tasks)) if lot.records[p] != MISSING_RECORDS]
        return compose(
            [tasks[place] for place in kept],
            [readings[place] for place in kept],
            request_id=str(uuid4()),
            seconds=anyio.current_time() - start,
        )

    async def _accept(self, request: Request) -> Reply | list[Task]:
        def accept_it() -> Reply | list[Task]:
            return accept(request, token=self.token, billed=self.billed)

        if len(request.body) <= self.inline:
            return accept_it()
        return await anyio.to_thread.run_sync(accept_it)

    def _refuse(self, tasks: Sequence[Task]) -> Reply | None:
        """Refuse a request that was fit to be read, if that is planned."""
        if self.faults.credits is not None and self.billed >= self.faults.credits:
            return refuse(403, NO_CREDITS)
        if any(task.fault is None and self.faults.is_poison(task.key) for task in tasks):
            return refuse(400, "planned fault: poison")
        return None

    def _bill(self, tasks: Sequence[Task], readings: Sequence[Reading | Unreadable]) -> None:
        pairs = zip(tasks, readings, strict=True)
        read = [task.key for task, reading in pairs if isinstance(reading, Reading)]
        self.billed += len(read)
        self.bills.update(read)

    async def _read_all(self, tasks: Sequence[Task]) -> list[Reading | Unreadable]:
        """Read the records side by side; the engine knows how many it can do at once."""
        readings: dict[int, Reading | Unreadable] = {}

        async def read(place: int, task: Task) -> None:
            try:
                readings[place] = await self._read(task)
            except Unreadable as fault:
                readings[place] = fault

        async with anyio.create_task_group() as group:
            for place, task in enumerate(tasks):
                group.start_soon(read, place, task)
        return [readings[place] for place in range(len(tasks))]

    async def _read(self, task: Task) -> Reading:
        if task.fault is not None:
            raise task.fault
        image = task.image
        if image is None:
            if self.fetch is None:
                raise Unreadable(403, "URLs are not fetched here; serve with --allow-urls")
            image = await self.fetch(str(task.url))
        return await self.engine.read(image, task.lang)


def _spoil(task: Task, fault: str) -> Task:
    """Give *task* the *fault* that was drawn for its place."""
    if fault != RECORD_ERRORS:
        return task
    return evolve(task, fault=Unreadable(500, f"planned fault: {RECORD_ERRORS}"))

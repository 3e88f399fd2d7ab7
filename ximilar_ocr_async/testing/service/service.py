"""The local service: a request in, a reply out; Ximilar's OCR in miniature, around any engine."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
from attrs import define, evolve, field

from ximilar_ocr_async.testing.service.contract import (
    Invalid,
    Reply,
    Request,
    Task,
    accept,
    compose,
    refuse,
    turn_away,
)
from ximilar_ocr_async.testing.service.engine import Engine, Reading, Unreadable
from ximilar_ocr_async.testing.service.faults import (
    LOST,
    MISSING_RECORDS,
    NO_CREDITS,
    RECORD_ERRORS,
    SPOILT,
    FaultPlan,
    Lot,
)
from ximilar_ocr_async.testing.service.jobs import Jobs
from ximilar_ocr_async.testing.service.scripted_gpt import GPT
from ximilar_ocr_async.testing.service.submissions import PATH, methods, read_submission

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""URL to encoded image; raises `Unreadable`."""

_T = TypeVar("_T")

NO_GPT_HERE = "no language model is asked here; serve with --gpt-url, or with --scripted-gpt"

INLINE = 1024 * 1024
"""[bytes] of a request that are parsed on the event loop."""


@define(eq=False)
class Service:
    """Answers requests. Lives as long as its server.

    Args:
        engine: Reads the images.
        fetch: Fetches those given by URL; without it they are refused.
        gpt: Answers prompts; without it records that have one are refused.
        token: The one that is allowed; any if there is none.
        faults: Those that it is to show.
        inline: [bytes] of a request that are parsed on the event loop; larger ones in a thread.
        jobs: The asynchronous requests.

    Attributes:
        requests: Those that came, whatever became of them.
        records: Those in the requests that were fit to be read.
        billed: Records that were read, which the real service would bill.
        spent: What they cost [credits].
        bills: How often each image was billed, by its URL, or by the SHA-256 of its bytes as
            hexadecimal digits: an entry for each image, however large it is.
    """

    engine: Engine
    fetch: Fetch | None = None
    gpt: GPT | None = None
    token: str | None = field(default=None, repr=False)
    faults: FaultPlan = field(factory=FaultPlan)
    inline: int = field(default=INLINE, repr=False)
    jobs: Jobs = field(factory=Jobs, repr=False)
    requests: int = field(init=False, default=0)
    records: int = field(init=False, default=0)
    billed: int = field(init=False, default=0)
    spent: int = field(init=False, default=0)
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
        if PATH.fullmatch(request.path):
            return await self._answer_on_jobs(request, lot)
        accept_it = partial(accept, request, token=self.token, spent=self.spent)
        accepted = await self._parse(request, accept_it)
        return accepted if isinstance(accepted, Reply) else await self._reply_to(accepted, lot)

    async def _answer_on_jobs(self, request: Request, lot: Lot) -> Reply:
        if refusal := turn_away(request, methods(request.path), self.token):
            return refusal
        if request.method == "GET":
            return self.jobs.show(request)
        try:
            submission = await self._parse(request, partial(read_submission, request.body))
        except Invalid as fault:
            # As Django's framework does, which answers at the account's endpoints.
            return Reply(400, {fault.name: [fault.text]} if fault.name else {"detail": fault.text})
        if refusal := self.faults.forbid(submission.endpoint):
            return refusal
        read = partial(self._reply_to, submission.tasks, lot)
        return self.jobs.submit(
            submission, owner=request.authorization, read=read, faults=self.faults
        )

    async def _parse(self, request: Request, parse: Callable[[], _T]) -> _T:
        if len(request.body) <= self.inline:
            return parse()
        return await anyio.to_thread.run_sync(parse)

    async def _reply_to(self, accepted: Sequence[Task], lot: Lot) -> Reply:
        """Make the reply to records that are fit to be read."""
        start = anyio.current_time()
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

    def _refuse(self, tasks: Sequence[Task]) -> Reply | None:
        """Refuse a request that was fit to be read, if that is planned."""
        if refusal := self.faults.forbid(tasks[0].endpoint):
            return refusal
        if self.faults.credits is not None and self.billed >= self.faults.credits:
            return refuse(403, NO_CREDITS)
        if any(task.fault is None and self.faults.is_poison(task.key) for task in tasks):
            return refuse(400, "planned fault: poison")
        return None

    def _bill(self, tasks: Sequence[Task], readings: Sequence[Reading | Unreadable]) -> None:
        pairs = zip(tasks, readings, strict=True)
        read = [task for task, reading in pairs if isinstance(reading, Reading)]
        self.billed += len(read)
        self.spent += sum(task.credits for task in read)
        self.bills.update(task.key for task in read)

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
        if task.prompt is not None and self.gpt is None:
            raise Unreadable(501, NO_GPT_HERE)
        image = task.image
        if image is None:
            if self.fetch is None:
                raise Unreadable(403, "URLs are not fetched here; serve with --allow-urls")
            image = await self.fetch(str(task.url))
        reading = await self.engine.read(image, task.lang)
        if task.prompt is None or self.gpt is None:
            return reading
        return evolve(reading, answer=await self.gpt.answer(task.prompt, reading.full_text))


def _spoil(task: Task, fault: str) -> Task:
    """Give *task* the *fault* that was drawn for its place."""
    if fault != RECORD_ERRORS:
        return task
    return evolve(task, fault=Unreadable(500, f"planned fault: {RECORD_ERRORS}"))

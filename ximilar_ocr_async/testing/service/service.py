"""The fake service: a request in, a reply out. The engine, the fetching and the faults vary."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
from attrs import define, evolve, field

from ximilar_ocr_async.testing.service.contract import (
    InvalidBody,
    Reply,
    Request,
    Task,
    accept,
    check_access,
    compose,
    refuse,
)
from ximilar_ocr_async.testing.service.engine import Engine, Reading, Unreadable
from ximilar_ocr_async.testing.service.faults import (
    LOST_REQUESTS,
    MISSING_RECORDS,
    NO_CREDITS,
    RECORD_ERRORS,
    SPOILED_REPLIES,
    DrawnFaults,
    FaultPlan,
)
from ximilar_ocr_async.testing.service.jobs import Jobs
from ximilar_ocr_async.testing.service.scripted_gpt import GPT
from ximilar_ocr_async.testing.service.submissions import PATH, allowed_methods, read_submission

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""Returns the encoded image behind a URL; raises `Unreadable` if it cannot be fetched."""

_T = TypeVar("_T")

NO_GPT_HERE = "no language model is asked here; serve with --gpt-url or --scripted-gpt"

INLINE = 1024 * 1024
"""Longest body that is parsed on the event loop [bytes]."""


@define(eq=False)
class Service:
    """Replies to requests and counts what Ximilar would bill.

    An instance of this lives as long as its server does.

    Attributes:
        engine: Reads the images.
        fetch: Fetches images given by URL. None refuses them.
        gpt: Language model for records with a prompt. None refuses them.
        token: The only token that is accepted. None accepts every token.
        faults: Faults to show.
        inline: Longest body that is parsed on the event loop [bytes]. Longer ones are parsed in a
            thread.
        jobs: The asynchronous requests.
        requests: Number of requests that arrived, including refused ones.
        records: Number of records in requests that were accepted, counted each time they are sent.
        billed: Number of records that were read, each of which Ximilar would bill.
        spent: Price of the billed records [credits].
        bills: How often each image was billed, by its URL or by the SHA-256 of its bytes as
            hexadecimal digits.
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
    _first_request_at: float | None = field(init=False, default=None)

    async def answer(self, request: Request) -> Reply:
        """Return the reply to *request*.

        Raises:
            Interference: A planned fault keeps the reply from the client.
        """
        drawn = self._draw_faults()
        if refusal := self.faults.refusal(drawn.fault):
            return refusal
        if drawn.fault in LOST_REQUESTS:
            raise LOST_REQUESTS[drawn.fault]
        reply = await self._reply(request, drawn)
        if drawn.fault in SPOILED_REPLIES:
            raise SPOILED_REPLIES[drawn.fault]
        return reply

    def _draw_faults(self) -> DrawnFaults:
        now = anyio.current_time()
        if self._first_request_at is None:
            self._first_request_at = now
        self.requests += 1
        return self.faults.draw(self.requests - 1, seconds=now - self._first_request_at)

    async def _reply(self, request: Request, drawn: DrawnFaults) -> Reply:
        if PATH.fullmatch(request.path):
            return await self._reply_about_jobs(request, drawn)
        check = partial(accept, request, token=self.token, spent=self.spent)
        accepted = await self._parse(request, check)
        return accepted if isinstance(accepted, Reply) else await self._read(accepted, drawn)

    async def _reply_about_jobs(self, request: Request, drawn: DrawnFaults) -> Reply:
        if refusal := check_access(request, allowed_methods(request.path), self.token):
            return refusal
        if request.method == "GET":
            return self.jobs.show(request)
        try:
            submission = await self._parse(request, partial(read_submission, request.body))
        except InvalidBody as error:
            # The account's endpoints run on Django, which formats errors this way.
            return Reply(
                400, {error.field: [error.text]} if error.field else {"detail": error.text}
            )
        if refusal := self.faults.forbid(submission.endpoint):
            return refusal
        read = partial(self._read, submission.tasks, drawn)
        return self.jobs.submit(
            submission, owner=request.authorization, read=read, faults=self.faults
        )

    async def _parse(self, request: Request, parse: Callable[[], _T]) -> _T:
        if len(request.body) <= self.inline:
            return parse()
        return await anyio.to_thread.run_sync(parse)

    async def _read(self, accepted: Sequence[Task], drawn: DrawnFaults) -> Reply:
        """Read the records of an accepted request and return the reply."""
        start = anyio.current_time()
        self.records += len(accepted)
        if refusal := self._refuse(accepted):
            return refusal
        tasks = [_with_fault(*pair) for pair in zip(accepted, drawn.records, strict=False)]
        readings = await self._read_all(tasks)
        self._bill(tasks, readings)
        kept = [i for i in range(len(tasks)) if drawn.records[i] != MISSING_RECORDS]
        return compose(
            [tasks[index] for index in kept],
            [readings[index] for index in kept],
            request_id=str(uuid4()),
            seconds=anyio.current_time() - start,
        )

    def _refuse(self, tasks: Sequence[Task]) -> Reply | None:
        """Return the refusal of an accepted request if the plan has one for it."""
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
        """Read all records at once; the engine limits its own concurrency."""
        readings: dict[int, Reading | Unreadable] = {}

        async def read(index: int, task: Task) -> None:
            try:
                readings[index] = await self._read_one(task)
            except Unreadable as error:
                readings[index] = error

        async with anyio.create_task_group() as group:
            for index, task in enumerate(tasks):
                group.start_soon(read, index, task)
        return [readings[index] for index in range(len(tasks))]

    async def _read_one(self, task: Task) -> Reading:
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


def _with_fault(task: Task, fault: str) -> Task:
    """Return *task*, failing if *fault* is that of a record error."""
    if fault != RECORD_ERRORS:
        return task
    return evolve(task, fault=Unreadable(500, f"planned fault: {RECORD_ERRORS}"))

"""Odd answers on a raw socket: read, or an error that says what it cost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.faults.server import Connection, faulty_server
from tests.http.odd_answers import ANSWERS, LIMIT, Answer, sized
from ximilar_ocr_async import OCRSession, Outcome, RetryPolicy

pytestmark = pytest.mark.anyio

WELL = "https://images.example/well.jpg"
ODD = "https://images.example/odd.jpg"
RETRY = RetryPolicy(base=0, cap=0)
DECISIONS = Path(__file__).parents[2] / "docs" / "decisions.md"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets do not know of another."""
    return request.param


@define
class Service:
    """Answers well, but for one image oddly; lives as long as its server.

    Attributes:
        odd: What it answers for the odd image.
        bills: How often that was paid for since *odd* was set.
    """

    odd: Answer = ANSWERS[0]
    bills: int = 0

    async def behave(self, connection: Connection) -> None:
        """Answer the requests of one connection."""
        while True:
            [row] = json.loads(await connection.read_request())["records"]
            connection.finish()
            if row["_url"] == WELL:
                await connection.stream.send(sized())
                continue
            self.bills += self.odd.is_billed
            await connection.stream.send(self.odd.raw)
            if self.odd.closes:
                return


def complaints(service: Service, outcome: Outcome) -> Iterator[str]:
    """Yield what is not as the row of the odd answer says."""
    error = None if outcome.ok else outcome.error
    if type(error) is not (service.odd.error or type(None)):
        yield f"ended with {error!r}"
    if outcome.ok and not outcome.record.text.startswith("BASIC MewV"):
        yield f"read as {outcome.record.text!r}"
    if service.bills > 2:
        yield f"billed {service.bills} times"
    if service.bills > outcome.ok and not outcome.maybe_billed:
        yield f"billed {service.bills} times in silence"


async def test_odd_answers_end_as_their_rows_say() -> None:
    """On a connection that was used before, each is read or is its error, and what it cost is told.

    The image that is read next gets its own answer.
    """
    wrong, service = [], Service()
    async with faulty_server(service.behave) as server:
        for service.odd in ANSWERS:
            service.bills = 0
            async with OCRSession(
                "t",
                base_url=server.url,
                retry=RETRY,
                timeout=5,
                outage_timeout=0,
                max_response_bytes=LIMIT,
            ) as session:
                await session.read(WELL)
                [outcome] = await session.read_all([ODD])
                [after] = await session.read_all([WELL])
            wrong += [f"{service.odd.name}: {what}" for what in complaints(service, outcome)]
            if not after.ok:
                wrong.append(f"{service.odd.name}: the next one ended with {after.error!r}")
    assert wrong == []


def test_what_curl_reads_and_we_refuse_has_a_reason() -> None:
    """The page of decisions has a row for each kind of these answers, and no other."""
    page = DECISIONS.read_text(encoding="utf-8")
    section = page.partition("### Answers that curl reads")[2].partition("\n#")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| ")]
    kinds = {answer.kind for answer in ANSWERS} - {""}
    assert {cell.removeprefix("| ") for cell in cells} == kinds | {"kind"}


def test_each_odd_answer_is_another() -> None:
    """A row that says the same as another would be a mistake."""
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS)
    assert len({answer.raw for answer in ANSWERS}) == len(ANSWERS)

"""What others write never makes an error's message long, or more than one line."""

import json
import logging
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.jobs.deliveries import GIVEN, news, receiver
from ximilar_ocr_async import OCRError
from ximilar_ocr_async.testing import InProcessService, virtual_time

FORGED = "no\n2026-11-27 ERROR root: all is lost\r\x1b[2J\u202eoops\u2028\x9b31m\ud800"

WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [FORGED, "Invalid token. " + FORGED, "x" * 9_000, FORGED * 900, "\u202e" * 900]
    ),
)
CODES = st.sampled_from([200, 302, 400, 401, 403, 404, 413, 429, 500, 503, 504, 10**300, -1, "404"])
ODD = WORDS | CODES | st.none() | st.lists(WORDS, max_size=2)
STATUSES = ODD | st.fixed_dictionaries(
    {}, optional={"code": ODD, "text": ODD, "request_id": ODD, "more": ODD}
)
ROWS = st.fixed_dictionaries(
    {}, optional={"_id": ODD, "_status": STATUSES, "_width": ODD, "_ocr": ODD | STATUSES}
)
DOCUMENTS = (
    st.fixed_dictionaries(
        {},
        optional={
            "status": STATUSES | st.sampled_from(["DONE", "FAILED", "NOT_SUPPORTED"]),
            "detail": ODD,
            "records": ODD | st.lists(ROWS, max_size=3),
            "response": ODD | st.fixed_dictionaries({"records": st.lists(ROWS, max_size=3)}),
            "results": ODD | st.lists(st.fixed_dictionaries({"id": ODD}), max_size=2),
            "next": ODD,
            "id": ODD,
        },
    )
    | st.dictionaries(WORDS, ODD, max_size=2)
    | ODD
)


def check(error: OCRError) -> None:
    """Assert that an error is fit for a log."""
    assert len(str(error)) < 2000
    assert str(error).isprintable()
    assert len(error.request_id or "") <= 200
    assert (error.request_id or "").isprintable()


async def errors_of(reply: httpx.Response) -> list[OCRError]:
    """Return what errors come of an answer, whatever was asked."""
    there = InProcessService(reply=lambda _: reply)
    found: list[OCRError] = []
    async with there.session(outage_timeout=0.0) as session:
        async with session.stream(["https://x.example/1", "https://x.example/2"]) as outcomes:
            found += [o.error async for o in outcomes if not o.ok]
        try:
            job = await session.submit(["https://x.example/1"])
            found += [failure.error for failure in job.failures]
            found += [o.error for o in await job.wait(deadline=9.0) if not o.ok]
        except OCRError as error:
            found.append(error)
        for ask in (
            session.account,
            session.check,
            session.job("r1").infos,
            session.job("r1").wait,
        ):
            try:
                await ask(deadline=9.0)
            except OCRError as error:
                found.append(error)
        try:
            async for _ in session.jobs(deadline=9.0):
                pass
        except OCRError as error:
            found.append(error)
    return found


@given(document=DOCUMENTS, code=st.sampled_from([200, 400, 401, 404, 500]))
@example(document={"status": {"code": 400, "text": FORGED * 9_000, "request_id": FORGED}}, code=200)
@example(document={"detail": FORGED * 9_000}, code=400)
@example(document=[FORGED * 9_000], code=400)
@example(document={FORGED * 900: [FORGED * 900]}, code=400)
@example(document={"status": "FAILED", "detail": FORGED * 9_000}, code=200)
@example(document={"status": "DONE", "response": {"records": [{"_status": FORGED}]}}, code=200)
@example(document={"id": FORGED * 900, "status": "FAILED"}, code=200)
@example(document={"results": [], "next": f"https://[{FORGED}"}, code=200)
def test_no_reply_makes_a_message_of_many_lines(document: Any, code: int) -> None:
    """Whatever the service answers, each error of it is one line of less than 2,000 characters."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("ximilar_ocr_async")
    logger.addHandler(handler)
    name, options = virtual_time("asyncio")
    reply = httpx.Response(code, content=json.dumps(document).encode())
    try:
        found = anyio.run(errors_of, reply, backend=name, backend_options=options)
    finally:
        logger.removeHandler(handler)
    for error in found:
        check(error)
    assert all(line.isprintable() and len(line) < 2500 for line in lines)


@given(document=DOCUMENTS, rows=st.lists(ROWS, max_size=3), request_id=WORDS)
def test_no_delivery_makes_a_message_of_many_lines(
    document: Any, rows: list[Any], request_id: str
) -> None:
    """Whatever is delivered to a webhook, each error of it is one line of less than 2,000."""
    for body in (json.dumps(document).encode(), news(request_id, rows=rows)):
        try:
            delivery = receiver().receive(GIVEN, body)
        except OCRError as error:
            check(error)
        else:
            for outcome in (delivery and delivery.outcomes) or ():
                if not outcome.ok:
                    check(outcome.error)


@pytest.mark.anyio
async def test_a_record_keeps_what_the_service_said() -> None:
    """The words of a record that was read stand in its model as they came."""

    def alter(document: dict[str, Any]) -> None:
        document["records"][0]["_status"]["text"] = FORGED

    async with InProcessService(alter=alter).session() as session:
        record = await session.read("https://x.example/1")
    assert record.status.text == FORGED

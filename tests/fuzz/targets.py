"""What takes the words of others: replies, jobs, webhooks, lists, fields and completions."""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import anyio
import httpx
from hypothesis import strategies as st

from tests.fuzz.engine import Target
from tests.fuzz.inputs import (
    CLASSES,
    COMPLETIONS,
    FORGED,
    HEADERS,
    IDS,
    JOBS,
    REPLIES,
    bodies,
    texts,
)
from tests.jobs.deliveries import GIVEN, receiver
from tests.protocol.replies import JSON
from ximilar_ocr_async._extraction import Extraction
from ximilar_ocr_async._http import Response, Timing
from ximilar_ocr_async._protocol import (
    Echo,
    ReadRequest,
    SubmitRequest,
    Webhook,
)
from ximilar_ocr_async.cli.classes import make_class
from ximilar_ocr_async.cli.console import to_table
from ximilar_ocr_async.cli.headers import parse_headers
from ximilar_ocr_async.cli.jobs import find_ids
from ximilar_ocr_async.cli.json_lines import (
    extraction_to_json,
    outcome_to_json,
    to_json,
)
from ximilar_ocr_async.cli.lists import LINE, NUL, read_list
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.export import to_dict
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import GPT, Account, JobInfo, Record
from ximilar_ocr_async.outcomes import Failure, Outcome, Success
from ximilar_ocr_async.testing import InProcessService, virtual_time

STATUSES = st.sampled_from([200] * 6 + [201, 302, 400, 401, 403, 404, 429, 500, 503, 504, 999])


@contextlib.contextmanager
def errors_pass() -> Iterator[None]:
    """Pass over errors of ours, which are fit for a log."""
    try:
        yield
    except OCRError as error:
        check(error)


def check(error: OCRError) -> None:
    """Assert that an error is one short line."""
    assert len(str(error)) < 2000
    assert str(error).isprintable()
    assert len(error.request_id or "") <= 200


def write(outcome: Outcome[Any], to: Callable[[Any], dict[str, Any]] = outcome_to_json) -> None:
    """Assert that an outcome can be written as a line of JSON."""
    assert "\n" not in to_json(to(outcome))


def _write_result(result: Any) -> None:
    image = Image(b"")
    if isinstance(result, OCRError):
        check(result)
        write(Failure(index=0, image=image, error=result))
    elif isinstance(result, Record):
        write(Success(index=0, image=image, record=result))


def run_decode(case: tuple[int, bytes, bool]) -> None:
    """Decode the response to a batch, and that to a submission."""
    status, body, maybe_billed = case
    for request in (ReadRequest("read_gpt", "en"), SubmitRequest("read", "en")):
        with errors_pass():
            response = Response(status, body, timing=Timing(was_sent=True, is_late=maybe_billed))
            results = request.decode(response, list(IDS), Echo())
            assert len(results) == len(IDS)
            for result in results:
                _write_result(result)


def run_jobs(case: tuple[int, bytes]) -> None:
    """Ask after requests and the account, and get one answer to all."""
    status, body = case
    there = InProcessService(reply=lambda _: httpx.Response(status, content=body))
    name, options = virtual_time()
    anyio.run(_ask, there, backend=name, backend_options=options)


async def _ask(there: InProcessService) -> None:
    async with there.session(outage_timeout=0.0) as session:
        job = session.job("r1")
        with errors_pass():
            for outcome in await job.wait(deadline=9.0):
                write(outcome)
        with errors_pass():
            _write_model(*await job.infos())
        with errors_pass():
            _write_model(await session.account())
        with errors_pass():
            async for info in session.jobs():
                _write_model(info)
                if there.requests > MOST_PAGES:
                    break


MOST_PAGES = 20
"""How many pages are asked for. One that has a link to the next is the same again and again."""


def _write_model(model: Account | JobInfo) -> None:
    """Assert that an account or a request can be written as JSON and as a table."""
    shown = to_dict(model)
    assert "\n" not in to_json(shown)
    assert all(line.isprintable() for line in to_table(shown).split("\n"))


def run_webhooks(case: tuple[dict[str, str], bytes]) -> None:
    """Receive a delivery."""
    for there in (receiver(), receiver(verify="refetch", max_bytes=1000)):
        with errors_pass():
            delivery = there.receive(*case)
            for outcome in (delivery and delivery.outcomes) or ():
                write(outcome)


def run_lists(case: tuple[bytes, bytes]) -> None:
    """Read a list of names, of ids and of headers."""
    data, ending = case
    uses: list[Callable[[], object]] = [
        lambda: [*read_list("-", ending)],
        lambda: find_ids(["-"]),
        lambda: Webhook("https://x.example", parse_headers(["-"], "--header")),
        # Not the name of a file.
        lambda: Webhook("https://x.example", parse_headers([f":{data!r}"], "--header")),
    ]
    for use in uses:
        stdin = io.TextIOWrapper(io.BytesIO(data))
        with mock.patch.multiple(sys, stdin=stdin, stderr=io.StringIO()), errors_pass():
            use()


def run_fields(case: tuple[str, str, Any]) -> None:
    """Make a class of words, and fill it in from a completion."""
    fields, completion, json_result = case
    with errors_pass():
        extraction = Extraction(make_class(fields), max_reasks=1)
        for result in (None, json_result):
            record = Record(id="a", gpt=GPT(result=completion, json_result=result))
            outcome = Success(index=0, image=Image(b""), record=record)
            found = extraction.interpret(outcome, extraction.prepare(record))
            if isinstance(found, str):
                assert len(found.encode(errors="surrogatepass")) <= 4000
            else:
                write(found, extraction_to_json)
                if not found.ok:
                    check(found.error)


def _sizes(case: tuple[Any, ...]) -> int:
    return sum(len(part) if isinstance(part, str | bytes) else 8 for part in case)


REPLY = st.tuples(STATUSES, bodies(REPLIES), st.booleans())

DELIVERY = st.tuples(st.just(dict(GIVEN)) | HEADERS, bodies(JOBS[:2]))

LISTS = ["a.jpg\nhttps://x.example\r\nb\0c", "X-A: b\nX-B: c", "@a\n-"]
LIST = st.tuples(
    texts(LISTS, "\0\r\n:@ -").map(lambda text: text.encode(errors="surrogatepass"))
    | st.binary(max_size=100),
    st.sampled_from([LINE, NUL]),
)

RESULTS = st.sampled_from([{"a": 1}, {"a": FORGED}, [json.loads("[" * 900 + "]" * 900)]])
FORM = st.tuples(
    texts(CLASSES, "a:,?[] list"),
    texts(COMPLETIONS, "{}[]\"'\\,:ux TrueNone"),
    JSON | RESULTS,
)

TARGETS = [
    Target("decode", REPLY, _sizes, run_decode),
    Target("jobs", st.tuples(STATUSES, bodies(JOBS)), _sizes, run_jobs),
    Target("webhooks", DELIVERY, _sizes, run_webhooks),
    Target("lists", LIST, _sizes, run_lists),
    Target("fields", FORM, _sizes, run_fields),
]
"""What is fuzzed."""

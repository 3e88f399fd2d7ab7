"""What no later attempt mends is not tried again, and stops no more than it concerns."""

from typing import Any

import anyio
import pytest
from attrs import frozen

from tests.helpers import error_of, failing, texts, urls
from ximilar_ocr_async import (
    AddressError,
    AuthError,
    CreditsExhausted,
    OCRError,
    OCRSession,
    PlanError,
    RequestRejected,
)
from ximilar_ocr_async.testing import InProcessService, ScriptedReply, SeenRequest

pytestmark = pytest.mark.anyio

URL = "https://x.example/a"


@frozen
class Note:
    """What an image says."""

    text: str


def records_say(code: int, text: str, ending: str = "") -> Any:
    """Return what changes answers so that records whose URL has that ending fail with a status."""

    def alter(document: dict[str, Any]) -> None:
        for row in document.get("records", []):
            if row["_url"].endswith(ending):
                row.pop("_ocr", None)
                row["_status"] = {"code": code, "text": text}

    return alter


PERMANENT = [
    *((failing(code), RequestRejected) for code in (501, 505, 506, 508, 510)),
    (failing(511), AddressError),
    (failing(403, "not allowed to access service OCR GPT"), PlanError),
    (failing(402, "Your plan does not include GPT"), PlanError),
    (failing(400, "read_gpt is not available in your plan"), PlanError),
    (failing(402), CreditsExhausted),
    (failing(429, "credit limits reached"), CreditsExhausted),
    (failing(200, "no credits left"), CreditsExhausted),
]


@pytest.mark.parametrize("said, cls", PERMANENT)
async def test_a_permanent_failure_is_tried_once(
    service: InProcessService, said: Any, cls: type[OCRError]
) -> None:
    """One attempt finds it out, by each door, and the error says that no other helps."""
    service.reply = lambda _: said

    async def check(call: Any) -> None:
        # A session of its own: none knows of the refusals of another.
        before = service.requests
        async with service.session() as session:
            with pytest.raises(cls) as caught:
                await call(session)
        assert type(caught.value) is cls
        assert not caught.value.retryable
        assert service.requests == before + 1

    async def read_all(session: OCRSession) -> None:
        [outcome, *_] = await session.read_all(urls(7), prompt="?")
        assert outcome.attempts == 1
        outcome.unwrap()

    async def submit(session: OCRSession) -> None:
        job = await session.submit([URL], prompt="?")
        (await job.wait())[0].unwrap()

    await check(lambda session: session.read(URL, prompt="?"))
    await check(lambda session: session.extract(URL, Note))
    await check(read_all)
    if said.status_code != 200:
        await check(submit)


async def test_a_service_without_a_language_model_is_asked_once(service: InProcessService) -> None:
    """Records that it answers with 501 are not sent again."""
    async with service.session() as session:
        outcomes: list[Any] = [*await session.extract_all(urls(12), Note)]
    assert {(type(error_of(o)), error_of(o).status) for o in outcomes} == {(RequestRejected, 501)}
    assert {outcome.attempts for outcome in outcomes} == {1}
    assert sum(service.sizes) == 12


async def test_credits_that_are_used_up_stop_their_account_alone(
    service: InProcessService,
) -> None:
    """No more requests than slots find it out, and another account reads on."""

    def reply(seen: SeenRequest) -> ScriptedReply | None:
        is_poor = seen.headers["Authorization"] == "Token poor"
        return failing(403, "credit limits reached") if is_poor else None

    service.reply = reply
    done: dict[str, list[Any]] = {}

    async def run(name: str, of: OCRSession) -> None:
        done[name] = await of.read_all(urls(2000))

    async with service.session() as session, anyio.create_task_group() as group:
        poor = session.for_token("poor")
        group.start_soon(run, "poor", poor)
        group.start_soon(run, "rich", session)
    assert {type(error_of(outcome)) for outcome in done["poor"]} == {CreditsExhausted}
    assert texts(done["rich"]) == urls(2000)
    assert sum(seen.headers["Authorization"] == "Token poor" for seen in service.log) <= 3


async def test_bought_credits_are_found_out(service: InProcessService) -> None:
    """A session whose account has credits again goes on by itself."""
    service.reply = lambda _: failing(402)
    async with service.session() as session:
        for _ in range(3):
            with pytest.raises(AuthError):
                await session.read(URL)
        service.reply = None
        await anyio.sleep(6)
        assert (await session.read(URL)).text == URL


@pytest.mark.parametrize("code", [400, 401, 402, 403, 429, 500, 501])
@pytest.mark.parametrize(
    "text", ["credit limits reached", "not allowed to access service", "not in your plan"]
)
async def test_words_of_one_record_stop_nothing(
    service: InProcessService, code: int, text: str
) -> None:
    """The words may be those of whoever serves the image: its neighbours and the rest are read."""
    service.alter = records_say(code, text, "/3.jpg")
    async with service.session() as session:
        outcomes = await session.read_all(urls(45))
        assert [outcome.index for outcome in outcomes if not outcome.ok] == [3]
        assert not isinstance(error_of(outcomes[3]), AuthError)
        assert (await session.read(URL)).text == URL

"""The service around a scripted engine, asked by a client in process."""

import base64
from typing import Any

import httpx
import pytest
from attrs import define, field

from ximilar_ocr_async.emulator.asgi import app
from ximilar_ocr_async.testing.service.contract import DETAILS, READ, READ_GPT
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.faults import FaultPlan
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import INLINE, Service

pytestmark = pytest.mark.anyio

SCRIPT = {b"one": "first", b"two": "second\nline"}


@define
class Web:
    """Serves the images of *pages*, and notes what was asked for."""

    pages: dict[str, bytes]
    asked: list[str] = field(factory=list)

    async def __call__(self, url: str) -> bytes:
        """Return the page, or say that there is none."""
        self.asked.append(url)
        if url not in self.pages:
            raise Unreadable(400, "the URL returned 404")
        return self.pages[url]


def client(service: Service, *, token: str = "abc") -> httpx.AsyncClient:  # noqa: S107
    """Make a client of *service* in process."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app(service)),
        base_url="http://service",
        headers={"Authorization": f"Token {token}"},
    )


def record(image: bytes, **fields: Any) -> dict[str, Any]:
    """Make a record of an encoded *image*."""
    return {"_base64": base64.b64encode(image).decode(), **fields}


async def read(
    service: Service, *records: dict[str, Any], path: str = READ
) -> list[dict[str, Any]]:
    """Have *records* read, and return what came back for each."""
    async with client(service) as http:
        answer = await http.post(path, json={"records": records})
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["records"]
    return rows


def codes(rows: list[dict[str, Any]]) -> list[int]:
    """Return the status of each row."""
    return [row["_status"]["code"] for row in rows]


async def test_images_are_read() -> None:
    """Each image is read and answered in its place, under one request id."""
    rows = await read(Service(ScriptedEngine(SCRIPT)), record(b"two"), record(b"one"))
    assert [row["_ocr"]["full_text"] for row in rows] == ["second line", "first"]
    assert len({row["_status"]["request_id"] for row in rows}) == 1


async def test_records_are_read_side_by_side() -> None:
    """All records of a request are with the engine at the same time."""
    engine = ScriptedEngine(latency=1.0)
    await read(Service(engine), *[record(b"one")] * 10)
    assert (engine.calls, engine.peak) == (10, 10)


async def test_requests_have_names_of_their_own() -> None:
    """Two requests have different ids, and tell how long they took."""
    async with client(Service(ScriptedEngine())) as http:
        answers = [(await http.post(READ, json={"records": [record(b"")]})).json() for _ in "ab"]
    assert len({answer["status"]["request_id"] for answer in answers}) == 2
    assert all(answer["statistics"]["processing time"] >= 0 for answer in answers)


async def test_only_what_was_read_is_billed() -> None:
    """Records that the engine or the contract refuses are not billed."""
    service = Service(ScriptedEngine(SCRIPT))
    rows = await read(service, record(b"one"), record(b"unknown"), {}, record(b"two", lang="xx"))
    assert codes(rows) == [200, 422, 400, 400]
    async with client(service) as http:
        details = (await http.get(DETAILS)).json()
    assert (service.billed, details["credits_counter"]) == (1, 5)


async def test_the_token_is_checked() -> None:
    """A service that has a token answers 401 to any other, and does not show its own."""
    service = Service(ScriptedEngine(), token="abc")
    async with client(service) as right, client(service, token="xyz") as wrong:
        assert (await right.get(DETAILS)).status_code == 200
        assert (await wrong.get(DETAILS)).status_code == 401
    assert "abc" not in repr(service)


async def test_urls_are_refused_unless_they_can_be_fetched() -> None:
    """Without a fetch a URL fails and the message says how to allow it."""
    [row] = await read(Service(ScriptedEngine()), {"_url": "https://example.com/a"})
    assert row["_status"]["code"] == 403
    assert "--allow-urls" in row["_status"]["text"]
    assert row["_url"] == "https://example.com/a"


async def test_urls_are_fetched() -> None:
    """With a fetch a URL is read as the image behind it, or fails by itself."""
    web = Web({"https://example.com/a": b"one"})
    service = Service(ScriptedEngine(SCRIPT), fetch=web)
    urls = ["https://example.com/a", "https://example.com/b"]
    good, bad = await read(service, *({"_url": url} for url in urls))
    assert good["_ocr"]["full_text"] == "first"
    assert (bad["_status"]["code"], bad["_status"]["text"]) == (400, "the URL returned 404")
    assert sorted(web.asked) == urls
    assert service.billed == 1


async def test_a_large_body_is_read_like_a_small_one() -> None:
    """A body too large for the event loop is parsed in a thread, and answered the same."""
    image = b"x" * INLINE
    [row] = await read(Service(ScriptedEngine({image: "large"})), record(image))
    assert row["_ocr"]["full_text"] == "large"


async def test_prompts_are_answered() -> None:
    """A record with a prompt has the language model's answer to it and to the image's text."""
    gpt = ScriptedGPT(lambda prompt, text: f"{prompt} {text}")
    rows = await read(
        Service(ScriptedEngine(SCRIPT), gpt=gpt),
        record(b"two", prompt="what is"),
        record(b"one"),
        path=READ_GPT,
    )
    assert rows[0]["_ocr"]["full_text"] == "second line"
    assert rows[0]["_gpt"] == {
        "full_prompt": "Instruction: what is \nInput: second line \nResult:",
        "result": "what is second line",
    }
    assert "_gpt" not in rows[1]


async def test_read_gpt_costs_three_times_as_much() -> None:
    """Each record of read_gpt that was answered is 15 credits, and none that failed is any."""
    service = Service(ScriptedEngine(SCRIPT), gpt=ScriptedGPT({"known": "{}"}))
    asked = [record(b"one", prompt="known"), record(b"one"), record(b"one", prompt="unknown")]
    rows = await read(service, *asked, path=READ_GPT)
    assert codes(rows) == [200, 200, 422]
    assert rows[2]["_status"]["text"] == "the script has no answer to the prompt"
    await read(service, record(b"one"))
    async with client(service) as http:
        details = (await http.get(DETAILS)).json()
    assert (service.billed, service.spent, details["credits_counter"]) == (3, 35, 35)


async def test_without_a_language_model_prompts_fail_by_themselves() -> None:
    """A record with a prompt fails and says how to get an answer; its neighbour is read."""
    engine = ScriptedEngine(SCRIPT)
    rows = await read(
        Service(engine), record(b"one", prompt="what?"), record(b"one"), path=READ_GPT
    )
    assert codes(rows) == [501, 200]
    assert "serve with --gpt-url" in rows[0]["_status"]["text"]
    assert "_ocr" not in rows[0]
    assert engine.calls == 1


async def test_a_plan_without_gpt_is_refused() -> None:
    """Where the account's plan has no language model, read_gpt is refused and reading is not."""
    service = Service(ScriptedEngine(), gpt=ScriptedGPT(), faults=FaultPlan(no_gpt=True))
    async with client(service) as http:
        refused = await http.post(READ_GPT, json={"records": [record(b"one", prompt="what?")]})
    told = {"detail": "not allowed to access service OCR GPT"}
    assert (refused.status_code, refused.json()) == (403, told)
    assert codes(await read(service, record(b"one"))) == [200]
    assert service.billed == 1


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/", 404),
        ("POST", "/ocr/v2/detect", 404),
        ("GET", READ, 405),
        ("DELETE", READ, 405),
        ("POST", DETAILS, 405),
        ("BREW", READ, 405),
    ],
)
async def test_unknown_paths_and_methods(method: str, path: str, status: int) -> None:
    """Paths and methods that the service has not are refused."""
    async with client(Service(ScriptedEngine())) as http:
        assert (await http.request(method, path)).status_code == status


@pytest.mark.parametrize("header", ["", "abc", "Token"])
async def test_odd_tokens_are_refused(header: str) -> None:
    """A header that holds no token gets 401."""
    async with client(Service(ScriptedEngine())) as http:
        answer = await http.get(DETAILS, headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token."})

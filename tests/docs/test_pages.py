"""What the README and the pages of the manual print runs."""

import asyncio
import atexit
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from tests.docs.pages import MANUAL, ROOT
from tests.faults.certificates import OURS, authority
from tests.relays import proxy, secured
from tests.session.test_web import fetch
from tests.session.web_servers import served, until
from ximilar_ocr_async import OCRSession, Webhook
from ximilar_ocr_async.emulator.callers import Callers
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing import InProcessService, ScriptedGPT
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

TEN_LINES = "anyio.run(main)"
READING = "def read_images"
TYPED = "class Invoice"
JOBS = "submit_and_wait"
WEBHOOKS = "read-later"
ACCOUNT = "look_before_you_spend"
BACKEND = "import Depends, FastAPI"
LITESTAR = "OCRPlugin"
PLAIN = "write_table"
ANY_LOOP = "read_from_any_loop"
TENANTS = "read_archive"
TEST_FILE = "pytest_plugins"
SCRIPTS = "read_through_trouble"
NETWORK = "read_in_a_company"
EVENTS = "count_credits"
HEARD = "hear_of_an_outage"

TRIED = (
    TEN_LINES,
    READING,
    TYPED,
    JOBS,
    WEBHOOKS,
    ACCOUNT,
    BACKEND,
    LITESTAR,
    PLAIN,
    ANY_LOOP,
    TENANTS,
    TEST_FILE,
    SCRIPTS,
    NETWORK,
    EVENTS,
    HEARD,
)
"""Words by which the tests below find the blocks that they run."""

BLOCKS = [(page.name, block) for page in MANUAL for block in page.blocks("python")]

PNG = b"\x89PNG\r\n\x1a\n"


def block_with(words: str) -> str:
    """Return the one block of Python that has *words*."""
    [block] = [block for _, block in BLOCKS if words in block]
    return block


def run_block(words: str) -> dict[str, Any]:
    """Run the block that has *words*; return the names that it leaves."""
    # Litestar looks for the module of a handler.
    names: dict[str, Any] = {"__name__": __name__}
    exec(block_with(words), names)  # noqa: S102 - what is printed is tested
    return names


@pytest.mark.parametrize("name, block", BLOCKS)
def test_every_block_is_run_by_a_test(name: str, block: str) -> None:
    """No page has a block of Python that the tests below do not find."""
    assert len([words for words in TRIED if words in block]) == 1, name


def test_the_ten_lines_run_as_printed() -> None:
    """The first lines are a whole program, and reads the pictures that it names."""
    with serving(Service(ScriptedEngine("what stands there"))) as url:
        env = os.environ | {"XIMILAR_BASE_URL": url, "XIMILAR_API_TOKEN": "local"}
        done = subprocess.run(
            [sys.executable, "-c", block_with(TEN_LINES)],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
    pictures = [path.name for path in (ROOT / "examples/images").glob("en-*")]
    lines = done.stdout.splitlines()
    assert len(lines) == len(pictures)
    assert all(line.endswith("what stands there") for line in lines)
    assert done.stderr == ""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_forms_of_reading_run_as_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block about reading reads one image, several, and a stream."""
    monkeypatch.chdir(ROOT)
    async with InProcessService(texts="some text").session() as session:
        await run_block(READING)["read_images"](session, PNG)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("some text 800 ((0.0, 0.0)")
    assert printed[1] == "2 of 3"
    assert printed[2:] == [f"{index} some text" for index in range(25)]


ANSWER = (
    '{"number": "2025-0187", "issued": "2025-06-03", "total": "688.80", "lines": ['
    '{"description": "Oak shelf", "quantity": 4, "amount": "346.00"},'
    '{"description": "Fitting", "quantity": 6, "amount": "228.00"}]}'
)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_typed_answers_run_as_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block about classes fills in one and many, and tells the faults of what does not fit."""
    monkeypatch.chdir(ROOT)
    bad = ANSWER.replace('"688.80"', '"a lot"')
    answers = iter([ANSWER, bad, ANSWER])
    service = InProcessService(texts="some text", gpt=ScriptedGPT(lambda *_: next(answers)))
    scan = ROOT / "examples/images/en-invoice.png"
    async with service.session() as session:
        await run_block(TYPED)["read_invoices"](session, [scan, scan])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "2025 688.80 574.00"
    fault = "$.total: expected a number such as 1234.5, got 'a lot'"
    assert sorted(lines) == [f"{(fault,)} in {bad}", "2025-0187 in some text"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_jobs_run_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The block about asynchronous requests submits, waits, takes up again and lists."""
    service, urls = InProcessService(), [f"https://scans.example/{i}.jpg" for i in range(12)]
    async with service.session() as session:
        await run_block(JOBS)["submit_and_wait"](session, urls)
    ids, *lines, again, newest, oldest = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"{index} {url}" for index, url in enumerate(urls))
    assert again == "12 outcomes, in the order of the images"
    named = set(ids.removeprefix("store these: ").split())
    assert {newest.split()[0], oldest.split()[0]} == named
    assert service.billed == 12


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_events_run_as_printed() -> None:
    """The block about events counts credits by language, and what failed."""
    names, service = run_block(EVENTS), InProcessService()
    names["OCRSession"] = service.session
    spent, failed = await names[EVENTS](["https://x.example/1", "no url"])
    assert (spent, failed) == ({"en": 5, "ja": 5}, 2)
    assert service.spent == 10


@pytest.mark.anyio
async def test_events_in_tests_run_as_printed() -> None:
    """The block about events in tests hears of the outage that was planned."""
    await run_block(HEARD)[HEARD]()


def test_the_webhooks_run_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about webhooks is an app that submits what it is asked to, and is told of it."""
    monkeypatch.setenv("WEBHOOK_SECRET", "open-sesame")
    names = run_block(WEBHOOKS)
    headers = names["receiver"].webhook.headers
    assert headers == {"X-Webhook-Secret": "open-sesame"}
    with serving(Service(ScriptedEngine("what stands there"), fetch=fetch)) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        with served(names["app"]) as backend:
            names["receiver"].webhook = Webhook(f"{backend.url}/hook", headers)
            answer = backend.http.post("/read-later", json=["https://x.example/1"])
            until(lambda: 204 in backend.statuses)
    assert answer.json() == ["what stands there"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_account_is_asked_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The block about the account proves the token, and says what images would cost."""
    async with InProcessService().session() as session:
        await run_block(ACCOUNT)["look_before_you_spend"](session, ["https://x.example/1"] * 3)
    assert capsys.readouterr().out == "0 of 2147483647\n15 45\n"


def test_the_backend_runs_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about backends is an app that returns records, and says what is no image."""
    with serving(Service(ScriptedEngine("what stands there"))) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        with TestClient(run_block(BACKEND)["app"]) as client:
            answer = client.post("/read", files={"image": PNG})
            refusal = client.post("/read", files={"image": b"text"})
    assert answer.json()["_ocr"]["full_text"] == "what stands there"
    assert (refusal.status_code, refusal.json()) == (422, {"detail": "<4 bytes> is not an image"})


def test_the_plugin_runs_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about Litestar is an app that reads what is posted to it."""
    with serving(Service(ScriptedEngine("what stands there"))) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        with served(run_block(LITESTAR)["app"]) as backend:
            answer = backend.http.post("/read", files={"image": PNG})
    assert answer.json()["_ocr"]["full_text"] == "what stands there"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_plain_data_is_made_as_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The block about plain data writes a table, and an outcome as JSON."""
    scans = [tmp_path / "a.png", tmp_path / "b.png"]
    scans[0].write_bytes(PNG)
    async with InProcessService(texts="some text").session() as session:
        await run_block(PLAIN)["write_table"](session, scans)
    head, first, second, line, ok = capsys.readouterr().out.splitlines()
    assert head.startswith("image,index,ok,text,")
    assert first.startswith(f"{scans[0]},0,True,some text")
    assert second.startswith(f"{scans[1]},1,False,,")
    assert json.loads(line)["record"]["_ocr"]["full_text"] == "some text"
    assert ok == "True"


def test_a_session_in_a_thread_is_awaited_from_any_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about backends without a lifespan reads on one event loop and then on another."""
    with serving(Service(ScriptedEngine("what stands there"))) as url, ExitStack() as at_exit:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        monkeypatch.setattr(atexit, "register", at_exit.callback)
        names = run_block(ANY_LOOP)
        records = [asyncio.run(names[ANY_LOOP](PNG)) for _ in range(2)]
    assert [record.text for record in records] == ["what stands there"] * 2
    assert repr(names["session"]) == "<OCRSession closed>"


def test_a_cancelled_wait_cancels_the_read_in_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cancelled while the session in the thread reads leaves no image waiting there."""
    engine = ScriptedEngine("what stands there")
    engine.latency = 3600.0

    async def read_and_leave(names: dict[str, Any]) -> None:
        session, read = names["session"], names[ANY_LOOP]
        reads = [asyncio.ensure_future(read(PNG)) for _ in range(40)]
        await asyncio.to_thread(until, lambda: session.stats.queued >= 10)
        for one in reads:
            one.cancel()
        await asyncio.to_thread(until, lambda: session.stats.queued == 0)

    with serving(Service(engine)) as url, ExitStack() as at_exit:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        monkeypatch.setattr(atexit, "register", at_exit.callback)
        names = run_block(ANY_LOOP)
        asyncio.run(read_and_leave(names))
    assert repr(names["session"]) == "<OCRSession closed>"


@pytest.mark.anyio
async def test_tenants_take_turns_as_printed() -> None:
    """A tenant's single read goes with the next request, beside another's archive."""
    service = InProcessService(latency=1.0)
    names = run_block(TENANTS)
    archive = [f"https://big.example/{number}" for number in range(200)]
    read: list[int] = []

    async def read_archive(session: OCRSession) -> None:
        read.append(await names[TENANTS](session, "big", archive))

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        group.start_soon(read_archive, session)
        await anyio.sleep(1.5)
        sent = service.requests
        text = await names["read_for"](session, "small", "https://small.example/1")
        assert service.requests <= sent + 2
        assert not read
    assert (text, read) == ("https://small.example/1", [200])


@pytest.mark.anyio
async def test_a_tenant_with_many_clients_gets_no_more_than_others() -> None:
    """A tenant with 20 clients is served before another with 200, although it comes later."""
    service, order = InProcessService(latency=1.0), list[str]()
    read_for = run_block(TENANTS)["read_for"]

    async def ask(session: OCRSession, tenant: str, number: int) -> None:
        await read_for(session, tenant, f"https://{tenant}.example/{number}")
        order.append(tenant)

    async with service.session(max_concurrency=1) as session, anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(ask, session, "big", number)
        await anyio.sleep(0.5)
        for number in range(20):
            group.start_soon(ask, session, "small", number)
    assert order[:50].count("small") == 20


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_an_image_is_read_in_a_company_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block about networks trusts an authority of its own, and goes through a proxy."""
    monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
    image, ca_file = tmp_path / "a.png", tmp_path / "ca.pem"
    image.write_bytes(PNG)
    authority(OURS).cert_pem.write_to_path(str(ca_file))
    there = Service(ScriptedEngine("what stands there"))
    with serving(there, Callers(["ocr.example"])) as plain:
        async with secured(plain, "ocr.example") as url, proxy(url) as gate:
            monkeypatch.setenv("XIMILAR_BASE_URL", url)
            text = await run_block(NETWORK)["read_in_a_company"](image, ca_file, gate.url)
    assert (text, len(gate.heads)) == ("what stands there", 1)


@pytest.mark.anyio
async def test_the_scripted_replies_come_as_printed() -> None:
    """The block about scripts reads all images through what it says."""
    await run_block(SCRIPTS)["read_through_trouble"]()


def test_the_test_file_runs_as_printed(tmp_path: Path) -> None:
    """The block about testing is a whole test file, and its tests pass."""
    (tmp_path / "test_scans.py").write_text(block_with(TEST_FILE), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout

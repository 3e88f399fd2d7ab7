"""What the README prints runs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import ximilar_ocr_async
from tests.session.test_web import fetch, served, until
from ximilar_ocr_async import OCRError, Webhook
from ximilar_ocr_async.emulator.server import serving
from ximilar_ocr_async.testing import InProcessService, ScriptedGPT
from ximilar_ocr_async.testing.service.faults import (
    OF_JOBS,
    OF_RECORDS,
    OF_REQUESTS,
    FaultPlan,
)
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block_with(words: str) -> str:
    """Return the one block of Python that has *words*."""
    [block] = [block for block in BLOCKS if words in block]
    return block


def test_the_ten_lines_run_as_printed() -> None:
    """The first lines are a whole program, and reads the pictures that it names."""
    with serving(Service(ScriptedEngine("what stands there"))) as url:
        env = os.environ | {"XIMILAR_BASE_URL": url, "XIMILAR_API_TOKEN": "local"}
        done = subprocess.run(
            [sys.executable, "-c", block_with("anyio.run(main)")],
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
    service = InProcessService(texts="some text")
    names: dict[str, Any] = {}
    exec(block_with("def read_images"), names)  # noqa: S102 - the README's own code
    async with service.session() as session:
        await names["read_images"](session, b"\x89PNG\r\n\x1a\n")
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
    there = InProcessService(texts="some text", gpt=ScriptedGPT(lambda *_: next(answers)))
    scan = ROOT / "examples/images/en-invoice.png"
    names: dict[str, Any] = {}
    exec(block_with("class Invoice"), names)  # noqa: S102 - the README's own code
    async with there.session() as session:
        await names["read_invoices"](session, [scan, scan])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "2025 688.80 574.00"
    fault = "$.total: expected a number such as 1234.5, got 'a lot'"
    assert sorted(lines) == [f"{(fault,)} in {bad}", "2025-0187 in some text"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_jobs_run_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The block about asynchronous requests submits, waits, takes up again and lists."""
    names: dict[str, Any] = {}
    exec(block_with("submit_and_wait"), names)  # noqa: S102 - the README's own code
    there, urls = InProcessService(), [f"https://scans.example/{i}.jpg" for i in range(12)]
    async with there.session() as session:
        await names["submit_and_wait"](session, urls)
    ids, *lines, again, newest, oldest = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted(f"{index} {url}" for index, url in enumerate(urls))
    assert again == "12 outcomes, in the order of the images"
    named = set(ids.removeprefix("store these: ").split())
    assert {newest.split()[0], oldest.split()[0]} == named
    assert there.billed == 12


def test_the_webhooks_run_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about webhooks is an app that submits what it is asked to, and is told of it."""
    names: dict[str, Any] = {}
    exec(block_with("read-later"), names)  # noqa: S102 - the README's own code
    with serving(Service(ScriptedEngine("what stands there"), fetch=fetch)) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        with served(names["app"]) as backend:
            names["receiver"].webhook = Webhook(f"{backend.url}/hook/")
            answer = backend.http.post("/read-later", json=["https://x.example/1"])
            until(lambda: 204 in backend.statuses)
    assert answer.json() == ["what stands there"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=False)
async def test_the_account_is_asked_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The block about the account proves the token, and says what images would cost."""
    names: dict[str, Any] = {}
    exec(block_with("look_before_you_spend"), names)  # noqa: S102 - the README's own code
    async with InProcessService().session() as session:
        await names["look_before_you_spend"](session, ["https://x.example/1"] * 3)
    assert capsys.readouterr().out == "0 of 2147483647\n15 45\n"


def test_every_error_is_explained() -> None:
    """The table of errors names each class that is exported."""
    exported = [getattr(ximilar_ocr_async, name) for name in ximilar_ocr_async.__all__]
    errors = [c for c in exported if isinstance(c, type) and issubclass(c, OCRError)]
    base_classes = {"OCRError", "ServiceError"}
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    for error in errors:
        assert error.__name__ in base_classes or any(f"`{error.__name__}`" in r for r in rows)


def test_the_backend_runs_as_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block about backends is an app that reads what is uploaded to it."""
    names: dict[str, Any] = {}
    exec(block_with("UploadFile"), names)  # noqa: S102 - the README's own code
    with serving(Service(ScriptedEngine("what stands there"))) as url:
        monkeypatch.setenv("XIMILAR_BASE_URL", url)
        monkeypatch.setenv("XIMILAR_API_TOKEN", "local")
        with TestClient(names["app"]) as client:
            answer = client.post("/read", files={"image": b"\x89PNG\r\n\x1a\n"})
    assert answer.json() == {"text": "what stands there"}


def test_the_test_file_runs_as_printed(tmp_path: Path) -> None:
    """The block about testing is a whole test file, and its tests pass."""
    (tmp_path / "test_scans.py").write_text(block_with("pytest_plugins"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "3 passed" in done.stdout) == (0, True), done.stdout


def test_the_fault_plan_loads_as_printed(tmp_path: Path) -> None:
    """The plan is one, and the table under it names every fault."""
    path = tmp_path / "plan.toml"
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path.write_text(block, encoding="utf-8")
    assert FaultPlan.load(path).credits == 10000
    rows = [line.partition(" | ")[0] for line in README.splitlines() if line.startswith("| `")]
    for name in (*OF_REQUESTS, *OF_RECORDS, *OF_JOBS, "poison"):
        assert any(f"`{name}`" in row for row in rows), name

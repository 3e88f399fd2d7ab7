"""A session may be entered, used and left in different tasks of its loop, where the loop can."""

import asyncio
import gc
import subprocess
import sys
import unittest
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.helpers import error_of, texts, urls
from ximilar_ocr_async import OCRSession, SessionClosed, SessionStateError
from ximilar_ocr_async.testing import InProcessService, virtual_time

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], indirect=False)
ON_TRIO = pytest.mark.parametrize("anyio_backend", [virtual_time("trio")], indirect=False)


async def elsewhere(work: Callable[[], Awaitable[Any]]) -> Any:
    """Return what *work* returns in a task of its own."""
    return await asyncio.ensure_future(work())


@pytest.mark.anyio
@ON_ASYNCIO
async def test_entering_using_and_leaving_in_three_tasks(service: InProcessService) -> None:
    """A fixture, its test and its end each have a task; no task is cancelled, and nothing left."""
    session = service.session()
    await elsewhere(session.__aenter__)
    assert texts(await elsewhere(lambda: session.read_all(urls(25)))) == urls(25)
    assert (await session.read("https://x.example/1")).text
    await elsewhere(session.aclose)
    await anyio.sleep(1)
    assert len(asyncio.all_tasks()) == len({asyncio.current_task()} | _of_the_runner())


def _of_the_runner() -> set[Any]:
    return {t for t in asyncio.all_tasks() if "TestRunner" in repr(t)}


@pytest.mark.anyio
@ON_ASYNCIO
async def test_an_exit_stack_may_be_closed_in_another_task(service: InProcessService) -> None:
    """So a container of dependencies may, with requests in flight."""
    stack = AsyncExitStack()
    session = await stack.enter_async_context(service.session())
    reading = asyncio.ensure_future(session.read_all(urls(10)))
    await anyio.sleep(0.5)
    await elsewhere(stack.aclose)
    assert all(outcome.ok for outcome in await reading)
    with pytest.raises(SessionStateError, match="closed"):
        await session.read("https://x.example/1")


@pytest.mark.anyio
@ON_ASYNCIO
async def test_leaving_inside_a_scope_of_ones_own(service: InProcessService) -> None:
    """A timeout or a task group around aclose is none of the session's business."""
    session = await service.session().__aenter__()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(session.read, "https://x.example/1")
            await anyio.sleep(0.5)
            await session.aclose()
    assert service.billed == 1


@pytest.mark.anyio
@ON_ASYNCIO
async def test_two_tasks_may_leave_at_once(service: InProcessService) -> None:
    """Both return when all is over."""
    session = await service.session().__aenter__()
    reading = asyncio.ensure_future(session.read("https://x.example/1"))
    await anyio.sleep(0.5)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(session.aclose)
    assert anyio.current_time() == pytest.approx(1)
    assert (await reading).text


@pytest.mark.anyio
@ON_ASYNCIO
async def test_a_body_that_fails_in_another_task_is_heard(service: InProcessService) -> None:
    """Its own error comes out, in no group."""

    async def body() -> None:
        async with session:
            raise ZeroDivisionError

    session = service.session()
    with pytest.raises(ZeroDivisionError):
        await elsewhere(body)


@pytest.mark.anyio
@ON_ASYNCIO
async def test_a_cancelled_body_leaves_all_the_same(service: InProcessService) -> None:
    """It closes under a shield, and is cancelled afterwards."""
    session = service.session()
    reading: list[Any] = []

    async def body() -> None:
        async with session:
            reading.append(asyncio.ensure_future(session.read_all(urls(10))))
            await anyio.sleep(100)

    task = asyncio.ensure_future(body())
    await anyio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    outcomes = await reading[0]
    assert {type(error_of(outcome)) for outcome in outcomes} == {SessionClosed}
    assert all(outcome.maybe_billed for outcome in outcomes)
    assert service.in_flight == 0


@pytest.mark.anyio
@ON_ASYNCIO
async def test_entering_can_be_cancelled(service: InProcessService) -> None:
    """A session that is cancelled while it comes up leaves no task behind."""
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(service.session().__aenter__())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await (await task).aclose()
    await anyio.sleep(1)
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
@ON_ASYNCIO
async def test_every_call_is_told_why_the_session_ended(service: InProcessService) -> None:
    """Whoever cancels the session's own task ends all calls, with SessionClosed and its cause."""
    ended: list[BaseException] = []

    async def expect_end(call: Awaitable[Any]) -> None:
        try:
            ended.extend(error_of(outcome) for outcome in await call)
        except SessionClosed as error:
            ended.append(error)

    before = asyncio.all_tasks()
    session = await service.session().__aenter__()
    own = asyncio.all_tasks() - before
    tasks = [
        asyncio.ensure_future(expect_end(call))
        for call in (
            session.read("https://x.example/1"),
            session.read_all(urls(10)),
            session.read_all(urls(1000)),
        )
    ]
    await anyio.sleep(0.5)
    for task in own:
        task.cancel()
    await asyncio.gather(*tasks)
    for call in (session.read("https://x.example/1"), session.account()):
        await expect_end(call)
    assert len(ended) == 1 + 10 + 1 + 2
    assert all(isinstance(error.__cause__, asyncio.CancelledError) for error in ended)
    await session.aclose()


@pytest.mark.anyio
@ON_TRIO
async def test_on_trio_a_session_is_left_where_it_was_entered(service: InProcessService) -> None:
    """Another task is told so before anything is touched, and the session works on."""
    errors: list[BaseException] = []

    async def close(leave: Callable[[], Awaitable[Any]]) -> None:
        try:
            await leave()
        except SessionStateError as error:
            errors.append(error)

    stack = AsyncExitStack()
    async with service.session() as session, anyio.create_task_group() as group:
        stack.push_async_exit(session)
        group.start_soon(close, session.aclose)
        group.start_soon(close, stack.aclose)
        await anyio.sleep(0.1)
        assert len(errors) == 2
        assert "trio" in str(errors[0])
        assert (await session.read("https://x.example/1")).text


# ---- as users have it


def test_a_runner_may_run_each_step_by_itself() -> None:
    """asyncio.Runner gives each run a task of its own."""
    service = InProcessService()
    session = service.session()
    with asyncio.Runner() as runner:
        runner.run(session.__aenter__())
        for _ in range(3):
            assert runner.run(session.read("https://x.example/1")).text
        runner.run(session.aclose())


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_session_that_is_left_open_says_so_and_hangs_nothing(is_busy: bool) -> None:
    """asyncio.run ends, whether or not requests are under way, and a warning names the session."""
    service = InProcessService(latency=0.05)

    async def main() -> None:
        session = await service.session().__aenter__()
        if is_busy:
            tasks.append(asyncio.ensure_future(session.read("https://x.example/1")))
            await asyncio.sleep(0.01)

    tasks: list[Any] = []
    with pytest.warns(ResourceWarning, match="was never closed"):  # noqa: PT031 - three steps
        asyncio.run(main())
        tasks.clear()
        gc.collect()


def test_a_test_case_of_unittest_may_hold_a_session() -> None:
    """IsolatedAsyncioTestCase sets up, tests and tears down in tasks of one loop."""

    class Case(unittest.IsolatedAsyncioTestCase):
        session: OCRSession

        async def asyncSetUp(self) -> None:
            self.session = await InProcessService().session().__aenter__()

        async def test_reading(self) -> None:
            """A test uses what was set up in another task."""
            assert (await self.session.read("https://x.example/1")).text

        async def asyncTearDown(self) -> None:
            await self.session.aclose()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 1
    assert result.failures == result.errors == []


FIXTURES = """
import pytest_asyncio
import pytest
from ximilar_ocr_async.testing import InProcessService


@pytest_asyncio.fixture(loop_scope="{scope}", scope="{scope}")
async def session():
    async with InProcessService().session() as session:
        yield session


@pytest.mark.asyncio(loop_scope="{scope}")
@pytest.mark.parametrize("number", range(3))
async def test_reading(session, number):
    assert (await session.read("https://x.example/1")).text
    assert len(await session.read_all(["https://x.example/1"] * 25)) == 25
"""


@pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="there is no pytest-asyncio")
@pytest.mark.parametrize("scope", ["function", "module", "session"])
def test_a_fixture_of_pytest_asyncio_may_hold_a_session(tmp_path: Path, scope: str) -> None:
    """It is set up and torn down in two tasks, whatever its scope."""
    (tmp_path / "test_it.py").write_text(FIXTURES.format(scope=scope))
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    options = ["-p", "pytest_asyncio", "-o", f"asyncio_default_fixture_loop_scope={scope}"]
    done = subprocess.run(
        [*command, *options, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout


CELLS = (
    "from ximilar_ocr_async.testing import InProcessService",
    "session = InProcessService().session(); await session.__aenter__();",
    "print((await session.read('https://x.example/1')).text)",
    "print(len(await session.read_all(['https://x.example/1'] * 25)))",
    "await session.aclose(); print('closed')",
    "print(session)",
)


@pytest.mark.skipif(find_spec("ipykernel") is None, reason="there is no ipykernel")
@pytest.mark.skipif(find_spec("jupyter_client") is None, reason="there is no jupyter_client")
def test_cells_of_a_notebook_may_hold_a_session(tmp_path: Path) -> None:
    """Each cell runs in a task of its own."""
    command = [sys.executable, str(Path(__file__).with_name("notebook.py")), *CELLS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stdout.splitlines()
    assert said == ["https://x.example/1", "25", "closed", "<OCRSession closed>"], done.stderr


@pytest.mark.anyio
@ON_ASYNCIO
async def test_leaving_waits_for_no_task_without_end(
    service: InProcessService, caplog: pytest.LogCaptureFixture
) -> None:
    """A source that shields itself for long is left behind, and a warning says so."""

    async def stubborn() -> Any:
        yield "https://x.example/1"
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100)

    session = await service.session(drain=0).__aenter__()
    reading = asyncio.ensure_future(session.read_all(stubborn()))
    await anyio.sleep(5)
    await session.aclose()
    assert "have not ended" in caplog.text
    with pytest.raises(SessionClosed):
        await reading


@pytest.mark.anyio
@ON_ASYNCIO
async def test_a_bug_in_a_task_of_the_session_is_raised_where_it_is_left(
    service: InProcessService,
) -> None:
    """It ends all calls with its cause, and comes out at the end of the block."""

    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with service.session() as session:
            session._runtime.host.group.start_soon(fail)  # type: ignore[union-attr]
            with pytest.raises(SessionClosed):
                await session.read("https://x.example/1")
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.anyio
async def test_leaving_what_was_never_entered_does_nothing(service: InProcessService) -> None:
    """A fixture may close what its setup failed to enter."""
    session = service.session()
    await session.aclose()
    async with session:
        assert (await session.read("https://x.example/1")).text

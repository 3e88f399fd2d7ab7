"""Bodies made while they are sent: in small memory, as often as wanted, of unchanged files."""

import base64
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.server import Connection, faulty_server
from tests.helpers import error_of
from tests.http.replies import behave_well, reply_to
from ximilar_ocr_async import Image, ImageError, OCRSession, RetryPolicy
from ximilar_ocr_async._concurrency import THREADS
from ximilar_ocr_async._protocol.request_body import PIECE, RAW, Base64Image, RequestBody
from ximilar_ocr_async.images import FileFingerprint, examine

JPEG = b"\xff\xd8\xff\xe0"
SIZES = [4, RAW - 1, RAW, RAW + 1, 3 * RAW + 2]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run on the real clock: sockets and threads do not know of another."""
    return request.param


@pytest.fixture(params=[None, httpx, httpx2], ids=["own", "httpx", "httpx2"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Give a client to inject, of either library, or none."""
    if request.param is None:
        yield None
        return
    async with request.param.AsyncClient() as client:
        yield client


def picture_of(source: Path | bytes) -> Base64Image:
    """Return an image on its way."""
    image = Image(source)
    return Base64Image("r", image, examine(image))


def file_of(path: Path, size: int) -> Path:
    """Write a file that looks like an image."""
    path.write_bytes((JPEG + os.urandom(size))[:size])
    return path


@pytest.mark.parametrize("size", SIZES)
def test_an_image_comes_out_as_base64_of_the_size_that_was_told(tmp_path: Path, size: int) -> None:
    """From a file and from bytes, each time that the body is made."""
    file = file_of(tmp_path / "a.jpg", size)
    for source in (file, file.read_bytes()):
        upload = RequestBody((b"head", picture_of(source), b"tail"))
        for _ in range(2):
            body = b"".join(upload)
            assert body == b"head" + base64.b64encode(file.read_bytes()) + b"tail"
            assert len(body) == len(upload)
        assert upload.touches_disk == isinstance(source, Path)


@given(st.lists(st.integers(0, 3 * RAW), max_size=8))
def test_pieces_are_neither_small_nor_large(sizes: list[int]) -> None:
    """However many parts there are, of whatever size, so many pieces are sent as are needed."""
    images = [Image(bytes(size)) for size in sizes]
    parts = [
        Base64Image("r", image, FileFingerprint(size))
        for image, size in zip(images, sizes, strict=True)
    ]
    pieces = [len(piece) for piece in RequestBody(parts)]
    assert all(PIECE <= piece < 2 * PIECE for piece in pieces[:-1])
    assert sum(pieces) == len(RequestBody(parts))


@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "replace", "remove"])
def test_a_file_that_changes_is_noticed(tmp_path: Path, change: str) -> None:
    """A file that is another than was looked at never comes out whole, and its image is named."""
    file = file_of(tmp_path / "a.jpg", 3 * RAW)
    upload = RequestBody((b"head", picture_of(file)))
    match change:
        case "grow":
            file.write_bytes(file.read_bytes() + b"more")
        case "shrink":
            file.write_bytes(file.read_bytes()[:RAW])
        case "touch":
            os.utime(file, ns=(1, 1))
        case "replace":
            file_of(tmp_path / "b.jpg", 3 * RAW).replace(file)
        case "remove":
            file.unlink()
    sent = 0
    with pytest.raises(ImageError, match=r"a\.jpg"):
        for piece in upload:
            sent += len(piece)
    assert sent < len(upload)
    assert upload.faulty == "r"


@pytest.mark.anyio
async def test_files_arrive_whole_with_any_client(tmp_path: Path, client: Any) -> None:
    """What the service gets is, byte for byte, what was in the files, in order."""
    files = [file_of(tmp_path / f"{n}.jpg", size) for n, size in enumerate(SIZES)]
    bodies: list[Any] = []

    async def keep(connection: Connection) -> None:
        while True:
            body = await connection.read_request()
            bodies.append(json.loads(body))
            await connection.answer(reply_to(body))

    async with faulty_server(keep) as server:
        async with OCRSession("t", base_url=server.url, http_client=client) as session:
            outcomes = await session.read_all(files)
            sent = session.stats.bytes_sent
    assert all(outcome.ok for outcome in outcomes)
    rows = [row for body in bodies for row in body["records"]]
    assert [base64.b64decode(row["_base64"]) for row in rows] == [f.read_bytes() for f in files]
    assert sent > sum(SIZES)


@pytest.mark.anyio
async def test_a_file_that_changes_between_attempts_is_not_read(tmp_path: Path) -> None:
    """The second attempt would be of another picture than the first, which may have been paid."""
    file = file_of(tmp_path / "a.jpg", 1000)

    async def change(connection: Connection) -> None:
        await connection.read_request()
        file.write_bytes(JPEG + b"another")
        await connection.answer(b"{}", status="503 Busy")
        await behave_well(connection)

    retry = RetryPolicy(base=0.01, cap=0.01)
    async with faulty_server(change) as server:
        async with OCRSession("t", base_url=server.url, retry=retry) as session:
            (outcome,) = await session.read_all([file])
    assert isinstance(error_of(outcome), ImageError)
    assert "changed since it was first sent" in str(error_of(outcome))


@pytest.mark.anyio
async def test_a_file_that_fails_half_way_fails_alone(tmp_path: Path, client: Any) -> None:
    """The others of its request are read, at the first attempt that counts, and paid once."""
    files = [file_of(tmp_path / f"{n}.jpg", 20 * RAW) for n in range(5)]
    requests: list[int] = []

    async def shrink(connection: Connection) -> None:
        size = await connection.read_head()
        if not requests:
            os.truncate(files[3], RAW)
        requests.append(size)
        body = await connection.read_body(size)
        await connection.answer(reply_to(body))
        await behave_well(connection)

    async with faulty_server(shrink, window=4096) as server:
        async with OCRSession("t", base_url=server.url, http_client=client) as session:
            outcomes = await session.read_all(files)
            stats = session.stats
    assert [outcome.ok for outcome in outcomes] == [True, True, True, False, True]
    assert isinstance(error_of(outcomes[3]), ImageError)
    assert {outcome.attempts for outcome in outcomes if outcome.ok} == {1}
    assert not any(outcome.maybe_billed for outcome in outcomes)
    assert stats.records_sent == stats.records_billed == 4


@pytest.mark.anyio
async def test_a_path_that_breaks_while_it_is_sent_fails_alone(tmp_path: Path) -> None:
    """Whatever a path of the caller's own class raises, the others of its request are read."""

    class Fickle(os.PathLike[str]):
        asked = 0

        def __fspath__(self) -> str:
            self.asked += 1
            if self.asked > 2:
                raise LookupError("the share is gone")
            return str(files[0])

    files = [file_of(tmp_path / f"{n}.jpg", 1000) for n in range(3)]
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url) as session:
            outcomes = await session.read_all([files[1], Fickle(), files[2]])
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(error_of(outcomes[1]), ImageError)
    assert "the share is gone" in str(error_of(outcomes[1]))
    assert {outcome.attempts for outcome in outcomes if outcome.ok} == {1}


@pytest.mark.anyio
async def test_a_disk_that_hangs_holds_up_no_answer(tmp_path: Path) -> None:
    """While all threads that read files hang, what needs no file is read, and the session ends."""
    mended = threading.Event()

    class Hung(os.PathLike[str]):
        def __fspath__(self) -> str:
            mended.wait()
            return str(tmp_path / "none.jpg")

    async def say_much(connection: Connection) -> None:
        rows = json.loads(await connection.read_request())["records"]
        rows = [{"_id": row["_id"], "_ocr": {"full_text": "x" * 600_000}} for row in rows]
        await connection.answer(json.dumps({"records": rows, "status": {"code": 200}}).encode())

    try:
        async with faulty_server(say_much) as server:
            async with OCRSession("t", base_url=server.url, max_concurrency=9) as session:
                for _ in range(THREADS):
                    with anyio.move_on_after(0.05):
                        await session.read(Hung())
                with anyio.fail_after(5):
                    record = await session.read("https://images.example/1.jpg")
    finally:
        mended.set()
    assert len(record.text) == 600_000


@pytest.mark.anyio
async def test_a_batch_of_large_files_takes_the_memory_of_a_few_pieces(tmp_path: Path) -> None:
    """Ten files of 8 MB are sent in one request, and never held as a whole."""
    files = [file_of(tmp_path / f"{n}.jpg", 8_000_000) for n in range(10)]
    seen: list[int] = []

    async def swallow(connection: Connection) -> None:
        left = await connection.read_head() - len(connection.received)
        seen.append(left)
        found, connection.received = connection.received, b""
        while left:
            piece = await connection.receive()
            left -= len(piece)
            found += piece if len(found) < 100 else b""
        await connection.answer(b'{"records": [], "status": {"code": 200}}')

    async with faulty_server(swallow) as server:
        session = OCRSession(
            "t", base_url=server.url, max_batch_bytes=200_000_000, retry=RetryPolicy(attempts=1)
        )
        async with session:
            tracemalloc.start()
            await session.read_all(files)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert len(seen) == 1
    assert seen[0] > 80_000_000
    assert peak < 12_000_000


@pytest.mark.anyio
async def test_the_loop_goes_on_while_a_file_is_read(tmp_path: Path) -> None:
    """Reading waits in a thread: a disk that hangs holds up no other task."""
    opened = anyio.Event()

    class Slow(os.PathLike[str]):
        def __fspath__(self) -> str:
            anyio.from_thread.run_sync(opened.set)  # raises on the event loop
            return str(file)

    file = file_of(tmp_path / "a.jpg", 1000)
    async with faulty_server(behave_well) as server:
        async with OCRSession("t", base_url=server.url) as session:
            assert (await session.read(Slow())).text == "from bytes"
    assert opened.is_set()


def test_without_the_extra_the_same_is_sent() -> None:
    """pybase64 makes it faster; the standard library says the same."""
    code = (
        "import sys; sys.modules['pybase64'] = None;"
        "from ximilar_ocr_async.images import Image, FileFingerprint;"
        "from ximilar_ocr_async._protocol.request_body import Base64Image;"
        "print(*Base64Image('r', Image(bytes(range(7))), FileFingerprint(7)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        b"".join(Base64Image("r", Image(bytes(range(7))), FileFingerprint(7)))
    )

"""Any body that was asked for is read whole, and no other costs more than a little memory."""

import contextlib
import gzip
import random
import tracemalloc
import zlib
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from ximilar_ocr_async._http import response_body
from ximilar_ocr_async._http.response_body import (
    _JSON,
    LOOK,
    SLACK,
    SLICE,
    STEP,
    STEP_OVERHEAD,
    read_body,
)
from ximilar_ocr_async.errors import ReplyError, ReplyLost

pytestmark = pytest.mark.anyio

MB = 1_000_000
PIECE = 64 * 1024
PAYLOADS = st.binary(max_size=300) | st.builds(bytes, st.integers(0, 3 * STEP))
"""Bodies short and of any bytes, or long and of zeros."""
CUTS = st.lists(st.floats(0, 1), max_size=8)
"""Where a body is cut into pieces, as shares of its length."""

PADDINGS = st.text("\0\r\n", max_size=5).map(str.encode)
"""What may stand behind each member of a gzip."""

LIBRARIES = st.sampled_from([httpx, httpx2])
both_libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


class Wire:
    """What a connection hands out, piece by piece; counts what was asked of it.

    Attributes:
        handed_out: Number of pieces handed out.
        closed: Whether the connection was closed.
        is_ready: Whether all pieces have come already, so that none is waited for.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.handed_out = 0
        self.closed = False
        self.is_ready = False
        self._pieces = iter(pieces)

    def __aiter__(self) -> "Wire":
        return self

    async def __anext__(self) -> bytes:
        if not self.is_ready:
            await anyio.lowlevel.checkpoint()
        for piece in self._pieces:
            self.handed_out += 1
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the connection."""
        self.closed = True


class Stream(Wire, httpx.AsyncByteStream):
    """The wire as httpx wants it."""


class Stream2(Wire, httpx2.AsyncByteStream):
    """The wire as httpx2 wants it."""


def pieces_of(body: bytes, cuts: Sequence[float]) -> list[bytes]:
    """Cut *body* at shares of its length."""
    ends = sorted(round(cut * len(body)) for cut in cuts)
    return [body[a:b] for a, b in zip([0, *ends], [*ends, len(body)], strict=True)]


def answer(
    library: ModuleType, pieces: Sequence[bytes], encoding: str | Sequence[str] | None = None
) -> tuple[Any, Wire]:
    """Return an answer off the wire, not read yet, and the wire."""
    names = [encoding] if isinstance(encoding, str) else encoding or []
    wire = Stream(pieces) if library is httpx else Stream2(pieces)
    headers = [("Content-Encoding", name) for name in names]
    return library.Response(200, headers=headers, stream=wire), wire


async def read(
    library: ModuleType,
    pieces: Sequence[bytes],
    encoding: str | Sequence[str] | None = None,
    *,
    limit: int = 10 * MB,
) -> bytes:
    """Return the body of an answer off the wire."""
    response, _ = answer(library, pieces, encoding)
    body = bytearray()
    await read_body(response, limit, body)
    return bytes(body)


@cache
def bomb(size: int) -> bytes:
    """Return a gzip of *size* zeros, made without holding them."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    packed = [packer.compress(bytes(MB)) for _ in range(size // MB)]
    return b"".join([*packed, packer.flush()])


# ---- what was asked for


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    encoding=st.sampled_from(
        [None, "", "identity", "Identity ", "none", "UTF-8", " , utf-8,", ["", "identity"]]
    ),
    payload=PAYLOADS,
    cuts=CUTS,
)
async def test_a_plain_body_is_read_whole(
    library: ModuleType, encoding: str | list[str] | None, payload: bytes, cuts: list[float]
) -> None:
    """However it is cut into pieces, a body that is not encoded is what it is."""
    assert await read(library, pieces_of(payload, cuts), encoding) == payload


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    encoding=st.sampled_from(
        ["gzip", "X-GZip", "\tGZip ", "identity, gzip", "gzip,,none", ["utf-8", "gzip"]]
    ),
    payload=PAYLOADS,
    cuts=CUTS,
    level=st.integers(0, 9),
)
@example(library=httpx, encoding="gzip", payload=bytes(STEP), cuts=[], level=9)
@example(library=httpx2, encoding="gzip", payload=bytes(2 * STEP), cuts=[0.5], level=0)
async def test_a_gzip_body_is_read_whole(
    library: ModuleType,
    encoding: str | list[str],
    payload: bytes,
    cuts: list[float],
    *,
    level: int,
) -> None:
    """However it is cut into pieces, a gzip gives what went into it."""
    body = gzip.compress(payload, level)
    assert await read(library, pieces_of(body, cuts), encoding) == payload


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    members=st.lists(st.tuples(PAYLOADS, PADDINGS), min_size=1, max_size=4),
    cuts=CUTS,
)
@example(library=httpx, members=[(b"tea", bytes(SLICE)), (b"", b""), (b"pot", b"\r\n")], cuts=[])
async def test_a_gzip_of_several_members_is_read_whole(
    library: ModuleType, members: list[tuple[bytes, bytes]], cuts: list[float]
) -> None:
    """Members that follow each other are one body; zeros and ends of lines behind them are none."""
    body = b"".join(gzip.compress(payload) + padding for payload, padding in members)
    whole = b"".join(payload for payload, _ in members)
    assert await read(library, pieces_of(body, cuts), "gzip") == whole


@settings(max_examples=50)
@given(library=LIBRARIES, payload=st.binary(max_size=300))
async def test_a_gzip_body_is_read_byte_by_byte(library: ModuleType, payload: bytes) -> None:
    """A line may be as slow as it likes."""
    body = gzip.compress(payload) + b"\0\n" + gzip.compress(payload) + b"\r\n"
    assert await read(library, [body[i : i + 1] for i in range(len(body))], "gzip") == payload * 2


@both_libraries
@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_an_empty_body_is_empty(
    library: ModuleType, pieces: list[bytes], encoding: str | None
) -> None:
    """An answer without a body may still name an encoding."""
    assert await read(library, pieces, encoding) == b""


@both_libraries
async def test_a_gzip_in_a_gzip_is_undone_once(library: ModuleType) -> None:
    """What was encoded once too often is not what was asked for, and is left as it is."""
    inner = gzip.compress(b"payload")
    assert await read(library, [gzip.compress(inner)], "gzip") == inner


@settings(max_examples=50)
@given(library=LIBRARIES, payload=st.binary(max_size=300))
async def test_an_answer_made_in_this_process_is_read(library: ModuleType, payload: bytes) -> None:
    """A response that a test or a cache prepared was decoded by its library."""
    headers = {"Content-Encoding": "gzip"}
    prepared = library.Response(200, headers=headers, content=gzip.compress(payload))
    body = bytearray()
    await read_body(prepared, len(payload), body)
    assert body == payload


# ---- what is too large


@settings(max_examples=50)
@given(library=LIBRARIES, size=st.integers(1, 2000), cuts=CUTS, encoded=st.booleans())
async def test_the_limit_is_exact(
    library: ModuleType, size: int, cuts: list[float], *, encoded: bool
) -> None:
    """A body of as many bytes as are allowed is read, one of one more is not."""
    body = gzip.compress(bytes(size)) if encoded else bytes(size)
    pieces, encoding = pieces_of(body, cuts), "gzip" if encoded else None
    assert await read(library, pieces, encoding, limit=size) == bytes(size)
    with pytest.raises(ReplyError, match=f"over max_response_bytes, which is {size - 1:,}$"):
        await read(library, pieces, encoding, limit=size - 1)


@both_libraries
async def test_an_answer_made_in_this_process_has_the_limit_too(library: ModuleType) -> None:
    """A prepared response over the limit is an error as any other."""
    prepared = library.Response(200, content=bytes(1001))
    with pytest.raises(ReplyError, match="over max_response_bytes, which is 1,000"):
        await read_body(prepared, 1000, bytearray())


@both_libraries
async def test_what_is_over_the_limit_is_not_read_on(library: ModuleType) -> None:
    """An answer without end is left after the first piece too many."""
    response, wire = answer(library, [bytes(1000)] * 1000)
    with pytest.raises(ReplyError):
        await read_body(response, 5500, bytearray())
    assert wire.handed_out == 6
    await response.aclose()
    assert wire.closed


@both_libraries
@pytest.mark.parametrize("piece", [PIECE, MB], ids=["in pieces", "at once"])
async def test_a_bomb_does_not_go_off(library: ModuleType, piece: int) -> None:
    """Of 100 MB in 0.1 MB of gzip, little more is unpacked than the limit of 1 MB."""
    body = bomb(100 * MB)
    assert len(body) < 0.11 * MB
    response, _ = answer(library, [body[i : i + piece] for i in range(0, len(body), piece)], "gzip")
    tracemalloc.start()
    try:
        with pytest.raises(ReplyError, match="over max_response_bytes"):
            await read_body(response, MB, bytearray())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MB


@both_libraries
@pytest.mark.parametrize("nothing", [gzip.compress(b""), bytes(20)], ids=["members", "zeros"])
async def test_what_decodes_to_nothing_is_not_read_for_ever(
    library: ModuleType, nothing: bytes
) -> None:
    """Empty members and padding without end are left a little over the limit."""
    piece = nothing * 5000
    response, wire = answer(library, [gzip.compress(b"payload"), *[piece] * 100], "gzip")
    with pytest.raises(ReplyError, match="over max_response_bytes, which is 1,000"):
        await read_body(response, 1000, bytearray())
    assert wire.handed_out == SLACK // len(piece) + 2


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each look at the clock find that others are due."""
    monkeypatch.setattr(response_body, "TURN", -1)


async def turns_during(pieces: Sequence[bytes], encoding: str | None = None) -> int:
    """Return how many turns another task gets while a body is read that is there already."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    response, wire = answer(httpx, pieces, encoding)
    wire.is_ready = True
    async with anyio.create_task_group() as group:
        group.start_soon(take_turns)
        await anyio.lowlevel.checkpoint()
        before = turns
        await read_body(response, 20 * MB, bytearray())
        taken = turns - before
        group.cancel_scope.cancel()
    return taken


@pytest.mark.usefixtures("hurried")
async def test_unpacking_gives_others_their_turn() -> None:
    """A body that unpacks to much holds up other tasks for a step at a time."""
    assert await turns_during([bomb(20 * MB)], "gzip") >= 20 * MB // STEP


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_tiny_pieces_give_others_their_turn(encoding: str | None) -> None:
    """A body of a byte in each chunk does not hold up other tasks until its end."""
    body = random.Random(0).randbytes(10_000)
    pieces = [bytes([byte]) for byte in (gzip.compress(body) if encoding else body)]
    # On trio, a task may wait for one turn more.
    assert await turns_during(pieces, encoding) >= 10_000 * STEP_OVERHEAD // LOOK // 2


@pytest.mark.usefixtures("hurried")
async def test_padding_gives_others_their_turn() -> None:
    """Zeros behind a gzip that come as fast as they can hold up nothing."""
    zeros = bytes(SLICE)
    assert await turns_during([gzip.compress(b"tea"), *[zeros] * 200], "gzip") >= 5


@pytest.mark.usefixtures("hurried")
async def test_a_usual_body_is_read_without_looking_at_the_clock() -> None:
    """Two pieces of some kilobytes are not worth a look."""
    assert await turns_during([bytes(8000)] * 2) == 0


# ---- what was not asked for, and what is broken


@both_libraries
@pytest.mark.parametrize(
    "encoding",
    [
        "br",
        "deflate",
        "zstd",
        "compress",
        "gzip, gzip",
        "gzip,gzip",
        ["gzip", "gzip"],
        "gzip, x-gzip",
        "gzip, br",
        ["br", "identity"],
        "gzip;q=1",
        "gzipped",
        "x" * 10_000,
    ],
    ids=lambda value: str(value)[:20],
)
async def test_an_encoding_that_was_not_asked_for_is_an_error(
    library: ModuleType, encoding: str | list[str]
) -> None:
    """Only gzip once can be unpacked within bounds; nothing of all else is kept."""
    response, wire = answer(library, [gzip.compress(gzip.compress(b"payload"))], encoding)
    body = bytearray()
    with pytest.raises(ReplyError, match="only gzip is accepted") as caught:
        await read_body(response, MB, body)
    assert len(str(caught.value)) < 100
    assert wire.handed_out == 1
    assert not body


@settings(max_examples=50)
@given(library=LIBRARIES, payload=st.binary(max_size=300), cut=st.floats(0, 1), cuts=CUTS)
async def test_a_gzip_that_broke_off_is_a_reply_lost(
    library: ModuleType, payload: bytes, cut: float, cuts: list[float]
) -> None:
    """Cut at any byte but its first, a gzip is known not to be whole, be all of it unpacked."""
    body = gzip.compress(payload)
    begun = body[: 1 + int(cut * (len(body) - 2))]
    with pytest.raises(ReplyLost, match="ended in the middle of its gzip data"):
        await read(library, pieces_of(begun, cuts), "gzip")


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    payload=st.binary(max_size=300),
    padding=PADDINGS,
    more=st.binary(min_size=1, max_size=50).filter(lambda more: more[0] not in b"\0\r\n\x1f"),
    cuts=CUTS,
)
async def test_what_follows_a_gzip_and_is_none_is_an_error(
    library: ModuleType, payload: bytes, padding: bytes, more: bytes, cuts: list[float]
) -> None:
    """Bytes after the end that are neither padding nor another gzip are not dropped in silence."""
    body = gzip.compress(payload) + padding + more
    with pytest.raises(ReplyError, match="continues after the end"):
        await read(library, pieces_of(body, cuts), "gzip")


@both_libraries
async def test_what_follows_a_gzip_and_looks_like_one_is_an_error(library: ModuleType) -> None:
    """A member that begins as one and makes no sense costs the answer, and so does half of one."""
    body = gzip.compress(b"payload")
    with pytest.raises(ReplyError, match="the response is not valid gzip"):
        await read(library, [body, b"\x1f\x8bjunk"], "gzip")
    with pytest.raises(ReplyLost, match="ended in the middle of its gzip data"):
        await read(library, [body, body[:-1]], "gzip")


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    payload=st.binary(max_size=300),
    place=st.floats(0, 1),
    bits=st.integers(1, 255),
    cuts=CUTS,
)
async def test_a_damaged_gzip_never_gives_other_bytes(
    library: ModuleType, payload: bytes, place: float, bits: int, cuts: list[float]
) -> None:
    """With any byte changed, a gzip is an error or still what it was, unless it begins as JSON."""
    body = bytearray(gzip.compress(payload))
    body[int(place * (len(body) - 1))] ^= bits
    assume(not _JSON.match(body))
    with contextlib.suppress(ReplyError, ReplyLost):
        assert await read(library, pieces_of(bytes(body), cuts), "gzip") == payload


@settings(max_examples=50)
@given(
    library=LIBRARIES,
    body=st.binary(min_size=1, max_size=300).filter(
        lambda body: body[:1] != b"\x1f" and body[:1] not in b"[{ \t\r\n\f\v\0\xef\xff\xfe"
    ),
)
async def test_what_is_no_gzip_is_an_error(library: ModuleType, body: bytes) -> None:
    """A body that does not hold what its header names makes no sense."""
    with pytest.raises(ReplyError, match="the response is not valid gzip"):
        await read(library, [body[:1], body[1:] + bytes(10)], "gzip")


# ---- what came before a fault is kept


@both_libraries
@pytest.mark.parametrize("cuts", [[], [0.1, 0.5, 0.95, 0.999]], ids=["whole", "in pieces"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed + b"xx",
        lambda packed: packed + b"<!-- cached -->",
        lambda packed: packed[:-8] + bytes(8),
        lambda packed: packed[:-4] + bytes(4),
        lambda packed: packed + packed[:5] + b"\xff" * 50,
    ],
    ids=["two bytes", "HTML", "checksum", "size", "a bad member"],
)
async def test_what_was_decoded_before_the_damage_is_kept(
    library: ModuleType, damage: Any, cuts: list[float]
) -> None:
    """A gzip that is damaged at its end has brought all that it holds."""
    payload = random.Random(1).randbytes(100_000)
    response, _ = answer(library, pieces_of(damage(gzip.compress(payload)), cuts), "gzip")
    body = bytearray()
    with pytest.raises(ReplyError):
        await read_body(response, MB, body)
    assert body == payload


@both_libraries
async def test_damage_in_the_middle_costs_what_follows(library: ModuleType) -> None:
    """What zlib had in hand when it met the damage is kept, to the byte before."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    payload = b"tea " * 1000
    packed = packer.compress(payload) + packer.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 50
    response, _ = answer(library, [packed], "gzip")
    body = bytearray()
    with pytest.raises(ReplyError, match="not valid gzip"):
        await read_body(response, MB, body)
    assert body == payload


@both_libraries
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_what_came_before_the_limit_is_kept(library: ModuleType, encoding: str) -> None:
    """A body over its limit has brought that much, and not a megabyte more."""
    payload = random.Random(1).randbytes(3_000_000)
    sent = gzip.compress(payload) if encoding else payload
    response, _ = answer(library, pieces_of(sent, [n / 100 for n in range(100)]), encoding)
    body = bytearray()
    with pytest.raises(ReplyError, match="over max_response_bytes"):
        await read_body(response, MB, body)
    assert MB < len(body) < MB + STEP
    assert payload.startswith(body)


@both_libraries
@pytest.mark.parametrize("start", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xff\xfe"], ids=repr)
@pytest.mark.parametrize("encoding", ["gzip", "br", "UTF8", "binary", "gzip, gzip", "x" * 99])
async def test_plain_json_is_read_whatever_it_is_said_to_be(
    library: ModuleType, encoding: str, start: bytes
) -> None:
    """Gateways name an encoding that they, or the service, did not use."""
    body = start + b'{"records": []}'
    assert await read(library, [body[:8], body[8:]], encoding) == body


@both_libraries
async def test_gzip_is_read_though_nothing_says_so(library: ModuleType) -> None:
    """Gateways drop the header, too, and no JSON begins as gzip does."""
    assert await read(library, [gzip.compress(b"tea")], "") == b"tea"


def test_what_is_not_damaged_is_salvaged_to_its_end() -> None:
    """Byte by byte comes out what came out in one."""
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert b"".join(response_body._salvage(member, gzip.compress(b"tea"))) == b"tea"

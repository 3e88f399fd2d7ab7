"""F69: an answer, or what looks like one, comes before the request was sent whole.

The pools of httpx and of httpx2 hear an answer only once all is sent, or cannot be. What is
promised beyond that holds for the session's own transport.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import anyio

from tests.faults.case import SLOTS, Call, Case, Trial
from tests.faults.certificates import identity
from tests.faults.connect import within
from tests.faults.expect import Expect, fails, pictures, reads
from tests.faults.send import LARGE, WINDOW, refuses_over
from tests.faults.server import Behaviour, Connection
from tests.faults.steps import failing, first, read
from ximilar_ocr_async import AuthError, Image
from ximilar_ocr_async._http import transport

NEVER_ENDS = 1000
"""More connections than any case makes."""

SOON = 2.0
"""[s] in which a case ends that waits for no timeout, on a busy machine, too."""


# ---- calls


async def from_files(trial: Trial) -> None:
    """Read the same images from files."""
    with TemporaryDirectory() as folder:
        images = []
        for number, image in enumerate(trial.case.images):
            path = anyio.Path(folder, f"{number}.png")
            assert isinstance(image.source, bytes)
            await path.write_bytes(image.source)
            images.append(Image(path, extra=image.extra))
        await trial.read_all(images)


def counted(call: Call) -> Call:
    """Call, and see that there were as many requests as slots, at most."""

    async def counting(trial: Trial) -> None:
        await call(trial)
        if trial.session.stats.requests > SLOTS:
            trial.complain(f"{trial.session.stats.requests} requests were begun")

    return counting


# ---- faults


def says_early(said: bytes, end: Behaviour) -> Behaviour:
    """Say something when the body has begun to come, and *end* the connection."""

    async def behave(connection: Connection) -> None:
        await connection.secure()
        await connection.read_head()
        connection.finish()
        await connection.stream.send(said)
        await end(connection)

    return behave


def answers_early(status: str, end: Behaviour, body: object = b"", *, more: str = "") -> Behaviour:
    """Answer when the body has begun to come, and *end* the connection."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{more}\r\n"
    return says_early(head.encode() + content, end)


def interim(said: bytes) -> Behaviour:
    """Say something that is no answer yet when the body has begun to come, then do all well."""

    async def behave(connection: Connection) -> None:
        await connection.secure()
        while True:
            size = await connection.read_head()
            await connection.stream.send(said)
            await read(connection, json.loads(await connection.read_body(size))["records"])

    return behave


async def end_of_file(connection: Connection) -> None:
    """Say that nothing more will be said, and read nothing more."""
    await connection.raw.send_eof()
    await connection.read_nothing()


async def refuse_and_reset(connection: Connection) -> None:
    """Refuse the token before any request has come, and cut the line soon."""
    await connection.secure()
    await connection.stream.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    await anyio.sleep(0.01)
    await connection.reset()


@contextmanager
def slow_to_send() -> Iterator[None]:
    """Have the session's transport send only when the answer, and the end, have come."""
    exchange = transport._exchange

    async def later(*given: Any) -> Any:
        await anyio.sleep(0.05)
        return await exchange(*given)

    with patch.object(transport, "_exchange", later):
        yield


# ---- cases

WORLDS: list[tuple[str, Call, Callable[[], SSLContext] | None]] = [
    ("from memory", Trial.read_all, None),
    ("from files", from_files, None),
    ("from memory, in TLS", Trial.read_all, identity),
    ("from files, in TLS", from_files, identity),
]


def early(
    id_: str,
    fault: str,
    behave: Behaviour,
    *,
    promises: str,
    expect: Expect,
    requests: int,
    images: int = 1,
    size: int = LARGE,
    **options: Any,
) -> Iterator[Case]:
    """Yield what happens early in the upload of large images."""
    for n, (how, call, tls) in enumerate(WORLDS, 1):
        yield (
            Case(f"{id_}.{n}", f"{fault}, while images are sent {how}")
            .promises(promises)
            .given(behave, window=WINDOW, tls=tls)
            .when(call, images=pictures(images, size=size), **options)
            .then(expect, requests=requests, hang=SOON)
        )


def again(id_: str, fault: str, behave: Behaviour, **options: Any) -> Iterator[Case]:
    """Yield what happens where nothing came of an upload, once."""
    for case in early(
        id_,
        f"{fault}, once",
        first(1, behave),
        promises="heard at once: sent again, billed once",
        expect=reads(attempts=2),
        requests=1,
        **options,
    ):
        yield case.only(library="own")


def refused(id_: str, end: Behaviour, ends: str) -> Iterator[Case]:
    """Yield what happens when the token is refused early."""
    for case in early(
        id_,
        f"401, and {ends}",
        first(NEVER_ENDS, answers_early("401 Unauthorized", end, failing(401, "invalid token"))),
        promises="AuthError at once, one request a slot",
        expect=fails(AuthError, attempts=None, says="401"),
        requests=0,
        images=2 * SLOTS,
        size=3_000_000,
        max_batch_bytes=5_000_000,
    ):
        yield case.when(counted(case.call), images=case.images, **case.options).only(library="own")


def too_large(id_: str, end: Behaviour, ends: str) -> Iterator[Case]:
    """Yield what happens when a request is refused early for its size."""
    for case in early(
        id_,
        f"413, and {ends}",
        refuses_over(LARGE, end),
        promises="split at once, all read, billed once",
        expect=reads(attempts=2),
        requests=2,
        images=4,
        size=2_000_000,
    ):
        yield case.only(library="own")


STRANGER = {"records": [{"_ocr": {"full_text": "somebody else's"}}], "status": {"code": 200}}
SLOW_DOWN = answers_early(
    "429 Too Many Requests",
    Connection.read_nothing,
    failing(429, "slow down"),
    more="Retry-After: 0.02\r\n",
)
EARLY = [
    *refused("F69.1", Connection.read_nothing, "nothing more is read"),
    *refused("F69.2", Connection.reset, "reset"),
    *too_large("F69.3", Connection.close, "closed"),
    *too_large("F69.4", Connection.reset, "reset"),
    *again("F69.5", "429 with Retry-After, and nothing more is read", SLOW_DOWN),
    *again(
        "F69.6",
        "200 before the body was whole",
        answers_early("200 OK", Connection.read_nothing, STRANGER),
    ),
    *early(
        "F69.7",
        "103 and 100",
        interim(b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
        promises="no answer yet: read at once",
        expect=reads(),
        requests=1,
    ),
    *again("F69.8", "garbage", says_early(b"\x00 what is this?\r\n\r\n", Connection.read_nothing)),
    *again("F69.9", "end of file", says_early(b"", end_of_file)),
    *(
        Case(f"F69.10.{n}", f"401 before a small request, and reset{how}")
        .promises("AuthError at once, one request")
        .given(first(NEVER_ENDS, refuse_and_reset), tls=tls)
        .when(within(slow_to_send, counted(Trial.read_all)))
        .then(fails(AuthError, says="401"), requests=0, hang=SOON)
        .only(library="own")
        for n, (how, tls) in enumerate([("", None), (", in TLS", identity)], 1)
    ),
]

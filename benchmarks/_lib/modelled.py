"""A service that is modelled, and the people who read from it: in virtual time, or over sockets.

It goes on with what it has begun, and bills it, whether or not anybody waits for the answer.
"""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import h11
import httpx
from anyio.abc import SocketAttribute, SocketStream
from anyio.from_thread import start_blocking_portal
from attrs import define, field

from ximilar_ocr_async import OCRError, OCRSession
from ximilar_ocr_async.testing.clock import start_beside

Found = tuple[float, httpx.Response | Exception]
"""After how long [s] a request is turned away, and what it gets; an exception cuts it off."""


def always(seconds: float) -> Callable[[str, str], float]:
    """Take so long for all."""
    return lambda _, __: seconds


def no_trouble(_: str, __: float) -> None:
    """Answer all."""


@define(eq=False)
class Modelled(httpx.AsyncBaseTransport):
    """A service that takes *seconds* for a request, and has a trouble of its own now and then.

    Attributes:
        seconds: By endpoint and language [s].
        trouble: What a request gets in place of an answer, by endpoint and time [s] since the
            session began.
        on_sockets: Whether it is asked over sockets, in real time, not in process.
    """

    seconds: Callable[[str, str], float]
    trouble: Callable[[str, float], Found | None] = no_trouble
    on_sockets: bool = False
    times: list[float] = field(init=False, factory=list)
    billed: Counter[str] = field(init=False, factory=Counter)
    sizes: list[int] = field(init=False, factory=list)
    _began: float | None = field(init=False, default=None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        endpoint = request.url.path.rsplit("/", 1)[1]
        document = json.loads(await request.aread() or b"{}")
        self._began = self._began or anyio.current_time()
        now = anyio.current_time() - self._began
        self.times.append(now)
        if found := self.trouble(endpoint, now):
            after, said = found
            await anyio.sleep(after)
            if isinstance(said, Exception):
                raise said
            return said
        done = anyio.Event()
        start_beside(partial(self._work, endpoint, document, done))
        await done.wait()
        rows = [{"_id": r["_id"], "_ocr": {"full_text": "read"}} for r in document["records"]]
        return httpx.Response(200, json={"records": rows})

    async def _work(self, endpoint: str, document: dict[str, Any], done: anyio.Event) -> None:
        await anyio.sleep(self.seconds(endpoint, document["lang"]))
        self.sizes.append(len(document["records"]))
        self.billed.update(r.get("_url", r["_id"]) for r in document["records"])
        done.set()

    @asynccontextmanager
    async def session(self, **options: Any) -> AsyncIterator[OCRSession]:
        """Open a session that reads from this service."""
        if self.on_sockets:
            with serving(self.handle_async_request) as url:
                async with OCRSession("bench", base_url=url, **options) as session:
                    yield session
        else:
            client = httpx.AsyncClient(transport=self)
            options |= {"base_url": "https://localhost", "http_client": client}
            async with OCRSession("bench", **options) as session:
                yield session


@define(eq=False)
class Readers:
    """People who each want one image read."""

    session: OCRSession
    began: dict[str, float] = field(init=False, factory=dict)
    ended: dict[str, float] = field(init=False, factory=dict)
    errors: dict[str, OCRError] = field(init=False, factory=dict)
    _origin: float = field(init=False, factory=anyio.current_time)

    @property
    def now(self) -> float:
        """The time [s] since the session began."""
        return anyio.current_time() - self._origin

    async def come(self, per_second: float, seconds: float, seed: int = 0, **options: Any) -> None:
        """Have them come at random, so many in a second on average."""
        chance = random.Random(seed)  # noqa: S311 - no secret
        end = self.now + seconds
        async with anyio.create_task_group() as group:
            while (now := self.now) < end:
                url = f"https://images.example/{len(self.began)}.jpg"
                self.began[url] = now
                group.start_soon(partial(self.read, url, **options))
                await anyio.sleep(chance.expovariate(per_second))

    async def read(self, url: str, **options: Any) -> None:
        """Read one image."""
        try:
            await self.session.read(url, **options)
        except OCRError as error:
            self.errors[url] = error
        self.ended[url] = self.now

    @property
    def answered(self) -> set[str]:
        """The images that were read."""
        return self.ended.keys() - self.errors.keys()


# ---- over sockets

Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]


@contextmanager
def serving(handle: Handler) -> Iterator[str]:
    """Serve in a thread of its own; yield the URL."""
    with start_blocking_portal() as portal:
        listener = portal.call(partial(anyio.create_tcp_listener, local_host="127.0.0.1"))
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django
        future = portal.start_task_soon(listener.serve, partial(_converse, handle))
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            future.cancel()


async def _converse(handle: Handler, stream: SocketStream) -> None:
    """Answer the requests of one connection, one after the other."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=65_536)
    async with stream:
        try:
            while request := await _receive(connection, stream):
                response = await handle(request)
                await stream.send(_encode(connection, response))
                connection.start_next_cycle()
        except (httpx.TransportError, anyio.BrokenResourceError, h11.ProtocolError):
            return  # closed with no answer


async def _receive(connection: h11.Connection, stream: SocketStream) -> httpx.Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.Request() as head:
                pass
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage():
                assert head is not None
                return httpx.Request("POST", f"http://x{head.target.decode()}", content=bytes(body))
            case h11.ConnectionClosed():
                return None
            case _:
                try:
                    connection.receive_data(await stream.receive())
                except anyio.EndOfStream:
                    connection.receive_data(b"")


def _encode(connection: h11.Connection, response: httpx.Response) -> bytes:
    content = response.content
    head = h11.Response(
        status_code=response.status_code, headers=[("Content-Length", str(len(content)))]
    )
    events = head, h11.Data(data=content), h11.EndOfMessage()
    return b"".join(connection.send(event) or b"" for event in events)

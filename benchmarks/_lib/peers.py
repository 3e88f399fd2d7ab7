"""The clients that are compared, each written as a good user of it would.

All do the same: batches of 10 URLs, answers decoded, and one polygon of each image looked at.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from statistics import linear_regression
from typing import Any
from urllib.parse import urlsplit

import httpx
from attrs import define, field

IMAGES = 10
"""In a request."""
PROMPT = "what is the name and type of the card as json result ({'name':'', 'type': ''})"
PATIENCE = 6.0
"""Time that a client may take to warm up [s]."""


@define
class Work:
    """What a client is to do, and when its requests were answered.

    Attributes:
        url: Where the service is.
        slots: The requests that may be in flight at once.
        requests: The requests to send, which are more than will get done.
        gpt: Whether the language model is asked, too.
        answered: When each request was answered [s by the clock of `time.perf_counter`].
    """

    url: str
    slots: int
    requests: int
    gpt: bool = False
    answered: list[float] = field(factory=list)

    def count(self) -> None:
        """Note that a request was answered, and its answer decoded."""
        self.answered.append(time.perf_counter())

    @property
    def target(self) -> str:
        """The URL that requests go to."""
        return f"{self.url}/ocr/v2/read{'_gpt' if self.gpt else ''}"

    def document(self) -> dict[str, Any]:
        """Make what a request says."""
        prompt = {"prompt": PROMPT} if self.gpt else {}
        records = [
            {"_id": str(n), "_url": f"https://images.example/{n}.jpg", **prompt}
            for n in range(IMAGES)
        ]
        return {"lang": "en", "records": records}


def look_at(answer: Any) -> None:
    """Look at what an answer is for: a polygon of each image that was read."""
    records = answer["records"]
    assert len(records) == IMAGES
    for record in records:
        if record["_status"]["code"] == 200 and (texts := record["_ocr"]["texts"]):
            assert len(texts[0]["polygon"]) == 4


# ---- the clients


async def gather(work: Work, send: Callable[[], Awaitable[None]]) -> None:
    """Do what is usually written first: gather all requests behind a semaphore."""
    gate = asyncio.Semaphore(work.slots)

    async def one() -> None:
        async with gate:
            await send()
        work.count()

    await asyncio.gather(*(one() for _ in range(work.requests)))


def httpx_client(slots: int) -> httpx.AsyncClient:
    """Make one client with a connection for each slot."""
    limits = httpx.Limits(max_connections=slots, max_keepalive_connections=slots)
    return httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113 - local


async def plain_httpx(work: Work, loads: Callable[[bytes], Any] | None = None) -> None:
    """Run httpx as it comes; *loads* parses answers in the place of its own way."""
    async with httpx_client(work.slots) as client:

        async def send() -> None:
            response = await client.post(work.target, json=work.document())
            look_at(loads(response.content) if loads else response.json())

        await gather(work, send)


async def reference(work: Work) -> None:
    """Run httpx with the fastest parser there is."""
    import orjson  # noqa: PLC0415 - it may be blocked where this is not run

    await plain_httpx(work, orjson.loads)


async def aiohttp(work: Work, loads: Callable[[bytes], Any] = json.loads) -> None:
    """Run aiohttp as it comes."""
    from aiohttp import ClientSession, TCPConnector  # noqa: PLC0415 - of this client alone

    async with ClientSession(connector=TCPConnector(limit=work.slots)) as client:

        async def send() -> None:
            async with client.post(work.target, json=work.document()) as response:
                look_at(loads(await response.read()))

        await gather(work, send)


async def quick_aiohttp(work: Work) -> None:
    """Run aiohttp with the fastest parser there is."""
    import orjson  # noqa: PLC0415 - it may be blocked where this is not run

    await aiohttp(work, orjson.loads)


async def aiometer(work: Work) -> None:
    """Run aiometer over httpx."""
    from aiometer import run_on_each  # noqa: PLC0415 - of this client alone

    async with httpx_client(work.slots) as client:

        async def send(said: dict[str, Any]) -> None:
            response = await client.post(work.target, json=said)
            look_at(response.json())
            work.count()

        await run_on_each(send, [work.document()] * work.requests, max_at_once=work.slots)


async def streams(work: Work) -> None:
    """Run the least that can be done with asyncio: a bare connection for each slot."""
    address = urlsplit(work.target)
    start = f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: ".encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        while True:
            body = json.dumps(work.document()).encode()
            writer.write(start + b"%d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            look_at(json.loads(await reader.readexactly(length)))
            work.count()

    await asyncio.gather(*(one() for _ in range(work.slots)))


async def vendor(work: Work) -> None:
    """Run the vendor's client, which is made of threads."""
    from ximilar.client import OCRClient  # noqa: PLC0415 - of this client alone

    client = OCRClient("bench", endpoint=work.url + "/")

    def method(records: list[dict[str, Any]]) -> Any:
        answer = client.read(records)
        look_at(answer)
        work.count()
        return answer

    records = work.document()["records"] * work.requests
    await asyncio.to_thread(
        client.parallel_records_processing,
        records,
        method=method,
        max_workers=work.slots,
        batch_size=IMAGES,
    )


async def ours(work: Work) -> None:
    """Run this package, with its defaults."""
    from ximilar_ocr_async import OCRSession  # noqa: PLC0415 - of this client alone

    urls = (f"https://images.example/{n}.jpg" for n in range(work.requests * IMAGES))
    images = 0
    prompt = PROMPT if work.gpt else None
    async with OCRSession("bench", base_url=work.url, max_concurrency=work.slots) as session:
        async with session.stream(urls, prompt=prompt) as outcomes:
            async for outcome in outcomes:
                if outcome.ok and (texts := outcome.record.ocr.texts):
                    assert len(texts[0].polygon) == 4
                images += 1
                if not images % IMAGES:
                    work.count()


CLIENTS: dict[str, Callable[[Work], Awaitable[None]]] = {
    "ours": ours,
    "ours, no extras": ours,
    "streams": streams,
    "aiohttp": aiohttp,
    "aiohttp, orjson": quick_aiohttp,
    "httpx": plain_httpx,
    "httpx, orjson": reference,
    "aiometer": aiometer,
    "vendor": vendor,
}

# ---- the measurement


def steady(
    client: str,
    url: str,
    *,
    slots: int,
    latency: float,
    warm: float,
    span: float,
    gpt: bool = False,
) -> dict[str, float]:
    """Run a client; look at *span* seconds of it, after *warm* seconds and a request a slot."""
    work = Work(url, slots, int(slots / latency * (warm + span + 1)), gpt)
    # asyncio.run would wait until all is cancelled.
    return asyncio.new_event_loop().run_until_complete(_steady(client, work, warm, span))


async def _steady(client: str, work: Work, warm: float, span: float) -> dict[str, float]:
    task = asyncio.ensure_future(CLIENTS[client](work))
    deadline = time.perf_counter() + PATIENCE
    await asyncio.sleep(warm)
    # Slow clients are at their slowest while they connect.
    while len(work.answered) < work.slots and time.perf_counter() < deadline:  # noqa: ASYNC110 - threads
        await asyncio.sleep(0.05)
    begin, cpu = len(work.answered), time.process_time()
    await asyncio.sleep(span)
    end, cpu = len(work.answered), time.process_time() - cpu
    if task.done():
        task.result()
        raise RuntimeError(f"{client} came to an end before it was looked at")
    # Answers come in bursts, as requests went out: the slope of the count does not depend on
    # whether the span begins before or after a burst, as the difference of counts would.
    line = linear_regression(work.answered[begin:end], range(begin, end))
    return {"images_per_second": line.slope * IMAGES, "cpu_ms": cpu / (end - begin) * 1000}

"""Jobs against their bars, with a webhook that is deaf at times: one table, and ``jobs.json``.

    make bench-jobs

10,000 images are submitted as 1,000 asynchronous requests to a service in a process of its own,
which tells of each once, by a webhook; three in ten of the deliveries fail. The client is a process
of its own too: first it is left alone; then it is killed when half of the outcomes are in, and
another takes the job up by the ids that were stored. It takes a minute or two.
"""

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from math import ceil
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import uvicorn
from attrs import asdict, define, frozen
from rich.console import Console
from rich.table import Table

from ximilar_ocr_async import Job, OCRSession, Webhook, WebhookReceiver
from ximilar_ocr_async.emulator.deliveries import Delivery
from ximilar_ocr_async.emulator.server import bind
from ximilar_ocr_async.emulator.server import serving as serving_in_a_thread
from ximilar_ocr_async.testing.service.engine import Unreadable
from ximilar_ocr_async.testing.service.jobs import Jobs
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.service import Service
from ximilar_ocr_async.testing.service.submissions import Webhook as ServicesWebhook

IMAGES = 10_000
PARTS = IMAGES // 10
LOST = 0.3
"""Share of deliveries that fail."""

LATENCY = 0.03
"""[s] that the service takes for an asynchronous request; it works them off one by one."""

BOUND = 180.0
"""[s] that a client may take before it is given up."""

TOKEN = "jobs"  # noqa: S105 - it opens nothing
SECRET = {"X-Secret": "hush"}


@frozen
class Row:
    """One measure, what it came to, and what it is held against."""

    measure: str
    figure: str
    bar: str
    met: bool


def url_of(index: int) -> str:
    """Return the address of an image, which is also what stands on it."""
    return f"https://images.example/{index}.jpg"


# ---- the service, in a process of its own


class Echo(dict[bytes, str]):
    """Says of each image what its bytes are, which here are its address."""

    def __missing__(self, image: bytes) -> str:
        return image.decode()


@define
class Postman:
    """Delivers as the service does, and counts what was taken and what was not."""

    taken: int = 0
    lost: int = 0

    async def __call__(self, webhook: ServicesWebhook, body: bytes) -> None:
        """Deliver once."""
        try:
            await Delivery()(webhook, body)
        except Unreadable:
            self.lost += 1
        else:
            self.taken += 1


def serve() -> None:
    """Serve until standard input ends; print the URL first, and the counts for each line of it."""

    async def fetch(url: str) -> bytes:
        return url.encode()

    postman = Postman()
    service = Service(ScriptedEngine(Echo(), LATENCY), fetch=fetch, jobs=Jobs(postman))
    with serving_in_a_thread(service) as url:
        print(url, flush=True)
        for _ in sys.stdin:
            counts = Counts(service.requests, service.billed, postman.taken, postman.lost)
            print(json.dumps(asdict(counts)), flush=True)


@frozen
class Counts:
    """What the service saw: requests, records billed, deliveries that were taken or lost."""

    requests: int
    billed: int
    taken: int
    lost: int


@frozen
class Served:
    """The service, as the benchmark asks it."""

    url: str
    process: "subprocess.Popen[str]"

    def counts(self) -> Counts:
        """Return what it saw so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Counts(**json.loads(self.process.stdout.readline()))


@contextmanager
def serving() -> Iterator[Served]:
    """Run the service; its warnings of lost deliveries are not shown."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Served(process.stdout.readline().strip(), process)
        finally:
            process.kill()


# ---- the client, in a process of its own


@frozen
class Store:
    """What outlives a client: the ids and the webhook's port, and places of outcomes as they came.

    A place stands there as -1 if its image was not read, or as something else.
    """

    folder: Path

    @property
    def job(self) -> Path:
        """File with the ids and the port."""
        return self.folder / "job.json"

    def outcomes(self, life: int) -> Path:
        """File with the outcomes that a client got, the first or the second."""
        return self.folder / f"outcomes-{life}"

    def places(self, life: int) -> list[int]:
        """Return the places in it; a line that is being written does not count."""
        path = self.outcomes(life)
        if not path.exists():
            return []
        *lines, _ = path.read_text(encoding="ascii").split("\n")
        return [int(line) for line in lines]


@asynccontextmanager
async def receiving(port: int, seed: int) -> AsyncIterator[WebhookReceiver]:
    """Listen for deliveries on a *port*, 0 being any; three in ten are refused unheard."""
    listener, url = bind(port)
    receiver, chance = WebhookReceiver(Webhook(url, SECRET)), Random(seed)  # noqa: S311
    hears = receiver.app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if chance.random() >= LOST:
            await hears(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve, [listener])
        try:
            yield receiver
        finally:
            server.should_exit = True


async def live(url: str, store: Store, life: int) -> None:
    """Submit the images and store the ids, or take these up; note the outcomes as they come."""
    stored: dict[str, Any] = json.loads(store.job.read_text()) if life > 1 else {"port": 0}
    async with receiving(stored["port"], seed=life) as receiver, session(url) as ocr:
        if life > 1:
            job = ocr.job(stored["ids"], webhook=receiver)
        else:
            job = await ocr.submit(map(url_of, range(IMAGES)), webhook=receiver)
            port = int(receiver.webhook.url.rpartition(":")[2])
            store.job.write_text(json.dumps({"ids": job.ids, "port": port}))
        await note(job, store.outcomes(life))


def session(url: str) -> OCRSession:
    """Make a session with the service."""
    return OCRSession(TOKEN, base_url=url)


async def note(job: Job, path: Path) -> None:
    """Append the place of each outcome to the file at *path*."""
    with path.open("a", encoding="ascii", buffering=1) as file:
        async for outcome in job.outcomes(deadline=BOUND):
            is_right = outcome.ok and outcome.record.text == url_of(outcome.index)
            file.write(f"{outcome.index if is_right else -1}\n")


@contextmanager
def living(served: Served, store: Store, life: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a client; at the end of the block it is killed, if it still runs."""
    command = [sys.executable, __file__, "--live", served.url, str(store.folder), str(life)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a client is done; one that is not in time will show by what is missing."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(BOUND)


# ---- what is measured


def missing(places: list[int]) -> int:
    """Return how many images were not read, or have no outcome."""
    return len(set(range(IMAGES)) - set(places))


def doubled(places: list[int]) -> int:
    """Return how many outcomes there are too many."""
    return len(places) - len(set(places))


def requests_row(measure: str, requests: int, ideal: int) -> Row:
    """Hold requests against the fewest possible."""
    ratio = requests / ideal
    figure = f"{ratio:.3f} ({requests:,} of {ideal:,})"
    return Row(measure, figure, "at most 1.2", ratio <= 1.2)


def undisturbed(served: Served, store: Store) -> list[Row]:
    """Leave a client alone. Ideal: each request is submitted, and fetched if its delivery fails."""
    with living(served, store, 1) as process:
        finish(process)
    places, counts = store.places(1), served.counts()
    return [
        Row(
            f"{IMAGES:,} images, {PARTS:,} requests, {LOST:.0%} of deliveries lost: missing",
            str(missing(places)),
            "0",
            missing(places) == 0,
        ),
        Row("… doubled", str(doubled(places)), "0", doubled(places) == 0),
        Row("… images billed", f"{counts.billed:,}", f"{IMAGES:,}", counts.billed == IMAGES),
        requests_row(
            "… requests against one for each submission and each lost delivery",
            counts.requests,
            PARTS + counts.lost,
        ),
    ]


def killed(served: Served, store: Store) -> list[Row]:
    """Kill a client halfway, and have another take the job up.

    Ideal: each request is submitted; the first fetches what it has by then and was not delivered;
    the second, which has nothing but the ids, fetches all that is not delivered to it: what the
    first had, what was told while no client was there, and what it loses itself.
    """
    with living(served, store, 1) as process:
        end = time.monotonic() + BOUND
        while len(store.places(1)) < IMAGES // 2 and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
        process.wait()
        half = served.counts()
    with living(served, store, 2) as process:
        finish(process)
    first, second, counts = store.places(1), store.places(2), served.counts()
    fetched_by_first = ceil(len(first) / 10) - half.taken
    ideal = PARTS + fetched_by_first + PARTS - (counts.taken - half.taken)
    return [
        Row(
            f"killed after {len(first):,} outcomes, taken up by its ids: missing from the second",
            str(missing(second)),
            "0",
            missing(second) == 0,
        ),
        Row(
            "… doubled in the first, in the second",
            f"{doubled(first)}, {doubled(second)}",
            "0, 0",
            doubled(first) == doubled(second) == 0,
        ),
        Row("… images billed", f"{counts.billed:,}", f"{IMAGES:,}", counts.billed == IMAGES),
        requests_row(
            "… requests of both against one for each submission and each delivery that did not come"
            " to the client that asked",
            counts.requests,
            ideal,
        ),
    ]


def main() -> int:
    """Print every row; return 1 if anything is missed."""
    rows = []
    for measure in (undisturbed, killed):
        began = time.monotonic()
        with TemporaryDirectory() as folder, serving() as served:
            rows += measure(served, Store(Path(folder)))
        print(f"{measure.__name__}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    table = Table("measure", "figure", "bar", "", title="Jobs")
    for row in rows:
        table.add_row(row.measure, row.figure, row.bar, "met" if row.met else "[red]missed[/]")
    Console().print(table)
    result = Path(__file__).with_suffix(".json")
    result.write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve"]:
            serve()
        case ["--live", url, folder, life]:
            anyio.run(live, url, Store(Path(folder)), int(life))
        case _:
            sys.exit(main())

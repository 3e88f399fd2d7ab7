"""Jobs against their bars, with a webhook that loses three deliveries in ten.

    make bench-jobs

The benchmark submits 10,000 images as 1,000 asynchronous requests to a service in a process of its
own, which delivers each result once, to a webhook. The client is a process of its own too. First it
is left alone. Then it is killed when half of the outcomes are in, and another client takes the job
up by the ids that were stored. All of it takes a minute or two.
"""

import json
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import ceil
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import uvicorn
from _lib.bars import Row, at_most, exactly, none_of
from _lib.children import Child, running
from _lib.images import fetch, url_of, urls
from _lib.results import report
from attrs import asdict, define, frozen

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
"""Time that the service takes for an asynchronous request [s]; it works them off one by one."""

BOUND = 180.0
"""Time after which a client is given up [s]."""

TOKEN = "jobs"  # noqa: S105 - it opens nothing
SECRET = {"X-Secret": "hush"}


# ---- the service, in a process of its own


class Echo(dict[bytes, str]):
    """Says of each image what its bytes are, which here are its address."""

    def __missing__(self, image: bytes) -> str:
        return image.decode()


@define
class Postman:
    """Delivers as the service does, and counts what was taken and what was lost."""

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


@frozen
class Counts:
    """What the service saw: requests, records billed, deliveries taken and deliveries lost."""

    requests: int
    billed: int
    taken: int
    lost: int


def serve() -> None:
    """Print the URL, then the counts for each line of standard input."""
    # Lost deliveries are meant here, and need no warning.
    logging.disable(logging.WARNING)
    postman = Postman()
    service = Service(ScriptedEngine(Echo(), LATENCY), fetch=fetch, jobs=Jobs(postman))
    with serving_in_a_thread(service) as url:
        print(url, flush=True)
        for _ in sys.stdin:
            counts = Counts(service.requests, service.billed, postman.taken, postman.lost)
            print(json.dumps(asdict(counts)), flush=True)


# ---- the client, in a process of its own


@frozen
class Store:
    """What outlives a client: the ids and the webhook's port, and the outcomes as they came.

    An outcome is stored as its place, or as -1 if its image was not read, or not rightly.
    """

    folder: Path

    @property
    def job(self) -> Path:
        """File with the ids and the port."""
        return self.folder / "job.json"

    def outcomes(self, life: int) -> Path:
        """File with the outcomes that a client got, the first client or the second."""
        return self.folder / f"outcomes-{life}"

    def places(self, life: int) -> list[int]:
        """Return the places in it, without a line that is still being written."""
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


def live(url: str, folder: str, life: int) -> None:
    """Be the client in its first life or its second."""
    anyio.run(_live, url, Store(Path(folder)), life)


async def _live(url: str, store: Store, life: int) -> None:
    """Submit the images and store the ids, or take these up; note the outcomes as they come."""
    stored: dict[str, Any] = json.loads(store.job.read_text()) if life > 1 else {"port": 0}
    async with (
        receiving(stored["port"], seed=life) as receiver,
        OCRSession(TOKEN, base_url=url) as session,
    ):
        if life > 1:
            job = session.job(stored["ids"], webhook=receiver)
        else:
            job = await session.submit(urls(IMAGES), webhook=receiver)
            port = int(receiver.webhook.url.rpartition(":")[2])
            store.job.write_text(json.dumps({"ids": job.ids, "port": port}))
        await _note(job, store.outcomes(life))


async def _note(job: Job, path: Path) -> None:
    """Append the place of each outcome to the file at *path*."""
    with path.open("a", encoding="ascii", buffering=1) as file:
        async for outcome in job.outcomes(deadline=BOUND):
            is_right = outcome.ok and outcome.record.text == url_of(outcome.index)
            file.write(f"{outcome.index if is_right else -1}\n")


# ---- what is measured


@frozen
class Trial:
    """A service that runs, and the store of the clients that it gets."""

    service: Child
    url: str
    store: Store

    def counts(self) -> Counts:
        """Return what the service saw so far."""
        return Counts(**self.service.ask())

    def run_client(self, life: int, *, until: int | None = None) -> list[int]:
        """Run a client, and kill it once it has *until* outcomes; return the places of all.

        A client that is not done in time shows by what is missing.
        """
        end = time.monotonic() + BOUND
        with running("jobs.live", url=self.url, folder=str(self.store.folder), life=life) as client:
            while until and len(self.store.places(life)) < until and time.monotonic() < end:
                time.sleep(0.05)
            if until is None:
                with suppress(TimeoutExpired):
                    client.process.wait(BOUND)
            client.kill()
        return self.store.places(life)


def missing(places: list[int]) -> int:
    """Return how many images were not read, or have no outcome."""
    return len(set(range(IMAGES)) - set(places))


def doubled(places: list[int]) -> int:
    """Return how many outcomes there are too many."""
    return len(places) - len(set(places))


def money(counts: Counts, measure: str, fewest: int) -> list[Row]:
    """Hold what was billed and requested against what had to be."""
    ratio, note = counts.requests / fewest, f"{counts.requests:,} of {fewest:,}"
    return [
        exactly("… images billed", counts.billed, IMAGES),
        at_most(f"… requests against one for each {measure}", ratio, 1.2, form=".3f", note=note),
    ]


def undisturbed(trial: Trial) -> list[Row]:
    """Leave a client alone.

    Each request has to be submitted, and to be fetched if its delivery was lost.
    """
    places, counts = trial.run_client(1), trial.counts()
    measure = f"{IMAGES:,} images, {PARTS:,} requests, {LOST:.0%} of deliveries lost"
    return [
        none_of(f"{measure}: missing", missing(places)),
        none_of("… doubled", doubled(places)),
        *money(counts, "submission and each lost delivery", PARTS + counts.lost),
    ]


def killed(trial: Trial) -> list[Row]:
    """Kill a client halfway, and have another take the job up.

    Each request has to be submitted. The first client has to fetch what it has by then without a
    delivery. The second has nothing but the ids, and has to fetch all that is not delivered to it:
    what the first had, what was delivered while no client was there, and what it loses itself.
    """
    first = trial.run_client(1, until=IMAGES // 2)
    half = trial.counts()
    second = trial.run_client(2)
    counts = trial.counts()
    fetched_by_first = ceil(len(first) / 10) - half.taken
    fetched_by_second = PARTS - (counts.taken - half.taken)
    measure = f"killed after {len(first):,} outcomes, taken up by its ids"
    return [
        none_of(f"{measure}: missing from the second", missing(second)),
        none_of("… doubled in the first, in the second", doubled(first), doubled(second)),
        *money(
            counts,
            "submission and each delivery that did not come to the client that asked",
            PARTS + fetched_by_first + fetched_by_second,
        ),
    ]


def main() -> int:
    """Measure and report; return 1 if a bar is missed."""
    rows = []
    for measure in (undisturbed, killed):
        with TemporaryDirectory() as folder, running("jobs.serve") as service:
            rows += measure(Trial(service, service.read_line(), Store(Path(folder))))
    return report("jobs", "Jobs", rows)


if __name__ == "__main__":
    sys.exit(main())

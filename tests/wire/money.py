"""W1 and W4: answers are lost on the way, and what was paid for twice is marked."""

from collections.abc import Iterator

import anyio

from tests.faults.case import LIBRARIES
from tests.wire.backend import serves
from tests.wire.case import Case, Step, Trial, links
from tests.wire.checks import all_read, none_doubled, none_for_nothing, none_untold
from tests.wire.configurations import APACHE, CADDY, VARNISH, haproxy, nginx

FRONTS = (nginx(), haproxy(), CADDY, VARNISH, APACHE)

NO_BAR = 0.01
"""[s] of a service that is too quick for its failures to be told from those of its proxy."""


def lost_direct() -> Iterator[Case]:
    """Lose answers of a service that is spoken to directly."""
    number = 0
    for library in LIBRARIES:
        for seconds in (0.0, 0.01, 0.03, 0.2):
            number += 1
            yield (
                Case(f"W1.{number}", f"5 % of answers lost, {1000 * seconds:g} ms, {library}")
                .promises("read; paid twice only if marked")
                .given(serves(seconds, loses=True))
                .when(images=links(400, 1_200), library=library)
                .then(all_read, none_untold, none_for_nothing)
            )


def lost_behind() -> Iterator[Case]:
    """Lose answers of a service behind a proxy, which says 502 or 503 then."""
    number = 20
    for front in FRONTS:
        for seconds in (NO_BAR, 0.05, 0.2):
            number += 1
            case = (
                Case(f"W1.{number}", f"5 % of answers lost, {1000 * seconds:g} ms, {front.name}")
                .given(serves(seconds, loses=True), behind=front)
                # Varnish asks for 5 s of rest each time.
                .when(images=links(400, 400 if front is VARNISH else 1_200))
            )
            if seconds == NO_BAR:
                yield case.promises("read; how many are not marked is told").then(all_read)
            else:
                yield case.promises("read; paid twice only if marked").then(
                    all_read, none_untold, none_for_nothing
                )


# ---- a proxy that comes and goes


def each(seconds: float, do: Step) -> Step:
    """Do something every so many *seconds* [s]."""

    async def step(trial: Trial) -> None:
        while True:
            await anyio.sleep(seconds)
            await do(trial)

    return step


async def kill(trial: Trial) -> None:
    """Kill the proxy, and start it again."""
    assert trial.program
    trial.program.kill()
    await trial.program.start()


async def reload(trial: Trial) -> None:
    """Have the proxy replace its workers."""
    assert trial.program
    trial.program.reload()


MONEY = [
    *lost_direct(),
    *lost_behind(),
    Case("W4.1", "nginx is killed and restarted every second")
    .promises("read; paid twice only if marked")
    .given(serves(0.1), behind=nginx())
    .when(images=links(1_600, 5_000), meanwhile=each(1, kill), slots=8)
    .then(all_read, none_untold),
    Case("W4.2", "nginx is reloaded every 0.5 s")
    .promises("read, and paid once")
    .given(serves(0.05), behind=nginx())
    .when(images=links(800, 5_000), meanwhile=each(0.5, reload), slots=4)
    .then(all_read, none_doubled, none_for_nothing),
]

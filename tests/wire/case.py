"""A case of the wire, which reads as a sentence, and a trial: a case under way.

Every clause but the first two may be left out:

    Case("W2.1", "service away for 1.5 s, behind nginx")
    .promises("a pause: none lost, none marked for nothing")
    .given(serves(0.1), behind=nginx())
    .when(images=links(800, 2_000), meanwhile=away(1.5))
    .then(all_read, none_untold, none_for_nothing)

Where two numbers of images are given, the tests take the first and ``make wire`` the second.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from ssl import SSLContext
from typing import Any, TypeAlias, cast

from attrs import define, evolve, field, frozen

from tests.faults.certificates import OURS, trust
from tests.faults.expect import name_of, pictures
from tests.faults.server import Behaviour
from tests.wire.backend import Backend, serves
from tests.wire.programs import Program, Running
from tests.wire.relay import Relay
from ximilar_ocr_async import Image, OCRSession, Outcome, RetryPolicy, Stats

LOOPS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {}),
    **({"uvloop": ("asyncio", {"use_uvloop": True})} if find_spec("uvloop") else {}),
    "trio": ("trio", {}),
}
"""The event loops, with the name and the options that anyio has for each."""

TOKEN = "6f1-token-of-the-wire-9c2"
SLOTS = 16
RETRY = RetryPolicy(base=0.1, cap=0.5)
"""The default policy, but with short waits."""

HANG = 60.0
"""[s] after which a case hangs."""


@define(eq=False, repr=False)
class Trial:
    """A case under way.

    Attributes:
        case: The case that is tried.
        images: The images of the case.
        backend: The service.
        program: The program on the way to it. None where there is none.
        relay: What overhears a forward proxy. None where there is none.
        port: Where the session connects to.
        session: The session that is tried.
        outcomes: What it gave for the images.
        complaints: What did not hold.
        stats: The session's figures just before it closed.
        seconds: [s] that the call took.
    """

    case: "Case"
    images: Sequence[Image]
    backend: Backend
    program: Running | None
    relay: Relay | None
    port: int
    session: OCRSession
    outcomes: list[Outcome] = field(factory=list)
    complaints: list[str] = field(factory=list)
    stats: Stats | None = None
    seconds: float = 0.0

    async def read_all(self) -> None:
        """Read the images together."""
        self.outcomes += await self.session.read_all(self.images)

    async def read_in_turn(self) -> None:
        """Read the images one after the other."""
        for image in self.images:
            self.outcomes += await self.session.read_all([image])

    def complain(self, what: str) -> None:
        """Note what does not hold."""
        self.complaints.append(what)

    @property
    def doubled(self) -> int:
        """How many images were paid for more than once."""
        return sum(bills > 1 for bills in self.backend.bills.values())

    @property
    def untold(self) -> list[Outcome]:
        """Images that were paid for more often than they were read, and are not marked."""
        bills = self.backend.bills
        return [o for o in self.outcomes if bills[name_of(o.image)] > o.ok and not o.maybe_billed]

    @property
    def marked_for_nothing(self) -> list[Outcome]:
        """Images that are marked, although nobody lost an answer of theirs."""
        bills, lost = self.backend.bills, self.backend.lost
        names = {name for name, count in bills.items() if count > 1} | lost
        return [o for o in self.outcomes if o.maybe_billed and name_of(o.image) not in names]


Step: TypeAlias = Callable[[Trial], Coroutine[Any, Any, None]]
Check: TypeAlias = Callable[[Trial], Iterator[str]]
Images: TypeAlias = Callable[[Path, bool], Sequence[Image]]
"""Makes images, given where files may lie, and whether the larger of two numbers counts."""


def links(few: int, many: int | None = None) -> Images:
    """Return images by URL."""
    return lambda _, is_large: pictures(many if many and is_large else few)


def encoded(count: int, size: int) -> Images:
    """Return images of *size* [bytes]."""
    return lambda *_: pictures(count, size)


def files(count: int, size: int) -> Images:
    """Return images of *size* [bytes] that are read from a file."""

    def make(folder: Path, is_large: bool) -> list[Image]:
        path = folder / "image.png"
        images = encoded(count, size)(folder, is_large)
        path.write_bytes(cast("bytes", images[0].source))
        return [evolve(image, source=path) for image in images]

    return make


async def nothing(trial: Trial) -> None:
    """Have nothing happen."""


QUICK, FEW = serves(0.0), links(10)


@frozen
class Case:
    """One way to the service, what goes wrong on it, and what is promised in it.

    Attributes:
        id: Number of its kind, and a counter.
        fault: What goes wrong, and where.
        promise: What is promised, in a few words.

    The other attributes are those of `given`, `when` and `then`.
    """

    id: str
    fault: str
    promise: str = ""

    behave: Behaviour = QUICK
    behind: Program | None = None
    through: Program | None = None
    tls: bool = False

    images: Images = FEW
    call: Step = Trial.read_all
    meanwhile: Step = nothing
    library: str = "own"
    url: str = "{base}"
    trusts: Callable[[], SSLContext] = lambda: trust(OURS)
    slots: int = SLOTS

    checks: tuple[Check, ...] = ()

    def promises(self, promise: str) -> "Case":
        """Say in a few words what is promised."""
        return evolve(self, promise=promise)

    def given(
        self,
        behave: Behaviour = QUICK,
        *,
        behind: Program | None = None,
        through: Program | None = None,
        tls: bool = False,
    ) -> "Case":
        """Say what is on the way.

        Args:
            behave: What a connection of the service's does.
            behind: A reverse proxy before the service.
            through: A forward proxy, through which the session is to go.
            tls: Whether the service speaks TLS.
        """
        return evolve(self, behave=behave, behind=behind, through=through, tls=tls)

    def when(
        self,
        call: Step = Trial.read_all,
        *,
        images: Images = FEW,
        meanwhile: Step = nothing,
        library: str = "own",
        url: str = "{base}",
        trusts: Callable[[], SSLContext] = lambda: trust(OURS),
        slots: int = SLOTS,
    ) -> "Case":
        """Say what is asked of the session, and what the session is like.

        Args:
            call: What is asked of the session.
            images: The images.
            meanwhile: What happens at the same time.
            library: Key in `LIBRARIES` of the client that sends.
            url: Where the session sends to; `base` and `port` are those of what it should meet.
            trusts: Gives the context with which the client speaks TLS.
            slots: Requests that the session may have in flight.
        """
        return evolve(
            self,
            call=call,
            images=images,
            meanwhile=meanwhile,
            library=library,
            url=url,
            trusts=trusts,
            slots=slots,
        )

    def then(self, *checks: Check) -> "Case":
        """Say what has to hold, beside what holds in every case."""
        return evolve(self, checks=checks)

    @property
    def program(self) -> Program | None:
        """The program that has to be installed, if any."""
        return self.behind or self.through

    @property
    def speaks_tls(self) -> bool:
        """Whether the session meets TLS."""
        return self.behind.is_tls if self.behind else self.tls

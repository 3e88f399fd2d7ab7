"""A case of the fault matrix, which reads as a sentence, and a trial: a case under way.

A case names its fault and its promise; then it says, given what server, when what is asked of the
session, then what has to hold. Every clause but the first two may be left out:

    Case("F17", "server stops reading a large body, once")
    .promises("UploadCut after the timeout: sent again, billed once")
    .given(first(1, Connection.read_nothing), window=WINDOW)
    .when(images=pictures(1, size=LARGE), timeout=0.3)
    .then(reads(attempts=2), requests=1)
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from ssl import SSLContext
from types import ModuleType
from typing import Any, TypeAlias

import httpx
import httpx2
from attrs import define, evolve, field, frozen

from tests.faults.certificates import OURS
from tests.faults.expect import Expect, pictures
from tests.faults.server import Behaviour, FaultyServer, Way
from tests.faults.steps import well
from ximilar_ocr_async import Image, OCRSession, Outcome, RetryPolicy, Stats

LIBRARIES: Mapping[str, ModuleType | None] = {"own": None, "httpx": httpx, "httpx2": httpx2}
"""Whose client sends: the session's own, or one that is injected."""

BACKENDS = ("asyncio", "trio")

TOKEN = "6f1-token-of-the-matrix-9c2"
SLOTS = 3
RETRY = RetryPolicy(base=0.01, cap=0.05)
"""The default policy, but with short waits."""

HANG = 5.0
"""[s] after which a case hangs: the only time that is held against anything."""


@define(eq=False, repr=False)
class Trial:
    """A case under way.

    Attributes:
        case: The case that is tried.
        library: Key in `LIBRARIES` of the client that sends.
        server: The faulty server.
        client: The injected client. None where each session makes its own.
        session: The session that is tried.
        outcomes: What the session gave for the images of the case.
        complaints: What did not hold.
        stats: The session's figures just before it closed.
        raised: What left the session's block.
    """

    case: "Case"
    library: str
    server: FaultyServer
    client: Any
    session: OCRSession = field(init=False)
    outcomes: list[Outcome] = field(factory=list)
    complaints: list[str] = field(factory=list)
    stats: Stats | None = None
    raised: BaseException | None = None

    def __attrs_post_init__(self) -> None:
        self.session = self.make_session()

    def make_session(self) -> OCRSession:
        """Make a session to the server, with the options of the case."""
        port = self.server.url.rpartition(":")[2]
        defaults = {
            "base_url": self.case.url.format(base=self.server.url, port=port),
            "max_concurrency": SLOTS,
            "adaptive": False,
            "retry": RETRY,
            "outage_timeout": 1.0,
            "timeout": HANG,
            "drain": 1.0,
            # A list is submitted when it ends; a busy machine must not submit half of it sooner.
            "linger": HANG,
            "http_client": self.client,
        }
        if self.client is None and self.case.proxy:
            defaults["proxy"] = self.case.proxy.format(port=port)
        return OCRSession(TOKEN, **defaults | dict(self.case.options))

    async def read_all(self, images: Sequence[Image] | None = None, **options: Any) -> None:
        """Read images, the case's own by default."""
        given = self.case.images if images is None else images
        self.outcomes += await self.session.read_all(given, **options)

    def complain(self, what: str) -> None:
        """Note what does not hold."""
        self.complaints.append(what)


Call: TypeAlias = Callable[[Trial], Awaitable[None]]
Check: TypeAlias = Callable[[Trial], Iterator[str]]
ClientOptions: TypeAlias = Callable[[ModuleType, FaultyServer], Mapping[str, Any]]


@frozen
class Case:
    """One fault, and what is promised in it.

    Attributes:
        id: Row of the fault matrix, and a counter where it has several cases.
        fault: What goes wrong, in a few words.
        expected: What is promised, in a few words.
        backend: The only backend on which this can be done. None for any.
        library: The only library with which it can be done. None for any.

    The other attributes are those of `given`, `when` and `then`.
    """

    id: str
    fault: str
    expected: str = ""

    behave: Behaviour = well
    way: Way = "open"
    window: int | None = None
    tls: Callable[[], SSLContext] | None = None

    call: Call = Trial.read_all
    images: Sequence[Image] = field(factory=lambda: pictures(SLOTS))
    url: str = "{base}"
    proxy: str = ""
    trusts: str = OURS
    client: ClientOptions | None = None
    options: Mapping[str, Any] = field(factory=dict)

    expect: Expect | None = None
    but: Mapping[int, Expect] = field(factory=dict)
    requests: int | None = None
    also: Check | None = None
    is_partial: bool = False
    recovers: bool = True
    memory: int | None = None
    hang: float = HANG

    backend: str | None = None
    library: str | None = None

    def promises(self, expected: str) -> "Case":
        """Say in a few words what is promised."""
        return evolve(self, expected=expected)

    def given(
        self,
        behave: Behaviour = well,
        *,
        way: Way = "open",
        window: int | None = None,
        tls: Callable[[], SSLContext] | None = None,
    ) -> "Case":
        """Say what the server is like.

        Args:
            behave: What a connection of the server's does.
            way: What becomes of those who connect, until the server is healed.
            window: [bytes] that the kernel receives ahead of the server, about.
            tls: Gives the context with which the server speaks TLS.
        """
        return evolve(self, behave=behave, way=way, window=window, tls=tls)

    def when(
        self,
        call: Call = Trial.read_all,
        *,
        images: Sequence[Image] | None = None,
        url: str = "{base}",
        proxy: str = "",
        trusts: str = OURS,
        client: ClientOptions | None = None,
        **options: Any,
    ) -> "Case":
        """Say what is asked of the session, and what the session is like.

        Args:
            call: What is asked of the session.
            images: The images that are read, one for each slot by default.
            url: Where the session sends to; `port` and `base` are the server's.
            proxy: Through which proxy it sends there; `port` is the server's.
            trusts: Name of the authority that the client trusts.
            client: Options of the client, which is then injected with either library.
            **options: Options of the session.
        """
        return evolve(
            self,
            call=call,
            images=self.images if images is None else images,
            url=url,
            proxy=proxy,
            trusts=trusts,
            client=client,
            options=options,
        )

    def then(
        self,
        expect: Expect | None = None,
        *,
        but: Mapping[int, Expect] | None = None,
        requests: int | None = None,
        also: Check | None = None,
        is_partial: bool = False,
        recovers: bool = True,
        memory: int | None = None,
        hang: float = HANG,
    ) -> "Case":
        """Say what has to hold, beside the promises that hold in every case.

        Args:
            expect: How each image ends. None when it may end in any way.
            but: By place, the images that end in another way.
            requests: Whole requests that reach the server, at most.
            also: What else is checked.
            is_partial: Whether the caller leaves before each image has its outcome.
            recovers: Whether the session works again once the server is healed.
            memory: [bytes] that may be held at once, beyond those before.
            hang: [s] after which the case hangs.
        """
        return evolve(
            self,
            expect=expect,
            but=but or {},
            requests=requests,
            also=also,
            is_partial=is_partial,
            recovers=recovers,
            memory=memory,
            hang=hang,
        )

    def only(self, backend: str | None = None, *, library: str | None = None) -> "Case":
        """Say where alone this can be done."""
        return evolve(self, backend=backend, library=library)

    def runs_on(self, backend: str, library: str) -> bool:
        """Whether this can be done there."""
        is_possible = self.client is None or LIBRARIES[library] is not None
        return is_possible and self.backend in {None, backend} and self.library in {None, library}

    @property
    def slots(self) -> int:
        """Requests that the session may have in flight."""
        return int(self.options.get("max_concurrency", SLOTS))

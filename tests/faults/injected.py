"""F73 and F74: the client is the caller's, and it raises for a status, or is closed."""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from tests.faults.case import Case, ClientOptions, Trial
from tests.faults.certificates import OURS, trust
from tests.faults.connect import busy, within
from tests.faults.cut import poisoned, refuses_over
from tests.faults.expect import fails, pictures, reads
from tests.faults.gateway import LATE
from tests.faults.server import FaultyServer
from tests.faults.steps import after, always, failing, once, refuses
from ximilar_ocr_async import AddressError, AuthError, OptionError, ReplyLost, RequestRejected

# ---- clients


def raises(_: ModuleType, __: FaultyServer) -> Mapping[str, Any]:
    """Return the options of a client that raises for a status."""

    async def check(response: Any) -> None:
        response.raise_for_status()

    return {"event_hooks": {"response": [check]}}


def reads_and_raises(_: ModuleType, __: FaultyServer) -> Mapping[str, Any]:
    """Return the options of a client that does so when it has read, and maybe logged, the body."""

    async def check(response: Any) -> None:
        await response.aread()
        response.raise_for_status()

    return {"event_hooks": {"response": [check]}}


def breaks_off(module: ModuleType, _: FaultyServer) -> Mapping[str, Any]:
    """Return the options of a client that tells nothing, and raises when an answer has come."""

    async def send(transport: Any, request: Any) -> Any:
        request.extensions.pop("trace")
        response = await module.AsyncHTTPTransport.handle_async_request(transport, request)
        await response.aclose()
        raise RuntimeError("as the test has it")

    kind = type("Transport", (module.AsyncHTTPTransport,), {"handle_async_request": send})
    return {"transport": kind(verify=trust(OURS))}


# ---- calls


async def close_under_session(trial: Trial) -> None:
    """Read an image, then close the client, and read the others."""
    await trial.read_all(trial.case.images[:1])
    await trial.client.aclose()
    await trial.read_all(trial.case.images[1:])


# ---- cases


def hooked(id_: str, what: str, client: ClientOptions) -> Iterator[Case]:
    """Yield what happens when a client raises for each status."""
    yield (
        Case(f"{id_}.1", f"client that {what}: 401")
        .promises("AuthError, one request")
        .given(always(refuses("401 Unauthorized", failing(401, "invalid token"))))
        .when(client=client)
        .then(fails(AuthError, says="401"), requests=1)
    )
    yield (
        Case(f"{id_}.2", f"client that {what}: 413 to more than two images")
        .promises("split, all read, billed once")
        .given(always(refuses_over(2, refuses("413 Content Too Large"))))
        .when(images=pictures(4), client=client)
        .then(reads(attempts=2), requests=3)
    )
    yield (
        Case(f"{id_}.3", f"client that {what}: 422 to every request with one bad image")
        .promises("the others are read, this one is rejected")
        .given(always(poisoned(refuses("422 Unprocessable Content", failing(422, "bad")))))
        .when(client=client)
        .then(
            reads(attempts=2), but={1: fails(RequestRejected, attempts=2, says="422")}, requests=4
        )
    )
    again = ("429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable")
    for n, status in enumerate(again, 4):
        refusal = refuses(status, failing(int(status[:3]), "oops"), more="Retry-After: 0.02\r\n")
        yield (
            Case(f"{id_}.{n}", f"client that {what}: {status}, once")
            .promises("sent again, billed once")
            .given(once(refusal))
            .when(within(busy), client=client)
            .then(reads(attempts=2), requests=2)
        )
    yield (
        Case(f"{id_}.7", f"client that {what}: 302")
        .promises("AddressError, nothing sent elsewhere")
        .given(always(refuses("302 Found", more="Location: /elsewhere\r\n")))
        .when(client=client)
        .then(fails(AddressError, says="302"), requests=1)
    )


INJECTED = [
    *hooked("F73.1", "raises for a status", raises),
    *hooked("F73.2", "reads the body and raises for a status", reads_and_raises),
    Case("F73.3", f"the same: 503 in the service's own words after {LATE:g} s")
    .promises("sent again, billed once")
    .given(once(after(LATE, refuses("503 Service Unavailable", failing(503, "busy")))))
    .when(client=reads_and_raises)
    .then(reads(attempts=2), requests=2),
    Case("F73.4", "client with a transport that tells nothing, and raises RuntimeError in the end")
    .promises("ReplyLost after two, maybe billed")
    .when(client=breaks_off)
    .then(fails(ReplyLost, attempts=2, maybe_billed=True), requests=2, recovers=False),
    Case("F74", "client that is closed while the session is open")
    .promises("each image fails with OptionError at once, nothing is sent")
    .when(close_under_session, images=pictures(31), client=lambda *_: {})
    .then(fails(OptionError, says="closed"), but={0: reads()}, requests=1, recovers=False),
]

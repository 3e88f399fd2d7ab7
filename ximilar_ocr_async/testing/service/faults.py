"""Planned faults: a seed and the number of a request in, the faults of that request out."""

import random
import tomllib
from collections.abc import Iterable, Mapping
from hashlib import sha256
from math import fsum
from os import PathLike
from pathlib import Path
from typing import Any, Self

from attrs import Attribute, field, fields, frozen
from attrs.validators import optional

from ximilar_ocr_async._constants import MAX_RECORDS
from ximilar_ocr_async._validation import check_at_least
from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.testing.service.contract import Reply, refuse

NO_CREDITS = "credit limits reached"
"""Source: text that third-party clients look for in the service's replies."""

NO_GPT = "not allowed to access service OCR GPT"
"""Source: a message quoted in the vendor's client, which names another service there."""

PAGE = "<html><body><h1>Bad Gateway</h1></body></html>"
"""Page that a gateway returns in place of the service's reply."""

ROUNDING = 1e-9
"""Tolerance for the sum of shares that are meant to add up to 1."""


class Interference(Exception):
    """A planned fault keeps the reply from the client. The transport shows the fault instead."""


class Unreachable(Interference):
    """The connection cannot be made."""


class Stalled(Interference):
    """The response never starts, and the connection stays open until the client gives up."""


class Cut(Interference):
    """The connection is closed before the response is complete."""


class Garbled(Interference):
    """The response is `PAGE`, with status 200."""


REFUSED = {"unavailable": 503, "throttled": 429, "crashed": 500}
"""HTTP status of each fault that refuses a request before the service looks at it."""

LOST_REQUESTS: Mapping[str, type[Interference]] = {"unreachable": Unreachable, "stalled": Stalled}
"""Faults that keep a request from the service."""

SPOILED_REPLIES: Mapping[str, type[Interference]] = {"lost_replies": Cut, "garbled": Garbled}
"""Faults that keep the reply from the client after the images were read and billed."""

OF_REQUESTS = (*REFUSED, *LOST_REQUESTS, *SPOILED_REPLIES)
RECORD_ERRORS, MISSING_RECORDS = "record_errors", "missing_records"
OF_RECORDS = (RECORD_ERRORS, MISSING_RECORDS)
RETRIED_JOBS, FAILED_JOBS, LIMITED_JOBS = "retried_jobs", "failed_jobs", "limited_jobs"
LOST_SUBMITS = "lost_submits"
OF_JOBS = (RETRIED_JOBS, FAILED_JOBS, LIMITED_JOBS, LOST_SUBMITS)


def _check_share(_: "FaultPlan", attribute: "Attribute[float]", value: float) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise OptionError(f"{attribute.name} is {value!r}, expected a number from 0 to 1")


def _check_seed(_: "FaultPlan", __: "Attribute[int]", value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise OptionError(f"seed is {value!r}, expected a whole number")


def _check_seconds(_: "FaultPlan", attribute: "Attribute[float]", value: float) -> None:
    check_at_least(attribute.name, value, 0.0)


def _check_count(_: "FaultPlan", attribute: "Attribute[int]", value: int) -> None:
    check_at_least(attribute.name, value, 0)


def _flag(no_gpt: Any) -> bool:
    if not isinstance(no_gpt, bool):
        raise OptionError(f"no_gpt is {no_gpt!r}, expected true or false")
    return no_gpt


def _pairs(outages: Any) -> tuple[tuple[float, float], ...]:
    return tuple(map(_pair, outages if isinstance(outages, list | tuple) else [outages]))


def _pair(outage: Any) -> tuple[float, float]:
    match outage:
        case [int() | float() as start, int() | float() as length] if start >= 0 and length >= 0:
            return float(start), float(length)
    raise OptionError(f"outages has {outage!r}, expected pairs (start, length) of at least 0 [s]")


@frozen
class DrawnFaults:
    """The faults of one request. An empty name means no fault.

    Attributes:
        fault: Name of the request's own fault.
        records: Name of each record's fault, by its index.
    """

    fault: str
    records: tuple[str, ...]


@frozen(kw_only=True)
class FaultPlan:
    """Which faults the service shows, and how often. Each run shows the same faults.

    The fault of a request depends on the seed and on how many requests came before it. The fault of
    a record also depends on its index in the request. Shares are numbers from 0 to 1.

    Attributes:
        seed: Selects the faults. Another seed draws other faults.
        unavailable: Share of requests refused with 503. Nothing is read or billed.
        throttled: Share of requests refused with 429. Nothing is read or billed.
        crashed: Share of requests refused with 500. Nothing is read or billed.
        unreachable: Share of requests whose connection cannot be made. The local HTTP server, which
            has to accept the connection, responds with 502 as a gateway would.
        stalled: Share of requests that never get a response. Nothing is read or billed.
        lost_replies: Share of requests that are read and billed before the connection is cut.
        garbled: Share of requests that are read and billed, but get status 200 and an HTML page.
            The seven shares up to here add up to at most 1.
        record_errors: Share of records that fail on their own with 500. They are not billed.
        missing_records: Share of records that are read and billed, but missing in the reply.
            These two shares add up to at most 1.
        poison: Share of images that make any request with them fail as a whole, each time that they
            are sent. The request is refused with 400 and not billed; an asynchronous request ends
            as FAILED.
        retried_jobs: Share of asynchronous requests that are in state RETRY before they succeed.
        failed_jobs: Share of asynchronous requests that end as FAILED. Nothing is read or billed.
        limited_jobs: Share of asynchronous requests that end as API_LIMIT_EXCEEDED. Nothing is read
            or billed.
        lost_submits: Share of asynchronous requests that are accepted before the connection is cut.
            These four shares add up to at most 1.
        retry_after: Value of the Retry-After header of 503 and 429 [s]. None leaves it out.
        outages: Outages as (start, length) [s], counted from the first request. During an outage
            every request is ``unavailable``.
        credits: Number of billed records after which requests are refused with 403 and asynchronous
            requests end as API_LIMIT_EXCEEDED. Requests in progress are still completed. None sets
            no limit.
        no_gpt: Whether the account has no access to ``read_gpt``, which is then refused with 403.
    """

    seed: int = field(default=0, validator=_check_seed)
    unavailable: float = field(default=0.0, validator=_check_share)
    throttled: float = field(default=0.0, validator=_check_share)
    crashed: float = field(default=0.0, validator=_check_share)
    unreachable: float = field(default=0.0, validator=_check_share)
    stalled: float = field(default=0.0, validator=_check_share)
    lost_replies: float = field(default=0.0, validator=_check_share)
    garbled: float = field(default=0.0, validator=_check_share)
    record_errors: float = field(default=0.0, validator=_check_share)
    missing_records: float = field(default=0.0, validator=_check_share)
    poison: float = field(default=0.0, validator=_check_share)
    retried_jobs: float = field(default=0.0, validator=_check_share)
    failed_jobs: float = field(default=0.0, validator=_check_share)
    limited_jobs: float = field(default=0.0, validator=_check_share)
    lost_submits: float = field(default=0.0, validator=_check_share)
    retry_after: float | None = field(default=None, validator=optional(_check_seconds))
    outages: tuple[tuple[float, float], ...] = field(default=(), converter=_pairs)
    credits: int | None = field(default=None, validator=optional(_check_count))
    no_gpt: bool = field(default=False, converter=_flag)

    def __attrs_post_init__(self) -> None:
        for names in (OF_REQUESTS, OF_RECORDS, OF_JOBS):
            total = fsum(getattr(self, name) for name in names)
            if total > 1 + ROUNDING:
                raise OptionError(f"{' + '.join(names)} is {total:g}, limit is 1")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load a plan from a TOML file, whose keys are the names of the attributes.

        Args:
            path: Path of the file.

        Raises:
            OptionError: The file cannot be read or is not a valid plan.
        """
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OptionError(f"{path} cannot be read: {reason}") from None
        allowed = [attribute.name for attribute in fields(cls)]
        if unknown := [name for name in document if name not in allowed]:
            raise OptionError(f"{path}: unknown key {unknown[0]}, allowed are {', '.join(allowed)}")
        try:
            return cls(**document)
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from None

    def __str__(self) -> str:
        settings = [(a, getattr(self, a.name)) for a in fields(type(self)) if a.name != "seed"]
        planned = [f"{a.name} {value}" for a, value in settings if value != a.default]
        return ", ".join([*planned, f"seed {self.seed}"]) if planned else "none"

    def draw(self, number: int, *, seconds: float) -> DrawnFaults:
        """Draw the faults of a request.

        Args:
            number: How many requests came before it.
            seconds: Time since the first request [s].
        """
        generator = random.Random(f"{self.seed}/{number}")  # noqa: S311 - it has to be reproducible
        fault = self._pick(OF_REQUESTS, generator.random())
        records = tuple(self._pick(OF_RECORDS, generator.random()) for _ in range(MAX_RECORDS))
        is_out = any(start <= seconds < start + length for start, length in self.outages)
        return DrawnFaults("unavailable" if is_out else fault, records)

    def draw_job(self, number: int) -> str:
        """Draw the fault of an asynchronous request that *number* others came before, or ""."""
        generator = random.Random(f"{self.seed}/job/{number}")  # noqa: S311 - it has to be reproducible
        return self._pick(OF_JOBS, generator.random())

    def _pick(self, names: Iterable[str], number: float) -> str:
        """Return the fault that *number*, from 0 to 1, falls on; the shares divide that range."""
        for name in names:
            number -= getattr(self, name)
            if number < 0:
                return name
        return ""

    def is_poison(self, key: str) -> bool:
        """Return whether requests that contain the image with this *key* fail as a whole."""
        digest = sha256(f"{self.seed}/{key}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:6]) < self.poison * 2**48

    def forbid(self, endpoint: str) -> Reply | None:
        """Return the refusal of a request to *endpoint*; None if the account has access to it."""
        if self.no_gpt and endpoint == "read_gpt":
            return Reply(403, {"detail": NO_GPT})
        return None

    def refusal(self, fault: str) -> Reply | None:
        """Return the refusal that *fault* causes; None if it does not refuse requests."""
        if fault not in REFUSED:
            return None
        headers = {}
        if self.retry_after is not None and fault != "crashed":
            headers["Retry-After"] = f"{self.retry_after:.3f}".rstrip("0").rstrip(".")
        return refuse(REFUSED[fault], f"planned fault: {fault}", headers)

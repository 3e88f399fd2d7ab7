"""Planned faults: a seed and the number of a request in, what that request meets out."""

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
"""Source: words that clients of others look for in the service's answers."""

NO_GPT = "not allowed to access service OCR GPT"
"""Source: a message to the vendor's own client, with another service's name in it."""

PAGE = "<html><body><h1>Bad Gateway</h1></body></html>"
"""What a gateway says in the service's place."""

ROUNDING = 1e-9
"""What shares that are meant to add up to 1 may be over it."""


class Interference(Exception):
    """The service's answer does not come through; whoever carries it shows what comes instead."""


class Unreachable(Interference):
    """The connection is never made."""


class Stalled(Interference):
    """Nothing comes, until the client gives up."""


class Cut(Interference):
    """The connection is cut before the answer is whole."""


class Garbled(Interference):
    """`PAGE` comes, with the status of an answer that is fine."""


REFUSED = {"unavailable": 503, "throttled": 429, "crashed": 500}
"""Faults that the service answers with, before it looks at the request; and the status."""

LOST: Mapping[str, type[Interference]] = {"unreachable": Unreachable, "stalled": Stalled}
"""Faults by which a request never comes to the service."""

SPOILT: Mapping[str, type[Interference]] = {"lost_replies": Cut, "garbled": Garbled}
"""Faults by which the answer to a request that was read and billed never comes to the client."""

OF_REQUESTS = (*REFUSED, *LOST, *SPOILT)
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
class Lot:
    """What one request meets: its fault and that of the record at each place, by name or ""."""

    fault: str
    records: tuple[str, ...]


@frozen(kw_only=True)
class FaultPlan:
    """Which faults the service shows, and how often: the same ones each time that it is run.

    What a request meets depends on the seed and on how many requests came before it, and for a
    record on its place too. Shares are from 0 to 1.

    Attributes:
        seed: Another one draws other faults.
        unavailable: Share of requests answered with 503, nothing read or billed.
        throttled: Share of requests answered with 429, nothing read or billed.
        crashed: Share of requests answered with 500, nothing read or billed.
        unreachable: Share of requests whose connection is never made. Over HTTP, where it must
            be, they are answered with 502, as a gateway does.
        stalled: Share of requests that are never answered, nothing read or billed.
        lost_replies: Share of requests that are read and billed, and then cut off.
        garbled: Share of requests that are read and billed, and then answered with 200 and HTML.
            These seven are at most 1 together.
        record_errors: Share of records that fail by themselves with 500, not billed.
        missing_records: Share of records that are read and billed, but left out of the answer.
            These two are at most 1 together.
        poison: Share of images for which a request is refused as a whole with 400, nothing billed,
            each time that they are sent, alone or with others; an asynchronous request fails.
        retried_jobs: Share of asynchronous requests that stand at RETRY first, and then go well.
        failed_jobs: Share of them that end as FAILED, nothing read or billed.
        limited_jobs: Share of them that end as API_LIMIT_EXCEEDED, nothing read or billed.
        lost_submits: Share of them that are taken, and then the answer is cut off. These four are
            at most 1 together.
        retry_after: [s] that 503 and 429 ask to wait.
        outages: (start, length) [s] since the first request: then all meet ``unavailable``.
        credits: Records billed after which requests are refused with 403, asynchronous ones by
            API_LIMIT_EXCEEDED; those that are being read by then are still answered.
        no_gpt: Whether the account's plan is without ``read_gpt``, which is refused with 403.
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
                raise OptionError(f"{' + '.join(names)} is {total:g}, the most is 1")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a plan from a TOML file whose keys are the attributes.

        Raises:
            OptionError: There is no such file, or it is no plan; the message says what is wrong.
        """
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OptionError(f"{path} cannot be read: {reason}") from None
        allowed = [attribute.name for attribute in fields(cls)]
        if unknown := [name for name in document if name not in allowed]:
            told = f"{unknown[0]} is not known, allowed are {', '.join(allowed)}"
            raise OptionError(f"{path}: {told}")
        try:
            return cls(**document)
        except OptionError as error:
            raise OptionError(f"{path}: {error}") from None

    def __str__(self) -> str:
        given = [(a, getattr(self, a.name)) for a in fields(type(self)) if a.name != "seed"]
        told = [
            f"{attribute.name} {value}" for attribute, value in given if value != attribute.default
        ]
        return ", ".join([*told, f"seed {self.seed}"]) if told else "none"

    def draw(self, number: int, *, seconds: float) -> Lot:
        """Draw what a request meets.

        Args:
            number: How many requests came before it.
            seconds: [s] since the first one.
        """
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - it is to be repeated
        fault = self._pick(OF_REQUESTS, chance.random())
        records = tuple(self._pick(OF_RECORDS, chance.random()) for _ in range(MAX_RECORDS))
        is_out = any(start <= seconds < start + length for start, length in self.outages)
        return Lot("unavailable" if is_out else fault, records)

    def draw_job(self, number: int) -> str:
        """Draw the fault of the asynchronous request before which *number* of them came, or ""."""
        chance = random.Random(f"{self.seed}/job/{number}")  # noqa: S311 - it is to be repeated
        return self._pick(OF_JOBS, chance.random())

    def _pick(self, names: Iterable[str], drawn: float) -> str:
        for name in names:
            drawn -= getattr(self, name)
            if drawn < 0:
                return name
        return ""

    def is_poison(self, key: str) -> bool:
        """Whether the image named *key* spoils the requests that hold it."""
        digest = sha256(f"{self.seed}/{key}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:6]) < self.poison * 2**48

    def forbid(self, endpoint: str) -> Reply | None:
        """Return what a request to *endpoint* is answered that the account's plan is without."""
        if self.no_gpt and endpoint == "read_gpt":
            return Reply(403, {"detail": NO_GPT})
        return None

    def refusal(self, fault: str) -> Reply | None:
        """Return what a request that meets *fault* is answered before it is looked at, if it is."""
        if fault not in REFUSED:
            return None
        headers = {}
        if self.retry_after is not None and fault != "crashed":
            headers["Retry-After"] = f"{self.retry_after:.3f}".rstrip("0").rstrip(".")
        return refuse(REFUSED[fault], f"planned fault: {fault}", headers)

"""What the tables of the pages list is what the package has."""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

import ximilar_ocr_async
from tests.docs.pages import PACKAGE, code_words, page
from tests.faults import CASES
from ximilar_ocr_async import (
    EndpointStats,
    Failure,
    Job,
    OCRError,
    OCRSession,
    RetryPolicy,
    Stats,
    Success,
    events,
)
from ximilar_ocr_async.cli.connection import Connection
from ximilar_ocr_async.testing.service.faults import (
    OF_JOBS,
    OF_RECORDS,
    OF_REQUESTS,
    FaultPlan,
)

MIB = 2**20


def options_of(call: Callable[..., Any]) -> set[str]:
    """Return the keywords that a call takes, those of a `TypedDict` among them."""
    parameters = inspect.signature(call).parameters.values()
    together = [one.annotation for one in parameters if one.kind is one.VAR_KEYWORD]
    typed = {name for one in together for name in get_args(one)[0].__annotations__}
    return typed | {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}


CALLS: dict[str, Callable[..., Any]] = {
    f"{prefix}{name}": call
    for prefix, cls in (("", OCRSession), ("job.", Job))
    for name, call in vars(cls).items()
    if not name.startswith("_") and inspect.isfunction(call) and options_of(call)
}
"""The calls that take options, by the names that they are listed under."""


def first_words(rows: Iterable[list[str]]) -> list[str]:
    """Return what is marked as code in the first cells of a table."""
    return [word for row in rows for word in code_words(row[0])]


def default_told(cell: str, unit: str) -> Any:
    """Return the default that a row tells, in the unit that Python takes."""
    if cell == "none" or "XIMILAR_" in cell:
        return None
    if marked := code_words(cell):
        return {"True": True, "RetryPolicy()": None}[marked[0]]
    return float(cell) * (MIB if unit == "MiB" else 1)


def test_every_option_of_a_session_is_listed_with_its_default() -> None:
    """The table of options has each parameter of `OCRSession`."""
    parameters = inspect.signature(OCRSession).parameters
    rows = page("options").table("Options of a session")
    told = {code_words(row[0])[0]: default_told(row[1], row[2]) for row in rows}
    assert told == {one.name: one.default for one in parameters.values()}


def test_every_field_of_the_retry_policy_is_listed_with_its_default() -> None:
    """The table of `RetryPolicy` has each field, and the line above it as well."""
    rows = page("options").table("RetryPolicy")
    told = {code_words(row[0])[0]: default_told(row[1], row[2]) for row in rows}
    assert told == {one.name: one.default for one in attrs.fields(RetryPolicy)}
    assert f"`{RetryPolicy()!r}`" in page("options").section("RetryPolicy")


def test_every_option_of_the_connection_is_listed() -> None:
    """The table of the command line has each option, and the time that a request may take."""
    lines = page("command-line").section("Connection").split("| command |")[0].splitlines()
    told = [re.findall(r"^\| `--(\S+)` \| (.*?) \|", line) for line in lines]
    options = {name.replace("-", "_"): default for found in told for name, default in found}
    assert list(options) == [one.name for one in attrs.fields(Connection)]
    assert float(options["timeout"]) == Connection().timeout


@pytest.mark.parametrize("name", CALLS)
def test_every_option_of_a_call_is_listed_with_it(name: str) -> None:
    """The table of calls' options names the call in the rows of the keywords that it takes."""
    rows = page("options").table("Options of calls")
    told = {code_words(row[0])[0] for row in rows if name in code_words(row[2])}
    assert options_of(CALLS[name]) == told


def test_every_error_is_explained() -> None:
    """The table of errors names each class that is exported, but for the bases."""
    exported = [getattr(ximilar_ocr_async, name) for name in ximilar_ocr_async.__all__]
    errors = {c.__name__ for c in exported if isinstance(c, type) and issubclass(c, OCRError)}
    told = first_words(page("errors").table("All errors"))
    assert sorted(told) == sorted(errors - {"OCRError", "ServiceError"})


def test_outcomes_are_explained() -> None:
    """The table of outcomes has what a `Success` and a `Failure` have in common."""
    told = set(first_words(page("reading").table("Outcomes")))
    common = {a.name for a in attrs.fields(Success)} & {a.name for a in attrs.fields(Failure)}
    assert told == common - {"ok"}


def test_statistics_are_explained() -> None:
    """The table of statistics has each of them, in their order."""
    told = first_words(page("web-backends").table("Statistics"))
    assert told == [one.name for one in attrs.fields(Stats)]
    told = first_words(page("web-backends").table("Statistics of an endpoint"))
    assert told == [one.name for one in attrs.fields(EndpointStats)]


def test_events_are_listed_with_their_fields() -> None:
    """The table of events has each class, and each field in its order."""
    rows = page("events").table("All events")
    told = {code_words(row[0])[0]: code_words(row[2]) for row in rows}
    kinds = get_args(events.Event)
    assert told == {kind.__name__: [one.name for one in attrs.fields(kind)] for kind in kinds}


def test_loggers_are_named() -> None:
    """The table of loggers has each name that a session logs under."""
    told = set(first_words(page("web-backends").table("Logs")))
    tops = {path: path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}
    rooms = [path for path, top in tops.items() if top[0] == "_" or top == "integrations"]
    sources = [path.read_text(encoding="utf-8") for path in rooms]
    assert told == {n for source in sources for n in re.findall(r'getLogger\("(.*?)"\)', source)}


def test_cases_of_the_fault_matrix_are_counted() -> None:
    """The page of measured figures says how many cases there are."""
    [told] = re.findall(r"(\d+)\s+cases on real sockets", page("performance").section("Failures"))
    assert int(told) == len(CASES)


def test_the_fault_plan_loads_as_printed(tmp_path: Path) -> None:
    """The plan is one, and the table under it names every fault."""
    [block] = page("testing").blocks("toml")
    path = tmp_path / "plan.toml"
    path.write_text(block, encoding="utf-8")
    assert FaultPlan.load(path).credits == 10000
    told = set(first_words(page("testing").table("Planned faults")))
    assert told == {*OF_REQUESTS, *OF_RECORDS, *OF_JOBS, "poison"}
    keys = set(re.findall(r"^(\w+) = ", block, re.MULTILINE))
    assert keys | told == {one.name for one in attrs.fields(FaultPlan)}

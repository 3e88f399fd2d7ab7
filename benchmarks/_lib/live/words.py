"""Answers in words: what a reader of the report wants to know of each."""

from collections.abc import Iterable, Mapping
from typing import Any

from _lib.live.lab import Refused
from _lib.live.wire import Answer

ROW_KEYS = {"_id", "_url", "_status", "_width", "_height", "_ocr", "_gpt", "prompt"}
DOCUMENT_KEYS = {"records", "status", "statistics"}
"""The keys that the service's documentation shows."""

OF_GATEWAYS = ("server", "via", "x-request-id", "x-cache", "cf-ray", "alt-svc", "keep-alive")
OF_TIME = ("server-timing", "x-runtime", "x-response-time", "x-envoy-upstream-service-time")
"""Headers that tell who answered, and how long that took."""

MOST_WORDS = 100
"""The longest message that is quoted in a table [characters]."""


def rows(answer: Answer) -> list[dict[str, Any]]:
    """Return the records of an answer; raise `Refused` if it has none."""
    document = answer.document
    found = document.get("records") if isinstance(document, dict) else None
    if answer.status >= 300 or not isinstance(found, list):
        raise Refused(f"no records came, but {summary(answer)}")
    return [row for row in found if isinstance(row, dict)]


def summary(answer: Answer) -> str:
    """Return status, content type and message of an answer."""
    kind = (answer.header("content-type") or "no content type").partition(";")[0]
    return f"{answer.status}, {kind}: {message(answer) or 'nothing'}"


def message(answer: Answer) -> str:
    """Return what an answer says in its status or detail, or else how it begins."""
    match answer.document:
        case {"status": {"text": str(words)}} | {"detail": str(words)}:
            said = words
        case _:
            said = answer.text[: 2 * MOST_WORDS]
    plain = (letter if letter.isprintable() else " " for letter in said)
    return " ".join("".join(plain).split())[:MOST_WORDS]


def status_of(row: Mapping[str, Any]) -> str:
    """Return the status of one record."""
    match row.get("_status"):
        case {"code": code, "text": words}:
            return f"{code} {str(words)[:MOST_WORDS]!r}"
        case other:
            return repr(other)[:MOST_WORDS]


def is_read(row: Mapping[str, Any], code: str) -> bool:
    """Return whether a record has read the digits *code*."""
    ocr = row.get("_ocr")
    text = str(ocr.get("full_text", "")) if isinstance(ocr, dict) else ""
    return code in "".join(text.split())


def framing(answer: Answer) -> str:
    """Return how the end of an answer is told, and whether it is compressed."""
    coding = answer.header("content-encoding") or "not compressed"
    length = answer.header("content-length")
    chunks = answer.header("transfer-encoding")
    end = f"a length of {length}" if length else chunks or "neither length nor chunks"
    return f"HTTP/{answer.version}, {coding}, {end}; {answer.size:,} bytes of {len(answer.body):,}"


def gateway(answer: Answer) -> str:
    """Return the headers that tell who answered."""
    told = [f"{name}: {value}" for name, value in answer.headers if name in OF_GATEWAYS]
    return ", ".join(told) or f"none of {', '.join(OF_GATEWAYS)}"


def own_time(answer: Answer) -> str:
    """Return how long the service says that it took."""
    told = [f"{name}: {value}" for name, value in answer.headers if name in OF_TIME]
    document = answer.document
    if isinstance(document, dict) and "statistics" in document:
        told.append(f"statistics: {str(document['statistics'])[:MOST_WORDS]}")
    return ", ".join(told) or "not told"


def names(found: Iterable[Any]) -> str:
    """Return names in a line, or that there are none."""
    return ", ".join(sorted(map(str, found))) or "none"


def yes(fact: bool) -> str:  # noqa: FBT001 - it is what is said
    """Return the word for a fact."""
    return "yes" if fact else "no"

"""What a test sees of the requests that came, and how it scripts what they get."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import anyio
import httpx
from attrs import field, frozen

ScriptedReply: TypeAlias = httpx.Response | dict[str, Any] | Exception
"""What a request gets in the service's place: a response, JSON with status 200, or an error that
the client raises, such as ``httpx.ConnectError``."""


@frozen
class SeenRequest:
    """A request that came to the service.

    Attributes:
        method: Its HTTP method.
        path: Its path, percent-encoded, with the query if it has one.
        headers: Its headers, whatever their case.
        lang: The language of its records; None if it names none.
        records: The JSON of its records, each with ``_url`` or ``_base64``; none without images.
        at: When it came [s of the event loop's clock].
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    lang: str | None
    records: list[dict[str, Any]] = field(repr=False)
    at: float


Script: TypeAlias = Callable[[SeenRequest], ScriptedReply | None]
"""Says what a request gets; None lets it through to the service."""


def in_turn(*replies: ScriptedReply | None, then: ScriptedReply | None = None) -> Script:
    """Return a script that gives the first requests *replies* in turn, and all later ones *then*.

    Args:
        replies: One for each request; None lets that request through to the service.
        then: What the requests after them get; by default they are let through.
    """
    left = iter(replies)
    return lambda _: next(left, then)


def see(request: httpx.Request) -> SeenRequest:
    """Note a *request*, whose body was read, as one that came just now."""
    body = _parse(request.content)
    records = body.get("records")
    return SeenRequest(
        method=request.method,
        path=request.url.raw_path.decode(),
        headers=request.headers,
        lang=body.get("lang"),
        records=records if isinstance(records, list) else [],
        at=anyio.current_time(),
    )


def respond(said: ScriptedReply) -> httpx.Response:
    """Return *said* as a response of its own, or raise it."""
    if isinstance(said, Exception):
        # The same may be raised many times, and would hold the frames of all of them.
        raise said.with_traceback(None)
    if isinstance(said, httpx.Response):
        # A client ties what it gets to its request, and the same may be said to several.
        return httpx.Response(
            said.status_code,
            headers=said.headers,
            stream=said.stream,
            extensions=said.extensions,
        )
    return httpx.Response(200, json=said)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}

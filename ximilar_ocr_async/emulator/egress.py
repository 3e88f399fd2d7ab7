"""A URL in, the body of its answer out, within bounds. The one way from the service to others."""

import socket
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx
from attrs import evolve, field, frozen

from ximilar_ocr_async.testing.service import Unreadable

Check: TypeAlias = Callable[[str], None]
"""Raises `Unreadable` for an address that may not be asked."""


@frozen
class Question:
    """What is asked, and what the answer may take: *max_bytes* of body, *seconds* [s] in all."""

    method: str
    url: str
    max_bytes: int
    seconds: float
    headers: Mapping[str, str] = field(default=MappingProxyType({}), repr=False)
    content: bytes | None = field(default=None, repr=False)
    sni: str | None = None


async def ask(question: Question, check: Check | None = None) -> bytes:
    """Return the body of an answer that is a success. Redirects are not followed.

    Args:
        question: Its URL may be any text.
        check: Sees each address that the URL's host has; without it, all may be asked.

    Raises:
        Unreadable: There is no such answer. The text shows neither the URL nor what was sent.
    """
    with anyio.move_on_after(question.seconds):
        try:
            return await _exchange(question if check is None else await _pin(question, check))
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreadable(400, f"the URL gives no answer: {type(error).__name__}") from None
    raise Unreadable(400, f"the URL did not answer within {question.seconds:g} s")


def is_public(address: str) -> bool:
    """Whether *address* is one of the internet's."""
    parsed = ip_address(address)
    # Reserved ones hold IPv4 addresses, private ones too, in ways that count as global.
    return parsed.is_global and not parsed.is_reserved


async def _pin(question: Question, check: Check) -> Question:
    """Put the address that was checked in the URL: what its name stands for may change."""
    parts = urlsplit(question.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unreadable(400, "the URL is not http(s)")
    found = await anyio.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        check(address)
    netloc = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    netloc += f":{parts.port}" if parts.port else ""
    return evolve(
        question,
        url=urlunsplit(parts._replace(netloc=netloc)),
        headers={**question.headers, "Host": parts.netloc.rpartition("@")[2]},
        sni=parts.hostname,
    )


@cache
def _trusted() -> ssl.SSLContext:
    """Return who is trusted; to read it takes some 25 ms of the event loop."""
    return httpx.create_ssl_context(trust_env=False)


async def _exchange(question: Question) -> bytes:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None, verify=_trusted()) as client,  # noqa: S113 - it has one in all
        client.stream(
            question.method,
            question.url,
            content=question.content,
            headers={**question.headers, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": question.sni} if question.sni else {},
        ) as response,
    ):
        return await _read(response, question.max_bytes)


async def _read(response: httpx.Response, limit: int) -> bytes:
    if not response.is_success:
        raise Unreadable(400, f"the URL answered {response.status_code}")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            raise Unreadable(413, f"the answer is over {limit:,} bytes")
    return bytes(body)

"""Outbound HTTP: a request in, the response body out, within limits of size, time and address.

Everything that the local service fetches from other servers, or sends to them, passes through here.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx
from attrs import evolve, field, frozen

from ximilar_ocr_async.testing.service import Unreadable

AddressCheck: TypeAlias = Callable[[str], None]
"""Raises `Unreadable` for an IP address that must not be contacted."""


@frozen
class OutboundRequest:
    """An HTTP request, and the limits on its response.

    Attributes:
        method: HTTP method.
        url: URL to send it to. Any text is accepted; one that is not a URL fails when it is sent.
        max_bytes: Longest response body [bytes].
        timeout: Time limit for the whole exchange [s].
        headers: Headers to send, which may be secret.
        content: Body to send.
        sni: Host name for TLS, where *url* holds an IP address instead of it.
    """

    method: str
    url: str
    max_bytes: int
    timeout: float
    headers: Mapping[str, str] = field(default=MappingProxyType({}), repr=False)
    content: bytes | None = field(default=None, repr=False)
    sni: str | None = None


async def fetch_body(request: OutboundRequest, check: AddressCheck | None = None) -> bytes:
    """Return the body of a successful response. Redirects are not followed.

    Args:
        request: The request to send.
        check: Called with each IP address of the URL's host. None allows every address.

    Raises:
        Unreadable: The request failed or its response is over a limit. The message contains neither
            the URL nor anything that was sent.
    """
    with anyio.move_on_after(request.timeout):
        try:
            return await _send(request if check is None else await _pin_address(request, check))
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            reason = type(error).__name__
            raise Unreadable(400, f"the request to the URL failed: {reason}") from None
    raise Unreadable(400, f"the URL did not respond within {request.timeout:g} s")


async def _pin_address(request: OutboundRequest, check: AddressCheck) -> OutboundRequest:
    """Check the host's addresses and replace the host by one of them.

    Another lookup of the name could give an address that was not checked.
    """
    parts = urlsplit(request.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unreadable(400, "the URL is not http(s)")
    found = await anyio.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        check(address)
    netloc = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    netloc += f":{parts.port}" if parts.port else ""
    return evolve(
        request,
        url=urlunsplit(parts._replace(netloc=netloc)),
        headers={**request.headers, "Host": parts.netloc.rpartition("@")[2]},
        sni=parts.hostname,
    )


@cache
def _ssl_context() -> ssl.SSLContext:
    """Load the trusted certificates once, because it blocks the event loop for some 25 ms."""
    return httpx.create_ssl_context(trust_env=False)


async def _send(request: OutboundRequest) -> bytes:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None, verify=_ssl_context()) as client,  # noqa: S113 - fetch_body limits the whole exchange
        client.stream(
            request.method,
            request.url,
            content=request.content,
            headers={**request.headers, "Accept-Encoding": "identity"},
            extensions={"sni_hostname": request.sni} if request.sni else {},
        ) as response,
    ):
        return await _read_body(response, request.max_bytes)


async def _read_body(response: httpx.Response, limit: int) -> bytes:
    if not response.is_success:
        raise Unreadable(400, f"the URL returned {response.status_code}")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise Unreadable(413, f"the response is over {limit:,} bytes")
    return bytes(body)

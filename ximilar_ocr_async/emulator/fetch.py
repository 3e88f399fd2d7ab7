"""A URL to the bytes behind it, without being led to addresses that are not public."""

import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx
from attrs import frozen

from ximilar_ocr_async.emulator.engines import Unreadable

MAX_BYTES = 32 * 1024 * 1024
"""[bytes] of one image."""

TIMEOUT = 30.0
"""[s] for one image in all. Source: the vendor's client."""


@frozen
class Fetch:
    """Fetches images.

    Args:
        allow_private: Whether loopback, private and other special addresses are allowed.
        max_bytes: Of one image.
        timeout: [s] for one image in all.
    """

    allow_private: bool = False
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT

    async def __call__(self, url: str) -> bytes:
        """Return what stands at *url*; raise `Unreadable` when it cannot be had."""
        with anyio.move_on_after(self.timeout):
            try:
                return await self._get(url)
            except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
                raise Unreadable(
                    400, f"the URL cannot be fetched: {type(error).__name__}"
                ) from None
        raise Unreadable(400, f"the URL did not answer within {self.timeout:g} s")

    async def _get(self, url: str) -> bytes:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreadable(400, "the URL is not http(s)")
        address = await self._resolve(parts.hostname)
        # The address that was checked is the one that is asked: a name may change in between.
        netloc = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(
            parts._replace(netloc=netloc + (f":{parts.port}" if parts.port else ""))
        )
        async with (
            httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113 - it has one in all
            client.stream(
                "GET",
                pinned,
                headers={"Host": parts.netloc.rpartition("@")[2], "Accept-Encoding": "identity"},
                extensions={"sni_hostname": parts.hostname},
            ) as response,
        ):
            return await _read(response, self.max_bytes)

    async def _resolve(self, host: str) -> str:
        found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not self.allow_private and not all(map(_is_public, addresses)):
            raise Unreadable(403, "the URL leads to an address that is not public")
        return addresses[0]


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    # Reserved ones hold IPv4 addresses, private ones too, in ways that count as global.
    return parsed.is_global and not parsed.is_reserved


async def _read(response: httpx.Response, limit: int) -> bytes:
    if not response.is_success:
        raise Unreadable(400, f"the URL answered {response.status_code}")
    pieces, size = [], 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > limit:
            raise Unreadable(413, f"the image is over {limit:,} bytes")
        pieces.append(piece)
    return b"".join(pieces)

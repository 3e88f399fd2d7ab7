"""Image downloads: a URL in, the bytes behind it out, from public addresses only."""

from attrs import frozen

from ximilar_ocr_async.emulator.addresses import is_public
from ximilar_ocr_async.emulator.egress import OutboundRequest, fetch_body
from ximilar_ocr_async.testing.service import Unreadable

MAX_BYTES = 32 * 1024 * 1024
"""Largest image [bytes]."""

TIMEOUT = 30.0
"""Time limit for a whole download [s]. Source: the vendor's client."""


@frozen
class Fetch:
    """Downloads images.

    Attributes:
        allow_private: Whether loopback, private and other special addresses are allowed.
        max_bytes: Largest image that is accepted [bytes].
        timeout: Time limit for a whole download [s].
    """

    allow_private: bool = False
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT

    async def __call__(self, url: str) -> bytes:
        """Return the bytes behind *url*; raise `Unreadable` if they cannot be downloaded."""
        request = OutboundRequest("GET", url, self.max_bytes, self.timeout)
        return await fetch_body(request, self._check_address)

    def _check_address(self, address: str) -> None:
        if not self.allow_private and not is_public(address):
            raise Unreadable(403, "the URL leads to an address that is not public")

"""A URL to the image behind it, without being led to addresses that are not public."""

from attrs import frozen

from ximilar_ocr_async.emulator.egress import Question, ask, is_public
from ximilar_ocr_async.testing.service import Unreadable

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
        return await ask(Question("GET", url, self.max_bytes, self.timeout), self._check)

    def _check(self, address: str) -> None:
        if not self.allow_private and not is_public(address):
            raise Unreadable(403, "the URL leads to an address that is not public")

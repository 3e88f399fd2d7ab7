"""News of a job in, a POST to its webhook out, at addresses that are allowed."""

from ipaddress import ip_address

from attrs import frozen

from ximilar_ocr_async.emulator.egress import Question, ask, is_public
from ximilar_ocr_async.testing.service import DELIVERY_TIMEOUT, Unreadable, Webhook

MAX_BYTES = 1024 * 1024
"""[bytes] of an answer, which nobody reads."""


@frozen
class Delivery:
    """Delivers news. Loopback is always allowed, for what is tested receives it on this machine.

    Args:
        allow_public: Whether the internet's addresses are allowed too.
        allow_private: Whether all addresses are.
        timeout: [s] for a delivery in all.
    """

    allow_public: bool = False
    allow_private: bool = False
    timeout: float = DELIVERY_TIMEOUT

    async def __call__(self, webhook: Webhook, body: bytes) -> None:
        """Send JSON once; raise `Unreadable` when it may not have been received."""
        headers = {"Content-Type": "application/json", **webhook.headers}
        question = Question("POST", webhook.endpoint, MAX_BYTES, self.timeout, headers, body)
        await ask(question, self._check)

    def _check(self, address: str) -> None:
        is_allowed = self.allow_private or (self.allow_public and is_public(address))
        if not is_allowed and not ip_address(address).is_loopback:
            raise Unreadable(403, "the URL leads to an address that is not allowed")

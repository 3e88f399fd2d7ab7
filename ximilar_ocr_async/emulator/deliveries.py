"""Webhook deliveries: a JSON body in, a POST to an allowed address out."""

from attrs import frozen

from ximilar_ocr_async.emulator.addresses import is_loopback, is_public
from ximilar_ocr_async.emulator.egress import OutboundRequest, fetch_body
from ximilar_ocr_async.testing.service import DELIVERY_TIMEOUT, Unreadable, Webhook

MAX_BYTES = 1024 * 1024
"""Longest response body [bytes]. Its content is ignored."""


@frozen
class Delivery:
    """Delivers webhooks.

    Loopback addresses are always allowed, because a program under test receives its webhooks there.

    Attributes:
        allow_public: Whether public internet addresses are allowed as well.
        allow_private: Whether every address is allowed.
        timeout: Time limit for a whole delivery [s].
    """

    allow_public: bool = False
    allow_private: bool = False
    timeout: float = DELIVERY_TIMEOUT

    async def __call__(self, webhook: Webhook, body: bytes) -> None:
        """Send the JSON *body* once; raise `Unreadable` unless the receiver confirms it."""
        headers = {"Content-Type": "application/json", **webhook.headers}
        request = OutboundRequest("POST", webhook.endpoint, MAX_BYTES, self.timeout, headers, body)
        await fetch_body(request, self._check_address)

    def _check_address(self, address: str) -> None:
        is_allowed = self.allow_private or (self.allow_public and is_public(address))
        if not is_allowed and not is_loopback(address):
            raise Unreadable(403, "the URL leads to an address that is not allowed")

"""What a service delivers to a receiver with a known secret."""

import json
from typing import Any

import httpx

from ximilar_ocr_async import Webhook, WebhookReceiver

URL = "https://me.example/hook"
HEADERS = {"X-Secret": "open-sesame"}
GIVEN = {"x-secret": "open-sesame"}
ROW = {"_id": "0.0123abcd.page", "_status": {"code": 200}, "_ocr": {"full_text": "tea"}}


class Listener:
    """Stands in for a job."""


def receiver(**options: Any) -> WebhookReceiver:
    """Make a receiver with a known secret."""
    return WebhookReceiver(Webhook(URL, HEADERS), **options)


def news(request_id: Any = "r1", status: str = "DONE", rows: Any = (ROW,)) -> bytes:
    """Return what the service posts."""
    response = {"records": list(rows)} if rows is not None else None
    document = {"status": status, "id": request_id, "type": "ocr", "response": response}
    return json.dumps(document).encode()


def posting(there: WebhookReceiver, handle: Any = None) -> httpx.AsyncClient:
    """Make a client that posts to the receiver's application."""
    transport = httpx.ASGITransport(there.app(handle))
    return httpx.AsyncClient(transport=transport, base_url="https://me.example")

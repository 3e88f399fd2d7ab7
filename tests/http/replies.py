"""Replies of a service on a real socket, and what their tests share."""

import json

import pytest

from tests.faults.server import Connection

URL = "https://images.example/1.jpg"

# When a body breaks off, httpx 0.28 leaves its own async generators to the collector, of which
# trio warns. Nothing of ours is left open by it.
httpx_abandons_generators = pytest.mark.filterwarnings(
    "ignore:Async generator:ResourceWarning",
    "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning",
)


def reply_to(body: bytes) -> bytes:
    """Return the service's answer to a request."""
    rows = [
        {"_id": row["_id"], "_ocr": {"full_text": row.get("_url", "from bytes")}}
        for row in json.loads(body)["records"]
    ]
    return json.dumps({"records": rows, "status": {"code": 200}}).encode()


async def behave_well(connection: Connection) -> None:
    """Answer every request."""
    while True:
        await connection.answer(reply_to(await connection.read_request()))

"""Requests to ASGI applications in virtual time, by clients that may leave."""

import json
from collections.abc import Callable
from typing import Any

import anyio
from attrs import define, field

from tests.helpers import PNG

Application = Callable[..., Any]

BOUNDARY = b"edge"


def form(image: bytes, name: str = "image") -> bytes:
    """Return a form with one file."""
    head = b'--edge\r\nContent-Disposition: form-data; name="%b"; filename="a.png"\r\n\r\n'
    return head % name.encode() + image + b"\r\n--edge--\r\n"


@define
class Visit:
    """One request, and what came of it.

    Attributes:
        path: The path.
        body: What is sent.
        left: Is set when the client leaves.
        told: How often the server tells that it left; as often as it is asked, if it is None.
        status: The status of the response; None if there was none.
        headers: The headers of the response.
        document: The JSON of the response.
    """

    path: str
    body: bytes = form(PNG)
    left: anyio.Event = field(factory=anyio.Event)
    told: int | None = None
    cut: bool = False
    status: int | None = None
    headers: dict[str, str] = field(factory=dict)
    document: Any = None
    _asked: int = 0

    async def receive(self) -> dict[str, Any]:
        """Give the body, and then wait until the client leaves."""
        self._asked += 1
        if self._asked == 1:
            return {"type": "http.request", "body": self.body, "more_body": self.cut}
        await self.left.wait()
        if self.told == 0:
            await anyio.sleep_forever()
        self.told = self.told and self.told - 1
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Note the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        elif message.get("body"):
            is_json = self.headers.get("content-type") == "application/json"
            self.document = json.loads(message["body"]) if is_json else message["body"]

    async def make(self, app: Application, state: dict[str, Any]) -> "Visit":
        """Ask *app*, which was started with *state*."""
        length = str(len(self.body)).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": "POST",
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"content-type", b"multipart/form-data; boundary=edge"),
                (b"content-length", length),
            ],
            "http_version": "1.1",
            "scheme": "https",
            "server": ("me.example", 443),
            "client": ("127.0.0.1", 1),
            "state": state,
        }
        await app(scope, self.receive, self.send)
        return self

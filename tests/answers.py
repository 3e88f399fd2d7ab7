"""A service that answers as a test says, and remembers what it was asked."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import httpx
from attrs import define, field

from ximilar_ocr_async import OCRSession

DONE = {"status": "DONE", "response": {"records": [{"_ocr": {"full_text": "tea"}}]}}


def not_found(_: str) -> Any:
    """Answer that there is nothing."""
    return httpx.Response(404, json={"detail": "Not found."})


@define
class Answers(httpx.AsyncBaseTransport):
    """Answers GETs by their path, and POSTs with a new asynchronous request.

    An answer may be JSON, a response, or an error to raise; a latency is in [s].
    """

    # By path; else by what *other* says of it.
    documents: dict[str, Any] = field(factory=dict)
    other: Callable[[str], Any] = not_found
    latency: float = 0.0
    asked: list[str] = field(factory=list)
    times: list[float] = field(factory=list)
    in_flight: int = 0
    peak: int = 0

    def session(self, **options: Any) -> OCRSession:
        """Make a session that asks here."""
        client = httpx.AsyncClient(transport=self)
        return OCRSession("token-of-a-test", http_client=client, **options)

    @property
    def counts(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(self.asked)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = request.url.raw_path.decode()
        self.asked.append(path)
        self.times.append(anyio.current_time())
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await anyio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        answer = self.documents[path] if path in self.documents else self.other(path)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

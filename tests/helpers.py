"""Small things that many tests say: addresses, failing responses, and what came of a call."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx

from ximilar_ocr_async import OCRError, Outcome
from ximilar_ocr_async.testing import InProcessService, Script, ScriptedReply, SeenRequest

PNG = b"\x89PNG\r\n\x1a\n"
"""What is taken for an image, because it begins as one."""

DONE = {"status": "DONE", "response": {"records": [{"_ocr": {"full_text": "tea"}}]}}
"""What is answered about a job that read one image."""


class Stray(InProcessService):
    """Answers its first request with a cancellation that nobody asked for; knows asyncio alone."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if self.requests == 0:
            await super().handle_async_request(request)
            task = asyncio.ensure_future(asyncio.sleep(10))
            task.cancel()
            await task
        return await super().handle_async_request(request)


def urls(count: int) -> list[str]:
    """Return addresses of as many images, each of which says its own address."""
    return [f"https://images.example/{number}.jpg" for number in range(count)]


def failing(
    code: int, text: str = "trouble", headers: dict[str, str] | None = None
) -> httpx.Response:
    """Return a response with a failing status."""
    return httpx.Response(code, json={"status": {"code": code, "text": text}}, headers=headers)


def refusing(ending: str = "", *, code: int = 400) -> Script:
    """Return a script that refuses each whole request with an image whose URL has that ending."""

    def refuse(seen: SeenRequest) -> ScriptedReply | None:
        is_bad = any(record["_url"].endswith(ending) for record in seen.records)
        return failing(code) if is_bad else None

    return refuse


def refused() -> httpx.ConnectError:
    """Return what httpx raises where nobody listens."""
    return httpx.ConnectError("refused")


def paths(service: InProcessService) -> list[str]:
    """Return where each request was sent."""
    return [seen.path for seen in service.log]


def times(service: InProcessService) -> list[float]:
    """Return when [s] each request came."""
    return [seen.at for seen in service.log]


def error_of(outcome: Outcome) -> OCRError:
    """Return why an image was not read."""
    assert not outcome.ok
    return outcome.error


def texts(outcomes: Iterable[Any]) -> list[str]:
    """Return what was read, outcome by outcome."""
    return [outcome.unwrap().text for outcome in outcomes]

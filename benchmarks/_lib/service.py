"""The fast service of ``_lib/server.py``, as the benchmarks start it, set it and ask it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from attrs import frozen

from _lib.children import running
from ximilar_ocr_async import OCRSession, RetryPolicy

PATIENT = RetryPolicy(attempts=1000, base=0.05, cap=0.5)
"""Sends a refused batch again soon, as a user would who knows the service."""


@frozen
class Service:
    """The service that runs at *url*."""

    url: str

    def set(self, **settings: Any) -> None:
        """Set latency [s], capacity [requests] and texts in a record, and clear the counts."""
        httpx.post(f"{self.url}/control", content=json.dumps(settings), trust_env=False)

    def counts(self) -> dict[str, Any]:
        """Return what it has seen since the counts were cleared."""
        counts: dict[str, Any] = httpx.get(f"{self.url}/counts", trust_env=False).json()
        return counts

    def session(self, max_concurrency: int, **options: Any) -> OCRSession:
        """Make a session that sends to it."""
        options = {"retry": PATIENT} | options
        url = self.url
        return OCRSession("bench", base_url=url, max_concurrency=max_concurrency, **options)


@contextmanager
def serving() -> Iterator[Service]:
    """Run the service in a process of its own."""
    with running("_lib.server.serve") as child:
        yield Service(child.read_line())

"""The session: what a program holds to have images read. It wires the parts; they do the work."""

import os
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup
from attrs import frozen

from ximilar_ocr_async.auth import Token
from ximilar_ocr_async.errors import SessionStateError
from ximilar_ocr_async.exchange import Exchange
from ximilar_ocr_async.limits import (
    BASE_URL,
    DEFAULT_LANGUAGE,
    RECOMMENDED_CONCURRENCY,
    check_at_least,
    check_language,
)
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Outcome
from ximilar_ocr_async.retry import RetryPolicy
from ximilar_ocr_async.scheduler import Scheduler
from ximilar_ocr_async.stream import AnyImage, Images, Stream, check_images
from ximilar_ocr_async.transport import Client, Transport, check_base_url

CLOSING = 5.0
"""[s] that connections get to close."""


@frozen
class _Running:
    """What stands between entering and leaving."""

    group: TaskGroup
    scheduler: Scheduler
    transport: Transport


class OCRSession:
    """An instance of this should live as long as your application does; enter it once.

    Every call of a session shares its slots and its connections. All requests run in a task group
    of the session's own, so cancelling a call never harms a connection.

    Args:
        token: The account's API token; else `XIMILAR_API_TOKEN`, else `XIMILAR_API_KEY` of the
            environment.
        base_url: The service's address; else `XIMILAR_BASE_URL`, else https://api.ximilar.com.
        max_concurrency: Requests in flight at most, each of up to 10 images. The vendor
            recommends the default, 3.
        retry: How often and how soon an image is sent again.
        timeout: [s] that one request may take in all. In it, connecting may take 10 s, and the
            service may be silent for 90 s.
        http_client: An ``httpx.AsyncClient`` or ``httpx2.AsyncClient`` to send with; it is not
            closed. It should allow *max_concurrency* connections.

    Raises:
        OptionError: There is no token, or an option is outside its allowed values.
    """

    def __init__(
        self,
        token: str | Token | None = None,
        *,
        base_url: str | None = None,
        max_concurrency: int = RECOMMENDED_CONCURRENCY,
        retry: RetryPolicy | None = None,
        timeout: float = 180.0,
        http_client: Client | None = None,
    ) -> None:
        self._running: _Running | None = None
        self._entered = False
        self._base_url = base_url or os.environ.get("XIMILAR_BASE_URL") or BASE_URL
        self._max_concurrency = max_concurrency
        self._retry = retry or RetryPolicy()
        self._timeout = timeout
        self._http_client = http_client
        try:
            self._token = Token.find(token)
        finally:
            # The raw token must not stand in the locals of a traceback.
            del token
        check_base_url(self._base_url)
        check_at_least("max_concurrency", max_concurrency, 1)
        check_at_least("timeout", timeout, 0.001)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise SessionStateError("a session is entered once; make another")
        self._entered = True
        transport = Transport(
            base_url=self._base_url,
            token=self._token,
            connections=self._max_concurrency,
            timeout=self._timeout,
            client=self._http_client,
        )
        group = await anyio.create_task_group().__aenter__()
        scheduler = Scheduler(Exchange(transport), self._retry, self._max_concurrency, group)
        self._running = _Running(group, scheduler, transport)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        running, self._running = self._open(), None
        running.scheduler.close()
        try:
            if isinstance(exc, anyio.get_cancelled_exc_class()):
                return await running.group.__aexit__(exc_type, exc, traceback)
            # The body's error stays out of the group, which would wrap it in a group of its own.
            running.group.cancel_scope.cancel()
            await running.group.__aexit__(None, None, None)
        finally:
            with anyio.move_on_after(CLOSING, shield=True):
                await running.transport.aclose()
        return None

    def __repr__(self) -> str:
        state = "open" if self._running else "closed" if self._entered else "not entered"
        return f"<OCRSession {state}, {self._base_url}, max_concurrency={self._max_concurrency}>"

    def _open(self) -> _Running:
        if self._running is None:
            done = "is closed" if self._entered else "was not entered"
            raise SessionStateError(f"the session {done}; use it inside its async with block")
        return self._running

    def stream(
        self,
        images: Images,
        *,
        lang: str = DEFAULT_LANGUAGE,
        prompt: str | None = None,
        ordered: bool = False,
    ) -> Stream:
        """Read images as they come from an iterable or async iterable, pulled as needed.

        Use as ``async with session.stream(images) as outcomes: async for outcome in outcomes:``.
        At most ``(max_concurrency + 1) * 10`` images are pulled ahead of the outcomes taken.

        Args:
            images: URLs as `str`, files as `Path`, encoded images as `bytes`, or `Image`.
            lang: Language of their text; an image's own goes before it.
            prompt: Question for the language model; an image's own goes before it.
            ordered: Whether outcomes come in the order of the images, not as they finish.

        Returns:
            The stream; its outcomes are one for each image.

        Raises:
            OptionError: An option is outside its allowed values.
            SessionStateError: The session is not open.
        """
        running = self._open()
        check_images(images)
        return Stream(
            images,
            check_language(lang),
            prompt,
            ordered,
            running.scheduler,
            running.group,
        )

    async def read_all(
        self, images: Images, *, lang: str = DEFAULT_LANGUAGE, prompt: str | None = None
    ) -> list[Outcome]:
        """Read images; return (n) outcomes in their order, a `Failure` where one went wrong.

        Raises as `stream` does, and what the iterable itself raises.
        """
        async with self.stream(images, lang=lang, prompt=prompt, ordered=True) as outcomes:
            return [outcome async for outcome in outcomes]

    async def read(
        self, image: AnyImage, *, lang: str = DEFAULT_LANGUAGE, prompt: str | None = None
    ) -> Record:
        """Read one image; return its record.

        Raises:
            OCRError: It was not read.
        """
        async with self.stream([image], lang=lang, prompt=prompt) as outcomes:
            outcome = await anext(outcomes)
        return outcome.unwrap()

"""The life of a session: made with its options, entered once, left once."""

import os
import ssl
import warnings
from copy import copy
from types import TracebackType
from typing import Self

import anyio

from ximilar_ocr_async._concurrency import EventLoopGuard
from ximilar_ocr_async._constants import (
    BASE_URL,
    MAX_BATCH_BYTES,
    MAX_RECORDS,
    MAX_RESPONSE_BYTES,
    RECOMMENDED_CONCURRENCY,
    REQUEST_TIMEOUT,
)
from ximilar_ocr_async._http import HTTPClient, Token
from ximilar_ocr_async._session.options import SessionOptions
from ximilar_ocr_async._session.runtime import Runtime
from ximilar_ocr_async._validation import check_account_name, check_base_url, check_optional
from ximilar_ocr_async.errors import OptionError, SessionStateError, without_frames
from ximilar_ocr_async.events import Listener
from ximilar_ocr_async.outcomes import Stats
from ximilar_ocr_async.retry import RetryPolicy

BASE_URL_VARIABLE = "XIMILAR_BASE_URL"
"""The environment variable that may hold the service's address."""


class SessionLifecycle:
    """The part of `OCRSession` that is no call; the options are described there."""

    # On the class, because __del__ needs it even if __init__ was called wrongly.
    _runtime: Runtime | None = None
    # Whether it ends what it uses.
    _is_owner = True
    # Where it was entered, and what is set once it is left, by whichever task began that.
    _place: EventLoopGuard | None = None
    _left: anyio.Event | None = None
    # The state while there is no runtime.
    _state = "not entered"

    def __init__(
        self,
        token: str | Token | None = None,
        *,
        base_url: str | None = None,
        max_concurrency: int = RECOMMENDED_CONCURRENCY,
        adaptive: bool = True,
        max_requests_per_second: float | None = None,
        linger: float = 0.02,
        max_batch_records: int = MAX_RECORDS,
        max_batch_bytes: int = MAX_BATCH_BYTES,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        max_records: int | None = None,
        max_queue: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = REQUEST_TIMEOUT,
        deadline: float | None = None,
        outage_timeout: float = 600.0,
        drain: float = 30.0,
        http_client: HTTPClient | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        try:
            self._token = Token.find(token)
            self._options = SessionOptions(
                base_url=_find_base_url(base_url),
                max_concurrency=max_concurrency,
                adaptive=adaptive,
                max_requests_per_second=max_requests_per_second,
                linger=linger,
                max_batch_records=max_batch_records,
                max_batch_bytes=max_batch_bytes,
                max_response_bytes=max_response_bytes,
                max_records=max_records,
                max_queue=max_queue,
                retry=RetryPolicy() if retry is None else retry,
                timeout=timeout,
                deadline=deadline,
                outage_timeout=outage_timeout,
                drain=drain,
                http_client=http_client,
                ssl_context=ssl_context,
                proxy=proxy,
                on_event=on_event,
            )
        except Exception as error:  # noqa: BLE001 - raised again
            # Neither the raw token nor a password in a URL must stand in the locals of a traceback.
            del token, base_url, proxy
            raise without_frames(error) from None

    async def __aenter__(self) -> Self:
        if self._state != "not entered":
            raise SessionStateError("a session is entered once; make another")
        self._state = "being entered"
        try:
            self._runtime = await Runtime.start(self._options, self._token)
            self._place = self._runtime.guard
        finally:
            self._state = "closed"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._is_owner:
            return
        runtime, left = self._runtime, self._left
        if self._place is None or (left is not None and left.is_set()):
            return
        self._place.check()
        if runtime is None:
            assert left is not None  # noqa: S101 - another task is leaving it
            await left.wait()
            return
        runtime.host.check_task()
        self._runtime, self._left = None, anyio.Event()
        try:
            if not isinstance(exc, anyio.get_cancelled_exc_class()):
                await runtime.scheduler.drain(self._options.drain)
        except BaseException as error:
            exc = error
            raise
        finally:
            try:
                await runtime.leave(exc)
            finally:
                self._left.set()

    def for_token(
        self, token: str, *, max_records: int | None = None, name: str | None = None
    ) -> Self:
        """Return a session for another account, over the same connections, to be used at once.

        It shares the slots, and what is known of the service: all accounts of a backend ask it
        together. Their money, resends and refusals are apart, and they take turns. It is neither
        entered nor left: it ends with this session.

        Args:
            token: The other account's API token.
            max_records: Records that may be sent for it in all.
            name: What events call the account, such as a tenant's name; never its token.

        Raises:
            OptionError: There is no token, or an option is outside its allowed values.
            SessionStateError: This session is not open.
        """
        runtime = self._open()
        check_optional("max_records", max_records, 0)
        try:
            # Another's records must not be paid by whose token is in the environment.
            signed = Token.find("" if token is None else token)
            check_account_name(name, token)
        except OptionError as error:
            # It must not stand in the locals of a traceback, whatever it was given as.
            del name
            raise without_frames(error) from None
        finally:
            del token
        tenant = copy(self)
        tenant._join(runtime.for_token(signed, max_records, name))  # noqa: SLF001 - of the same class
        return tenant

    def _join(self, runtime: Runtime) -> None:
        self._runtime, self._is_owner = runtime, False

    async def aclose(self) -> None:
        """Leave the session, as the end of its block does; on trio, in the task that entered it.

        Requests under way get *drain* seconds to finish; all else fails with `SessionClosed`.

        Raises:
            SessionStateError: This is another event loop, thread or process than the one that
                entered it, or on trio another task.
        """
        await self.__aexit__(None, None, None)

    def __del__(self) -> None:
        if self._runtime is not None and self._is_owner:
            message = f"{self!r} was never closed"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)

    @property
    def stats(self) -> Stats:
        """What the session has done and is doing, as a snapshot."""
        return self._open().stats

    def __repr__(self) -> str:
        return f"<OCRSession {self._runtime.summary if self._runtime else self._state}>"

    def _open(self) -> Runtime:
        if self._runtime is None:
            raise SessionStateError(
                f"the session is {self._state}; use it inside its async with block"
            )
        return self._runtime


def _find_base_url(given: str | None) -> str:
    """Return the *given* address, or else that in the environment, or else the service's own."""
    if given is None and (found := os.environ.get(BASE_URL_VARIABLE)):
        check_base_url(found, BASE_URL_VARIABLE)
        return found
    return BASE_URL if given is None else given

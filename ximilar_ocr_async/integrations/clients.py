"""Calls of the session that end when the HTTP client goes away for whom they are made."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from ximilar_ocr_async import OCRSession

P = ParamSpec("P")
T = TypeVar("T")

TURNS = 10
"""Turns of the event loop in which it is noticed that a client has gone, before anything is sent.
Source: judgement; the server needs two, and each middleware on the way up to four."""


@frozen
class _Done(Generic[T]):
    value: T


@define(eq=False)
class Client:
    """The client of one request, as far as its server tells of it; lives as long as the request.

    Attributes:
        receive: The ``receive`` of ASGI. What is left of the body when it is called is dropped.
        gone: Makes the error for a call whose client went away.
        is_gone: Whether the client is known to have gone.
        _scopes: The scopes of the calls under way, for a server tells one of them only.
    """

    receive: Callable[[], Awaitable[Mapping[str, Any]]]
    gone: Callable[[], Exception]
    is_gone: bool = False
    _scopes: set[anyio.CancelScope] = field(factory=set, init=False)

    def bind(self, call: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return *call* as one that is cancelled when the client goes away.

        It then raises what `gone` makes. It raises errors as *call* does, never as a group.
        """

        async def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self._while_here(lambda: call(*args, **kwargs))

        return bound

    async def _while_here(self, call: Callable[[], Awaitable[T]]) -> T:
        if self.is_gone:
            raise self.gone()
        ended: _Done[T] | Exception | None = None
        async with anyio.create_task_group() as group:
            self._scopes.add(group.cancel_scope)
            try:
                group.start_soon(self._watch)
                for _ in range(TURNS):
                    await anyio.lowlevel.checkpoint()
                ended = _Done(await call())
            except Exception as error:  # noqa: BLE001 - raised below, outside of the group
                ended = error
            finally:
                self._scopes.discard(group.cancel_scope)
                group.cancel_scope.cancel()
        try:
            if isinstance(ended, _Done):
                return ended.value
            raise self.gone() if ended is None else ended
        finally:
            del ended  # its traceback holds this frame

    async def _watch(self) -> None:
        try:
            while (await self.receive())["type"] != "http.disconnect":
                pass
        except Exception:  # noqa: BLE001 - such as that the rest of the body is too large
            return  # the server does not tell
        self.is_gone = True
        for scope in self._scopes:
            scope.cancel()


class ClientSession:
    """The session as it serves one request: a call ends when the client of the request goes away.

    Images that were not sent by then cost nothing. The calls take and return what those of
    `OCRSession` do.

    Attributes:
        session: The session itself, for calls that go on without the client, such as `submit`.
        bind: Makes any other call one that ends when the client goes away.
    """

    def __init__(self, session: OCRSession, client: Client) -> None:
        self.session = session
        self.bind = client.bind
        self.read = client.bind(session.read)
        self.read_all = client.bind(session.read_all)
        self.extract = client.bind(session.extract)
        self.extract_all = client.bind(session.extract_all)

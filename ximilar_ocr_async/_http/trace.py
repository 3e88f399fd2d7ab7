"""How far one request has come: connecting, sending, sent, answered.

Both the package's own transport and the pools of httpx and httpx2 tell of it, by their ``trace``
extension. Transports of another kind tell nothing.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import anyio
from attrs import define, field


class Stage(IntEnum):
    """How far a request has come."""

    UNKNOWN = 0
    """Nothing was told."""
    CONNECTING = 1
    """A connection is made or secured. A connection that was used before skips this."""
    SENDING = 2
    SENT = 3
    """The last byte has left."""
    ANSWERED = 4
    """The status has come, maybe before all was sent."""


@define
class Trace:
    """Follows one request.

    Attributes:
        stage: How far it has come.
        is_handed: Whether a caller's client has it.
        began: When it began [s of the event loop's clock].
        sent: When its last byte had left [s]; None before, or if nothing was told.
        status: The status of its response, once that has come.
        answered: When the status came [s].
        headers: The headers of its response, once it has them.
    """

    stage: Stage = Stage.UNKNOWN
    is_handed: bool = field(init=False, default=False)
    began: float = field(init=False, factory=anyio.current_time)
    sent: float | None = field(init=False, default=None)
    status: int | None = field(init=False, default=None)
    answered: float | None = field(init=False, default=None)
    headers: Any = field(init=False, default=None)
    # The connection whose TLS handshake is under way.
    _securing: Any = field(init=False, default=None)
    _stream: Any = field(init=False, default=None)
    # The connection that sends, if it is the package's own.
    _connection: Any = field(init=False, default=None)
    # Whether what is told of is not the request, but the one for a proxy's tunnel.
    _is_tunnel: bool = field(init=False, default=False)

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of an event of httpcore's: the ``trace`` extension of a request."""
        step, _, stage = event.rpartition(".")
        name = step.rpartition(".")[2]
        self.stage = max(self.stage, Stage.CONNECTING)
        match name, stage:
            case "connect_tcp", "complete":
                self._stream = info.get("return_value")
            case "start_tls", "started":
                self._securing = self._stream
            case "start_tls", "complete":
                self._stream, self._securing = info.get("return_value"), None
            case "send_request_headers", "started":
                self._is_tunnel = info["request"].method == b"CONNECT"
                self._connection = info.get("connection")
                self._reach(Stage.SENDING)
            case "send_request_body", "complete":
                self._reach(Stage.SENT, info.get("time"))
            case "receive_response_headers", "complete":
                self._reach(Stage.ANSWERED, status=info["return_value"][1])

    def _reach(self, stage: Stage, time: float | None = None, *, status: int | None = None) -> None:
        if self._is_tunnel:
            return
        self.stage = stage
        if stage is Stage.SENT:
            self.sent = anyio.current_time() if time is None else time
        if status is not None:
            self.answer(status)

    def answer(self, status: int, headers: Any = None) -> None:
        """Have got the *status* of the response, and maybe its headers."""
        if self.status is None:
            self.answered = anyio.current_time()
        self.status, self.headers = status, headers

    @property
    def is_unsent(self) -> bool:
        """Whether the request is known not to be wholly sent."""
        return self.stage is not Stage.UNKNOWN and self.sent is None

    @property
    def may_be_whole(self) -> bool:
        """Whether the last byte may have left; other transports than our own do not tell."""
        return self._connection is not None and self._connection.is_ending

    @property
    def seconds(self) -> float:
        """From the last byte sent to the status [s]; more if it is not known when that left."""
        assert self.answered is not None  # noqa: S101 - asked once there is a status
        return self.answered - (self.began if self.sent is None else self.sent)

    async def close_handshake(self) -> None:
        """Close what a cancelled handshake leaves open: httpcore does it on errors alone."""
        if self._securing is not None:
            with anyio.CancelScope(shield=True):
                await self._securing.aclose()

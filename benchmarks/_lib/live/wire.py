"""The wire: a request in, the answer as it came out, and every step between in the caller's hand.

The package's own client hides what is asked about here: it never hangs up in the middle of a body,
and it has read an answer before it says how that was framed.
"""

import json
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import anyio
import h11
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute
from attrs import define, field, frozen

from ximilar_ocr_async import OptionError
from ximilar_ocr_async._validation import check_base_url

PIECE = 64 * 1024
"""The most bytes that are handed to a socket or taken from it at once [bytes]."""

PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """The connection ended before an answer was whole."""


def split(url: str) -> SplitResult:
    """Return the parts of the *url* of a service; raise `ValueError` if it is none."""
    try:
        check_base_url(url)
    except OptionError:
        # Says less than the other, which shows the URL: that may be the token in the wrong place.
        raise ValueError("URL is not https://HOST[:PORT][/PATH], or http to this machine") from None
    return urlsplit(url)


@frozen
class Request:
    """One request, without the headers that all have.

    Attributes:
        method: HTTP method.
        path: Path of the URL.
        headers: Headers of its own.
        body: The body, in pieces that may repeat.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: Sequence[bytes] = field(default=(), repr=False)

    @property
    def length(self) -> int:
        """Size of the body [bytes]."""
        return sum(map(len, self.body))


@frozen
class Place:
    """Where the service is, and who asks.

    Attributes:
        url: Address of the service.
        token: Token of the account.
        trust: Makes the context for TLS, which says whose certificates are believed.
    """

    url: str
    token: str = field(repr=False)
    trust: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context, repr=False)
    parts: SplitResult = field(init=False, repr=False)
    tls: ssl.SSLContext | None = field(init=False, repr=False)

    @parts.default
    def _split(self) -> SplitResult:
        return split(self.url)

    @tls.default
    def _speak_http1(self) -> ssl.SSLContext | None:
        return self.offer("http/1.1")

    @property
    def signature(self) -> dict[str, str]:
        """The header that says who asks."""
        return {"Authorization": f"Token {self.token}"}

    def redact(self, text: bytes) -> bytes:
        """Return *text* without the token, which services repeat in their answers."""
        # Before anything is cut: nobody finds half a token again.
        forms = {self.token, quote(self.token, safe=""), json.dumps(self.token)[1:-1]}
        for form in forms:
            text = re.sub(re.escape(form.encode()), b"***", text, flags=re.IGNORECASE)
        return text

    def offer(self, *protocols: str) -> ssl.SSLContext | None:
        """Return a context for TLS that offers these *protocols*, or None for plain HTTP."""
        if self.parts.scheme == "http":
            return None
        context = self.trust()
        context.set_alpn_protocols(protocols)
        return context

    def get(self, path: str) -> Request:
        """Make a request for what stands at *path*."""
        return Request("GET", path, self.signature)

    def post(self, path: str, *body: bytes, signature: Mapping[str, str] | None = None) -> Request:
        """Make a request that sends JSON, with the token unless there is another *signature*."""
        signature = self.signature if signature is None else signature
        return Request("POST", path, {"Content-Type": "application/json", **signature}, body)


@frozen
class Answer:
    """What came back, and when.

    Attributes:
        status: HTTP status.
        version: Version of HTTP in its first line.
        headers: Headers in their order, with names in lower case.
        body: The body, decompressed and without the token.
        size: Size of the body on the wire, without the framing of chunks [bytes].
        sent: How much of the request's body had been sent by then [bytes].
        waited: Time from the end of the request to the head of the answer [s]. It is negative if
            the answer came before the request was whole.
        took: Time from the start of the request to the end of the answer [s].
    """

    status: int
    version: str
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    size: int
    sent: int
    waited: float
    took: float

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None if it did not come."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def document(self) -> Any:
        """The JSON document of the body, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@define(eq=False)
class Line:
    """One connection. Lives in the ``async with`` block of `dial`, which hangs up at its end.

    Attributes:
        stream: The connection itself.
        sent: How much of the body was handed to the kernel [bytes].
    """

    stream: ByteStream = field(repr=False)
    place: Place
    sent: int = 0
    _http: h11.Connection = field(init=False, factory=lambda: h11.Connection(h11.CLIENT))
    _began: float = field(init=False, factory=anyio.current_time)
    _ended: float | None = field(init=False, default=None)

    async def exchange(self, request: Request) -> Answer:
        """Send *request* and return the answer, which is heard while the request is still sent."""
        answers: list[Answer] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._try_to_send, request)
            try:
                answers.append(await self.receive())
            except NoAnswer as error:
                failure = error
            group.cancel_scope.cancel()
        if failure:
            raise failure
        return answers[0]

    async def _try_to_send(self, request: Request) -> None:
        # If the service reads no more, it may have answered all the same.
        with suppress(anyio.BrokenResourceError):
            await self.send(request)

    async def send(self, request: Request, *, most: int | None = None) -> None:
        """Send *request*, or its head and at *most* so much of its body [bytes]."""
        self._began, self.sent, self._ended = anyio.current_time(), 0, None
        await self._send(
            h11.Request(
                method=request.method,
                target=self.place.parts.path.rstrip("/") + request.path,
                headers=[
                    ("Host", self.place.parts.netloc),
                    ("User-Agent", "ximilar-ocr-async live"),
                    ("Accept", "application/json"),
                    ("Accept-Encoding", "gzip"),
                    ("Content-Length", str(request.length)),
                    *request.headers.items(),
                ],
            )
        )
        for piece in request.body if most is None else _first(most, request.body):
            await self._send(h11.Data(data=piece))
            self.sent += len(piece)
        if most is None:
            await self._send(h11.EndOfMessage())
            self._ended = anyio.current_time()

    async def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            await self.stream.send(data)

    async def receive(self) -> Answer:
        """Return the answer; raise `NoAnswer` if the connection ends before it is whole."""
        head: h11.Response | None = None
        at, body = 0.0, b""
        while True:
            match await self._next():
                case h11.Response() as head:
                    at = anyio.current_time()
                case h11.Data(data=piece):
                    body += piece
                case h11.EndOfMessage() if head is not None:
                    return self._answer(head, at, body)

    async def _next(self) -> Any:
        """Return the next event of the answer."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self.listen())
        except (anyio.BrokenResourceError, h11.RemoteProtocolError) as error:
            raise NoAnswer(f"no whole answer, {self.sent:,} bytes of the body sent") from error
        if isinstance(event, h11.ConnectionClosed):
            raise NoAnswer("the connection was closed without an answer")
        return event

    async def listen(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            return await self.stream.receive(PIECE)
        except anyio.EndOfStream:
            return b""

    def reuse(self) -> bool:
        """Make ready for another request; return whether HTTP allows one here."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _answer(self, head: h11.Response, at: float, body: bytes) -> Answer:
        redact = self.place.redact
        headers = [(n.decode(), redact(value).decode("latin-1")) for n, value in head.headers]
        now = anyio.current_time()
        # A request that is not whole yet ends now at the earliest.
        ended = self._ended if self._ended is not None else now
        return Answer(
            status=head.status_code,
            version=head.http_version.decode(),
            headers=headers,
            body=redact(_decompress(body) if ("content-encoding", "gzip") in headers else body),
            size=len(body),
            sent=self.sent,
            waited=at - ended,
            took=now - self._began,
        )


def _first(most: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
    for piece in pieces:
        yield piece[:most]
        most -= len(piece)
        if most <= 0:
            return


def _decompress(body: bytes) -> bytes:
    try:
        return zlib.decompress(body, wbits=31)
    except zlib.error:
        return body


@asynccontextmanager
async def dial(place: Place) -> AsyncIterator[Line]:
    """Connect to *place*, and hang up when the block is left."""
    stream = await connect(place, place.tls)
    try:
        yield Line(stream, place)
    finally:
        await anyio.aclose_forcefully(stream)


async def connect(place: Place, tls: ssl.SSLContext | None) -> ByteStream:
    """Return a connection to *place*."""
    host, port = str(place.parts.hostname), place.parts.port or PORTS[place.parts.scheme]
    if tls is None:
        return await anyio.connect_tcp(host, port)
    # Nobody waits for the other's farewell, which many servers do not say.
    return await anyio.connect_tcp(host, port, ssl_context=tls, tls_standard_compatible=False)


async def describe_tls(place: Place) -> str:
    """Return how a connection is made that offers HTTP/2, too."""
    stream = await connect(place, place.offer("h2", "http/1.1"))
    try:
        version = stream.extra(TLSAttribute.tls_version, None)
        chosen = stream.extra(TLSAttribute.alpn_protocol, None)
    finally:
        await anyio.aclose_forcefully(stream)
    return f"{version}; of h2 and http/1.1 it chose {chosen}" if version else "plain HTTP"


async def ask(place: Place, request: Request) -> Answer:
    """Send *request* over a connection of its own and return the answer."""
    async with dial(place) as line:
        return await line.exchange(request)

"""``ximilar-ocr webhook``: deliveries to a loopback port in, outcomes as JSON lines out."""

import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal, TextIO

import anyio
from attrs import frozen

from ximilar_ocr_async._jobs import Delivery, WebhookReceiver
from ximilar_ocr_async._protocol import Webhook
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.jobs import Headers, parse_headers, tell_secret
from ximilar_ocr_async.cli.json_lines import outcome_to_json
from ximilar_ocr_async.cli.telling import ALL_WELL, USAGE, complain, put, to_json
from ximilar_ocr_async.errors import OCRError, OptionError, WebhookError
from ximilar_ocr_async.outcomes import Outcome

FETCH = 60.0
"""[s] that fetching the results of one delivery may take; then it is to come again."""


def webhook(
    *,
    port: int = 8001,
    header: Headers = None,
    verify: Literal["secret", "refetch"] = "secret",
    output: Path | None = None,
) -> int:
    """Receive what is done, and write each outcome as a line of JSON with its request's id.

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 takes one that is free. Something else, such as a tunnel or a proxy
        with TLS, must bring deliveries there from outside.
    header
        "Name: value" that deliveries must bring, the same as was submitted; may be given more than
        once. Without it one is made, and shown on standard error.
    verify
        With secret, what comes with the header is believed; with refetch, only that something is
        done, and it is fetched from the service, with the token.
    output
        File to add the lines to. Else they go to standard output.
    """
    try:
        # Imported late: an extra, which may not be installed.
        from ximilar_ocr_async.emulator import bind, make_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[webhook]'"
        told = f"webhook needs {error.name}, of the extra webhook: {extra}"
        return complain(OptionError(told), USAGE)
    try:
        with ExitStack() as stack:
            session = OCRSession() if verify == "refetch" else None
            headers = parse_headers(header, "--header")
            listener, url = bind(port)
            stack.enter_context(listener)
            receiver = WebhookReceiver(Webhook(url, headers), verify)
            file = stack.enter_context(output.open("a", encoding="utf-8")) if output else None
            if not headers:
                tell_secret(receiver.webhook)
            sys.stderr.write(f"receiving on {url}\n")
            sys.stderr.flush()
            application = receiver.app(Clerk(file, session).handle)
            with suppress(KeyboardInterrupt):
                anyio.run(_serve, make_server(application), listener, session)
    except (OptionError, OSError) as error:
        return complain(error, USAGE)
    return ALL_WELL


async def _serve(server: Any, listener: socket.socket, session: OCRSession | None) -> None:
    async with session or nullcontext():
        await server.serve(sockets=[listener])


@frozen
class Clerk:
    """Writes deliveries to *file*; with a *session*, what it fetches of them."""

    file: TextIO | None
    session: OCRSession | None

    async def handle(self, delivery: Delivery) -> None:
        """Write the outcomes of a delivery; raise `WebhookError` if it is to come again."""
        try:
            outcomes = await self._outcomes(delivery)
            if lines := [_line(delivery.id, outcome) for outcome in outcomes]:
                put("\n".join(lines), self.file)
        except (OCRError, OSError) as error:
            sys.stderr.write(f"{delivery.id}: {error}\n")
            raise WebhookError("not now", status=503) from None

    async def _outcomes(self, delivery: Delivery) -> Iterable[Outcome]:
        if self.session:
            return await self.session.job(delivery.id).wait(deadline=FETCH)
        if delivery.outcomes is None:
            told = f"it came without results; see: ximilar-ocr jobs show {delivery.id}"
            sys.stderr.write(f"{delivery.id}: {told}\n")
        return delivery.outcomes or ()


def _line(request_id: str, outcome: Outcome) -> str:
    return to_json({"id": request_id, **outcome_to_json(outcome)})

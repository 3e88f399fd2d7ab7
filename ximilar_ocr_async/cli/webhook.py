"""``ximilar-ocr webhook``: webhook deliveries in, outcomes as JSON lines out."""

import socket
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Literal, TextIO

import anyio
import anyio.to_thread
from attrs import frozen

from ximilar_ocr_async._jobs import Delivery, WebhookReceiver
from ximilar_ocr_async._protocol import Webhook
from ximilar_ocr_async._session import OCRSession
from ximilar_ocr_async.cli.connection import DEFAULT_CONNECTION, Connection, ConnectionOptions
from ximilar_ocr_async.cli.console import (
    SUCCESS,
    USAGE,
    check_output,
    report_error,
    write_line,
    write_message,
)
from ximilar_ocr_async.cli.headers import Headers, parse_headers, show_secret
from ximilar_ocr_async.cli.interrupts import interrupts
from ximilar_ocr_async.cli.json_lines import outcome_to_json, to_json
from ximilar_ocr_async.errors import OCRError, OptionError, WebhookError, shown
from ximilar_ocr_async.outcomes import Outcome

FETCH_DEADLINE = 60.0
"""The default for how long fetching the results of one delivery may take [s]."""


def webhook(
    *,
    port: int = 8001,
    header: Headers = None,
    verify: Literal["secret", "refetch"] = "secret",
    output: Path | None = None,
    connection: ConnectionOptions = DEFAULT_CONNECTION,
) -> int:
    """Receive webhooks, and write each outcome as a JSON line with the id of its request.

    Parameters
    ----------
    port
        Port on 127.0.0.1. 0 takes a free one. A tunnel or a proxy with TLS must forward deliveries
        there from outside.
    header
        "Name: value" that deliveries must have, the same as given at the submission, or @FILE with
        one in each line. Keep it secret: others can see the words of a command, and not what is in
        a file. It can be given more than once. The default is a generated header, which is shown on
        standard error.
    verify
        How deliveries are verified. With "secret", a delivery with the header is trusted. With
        "refetch", the results are fetched from the service with the token.
    output
        File to append the lines to. The default is standard output.
    connection.deadline
        Longest time in seconds to fetch the results of a delivery. After it, the delivery is
        refused. The default is 60.
    """
    try:
        # Imported here because the extra may not be installed.
        from ximilar_ocr_async.emulator import bind, make_server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        extra = "pip install 'ximilar-ocr-async[webhook]'"
        message = f"webhook needs {error.name}, from the extra webhook: {extra}"
        return report_error(OptionError(message), USAGE)
    interrupts.leave_to_server()
    deadline = FETCH_DEADLINE if connection.deadline is None else connection.deadline
    try:
        session = _make_session(connection, verify)
        headers = parse_headers(header, "--header")
        listener, url = bind(port)
        with listener:
            receiver = WebhookReceiver(Webhook(url, headers), verify)
            with _open(output) as file:
                _announce(receiver.webhook, is_new=not headers)
                application = receiver.app(DeliveryWriter(file, session, deadline).write)
                with suppress(KeyboardInterrupt):
                    anyio.run(_serve, make_server(application), listener, session)
    except (OptionError, OSError) as error:
        return report_error(error, USAGE)
    return SUCCESS


def _make_session(connection: Connection, verify: str) -> OCRSession | None:
    if verify == "refetch":
        return connection.make_session()
    if connection.given:
        raise OptionError(f"{connection.given[0]} goes with --verify refetch")
    return None


def _open(output: Path | None) -> AbstractContextManager[TextIO]:
    if output is None:
        return nullcontext(check_output(sys.stdout))
    return check_output(output.open("a", encoding="utf-8"), f"--output {output}")


def _announce(webhook: Webhook, *, is_new: bool) -> None:
    """Print the URL of the receiver on standard error, and its secret if that *is_new*."""
    if is_new:
        show_secret(webhook)
    write_message(f"receiving on {webhook.url}")


async def _serve(server: Any, listener: socket.socket, session: OCRSession | None) -> None:
    async with session or nullcontext():
        await server.serve(sockets=[listener])


@frozen
class DeliveryWriter:
    """Writes the outcomes of deliveries.

    Attributes:
        file: File to write to.
        session: Session to fetch the results with. None trusts the results in the delivery.
        deadline: How long fetching them may take [s].
    """

    file: TextIO
    session: OCRSession | None
    deadline: float

    async def write(self, delivery: Delivery) -> None:
        """Write the outcomes of a delivery; raise `WebhookError` to have it delivered again."""
        try:
            outcomes = await self._outcomes(delivery)
            # Other deliveries wait, and these may be large.
            text = await anyio.to_thread.run_sync(_lines, delivery.id, outcomes)
            if text:
                write_line(text, self.file)
        except (OCRError, OSError) as error:
            write_message(f"{shown(delivery.id)}: {error}")
            raise WebhookError("the delivery cannot be processed now", status=503) from None

    async def _outcomes(self, delivery: Delivery) -> Iterable[Outcome]:
        if self.session:
            return await self.session.job(delivery.id).wait(deadline=self.deadline)
        outcomes = await delivery.read_outcomes()
        if outcomes is None:
            name = shown(delivery.id)
            advice = f"see: ximilar-ocr jobs show {name}"
            write_message(f"{name}: the delivery has no results; {advice}")
        return outcomes or ()


def _lines(request_id: str, outcomes: Iterable[Outcome]) -> str:
    return "\n".join(to_json({"id": request_id, **outcome_to_json(one)}) for one in outcomes)

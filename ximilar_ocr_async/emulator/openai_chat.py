"""A language model behind OpenAI's protocol: a prompt and an image's text in, a completion out."""

import json

from attrs import Attribute, field, frozen

from ximilar_ocr_async._validation import check_base_url
from ximilar_ocr_async.emulator.egress import OutboundRequest, fetch_body
from ximilar_ocr_async.testing.service import Unreadable, full_prompt

MAX_BYTES = 1024 * 1024
"""Longest response body [bytes]."""

TIMEOUT = 60.0
"""Time limit for a whole response [s]. Source: judgement; the client waits 90 s."""


def _check_url(_: "OpenAIChat", __: "Attribute[str]", value: str) -> None:
    check_base_url(value)


@frozen
class OpenAIChat:
    """Sends prompts to a server that speaks OpenAI's protocol, such as OpenAI's or a local one.

    Source: https://platform.openai.com/docs/api-reference/chat/create, read in 2026-08.

    Attributes:
        base_url: URL of the server, without ``/chat/completions``. It must use https, or plain http
            to this machine.
        model: Name of the model on that server.
        key: API key, sent as a Bearer token. None sends no token.
        timeout: Time limit for a whole response [s].
    """

    base_url: str = field(validator=_check_url)
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT

    async def answer(self, prompt: str, text: str) -> str:
        """Return the model's completion; raise `Unreadable` if the server gives none."""
        message = {"role": "user", "content": full_prompt(prompt, text)}
        request = OutboundRequest(
            "POST",
            self.base_url.rstrip("/") + "/chat/completions",
            MAX_BYTES,
            self.timeout,
            headers={"Content-Type": "application/json", **self._key_header()},
            content=json.dumps({"model": self.model, "messages": [message]}).encode(),
        )
        try:
            return _completion(await fetch_body(request))
        except Unreadable as fault:
            raise Unreadable(502, f"the language model: {fault.text}") from None

    def _key_header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def _completion(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise Unreadable(502, "the response is not a chat completion")
    return content

"""A language model behind OpenAI's protocol: a prompt and an image's text in, an answer out."""

import json

from attrs import Attribute, field, frozen

from ximilar_ocr_async._validation import check_base_url
from ximilar_ocr_async.emulator.egress import Question, ask
from ximilar_ocr_async.testing.service import Unreadable, full_prompt

MAX_BYTES = 1024 * 1024
"""[bytes] of an answer."""

TIMEOUT = 60.0
"""[s] for an answer in all. Source: judgement; the client waits for 90."""


def _check_url(_: "OpenAIChat", __: "Attribute[str]", value: str) -> None:
    check_base_url(value)


@frozen
class OpenAIChat:
    """Asks a server that speaks OpenAI's protocol: theirs, or one on this machine.

    Source: https://platform.openai.com/docs/api-reference/chat/create, read in 2026-08.

    Args:
        base_url: What ``/chat/completions`` is added to; https, or plain http to this machine.
        model: Its name there.
        key: Sent as a Bearer token, if there is one.
        timeout: [s] for an answer in all.
    """

    base_url: str = field(validator=_check_url)
    model: str
    key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT

    async def answer(self, prompt: str, text: str) -> str:
        """Ask the model."""
        message = {"role": "user", "content": full_prompt(prompt, text)}
        question = Question(
            "POST",
            self.base_url.rstrip("/") + "/chat/completions",
            MAX_BYTES,
            self.timeout,
            headers={"Content-Type": "application/json", **self._key_header()},
            content=json.dumps({"model": self.model, "messages": [message]}).encode(),
        )
        try:
            return _content(await ask(question))
        except Unreadable as fault:
            raise Unreadable(502, f"the language model: {fault.text}") from None

    def _key_header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def _content(body: bytes) -> str:
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise Unreadable(502, "the answer is no chat completion")
    return content

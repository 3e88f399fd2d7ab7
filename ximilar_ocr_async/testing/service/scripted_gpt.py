"""A scripted language model: a prompt and the text of an image in, a completion out."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from ximilar_ocr_async.testing.service.engine import Unreadable


class GPT(Protocol):
    """A language model. It may be called several times at once."""

    async def answer(self, prompt: str, text: str) -> str:
        """Return a completion for *prompt* and an image's *text*; raise `Unreadable` on failure."""
        ...


def _scripted_notice(prompt: str, text: str) -> str:
    note = "no language model was asked"
    return json.dumps({"scripted": True, "note": note, "prompt": prompt, "text": text})


@frozen
class ScriptedGPT:
    """Returns scripted answers in place of a language model.

    Attributes:
        answers: Answers by prompt, a function of prompt and text, or one answer for all prompts.
            The default answer is a JSON object with ``"scripted": true``, so that nobody mistakes
            it for the answer of a model.
    """

    answers: Mapping[str, str] | Callable[[str, str], str] | str = _scripted_notice

    async def answer(self, prompt: str, text: str) -> str:
        """Return the answer to *prompt*; raise `Unreadable` if the script has none."""
        match self.answers:
            case str(answer):
                return answer
            case Mapping() as answers if prompt in answers:
                return answers[prompt]
            case Mapping():
                raise Unreadable(422, "the script has no answer to the prompt")
            case answers:
                return answers(prompt, text)

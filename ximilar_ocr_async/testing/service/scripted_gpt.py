"""A language model that is scripted: a prompt and the text of an image in, an answer out."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from ximilar_ocr_async.testing.service.engine import Unreadable


class GPT(Protocol):
    """Answers prompts, several at the same time."""

    async def answer(self, prompt: str, text: str) -> str:
        """Answer *prompt* on the *text* of an image; raise `Unreadable` when it cannot be done."""
        ...


def _say_so(prompt: str, text: str) -> str:
    told = "no language model was asked"
    return json.dumps({"scripted": True, "note": told, "prompt": prompt, "text": text})


@frozen
class ScriptedGPT:
    """Answers as it was told to. It is no language model.

    Args:
        answers: By prompt; or a function of prompt and text; or one for all. Untold, it is a JSON
            object with ``"scripted": true``, so that nobody takes it for a model's.
    """

    answers: Mapping[str, str] | Callable[[str, str], str] | str = _say_so

    async def answer(self, prompt: str, text: str) -> str:
        """Answer with what belongs to *prompt*."""
        match self.answers:
            case str(answer):
                return answer
            case Mapping() as answers if prompt in answers:
                return answers[prompt]
            case Mapping():
                raise Unreadable(422, "the script has no such prompt")
            case answers:
                return answers(prompt, text)

"""What a call asks of each image, and what it makes of the record that comes back."""

from typing import Protocol

from attrs import field, frozen

from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.outcomes import Outcome, T


class Question(Protocol[T]):
    """What is asked, and how an answer is understood."""

    def prompt_for(self, image: Image) -> str | None:
        """Return what the language model is asked about *image*, if it is asked."""
        ...

    def interpret(self, outcome: Outcome) -> Outcome[T] | str:
        """Return what *outcome* is to the caller, or the prompt to ask about its image again."""
        ...


def _check_prompt(_: object, __: object, value: str | None) -> None:
    if value is not None:
        check_prompt(value)


@frozen(eq=False)
class Reading:
    """Asks for the record as it is, with the answer to a *prompt* in it if there is one."""

    prompt: str | None = field(default=None, validator=_check_prompt)

    def prompt_for(self, image: Image) -> str | None:
        """Return the image's own prompt, else that of the call."""
        return self.prompt if image.prompt is None else image.prompt

    def interpret(self, outcome: Outcome) -> Outcome:
        """Return *outcome* as it is."""
        return outcome

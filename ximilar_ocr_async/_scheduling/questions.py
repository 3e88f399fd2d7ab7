"""What a call asks of each image, and what it makes of the result."""

from typing import Protocol

from attrs import field, frozen

from ximilar_ocr_async._scheduling.calls import Item, Result
from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.outcomes import Outcome, T, make_outcome


class Question(Protocol[T]):
    """What a call asks of each image, and what it makes of the answer."""

    def prompt_for(self, image: Image) -> str | None:
        """Return what the language model is asked about *image*, if it is asked."""
        ...

    def interpret(self, item: Item, result: Result) -> Outcome[T] | str:
        """Return the outcome of *item*, or the prompt with which to ask about its image again."""
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

    def interpret(self, item: Item, result: Result) -> Outcome:
        """Return the outcome with the record."""
        return make_outcome(item, result)

"""What a call asks of each image, and what it makes of the record that comes back."""

from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen

from ximilar_ocr_async.images import Image
from ximilar_ocr_async.limits import check_prompt
from ximilar_ocr_async.outcomes import Outcome, T

if TYPE_CHECKING:
    from ximilar_ocr_async.extraction import Extraction


class Question(Protocol[T]):
    """What is asked, and how an answer is understood."""

    def prompt_for(self, image: Image) -> str | None:
        """Return what the language model is asked about *image*, if it is asked."""
        ...

    def understand(self, outcome: Outcome) -> Outcome[T] | str:
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

    def understand(self, outcome: Outcome) -> Outcome:
        """Return *outcome* as it is."""
        return outcome


def to_fill_in(cls: type[T], instructions: str, reasks: int) -> "Extraction[T]":
    """Return the question for an instance of *cls*; see `Extraction`."""
    # Loaded when it is first asked: in most programs that is never.
    from ximilar_ocr_async.extraction import Extraction  # noqa: PLC0415

    return Extraction(cls, instructions, reasks)

"""The question for an instance of a class: a prompt out, and what an answer comes to."""

import re
from typing import Generic

from attrs import define, evolve, field, frozen

from ximilar_ocr_async._constants import BYTES_PER_TOKEN, MAX_PROMPT_TOKENS
from ximilar_ocr_async._extraction.parsing import extract
from ximilar_ocr_async._extraction.schema import describe
from ximilar_ocr_async._validation import check_at_least
from ximilar_ocr_async.errors import ExtractionError, OCRError, with_reason
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record
from ximilar_ocr_async.outcomes import Ended, Failure, Outcome, Success, T, make_outcome

ROOM = 100
"""[bytes] that a prompt must leave to what was wrong with the answer."""

_KEY = re.compile(r"\['.*'\]", re.DOTALL)
"""A key of a dict in an address, which the model chose."""


@frozen
class _Reasked:
    """An image that is asked about again: what was spent on it, and why it was not enough."""

    times: int = 0
    attempts: int = 0
    maybe_billed: bool = False
    error: ExtractionError | None = None


@define
class Extraction(Generic[T]):
    """Asks for an instance of a class.

    Args:
        cls: An attrs class, a dataclass or a TypedDict.
        instructions: What else the model should know; an image's own prompt takes its place.
        max_reasks: How often an image is asked about again whose answer does not fit.

    Raises:
        OptionError: *cls* cannot be described.
    """

    cls: type[T]
    instructions: str = ""
    max_reasks: int = 0
    _prompt: str = field(init=False)
    # By index; an image is in it while it is asked about again.
    _reasked: dict[int, _Reasked] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        check_at_least("max_reasks", self.max_reasks, 0)
        self._prompt = describe(self.cls, self.instructions)

    def prompt_for(self, image: Image) -> str:
        """Return the prompt that describes the class."""
        return self._prompt if image.prompt is None else describe(self.cls, image.prompt)

    def interpret(self, ended: Ended, result: Record | OCRError) -> Outcome[T] | str:
        """Return the outcome with an instance of the class, or the prompt to ask again with.

        An image that failed while it was asked about again ends with what was wrong at first,
        because that error has the record that was paid for.
        """
        outcome = make_outcome(ended, result)
        before = self._reasked.pop(outcome.index, _Reasked())
        outcome = evolve(
            outcome,
            attempts=outcome.attempts + before.attempts,
            maybe_billed=outcome.maybe_billed or before.maybe_billed,
        )
        if outcome.ok:
            return self._extract(outcome, before.times)
        if before.error is None:
            return outcome
        reason = f"asked again: {outcome.error}"
        return evolve(outcome, error=with_reason(before.error, reason))

    def _extract(self, outcome: Success, times: int) -> Outcome[T] | str:
        try:
            value = extract(outcome.record, self.cls)
        except ExtractionError as error:
            # A traceback holds its frames, and these would hold the call.
            misfit = error.with_traceback(None)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the class is the user's
            told = f"{self.cls.__name__} cannot be made: {type(error).__name__}"
            answer = outcome.record.gpt.result if outcome.record.gpt else None
            misfit = ExtractionError(told, answer=answer or "", record=outcome.record)
        else:
            return _with_value(outcome, value)
        again = None
        if times < self.max_reasks:
            again = _ask_again(self.prompt_for(outcome.image), misfit)
        if again is None:
            return _with_error(outcome, misfit)
        self._reasked[outcome.index] = _Reasked(
            times + 1, outcome.attempts, outcome.maybe_billed, misfit
        )
        return again


def _with_value(outcome: Success, value: T) -> Success[T]:
    return Success(
        index=outcome.index,
        image=outcome.image,
        record=outcome.record,
        value=value,
        attempts=outcome.attempts,
        maybe_billed=outcome.maybe_billed,
    )


def _with_error(outcome: Success, error: ExtractionError) -> Failure:
    return Failure(
        index=outcome.index,
        image=outcome.image,
        error=error,
        attempts=outcome.attempts,
        maybe_billed=outcome.maybe_billed,
    )


def _ask_again(prompt: str, error: ExtractionError) -> str | None:
    """Return the prompt that also says what was wrong; None if there is no room to say it."""
    told = "; ".join(map(_neutral, error.faults)) or "it was not one whole JSON object"
    room = MAX_PROMPT_TOKENS * BYTES_PER_TOKEN - len(prompt.encode(errors="surrogatepass"))
    if room < ROOM:
        return None
    words = f"\nAn earlier answer was wrong: {told}".encode(errors="surrogatepass")
    return prompt + words[:room].decode(errors="ignore")


def _neutral(fault: str) -> str:
    """Return a fault without what the model wrote.

    That may come from the image, and a prompt is where orders stand.
    """
    place, _, reason = _KEY.sub("[...]", fault).partition(": ")
    is_ours = reason.startswith("expected ")
    return f"{place}: {reason.partition(', got ')[0] if is_ours else reason.partition(':')[0]}"

"""The question that extracts a class: an image in, a prompt out; a record in, an outcome out."""

from threading import current_thread, main_thread
from typing import Any, ClassVar, Generic, cast

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
"""Bytes that a prompt must leave free for what was wrong with the completion."""


@frozen
class _Reasked:
    """What is known of an image that the model is asked about again."""

    times: int = 0
    attempts: int = 0
    maybe_billed: bool = False
    error: ExtractionError | None = None


@frozen
class Filled:
    """A record, with its completion as an instance of the class or with why it is none."""

    record: Record
    value: Any = None
    fault: ExtractionError | None = None


@define
class Extraction(Generic[T]):
    """Asks for an instance of a class. Lives as long as its call.

    Attributes:
        cls: An attrs class, a dataclass or a TypedDict.
        instructions: What else the model should know. An image's own prompt takes precedence.
        max_reasks: How often to ask again about an image whose completion does not fit.
        _reasked: The images that are being asked about again, by index.

    Raises:
        OptionError: *cls* cannot be described.
    """

    cls: type[T]
    instructions: str = ""
    max_reasks: int = 0
    kind: ClassVar[str] = "extract"
    _prompt: str = field(init=False)
    _reasked: dict[int, _Reasked] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        check_at_least("max_reasks", self.max_reasks, 0)
        self._prompt = describe(self.cls, self.instructions)

    def prompt_for(self, image: Image) -> str:
        """Return the prompt that describes the class."""
        return self._prompt if image.prompt is None else describe(self.cls, image.prompt)

    def prepare(self, record: Record) -> Filled:
        """Return what `interpret` takes of a *record*: with its completion as an instance."""
        try:
            return Filled(record, extract(record, self.cls))
        except ExtractionError as error:
            # The traceback would keep its frames alive, and with them the call.
            return Filled(record, fault=error.with_traceback(None))
        except BaseException as error:
            # The class is the user's, and the record was paid for. Only Ctrl-C comes from outside,
            # and only to the main thread.
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise
            return Filled(record, fault=self._class_failed(record, error))

    def interpret(self, ended: Ended, result: Filled | OCRError) -> Outcome[T] | str:
        """Return the outcome with an instance of the class, or the prompt to ask again with.

        If asking again fails, the outcome has the error of the earlier completion, because that
        error holds the record that was billed.
        """
        outcome = make_outcome(ended, result.record if isinstance(result, Filled) else result)
        before = self._reasked.pop(outcome.index, _Reasked())
        outcome = evolve(
            outcome,
            attempts=outcome.attempts + before.attempts,
            maybe_billed=outcome.maybe_billed or before.maybe_billed,
        )
        if outcome.ok is True:
            filled = cast("Filled", result)
            if filled.fault:
                return self._ask_again(outcome, filled.fault, before.times)
            return _with_value(outcome, filled.value)
        if before.error is None:
            return outcome
        reason = f"asked again: {outcome.error}"
        return evolve(outcome, error=with_reason(before.error, reason))

    def _class_failed(self, record: Record, error: BaseException) -> ExtractionError:
        message = f"{self.cls.__name__} cannot be made: {type(error).__name__}"
        completion = record.gpt.result if record.gpt else None
        return ExtractionError(message, answer=completion or "", record=record)

    def _ask_again(self, outcome: Success, error: ExtractionError, times: int) -> Failure | str:
        """Return the prompt to ask again with, or a failure if asking again is not possible."""
        prompt = None
        if times < self.max_reasks:
            prompt = _with_faults(self.prompt_for(outcome.image), error)
        if prompt is None:
            return _with_error(outcome, error)
        self._reasked[outcome.index] = _Reasked(
            times + 1, outcome.attempts, outcome.maybe_billed, error
        )
        return prompt


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


def _with_faults(prompt: str, error: ExtractionError) -> str | None:
    """Return *prompt* with what was wrong added to it; None if there is no room for that."""
    room = MAX_PROMPT_TOKENS * BYTES_PER_TOKEN - len(prompt.encode(errors="surrogatepass"))
    if room < ROOM:
        return None
    faults = "; ".join(error.hints) or "it was not one whole JSON object"
    addition = f"\nAn earlier answer was wrong: {faults}".encode(errors="surrogatepass")
    return prompt + addition[:room].decode(errors="ignore")

"""What the service returns, as frozen attrs classes with the service's own names.

Each class keeps unknown keys of a response in ``extra``, so that a new field of the service breaks
nothing. There and in ``json_result``, what could do harm is a string of its JSON text: what is
nested deeper than 64, a whole number of more than 4,300 digits, and a value that would take more
than ten times its size in memory.

Source of names and shapes: https://docs.ximilar.com/text/ocr, read in 2026-08.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from threading import RLock
from typing import Any, NoReturn, TypeAlias

from attrs import field, frozen

Point: TypeAlias = tuple[float, float]
"""(x, y) [px of the image as sent], from the top left corner."""


class _NoKeys(dict[str, Any]):
    """The empty mapping that all instances without unknown keys share as their ``extra``.

    A dictionary for each of an image's hundred texts would take a fifth of the client's time.
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("extra is read-only")

    __setitem__ = __ior__ = setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> str:
        # Pickled by name, so that it is the same object in every process.
        return "NO_KEYS"


NO_KEYS: Mapping[str, Any] = _NoKeys()


@frozen
class Text:
    """One piece of text and its position.

    Attributes:
        text: The characters.
        polygon: (4, 2) as (x, y) [px of the image as sent], clockwise from the top left.
        prob: How confident the service is, from 0 to 1.
        extra: Keys that this class does not know.
    """

    text: str = ""
    polygon: tuple[Point, ...] = ()
    prob: float | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


class _LateTexts:
    """Has ``texts`` that are made when they are first asked for.

    Most programs want the whole text alone, and each piece of it is seven objects. Until they are
    made, the place of the texts is empty, and Python looks for them here.
    """

    __slots__ = ("_make_texts",)
    _make_texts: "Callable[[], tuple[Text, ...]] | None"


_MAKING = RLock()
"""Held while texts are put in their place, so that all threads get the same ones. A handler of a
signal may ask for texts just then, in the thread that holds it."""


def _find_missing(self: Any, name: str) -> Any:
    if name != "texts":
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
    make = self._make_texts
    made = make() if make else ()
    with _MAKING:
        if self._make_texts:
            object.__setattr__(self, "texts", made)
            object.__setattr__(self, "_make_texts", None)
    return self.texts


# Not in the class, or type checkers would let any attribute pass.
_LateTexts.__getattr__ = _find_missing  # type: ignore[attr-defined]


@frozen
class OCR(_LateTexts):
    """All text of one image.

    Attributes:
        texts: The pieces, in reading order.
        full_text: The pieces joined by spaces.
        lang: The language that was assumed, such as ``en``.
        lang_name: The English name of that language, such as ``english``.
        extra: Keys that this class does not know.
    """

    texts: tuple[Text, ...] = ()
    full_text: str = ""
    lang: str | None = None
    lang_name: str | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


def make_later(ocr: OCR, make_texts: Callable[[], tuple[Text, ...]]) -> OCR:
    """Take away the texts of an instance that nobody else has yet; return it.

    Args:
        ocr: The instance.
        make_texts: Makes its texts once somebody asks for them. It must not fail.
    """
    object.__setattr__(ocr, "_make_texts", make_texts)
    object.__delattr__(ocr, "texts")
    return ocr


@frozen
class GPT:
    """The language model's response to a prompt.

    Attributes:
        full_prompt: The prompt as the model got it, with the text of the image in it.
        result: The completion, which is what the model wrote. It need not be JSON.
        json_result: The completion as the service parsed it, if it could. See above for what is
            text in it.
        extra: Keys that this class does not know.
    """

    full_prompt: str | None = None
    result: str | None = None
    json_result: Any = field(default=None, hash=False)
    # The JSON of it as it came, if a float of it may not have all of its digits. For `extract`.
    _written: bytes = field(default=b"", alias="written", eq=False, repr=False, kw_only=True)
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


@frozen
class Status:
    """The service's verdict on a request or a record.

    Attributes:
        code: A code like an HTTP status. 200 to 299 mean success.
        text: The verdict in words.
        request_id: The service's id of the request.
        extra: Keys that this class does not know.
    """

    code: int = 200
    text: str = ""
    request_id: str | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)

    @property
    def ok(self) -> bool:
        """Whether the code means success."""
        return 200 <= self.code <= 299  # noqa: PLR2004 - the bounds of HTTP's success class


@frozen
class Record:
    """One image as the service saw it, and what the service read from it.

    Attributes:
        id: The caller's ``Image.id``. If there is none, the id that the client gave the record.
        url: Where the service fetched the image, if it was sent by URL.
        width: The width of the image [px of the image as sent].
        height: The height of the image [px of the image as sent].
        status: The service's verdict on this record.
        ocr: The text.
        gpt: The language model's response, if there was a prompt.
        extra: Keys that this class does not know, such as those of the caller's ``Image.extra``.
    """

    id: str | None = None
    url: str | None = None
    width: int | None = None
    height: int | None = None
    status: Status = field(factory=Status)
    ocr: OCR = field(factory=OCR)
    gpt: GPT | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)

    @property
    def text(self) -> str:
        """The whole text of the image. Short for ``ocr.full_text``."""
        return self.ocr.full_text


@frozen
class Account:
    """The account that the token belongs to. Source: https://docs.ximilar.com/quickstart, 2026-08.

    Attributes:
        credits_counter: The credits used or left. The documentation does not say which of the two.
        credits_limit: The number of credits that the counter is compared with.
        extra: All other details, such as name and e-mail address. The repr omits them.
    """

    credits_counter: int | None = None
    credits_limit: int | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False, repr=False)


@frozen
class JobInfo:
    """The state of an asynchronous request. Source: https://docs.ximilar.com/async-api.

    Attributes:
        id: The id of the request. It gives access to the request later.
        status: The state of the request, such as ``CREATED``, ``PROCESSING`` or ``DONE``.
        type: The type of service that the request is for.
        created: When the request was submitted. A time that cannot be understood is in ``extra``.
        extra: Keys that this class does not know. The repr hides them, for the service may repeat
            the webhook of the request, with its secrets.
    """

    id: str
    status: str = ""
    type: str | None = None
    created: datetime | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False, repr=False)

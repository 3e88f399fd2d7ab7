"""What the service says about an image, as frozen attrs classes in the service's own vocabulary.

Keys of a reply that are not known here are kept in ``extra``, so that a new field of the service
breaks nobody. Source of names and shapes: https://docs.ximilar.com/text/ocr, read in 2026-08.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn, TypeAlias

from attrs import field, frozen

Point: TypeAlias = tuple[float, float]
"""(x, y) [px of the image as sent], from its top left corner."""


class _NoKeys(dict[str, Any]):
    """What ``extra`` is where all keys are known: nearly always, so it is one and the same.

    A dictionary for each of a hundred texts in an image would take a fifth of all the client does.
    """

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("extra is what the service said, and not to be written to")

    __setitem__ = __ior__ = setdefault = update = _refuse

    def __reduce__(self) -> str:
        # By name: so copies of it, in other processes too, are no copies.
        return "NO_KEYS"


NO_KEYS: Mapping[str, Any] = _NoKeys()


@frozen
class Text:
    """One piece of text and where it stands.

    Attributes:
        text: The characters.
        polygon: (4, 2) as (x, y) [px of the image as sent], clockwise from the top left.
        prob: How sure the service is, 0 to 1.
        extra: Keys that this class does not know.
    """

    text: str = ""
    polygon: tuple[Point, ...] = ()
    prob: float | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


@frozen
class OCR:
    """All text of one image.

    Attributes:
        texts: The pieces, in reading order.
        full_text: The pieces joined by spaces.
        lang: Language that the image was read in, such as ``en``.
        lang_name: Its English name, such as ``english``.
        extra: Keys that this class does not know.
    """

    texts: tuple[Text, ...] = ()
    full_text: str = ""
    lang: str | None = None
    lang_name: str | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


@frozen
class GPT:
    """The language model's answer to a prompt.

    Attributes:
        full_prompt: What the model was asked, with the text of the image in it.
        result: What it answered; often not JSON.
        json_result: The answer as parsed by the service, if it could be.
        extra: Keys that this class does not know.
    """

    full_prompt: str | None = None
    result: str | None = None
    json_result: Any = field(default=None, hash=False)
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)


@frozen
class Status:
    """The service's verdict on a request or a record.

    Attributes:
        code: As in HTTP: 200 to 299 is success.
        text: In words.
        request_id: The service's name for the request.
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
    """One image as the service saw it, and what it read.

    Attributes:
        id: The caller's ``Image.id``, else the one that went over the wire.
        url: Where the service fetched the image, if it was sent by URL.
        width: [px of the image as sent]
        height: [px of the image as sent]
        status: The service's verdict on this record.
        ocr: The text.
        gpt: The answer to the prompt, if there was one.
        extra: Keys that this class does not know, such as the caller's own ``Image.extra``.
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
        """The whole text of the image: ``ocr.full_text``."""
        return self.ocr.full_text


@frozen
class Account:
    """The account that the token belongs to. Source: https://docs.ximilar.com/quickstart, 2026-08.

    Attributes:
        credits_counter: Credits, as the service counts them; whether those that are left or those
            that were used, it does not say.
        credits_limit: Credits that the counter is held against.
        extra: All else that is told: name, e-mail address and so on; not in the repr.
    """

    credits_counter: int | None = None
    credits_limit: int | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False, repr=False)


@frozen
class JobInfo:
    """How an asynchronous request stands. Source: https://docs.ximilar.com/async-api.

    Attributes:
        id: Its name, to take it up again with.
        status: Its state, such as ``CREATED``, ``PROCESSING`` or ``DONE``.
        type: Of the service that it is for.
        created: When it was submitted.
        extra: Keys that this class does not know.
    """

    id: str
    status: str = ""
    type: str | None = None
    created: datetime | None = None
    extra: Mapping[str, Any] = field(default=NO_KEYS, hash=False)

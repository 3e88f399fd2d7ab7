"""What a request is: where it goes, what it carries, and how its response is read.

`ReadRequest` has images read now, `SubmitRequest` has them read later.
"""

from typing import Any, TypeAlias

from attrs import field, frozen

from ximilar_ocr_async._http import Response
from ximilar_ocr_async._protocol.decode import decode
from ximilar_ocr_async._protocol.decode_usual import Echo, decode_usual
from ximilar_ocr_async._protocol.error_mapping import as_ambiguous, as_lost, name_plan
from ximilar_ocr_async._protocol.jobs import REQUESTS, decode_submitted, make_id
from ximilar_ocr_async._protocol.webhook import Webhook
from ximilar_ocr_async._validation import check_kind, told
from ximilar_ocr_async.errors import OCRError, OptionError, ReplyError, UploadCut
from ximilar_ocr_async.images import Image
from ximilar_ocr_async.models import Record


@frozen(cache_hash=True)
class ReadRequest:
    """Has images read now. A record that may have been billed may be sent again.

    Attributes:
        endpoint: ``read`` or ``read_gpt``.
        lang: The language of the text on all of its images.
    """

    endpoint: str
    lang: str
    is_repeatable: bool = field(init=False, default=True)

    @property
    def path(self) -> str:
        """Where it is posted to."""
        return f"/ocr/v2/{self.endpoint}"

    @property
    def target(self) -> str:
        """What is refused as one where the account may not use it."""
        return self.endpoint

    @property
    def fields(self) -> dict[str, Any]:
        """What it carries beside its records."""
        return {"lang": self.lang}

    def record_id(self, unique: str, index: int, image: Image) -> str:  # noqa: ARG002
        """Return *unique*: the caller's own name need not be unique."""
        return unique

    def decode_usual(
        self, response: Response, ids: list[str], echo: Echo
    ) -> list[Record | OCRError] | None:
        """Return (n) records if all is usual, in a few milliseconds; None for `decode` to do it."""
        return decode_usual(response.status, response.body, ids, echo=echo)

    def decode(self, response: Response, ids: list[str], echo: Echo) -> list[Record | OCRError]:
        """Return (n) records or errors; raise `OCRError` if the request failed as a whole."""
        failure: OCRError | None = None
        results: list[Record | OCRError] = []
        try:
            results = decode(
                response.status,
                response.body,
                ids,
                echo=echo,
                retry_after=response.retry_after,
                timing=response.timing,
                is_early=isinstance(response.cut, UploadCut),
            )
        except OCRError as error:
            failure = response.cut or name_plan(error, self.endpoint)
        if failure:
            raise failure.with_traceback(None)
        if response.cut is None:
            return results
        # What came whole was paid for, and is not sent again with the rest. Whoever read some of
        # an upload that was cut may have read all of it.
        cut = as_lost(response.cut) if isinstance(response.cut, UploadCut) else response.cut
        return [cut if isinstance(one, ReplyError) else one for one in results]


def _check_word(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, str) or not value:
        word = "expected a word such as 'ocr' or 'read'"
        raise OptionError(f"{attribute.name} is {told(value)}, {word}")


def _check_webhook(_: object, __: object, value: Any) -> None:
    if value is not None:
        check_kind("webhook", value, Webhook, "a Webhook or a WebhookReceiver")


@frozen(eq=False)
class SubmitRequest:
    """Has images read later, by an asynchronous request of the service's.

    It is never repeated once it may have reached the service: submitted twice, an image would be
    paid twice, and its results would come twice. Requests of two calls are never one and the same.

    Attributes:
        endpoint: Of the service that reads them.
        lang: The language of the text on all of its images.
        type: Of that service. That of OCR is not published: ``ocr`` is a guess.
        webhook: Where to report that they are done.
    """

    endpoint: str = field(validator=_check_word)
    lang: str
    type: str = field(default="ocr", validator=_check_word)
    webhook: Webhook | None = field(default=None, validator=_check_webhook)
    is_repeatable: bool = field(init=False, default=False)

    @property
    def path(self) -> str:
        """Where it is posted to."""
        return REQUESTS

    @property
    def target(self) -> str:
        """What is refused as one where the account may not use it."""
        return f"asynchronous {self.endpoint}"

    @property
    def fields(self) -> dict[str, Any]:
        """What it carries beside its records."""
        fields: dict[str, Any] = {"type": self.type, "endpoint": self.endpoint, "lang": self.lang}
        if hook := self.webhook:
            fields["webhook"] = {"endpoint": hook.url, "headers": dict(hook.headers)}
        return fields

    def record_id(self, unique: str, index: int, image: Image) -> str:  # noqa: ARG002
        """Return a name that tells the image's place and the caller's name for it."""
        return make_id(index, image.id)

    def decode_usual(self, *_: object) -> None:
        """Return None: what a submission is answered with is left to `decode`."""

    def decode(self, response: Response, ids: list[str], echo: Echo) -> list[str]:  # noqa: ARG002
        """Return (n) times the id of the asynchronous request.

        Raises:
            OCRError: It was not taken, or that cannot be told.
        """
        cut = response.cut
        if isinstance(cut, UploadCut) and response.body:
            # It may have been taken all the same.
            raise as_lost(cut)
        try:
            request_id = decode_submitted(
                response.status,
                response.body,
                retry_after=response.retry_after,
                timing=response.timing,
            )
        except OCRError as error:
            raise cut or as_ambiguous(name_plan(error, self.endpoint)) from None
        return [request_id] * len(ids)


Request: TypeAlias = ReadRequest | SubmitRequest
"""A request that carries records; whoever sends it need not know which kind it is."""

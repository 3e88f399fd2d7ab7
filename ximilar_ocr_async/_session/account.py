"""What images cost, and what to do when the account or the way to it is not in order."""

from collections.abc import Collection

from ximilar_ocr_async._constants import CREDITS
from ximilar_ocr_async._session.source import AnyImage, check_images
from ximilar_ocr_async._validation import check_prompt
from ximilar_ocr_async.errors import (
    AddressError,
    AuthError,
    ConnectionFailed,
    CreditsExhausted,
    DeadlineExceeded,
    OCRError,
    OptionError,
    ReplyError,
    ReplyLost,
    RequestRejected,
    ServiceUnavailable,
    with_reason,
)
from ximilar_ocr_async.images import Image

DETAILS = "/account/v2/details/"

REMEDIES: dict[type[OCRError], str] = {
    CreditsExhausted: "the service was reached, and the credits are used up: see https://app.ximilar.com",
    AuthError: "the service was reached, and refuses the token: see https://app.ximilar.com",
    AddressError: "check base_url or XIMILAR_BASE_URL, certificates and proxy",
    ConnectionFailed: "check the network, and base_url or XIMILAR_BASE_URL",
    ServiceUnavailable: "the service has troubles: see https://status.ximilar.com",
    RequestRejected: "what answers is not the service: check base_url, or XIMILAR_BASE_URL",
    ReplyError: "what answers is not the service: check base_url, or XIMILAR_BASE_URL",
    ReplyLost: "check the network, and see https://status.ximilar.com",
    DeadlineExceeded: "check the network, and see https://status.ximilar.com",
}


def advise(error: OCRError) -> OCRError:
    """Return *error* with what to do about it, if that is known."""
    remedy = next((words for cls, words in REMEDIES.items() if isinstance(error, cls)), None)
    return with_reason(error, remedy) if remedy else error


def estimate(images: Collection[AnyImage], *, prompt: str | None = None) -> int:
    """Return what reading *images* costs [credits], if each is read once.

    Args:
        images: As for `OCRSession.read_all`, in a collection that counting does not use up.
        prompt: The prompt of the call, if it has one; typed answers have.

    Raises:
        OptionError: *images* cannot be counted.
    """
    check_images(images)
    if prompt is not None:
        check_prompt(prompt)
    if not isinstance(images, Collection):
        kind = type(images).__name__
        raise OptionError(f"images is a {kind}, which counting would use up; pass a list")
    asked = sum(bool(prompt or (isinstance(i, Image) and i.prompt)) for i in images)
    return asked * CREDITS["read_gpt"] + (len(images) - asked) * CREDITS["read"]

"""Where the service reports that an asynchronous request is done."""

import re
from collections.abc import Mapping

from attrs import Attribute, field, frozen

from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.images import is_url

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - its name, which is no secret
"""The header that is made where no other is given."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
"""What may be in a header [RFC 9110, 5.1 and 5.5, without what is obsolete]."""


def _with_secret(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    if not headers:
        import secrets  # noqa: PLC0415 - loads what most programs need nothing of

        return {SECRET_HEADER: secrets.token_urlsafe(32)}
    # A line break that came along from a file would not be sent, and must not be an error: that
    # would show the secret in the locals of its traceback.
    return {n: v.strip() if isinstance(v, str) else v for n, v in headers.items()}


def _check_url(_: "Webhook", __: "Attribute[str]", url: str) -> None:
    if not isinstance(url, str) or not is_url(url):
        raise OptionError(f"url of a webhook is {url!r}, expected http(s)://HOST/...")


def _check_headers(
    _: "Webhook", __: "Attribute[Mapping[str, str]]", headers: Mapping[str, str]
) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise OptionError(f"{name!r} is no name of a header")
        # Not shown: it is a secret.
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise OptionError(f"header {name} has more than visible ASCII, or is empty")
        if name.lower() in seen:
            raise OptionError(f"header {name} is there twice")
        seen.add(name.lower())


@frozen
class Webhook:
    """Where the service is to tell that an asynchronous request is done.

    Deliveries are not signed: what proves them is that they bring the *headers*, all of which are
    secrets therefore.

    Args:
        url: Where it posts to.
        headers: Sent along; without any, one with a secret of 256 bits is made.
    """

    url: str = field(validator=_check_url)
    headers: Mapping[str, str] = field(
        default=None, converter=_with_secret, validator=_check_headers, repr=False, hash=False
    )

"""The webhook that the service calls when an asynchronous request is done."""

import re
from collections.abc import Mapping

from attrs import Attribute, field, frozen

from ximilar_ocr_async.errors import OptionError
from ximilar_ocr_async.images import is_url

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - the name is not secret
"""The header that a webhook gets if it is given none."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
"""The allowed names and values of headers, without obsolete ones [RFC 9110, 5.1 and 5.5]."""


def _with_secret(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    if not headers:
        import secrets  # noqa: PLC0415 - loads modules that most programs never need

        return {SECRET_HEADER: secrets.token_urlsafe(32)}
    # A secret read from a file may end with a line break. Raising an error for that would show the
    # secret in the locals of its traceback.
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
            raise OptionError(f"{name!r} is not a valid header name")
        # The message does not show the value, because it is a secret.
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise OptionError(f"header {name} is empty or not all visible ASCII")
        if name.lower() in seen:
            raise OptionError(f"header {name} is given twice")
        seen.add(name.lower())


@frozen
class Webhook:
    """Where the service reports that an asynchronous request is done.

    The service does not sign its deliveries. Only the *headers* prove that a delivery is genuine,
    so all of them are secrets.

    Attributes:
        url: The URL that the service posts deliveries to.
        headers: The headers of each delivery. If none are given, a header with a random secret of
            256 bits is made.
    """

    url: str = field(validator=_check_url)
    headers: Mapping[str, str] = field(
        default=None, converter=_with_secret, validator=_check_headers, repr=False, hash=False
    )

"""The webhook that the service calls when an asynchronous request is done."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from ximilar_ocr_async._validation import kind_of, without_secrets
from ximilar_ocr_async.errors import OptionError, shown
from ximilar_ocr_async.images import is_url

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - the name is not secret
"""The header that a webhook gets if it is given none."""

MAX_VALUE = 4096
"""The longest value of a header [characters]. Source: judgement; servers take 8 KiB of headers."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", re.ASCII)
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
"""The allowed names and values of headers, without obsolete ones [RFC 9110, 5.1 and 5.5]."""


def _with_secret(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    if not headers:
        import secrets  # noqa: PLC0415 - loads modules that most programs never need

        return {SECRET_HEADER: secrets.token_urlsafe(32)}
    # A secret read from a file may end with a line break.
    return {n: v.strip() if isinstance(v, str) else v for n, v in headers.items()}


def _fault_of_url(url: Any) -> str | None:
    if isinstance(url, str) and is_url(url):
        return None
    if not isinstance(url, str):
        return f"url of a webhook is {kind_of(url)}, expected http(s)://HOST/... as a string"
    told = "no URL" if "@" in url else shown(repr(url))
    return f"url of a webhook is {told}, expected http(s)://HOST/..."


def _fault_of_headers(headers: Any) -> str | None:
    """Return what is wrong with headers. That shows no value, because it is a secret."""
    if not isinstance(headers, Mapping):
        return f"headers of a webhook are a {type(headers).__name__}, expected a mapping"
    seen: set[str] = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return f"{shown(repr(name))} is not a valid header name"
        if not isinstance(value, str) or not _VALUE.fullmatch(value.strip()):
            return f"header {name} is empty or not all visible ASCII"
        if len(value) > MAX_VALUE:
            return f"header {name} has {len(value):,} characters, the limit is {MAX_VALUE:,}"
        if name.lower() in seen:
            return f"header {name} is given twice"
        seen.add(name.lower())
    return None


@frozen(init=False)
class Webhook:
    """Where the service reports that an asynchronous request is done.

    The service does not sign its deliveries. Only the *headers* prove that a delivery is genuine,
    so all of them are secrets.

    Attributes:
        url: The URL that the service posts deliveries to. Its repr hides a password and a query.
        headers: The headers of each delivery. If none are given, a header with a random secret of
            256 bits is made.
    """

    url: str = field(repr=without_secrets)
    headers: Mapping[str, str] = field(repr=False, hash=False)

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        fault = _fault_of_url(url) or _fault_of_headers({} if headers is None else headers)
        if fault is None:
            self.__attrs_init__(url, _with_secret(headers))  # pyright: ignore[reportAttributeAccessIssue]
            return
        # They must not stand in the locals of a traceback, because a secret may have one stray
        # character.
        del url, headers
        raise OptionError(fault)

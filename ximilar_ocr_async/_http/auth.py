"""The account's token: found, cleaned, and kept out of sight."""

import os
import re
from typing import NoReturn, Protocol, TypeVar

from ximilar_ocr_async.errors import OptionError

ENVIRONMENT = ("XIMILAR_API_TOKEN", "XIMILAR_API_KEY")
"""Variables that may hold the token, the first before the second."""

_PREFIX = re.compile(r"^(Token|Bearer)\s+", re.IGNORECASE)
_VISIBLE_ASCII = re.compile(r"[!-~]+")


class _Request(Protocol):
    @property
    def headers(self) -> "_Headers": ...


class _Headers(Protocol):
    def __setitem__(self, key: str, value: str) -> None: ...


_R = TypeVar("_R", bound=_Request)


class Token:
    """The token, which signs requests and otherwise shows itself to nobody."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        kind = type(value).__name__
        self._value = _PREFIX.sub("", value.strip()) if isinstance(value, str) else ""
        # The raw text must not stand in the locals of a traceback; nor in the message, because a
        # stray character is all that is wrong with it.
        del value
        if not _VISIBLE_ASCII.fullmatch(self._value):
            self._value = ""
            raise OptionError(f"token is a {kind} that has more than visible ASCII, or is empty")

    @classmethod
    def find(cls, given: "str | Token | None") -> "Token":
        """Take the token given, else the one in the environment.

        Raises:
            OptionError: There is none, or it cannot be one.
        """
        if isinstance(given, Token):
            return given
        if given is not None:
            try:
                return cls(given)
            finally:
                del given  # as in __init__
        for name in ENVIRONMENT:
            if os.environ.get(name):
                return cls(os.environ[name])
        names = " or ".join(ENVIRONMENT)
        raise OptionError(f"no token: pass one or set {names}; get one at https://app.ximilar.com")

    def sign(self, request: _R) -> _R:
        """Put the token on *request*: the auth callable of an HTTP client."""
        request.headers["Authorization"] = f"Token {self._value}"
        return request

    def __repr__(self) -> str:
        return "Token(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token is not pickled")

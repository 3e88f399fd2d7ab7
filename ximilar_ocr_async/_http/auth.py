"""The account's token: text or the environment in, signed requests out. It is never shown."""

import os
import re
from typing import NoReturn, Protocol, TypeVar

from ximilar_ocr_async.errors import OptionError

ENVIRONMENT = ("XIMILAR_API_TOKEN", "XIMILAR_API_KEY")
"""The environment variables that may hold the token, in order of precedence."""

SECRET = 16
"""The shortest token that is looked for in what peers say. Source: judgement; those of the service
have 40 characters, and a word such as ``test`` would be found everywhere."""

PREFIX = 8
"""How many of its first characters are not shown either. Source: judgement; as a word of others
that is unlikely, and without the others it says little."""

_ESCAPE = re.compile(r"\\+u00([2-7][0-9a-fA-F])")
"""An ASCII character as JSON may have it."""

_PREFIX = re.compile(r"^(Token|Bearer)\s+", re.IGNORECASE)
_VISIBLE_ASCII = re.compile(r"[!-~]+")


class _Request(Protocol):
    @property
    def headers(self) -> "_Headers": ...


class _Headers(Protocol):
    def __setitem__(self, key: str, value: str) -> None: ...


_R = TypeVar("_R", bound=_Request)


class Token:
    """An API token. It signs requests, and no repr, error or traceback shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        kind, is_text = type(value).__name__, isinstance(value, str)
        self._value = _PREFIX.sub("", value.strip()) if is_text else ""
        # Neither the locals of a traceback nor the message may contain the raw text, because it may
        # be the token with a single stray character.
        del value
        if not is_text:
            raise OptionError(f"token is a {kind}, expected a string")
        if not _VISIBLE_ASCII.fullmatch(self._value):
            self._value = ""
            raise OptionError(f"token is a {kind} that is empty or not all visible ASCII")

    @classmethod
    def find(cls, given: "str | Token | None") -> "Token":
        """Return the *given* token, or else the one in the environment.

        Raises:
            OptionError: There is no token, or it is malformed.
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
        """Add the token to *request*. This is the ``auth`` callable of an HTTP client."""
        request.headers["Authorization"] = f"Token {self._value}"
        return request

    def mask(self, text: str) -> str:
        """Return *text* without the token, if a peer said it back and it is one to keep.

        What is cut may end with its beginning, and what is no JSON may have it in escapes.
        """
        if len(self._value) < SECRET:
            return text
        plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
        begin, masked, done = self._value[:PREFIX], "", 0
        while (found := plain.find(begin, done)) >= 0:
            masked += plain[done:found] + "***"
            done = found + _alike(plain[found : found + len(self._value)], self._value)
        return masked + plain[done:] if masked else text

    def mask_body(self, body: bytes) -> bytes:
        """Return *body* without the token, as `mask` does."""
        return body.replace(self._value.encode(), b"***") if len(self._value) >= SECRET else body

    def __repr__(self) -> str:
        return "Token(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token cannot be pickled")


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))

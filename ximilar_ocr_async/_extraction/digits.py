"""JSON in, the same with the digits of its numbers out: what a float cannot hold is not lost."""

import json
import re
from collections.abc import Mapping
from typing import Any, Self

_FLOAT = re.compile(r"[0-9](?:\.[0-9]|[eE])", re.ASCII)


class Written(float):
    """A float of JSON, with its digits as they were written. It is no part of what users get."""

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, digits: str) -> Self:
        """Make the number that *digits* write."""
        self = super().__new__(cls, digits)
        self.digits = digits
        return self


def loads(text: str | bytes, constants: Mapping[str, Any] | None = None) -> Any:
    """Return JSON with its floats as `Written`.

    Args:
        text: The JSON.
        constants: What to take NaN and the infinities for; without it they are floats.

    Raises:
        ValueError: It is no JSON.
    """
    # Models put raw line breaks into strings, which strict JSON forbids.
    parse_constant = None if constants is None else constants.get
    return json.loads(text, strict=False, parse_float=Written, parse_constant=parse_constant)


def may_lose_digits(text: str) -> bool:
    """Whether *text* may have a float."""
    return bool(_FLOAT.search(text))

"""What does not fit a class: a value in; what users see, and what the model is told, out.

The two are kept apart from the start, because in one string they could not be told apart again.
What the model wrote may come from the image, and in a prompt it could act as an order.
"""

import json
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from ximilar_ocr_async._extraction.digits import Written

_MAX_REASON_LENGTH, _MAX_VALUE_LENGTH = 200, 40
"""The longest reason in a fault, and the longest value or key in it [characters]."""


@frozen
class Fault:
    """A value that does not fit.

    Attributes:
        reason: What was expected and what was found. It may contain what the model wrote.
        rule: What was expected. It contains nothing that the model wrote.
        address: Where the value is. It may contain keys of dicts, which the model wrote.
        place: Where the value is, in the names of the class.
    """

    reason: str
    rule: str
    address: str = ""
    place: str = ""

    def __str__(self) -> str:
        """Return what users see."""
        return f"${self.address}: {_cut(self.reason)}"

    @property
    def hint(self) -> str:
        """What the model is told."""
        return f"${self.place}: {_cut(self.rule)}"

    def in_item(self, index: int) -> "Fault":
        """Return the fault as one of an array whose item does not fit."""
        return self._inside(f"[{index}]", f"[{index}]")

    def in_field(self, name: str) -> "Fault":
        """Return the fault as one of an object whose field does not fit."""
        return self._inside(f".{name}", f".{name}")

    def in_key(self, key: str) -> "Fault":
        """Return the fault as one of a dict whose value does not fit."""
        return self._inside(f"[{_quoted(key)}]", "[...]")

    def _inside(self, address: str, place: str) -> "Fault":
        return evolve(self, address=address + self.address, place=place + self.place)


class Misfit(Exception):
    """A value does not fit its type, or its parts do not fit theirs."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


def misfit(expected: str, found: str) -> Misfit:
    """Make the error of a value, given what it was *expected* to be and what was *found*."""
    return Misfit(Fault(f"expected {expected}, got {found}", f"expected {expected}"))


def mismatch(expected: str, value: Any) -> Misfit:
    """Make the error of a *value* of the wrong type."""
    return misfit(expected, _summary(value))


def faults_of(error: Exception) -> tuple[Fault, ...]:
    """Return what is wrong with a value whose structuring raised *error*."""
    if isinstance(error, Misfit):
        return error.faults
    # The error of a user's validator. Those of attrs have their message as the first argument.
    name = type(error).__name__
    return (Fault(": ".join([name, *map(str, error.args[:1])]), name),)


def _summary(value: Any) -> str:
    match value:
        case str():
            return _quoted(value)
        case None | bool() | float():
            return value.digits if isinstance(value, Written) else json.dumps(value)
        case int():
            return str(value) if abs(value) < 10**_MAX_VALUE_LENGTH else "a huge number"
        case Mapping():
            return "an object"
        case list():
            return "an array"
        case _:
            return "nothing"


def _quoted(text: str) -> str:
    beginning = repr(text[:_MAX_VALUE_LENGTH])
    return beginning if len(text) <= _MAX_VALUE_LENGTH else f"{beginning}..."


def _cut(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MAX_REASON_LENGTH else f"{line[:_MAX_REASON_LENGTH]}..."

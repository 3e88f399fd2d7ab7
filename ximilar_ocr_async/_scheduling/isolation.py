"""Isolation: records of a batch that failed as a whole are sent alone, and speak for all."""

from typing import Any

from attrs import define, field

from ximilar_ocr_async._scheduling.decisions import is_suspect
from ximilar_ocr_async.errors import OCRError

WITNESSES = 3
"""Records sent alone that must fail alike before the service, and not the records, is at fault."""


@define(eq=False, repr=False)
class Isolation:
    """The items of a batch that was refused as a whole, which are now sent alone.

    Attributes:
        items: The items.
    """

    items: list[Any] = field(factory=list)
    # How the first attempt of each ended, by id: an error in words, or nothing.
    _ends: dict[str, str] = field(init=False, factory=dict)

    def observe(self, record_id: str, error: OCRError | None) -> bool:
        """Take note of how the first attempt at a record alone ended.

        An *error* for which no record can be at fault says nothing.

        Returns:
            Whether all of them have failed alike.
        """
        if error is None or is_suspect(error):
            self._ends.setdefault(record_id, str(error or ""))
        return self.is_alike and len(self._ends) == len(self.items)

    @property
    def is_alike(self) -> bool:
        """Whether enough of them failed alike to say that no record is at fault."""
        ends = self._ends.values()
        return len(ends) >= WITNESSES and len(set(ends)) == 1 and all(ends)

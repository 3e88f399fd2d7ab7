"""The response to a batch, decoded in one step where its records are usual, or all but a few."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from ximilar_ocr_async._protocol.converter import UnfitError, structure_status
from ximilar_ocr_async._protocol.fast_decode import AT_ONCE, UsualAnswer
from ximilar_ocr_async._protocol.fast_parts import Budget, OverBudgetError, read_usual_status
from ximilar_ocr_async._protocol.json_values import Allowance
from ximilar_ocr_async._protocol.records import Row, failure_of, make_usual, read_status
from ximilar_ocr_async.errors import OCRError
from ximilar_ocr_async.models import Record, Status

LONG_WAY = 4
"""How many times the size of a record that goes the long way counts, among what is decoded in one
call. Source: judgement; a kilobyte of it takes up to 1 ms."""


@define
class Echo:
    """Whether the service sends ids back. Lives as long as its session.

    Attributes:
        is_heard: Whether an id came back in any response so far.
    """

    is_heard: bool = False


def decode_usual(
    http_status: int, body: bytes, ids: Sequence[str], *, echo: Echo, most: int = AT_ONCE
) -> list[Record | OCRError] | None:
    """Decode the response to a batch in one step.

    Return None if it is unusual in more than a few of its records, or if it has more than *most*
    [bytes].
    """
    answer = UsualAnswer.of(body, len(ids)) if len(body) <= most else None
    http = Status(http_status)
    if answer is None or not http.ok:
        return None
    try:
        results = _Usual(answer).decode(ids, http)
    except (UnfitError, OverBudgetError):
        return None
    echo.is_heard = echo.is_heard or results is not None
    return results


@define
class _Usual:
    """Makes the records of an answer, the usual and the few that are not.

    Attributes:
        answer: The answer.
    """

    answer: UsualAnswer
    _budget: Budget = field(init=False, factory=Budget)
    _statuses: dict[bytes, Status] = field(init=False, factory=dict)
    _unusual: dict[int, Row] = field(init=False, factory=dict)

    def decode(self, ids: Sequence[str], http: Status) -> list[Record | OCRError] | None:
        """Return (n) results; None if the answer failed, or is not about just these *ids*.

        Raises:
            OverBudgetError: There is too much that is unusual.
            UnfitError: The status makes no sense.
        """
        default = self._read_status(self.answer.status, http, "$")
        rows = enumerate(self.answer.records)
        found = [row.id if row else self._row(place).word("_id") for place, row in rows]
        if not default.ok or found != [*ids]:
            return None
        return [self._decode_one(place, f"$.records[{i}]", default) for place, i in enumerate(ids)]

    def _row(self, place: int) -> Row:
        """Return a record that goes the long way."""
        if place not in self._unusual:
            row = Row(self.answer.json_of(place))
            self._budget.spend(LONG_WAY * len(row.data))
            self._unusual[place] = row
        return self._unusual[place]

    def _decode_one(self, place: int, path: str, default: Status) -> Record | OCRError:
        usual = self.answer.records[place]
        try:
            status = usual and self._status_of(usual.status, default, path)
        except UnfitError:
            status = None
        if status and not status.ok:
            return failure_of(status)
        record = make_usual(usual, status, self._budget) if usual and status else None
        return record or self._row(place).decode(path, default)

    def _status_of(self, data: Any, default: Status, path: str) -> Status:
        # One instance for all equal statuses, because nearly always all of them are equal.
        key = bytes(data)
        if key not in self._statuses:
            self._statuses[key] = self._read_status(data, default, f"{path}.status")
        return self._statuses[key]

    def _read_status(self, data: Any, default: Status, path: str) -> Status:
        usual = read_usual_status(data, self._budget)
        if usual is not None:
            return usual
        view = memoryview(data)
        self._budget.spend(len(view))
        return structure_status(read_status(view, Allowance()), default, path)

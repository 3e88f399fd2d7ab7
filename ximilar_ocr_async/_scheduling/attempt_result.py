"""What one attempt at a batch brought."""

from attrs import field, frozen

from ximilar_ocr_async._scheduling.calls import Result
from ximilar_ocr_async._scheduling.decisions import is_overload
from ximilar_ocr_async.errors import OCRError


@frozen
class AttemptResult:
    """What an attempt brought.

    Attributes:
        results: By id; images that did not fit into the request are not in it.
        sent: Records in the request; 0 if none was made.
        failure: Why the request failed as a whole; it is the result of each record in it, too.
        cut: Why its response broke off behind some records, if it did.
        is_lost: Whether the attempt broke off after it was made: it may have been billed.
        size: [bytes] of the response, decompressed.
        status: Of the response, if there was one.
        request_id: The service's id of the request, if it gave one.
    """

    results: dict[str, Result] = field(factory=dict)
    sent: int = 0
    failure: OCRError | None = None
    cut: OCRError | None = None
    is_lost: bool = False
    size: int = 0
    status: int | None = None
    request_id: str | None = None

    @property
    def record_size(self) -> float:
        """The mean size [bytes] of what the response says of a record."""
        return self.size / max(1, self.sent)

    @property
    def _errors(self) -> list[OCRError]:
        return [result for result in self.results.values() if isinstance(result, OCRError)]

    @property
    def is_overload(self) -> bool:
        """Whether any of it failed because the service is asked too much."""
        return any(map(is_overload, self._errors)) or bool(self.cut and is_overload(self.cut))

    @property
    def error(self) -> OCRError | None:
        """Why all of it failed, if it did; what failed of records that were sent is no reason."""
        reasons = [self.failure, self.cut, *([] if self.sent else self._errors)]
        return next(filter(None, reasons), None)

    @property
    def is_given_up(self) -> bool:
        """Whether it brought nothing, because it was cancelled."""
        return not self.results and self.failure is None

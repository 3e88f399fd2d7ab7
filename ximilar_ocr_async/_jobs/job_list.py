"""The account's asynchronous requests, page by page."""

from collections import deque
from functools import partial
from typing import Self

from attrs import define, field

from ximilar_ocr_async._protocol import jobs
from ximilar_ocr_async._scheduling import CallOptions, JSONGetter
from ximilar_ocr_async.errors import ReplyError
from ximilar_ocr_async.models import JobInfo


@define(eq=False, repr=False)
class JobList:
    """The account's asynchronous requests, page by page as they are iterated over."""

    _getter: JSONGetter
    _options: CallOptions
    # Of the next page, if there is one; and of those that were there.
    _path: str | None
    _paths: set[str] = field(init=False, factory=set)
    _rows: deque[JobInfo] = field(init=False, factory=deque)

    @classmethod
    def of(cls, getter: JSONGetter, options: CallOptions, **filters: str | None) -> Self:
        """Return the list of all requests, or of those of a status or type."""
        return cls(getter, options, jobs.page_path(**filters))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobInfo:
        while not self._rows:
            if self._path is None:
                raise StopAsyncIteration
            if self._path in self._paths:
                raise ReplyError("the pages of the list of asynchronous requests go in circles")
            document = await self._getter.get(self._path, self._options)
            self._paths.add(self._path)
            decode = partial(jobs.decode_page, document)
            rows, self._path = await self._getter.decode(decode, document.size)
            self._rows.extend(rows)
        return self._rows.popleft()

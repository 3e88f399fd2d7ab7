"""The account's asynchronous requests, page by page."""

from collections import deque
from functools import partial
from typing import Self

from attrs import define, field

from ximilar_ocr_async._protocol import jobs
from ximilar_ocr_async._scheduling import CallOptions, JSONGetter
from ximilar_ocr_async._validation import check_kind
from ximilar_ocr_async.errors import ReplyError
from ximilar_ocr_async.models import JobInfo

MAX_STALE = 100
"""The most pages in a row without a request that is new. Source: judgement; a service that filters
pages after it has made them has some that are empty."""

KNOWN = 1000
"""How many requests are remembered to tell whether others are new. Source: judgement; that is ten
pages and more."""

MAX_REPEATS = 10
"""How often one page may come again. Source: judgement; while requests are submitted, those that
were listed move to later pages."""

MAX_LINK = 8192
"""The longest path of a page [characters]. Source: judgement; servers take about as much."""


@define
class _Repeats:
    """Counts how often a value of a sequence comes again, in memory that does not grow.

    One value is remembered, for twice as long each time. So values that go round are found out,
    however long the way round is. Source: R. P. Brent, An improved Monte Carlo factorization
    algorithm, BIT 20 (1980).
    """

    _remembered: object = None
    _count: int = 0
    # How many values came since, and how many are to come before another is remembered.
    _age: int = 0
    _span: int = 1

    def count(self, value: object) -> int:
        """Return how often *value* came again, as far as it is remembered."""
        if value == self._remembered:
            self._count += 1
            return self._count
        self._age += 1
        if self._age == self._span:
            self._remembered, self._count, self._age, self._span = value, 0, 0, 2 * self._span
        return 0


@define(eq=False, repr=False)
class JobList:
    """The account's asynchronous requests, page by page as they are iterated over.

    It may be of any length, and it ends: pages without end that bring nothing new are an error.
    """

    _getter: JSONGetter
    _options: CallOptions
    # Of the next page, if there is one.
    _path: str | None
    _rows: deque[JobInfo] = field(init=False, factory=deque)
    # Pages in a row that brought nothing new; the hashes of the last ids, for ids may be long.
    _stale: int = field(init=False, default=0)
    _known: dict[int, None] = field(init=False, factory=dict)
    # Paths and pages that come again.
    _paths: _Repeats = field(init=False, factory=_Repeats)
    _pages: _Repeats = field(init=False, factory=_Repeats)
    # Why there is no next page, although there is a link to it.
    _fault: str | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._paths.count(self._path)

    @classmethod
    def of(cls, getter: JSONGetter, options: CallOptions, **filters: str | None) -> Self:
        """Return the list of all requests, or of those of a status or type."""
        for name, word in filters.items():
            if word is not None:
                check_kind(name, word, str, "a word such as 'DONE' or 'ocr'")
        return cls(getter, options, jobs.page_path(**filters))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobInfo:
        while not self._rows:
            if self._fault:
                raise ReplyError(f"the list of asynchronous requests {self._fault}")
            if self._path is None:
                raise StopAsyncIteration
            document = await self._getter.get(self._path, self._options)
            decode = partial(jobs.decode_page, document)
            rows, self._path = await self._getter.decode(decode, document.size)
            self._rows.extend(rows)
            if self._path is not None:
                self._fault = self._find_fault(rows, self._path)
        return self._rows.popleft()

    def _find_fault(self, rows: list[JobInfo], following: str) -> str | None:
        """Return what is wrong with a page of *rows* and the path of the *following* one."""
        if len(following) > MAX_LINK:
            return f"has a link of {len(following):,} characters, the limit is {MAX_LINK:,}"
        if self._paths.count(following):
            return "goes in circles"
        self._stale = 0 if self._learn(rows) else self._stale + 1
        if self._stale == MAX_STALE:
            return f"does not end: {MAX_STALE} pages in a row bring nothing new"
        if rows and self._pages.count(frozenset(row.id for row in rows)) == MAX_REPEATS:
            return f"does not end: a page of it came {MAX_REPEATS} times again"
        return None

    def _learn(self, rows: list[JobInfo]) -> bool:
        """Remember *rows*; return whether any is new, as far as they are remembered."""
        new = {hash(row.id): None for row in rows if hash(row.id) not in self._known}
        self._known |= new
        for oldest in [*self._known][:-KNOWN]:
            del self._known[oldest]
        return bool(new)
